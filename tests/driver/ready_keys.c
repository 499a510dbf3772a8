/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ready_keys.c - RSA keys without a search for primes, for tests of the driver: how a key is found is not the driver's.
 *
 * A prime is the first one from a number that anybody can compute, and the table says how far it is from there; so the
 * keys are no secrets, are the same everywhere, and cost a hash. Each p makes a key with each q: no two keys of a
 * program are the same.
 */
#include "card_rsa.h"
#include <stdatomic.h>
#include <stdio.h>
#include <openssl/evp.h>

#define PRIMES_MAX 8

/* count: of the primes p, and of the primes q; for each, how far it is from the number where its search begins. */
static struct ready_keys {
    unsigned bits, count;
    uint16_t p[PRIMES_MAX], q[PRIMES_MAX];
    atomic_uint taken;
} ready[] = {
    { 2048, 8, { 140, 246, 2836, 1432, 198, 1432, 872, 510 }, { 266, 2842, 120, 3760, 42, 306, 24, 226 }, 0 },
    { 4096, 2, { 3646, 1216 }, { 1686, 1220 }, 0 },
};

/* The search begins at SHAKE256 of a name such as "ifd-nitrokey RSA 2048 p 0", with the two highest bits and the lowest
 * one set, and ends at a prime whose predecessor is no multiple of 65537. */
static bool make_prime(unsigned bits, char letter, unsigned number, unsigned distance, uint8_t *bytes)
{
    const size_t size = bits / 16;
    char name[64];
    const int length = snprintf(name, sizeof name, "ifd-nitrokey RSA %u %c %u", bits, letter, number);
    EVP_MD_CTX *const ctx = EVP_MD_CTX_new();
    const bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_shake256(), NULL) &&
                    EVP_DigestUpdate(ctx, name, (size_t)length) && EVP_DigestFinalXOF(ctx, bytes, size);
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return false;
    bytes[0] |= 0xc0;
    bytes[size - 1] |= 1;
    for (size_t i = size; distance > 0 && i > 0; distance >>= 8) {
        distance += bytes[--i];
        bytes[i] = (uint8_t)distance;
    }
    return true;
}

static EVP_PKEY *make_key(const struct ready_keys *keys, unsigned number)
{
    static const uint8_t e[] = { 0x01, 0x00, 0x01 };
    uint8_t p[CARD_RSA_BYTES_MAX / 2], q[CARD_RSA_BYTES_MAX / 2];
    const unsigned i = number / keys->count, j = number % keys->count;
    const size_t size = keys->bits / 16;
    if (!make_prime(keys->bits, 'p', i, keys->p[i], p) || !make_prime(keys->bits, 'q', j, keys->q[j], q))
        return NULL;
    return card_rsa_import((struct tlv_view){ e, sizeof e }, (struct tlv_view){ p, size }, (struct tlv_view){ q, size },
                           keys->bits);
}

EVP_PKEY *card_rsa_generate(unsigned bits, int (*go_on)(EVP_PKEY_CTX *ctx), void *context)
{
    (void)go_on;
    (void)context;
    for (size_t i = 0; i < sizeof ready / sizeof ready[0]; i++) {
        struct ready_keys *const keys = &ready[i];
        if (keys->bits != bits)
            continue;
        const unsigned number = atomic_fetch_add(&keys->taken, 1);
        if (number < keys->count * keys->count)
            return make_key(keys, number);
    }
    fprintf(stderr, "no ready RSA key of %u bits is left, see ready_keys.c\n", bits);
    return NULL;
}
