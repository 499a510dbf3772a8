/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_cvc.c - card verifiable certificates and requests for them (BSI TR-03110 part 3, annexes C and D). */
#include "schsm_cvc.h"
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include "card_ecc.h"
#include "card_rsa.h"

#define PART_MAX 1400 /* a certificate of the longest key, RSA 4096 */

static const uint8_t RSA_SHA256[] = { 0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02, 0x01, 0x02 };
static const uint8_t ECDSA_SHA256[] = { 0x04, 0x00, 0x7f, 0x00, 0x07, 0x02, 0x02, 0x02, 0x02, 0x03 };

/* ---- curves ---- */

static const struct card_curve CURVES[] = {
    { .type = "EC", .group = "prime192v1", .bytes = 24 },
    { .type = "EC", .group = "prime256v1", .bytes = 32 },
    { .type = "EC", .group = "secp384r1", .bytes = 48 },
    { .type = "EC", .group = "secp521r1", .bytes = 66 },
    { .type = "EC", .group = "brainpoolP192r1", .bytes = 24 },
    { .type = "EC", .group = "brainpoolP224r1", .bytes = 28 },
    { .type = "EC", .group = "brainpoolP256r1", .bytes = 32 },
    { .type = "EC", .group = "brainpoolP320r1", .bytes = 40 },
    { .type = "EC", .group = "brainpoolP384r1", .bytes = 48 },
    { .type = "EC", .group = "brainpoolP512r1", .bytes = 64 },
    { .type = "EC", .group = "secp192k1", .bytes = 24 },
    { .type = "EC", .group = "secp256k1", .bytes = 32 },
};
#define CURVE_TOTAL (sizeof CURVES / sizeof CURVES[0])

static bool number(const BIGNUM *value, size_t size, struct schsm_domain *domain, size_t *used, struct tlv_view *view)
{
    *view = (struct tlv_view){ domain->bytes + *used, size };
    const bool ok = BN_bn2binpad(value, domain->bytes + *used, (int)size) > 0;
    *used += size;
    return ok;
}

bool schsm_domain(const struct card_curve *curve, struct schsm_domain *domain)
{
    size_t used = 0;
    BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new();
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_txt2nid(curve->group));
    bool ok = p && a && b && group && EC_GROUP_get_curve(group, p, a, b, NULL) &&
              number(p, curve->bytes, domain, &used, &domain->prime) &&
              number(a, curve->bytes, domain, &used, &domain->a) &&
              number(b, curve->bytes, domain, &used, &domain->b) &&
              number(EC_GROUP_get0_order(group), curve->bytes, domain, &used, &domain->order);
    if (ok) {
        const size_t length = EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED,
                                                 domain->bytes + used, sizeof domain->bytes - used, NULL);
        domain->base = (struct tlv_view){ domain->bytes + used, length };
        ok = length > 0;
    }
    EC_GROUP_free(group);
    BN_free(p);
    BN_free(a);
    BN_free(b);
    return ok;
}

static bool same(struct tlv_view one, struct tlv_view other)
{
    return one.length == other.length && memcmp(one.bytes, other.bytes, one.length) == 0;
}

const struct card_curve *schsm_find_prime(struct tlv_view prime, size_t most)
{
    struct schsm_domain domain;
    for (size_t i = 0; i < CURVE_TOTAL; i++)
        if (CURVES[i].bytes <= most && schsm_domain(&CURVES[i], &domain) && same(domain.prime, prime))
            return &CURVES[i];
    return NULL;
}

const struct card_curve *schsm_find_curve(struct tlv_view public_key, size_t most)
{
    struct schsm_domain domain;
    struct tlv_view prime, a, b, base, order;
    if (!tlv_find(public_key, 0x81, &prime) || !tlv_find(public_key, 0x82, &a) || !tlv_find(public_key, 0x83, &b) ||
        !tlv_find(public_key, 0x84, &base) || !tlv_find(public_key, 0x85, &order))
        return NULL;
    const struct card_curve *const curve = schsm_find_prime(prime, most);
    if (!curve || !schsm_domain(curve, &domain))
        return NULL;
    return same(a, domain.a) && same(b, domain.b) && same(base, domain.base) && same(order, domain.order) ? curve
                                                                                                          : NULL;
}

const struct card_curve *schsm_curve_of(EVP_PKEY *key)
{
    char group[32];
    size_t length;
    if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, group, sizeof group, &length))
        return NULL;
    for (size_t i = 0; i < CURVE_TOTAL; i++)
        if (strcmp(CURVES[i].group, group) == 0)
            return &CURVES[i];
    return NULL;
}

/* ---- certificates ---- */

static void put(struct tlv_writer *writer, uint16_t tag, struct tlv_view value)
{
    tlv_put(writer, tag, value.bytes, value.length);
}

