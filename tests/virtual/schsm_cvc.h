/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_cvc.h - card verifiable certificates and requests for them (BSI TR-03110 part 3, annexes C and D). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <openssl/evp.h>
#include "card_algorithm.h"
#include "tlv.h"

/* The holder reference of the device: its serial number and the number of its key. */
#define SCHSM_SERIAL "DENK0100001"
#define SCHSM_DEVICE_NAME SCHSM_SERIAL "00000"

/* The curve whose domain parameters 81 ... 85 these are, of a field of so many bytes at most; NULL: none that the card
 * can do. */
const struct card_curve *schsm_find_curve(struct tlv_view public_key, size_t most);
/* The same by its prime alone. */
const struct card_curve *schsm_find_prime(struct tlv_view prime, size_t most);

/* What a domain of elliptic curves is made of, big-endian; numbers have the length of the prime. */
struct schsm_domain {
    uint8_t bytes[4 * 66 + 133];
    struct tlv_view prime, a, b, base, order; /* in bytes */
};
/* false: this is no such curve. */
bool schsm_domain(const struct card_curve *curve, struct schsm_domain *domain);
/* The curve that a key is on; NULL: it is no such key. */
const struct card_curve *schsm_curve_of(EVP_PKEY *key);

/* A certificate 7F21 of a key, made by an issuer. false: something is too long, or out of memory. */
bool schsm_put_certificate(struct tlv_writer *writer, EVP_PKEY *key, const char *holder, EVP_PKEY *issuer,
                           const char *authority);

/* An authenticated request 67 for a certificate: signed by the key itself, and by the device. */
bool schsm_put_request(struct tlv_writer *writer, EVP_PKEY *key, struct tlv_view holder, struct tlv_view authority,
                       EVP_PKEY *device);