static bool put_ec_key(struct tlv_writer *writer, EVP_PKEY *key)
{
    struct schsm_domain domain;
    static const uint8_t COFACTOR[] = { 0x01 };
    const struct card_curve *const curve = schsm_curve_of(key);
    if (!curve || !schsm_domain(curve, &domain))
        return false;
    tlv_put(writer, 0x06, ECDSA_SHA256, sizeof ECDSA_SHA256);
    put(writer, 0x81, domain.prime);
    put(writer, 0x82, domain.a);
    put(writer, 0x83, domain.b);
    put(writer, 0x84, domain.base);
    put(writer, 0x85, domain.order);
    card_ecc_put_public(key, writer); /* 86 */
    tlv_put(writer, 0x87, COFACTOR, sizeof COFACTOR);
    return true;
}

static bool put_public_key(struct tlv_writer *writer, EVP_PKEY *key)
{
    uint8_t bytes[PART_MAX];
    struct tlv_writer parts = { .bytes = bytes, .size = sizeof bytes };
    if (EVP_PKEY_is_a(key, "RSA")) {
        tlv_put(&parts, 0x06, RSA_SHA256, sizeof RSA_SHA256);
        card_rsa_put_public(key, &parts); /* 81, 82 */
    } else if (!put_ec_key(&parts, key))
        return false;
    tlv_put(writer, 0x7f49, bytes, parts.length);
    return !parts.overflow;
}

/* By RSA with SHA-256 (PKCS #1 v1.5), or by ECDSA with SHA-256 in the plain format. */
static bool put_signature(struct tlv_writer *writer, EVP_PKEY *key, const struct tlv_writer *covered)
{
    uint8_t info[19 + 32] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                              0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
    uint8_t signature[CARD_RSA_BYTES_MAX];
    size_t length;
    if (!EVP_Digest(covered->bytes, covered->length, info + 19, NULL, EVP_sha256(), NULL))
        return false;
    const bool ok = EVP_PKEY_is_a(key, "RSA")
                        ? card_rsa_sign(key, (struct tlv_view){ info, sizeof info }, signature, &length)
                        : card_ecc_sign(key, (struct tlv_view){ info + 19, 32 }, signature, &length);
    if (ok)
        tlv_put(writer, 0x5f37, signature, length);
    return ok;
}

/* What stands before the end of a body: who certifies which key of whom. */
static bool put_subject(struct tlv_writer *body, EVP_PKEY *key, struct tlv_view holder, struct tlv_view authority)
{
    static const uint8_t PROFILE[] = { 0x00 };
    tlv_put(body, 0x5f29, PROFILE, sizeof PROFILE);
    put(body, 0x42, authority);
    if (!put_public_key(body, key))
        return false;
    put(body, 0x5f20, holder);
    return true;
}

/* A certificate 7F21 of this body, signed by this key. */
static bool put_signed(struct tlv_writer *writer, const struct tlv_writer *body, EVP_PKEY *signer)
{
    uint8_t bytes[PART_MAX];
    struct tlv_writer parts = { .bytes = bytes, .size = sizeof bytes };
    tlv_put(&parts, 0x7f4e, body->bytes, body->length);
    if (!put_signature(&parts, signer, &parts))
        return false;
    tlv_put(writer, 0x7f21, bytes, parts.length);
    return !body->overflow && !parts.overflow && !writer->overflow;
}

static struct tlv_view text(const char *characters)
{
    return (struct tlv_view){ (const uint8_t *)characters, strlen(characters) };
}

bool schsm_put_certificate(struct tlv_writer *writer, EVP_PKEY *key, const char *holder, EVP_PKEY *issuer,
                           const char *authority)
{
    /* 7F4C: what the holder may do (id-sc-hsm of CardContact: nothing more); valid from 5F25 until 5F24 */
    static const uint8_t END[] = { 0x7f, 0x4c, 0x10, 0x06, 0x0b, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xc3, 0x1f,
                                   0x03, 0x01, 0x01, 0x53, 0x01, 0x00, 0x5f, 0x25, 0x06, 0x02, 0x00, 0x00, 0x01,
                                   0x00, 0x01, 0x5f, 0x24, 0x06, 0x04, 0x00, 0x01, 0x02, 0x03, 0x01 };
    uint8_t bytes[PART_MAX];
    struct tlv_writer body = { .bytes = bytes, .size = sizeof bytes };
    if (!put_subject(&body, key, text(holder), text(authority)))
        return false;
    tlv_append(&body, END, sizeof END);
    return put_signed(writer, &body, issuer);
}

bool schsm_put_request(struct tlv_writer *writer, EVP_PKEY *key, struct tlv_view holder, struct tlv_view authority,
                       EVP_PKEY *device)
{
    uint8_t body_bytes[PART_MAX], bytes[PART_MAX];
    struct tlv_writer body = { .bytes = body_bytes, .size = sizeof body_bytes };
    struct tlv_writer parts = { .bytes = bytes, .size = sizeof bytes };
    if (!put_subject(&body, key, holder, authority) || !put_signed(&parts, &body, key))
        return false;
    put(&parts, 0x42, text(SCHSM_DEVICE_NAME));
    if (!put_signature(&parts, device, &parts))
        return false;
    tlv_put(writer, 0x67, bytes, parts.length);
    return !parts.overflow && !writer->overflow;
}
