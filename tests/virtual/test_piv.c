/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_piv.c - the PIV application, alone and beside the OpenPGP card: what it answers, with libcrypto to see whether
 * that is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "application_bench.h"
#include "tlv.h"

#define SELECT "00A4040009 A00000030800001000 00"
#define SELECT_OPENPGP "00A4040006 D27600012401 00"
#define VERIFY "0020008008 313233343536FFFF"
#define WRONG "0020008008 393939393939FFFF"
#define PRINTED "00CB3FFF05 5C035FC109 00"

static void expect_tries(const struct bench *piv, unsigned pin, unsigned puk)
{
    const struct application_tries left = piv->is.class->tries(piv->is.card);
    assert_true(left.has_piv);
    assert_int_equal(left.pin, pin);
    assert_int_equal(left.puk, puk);
    assert_int_equal(left.pw1, 3);
    assert_int_equal(left.pw3, 3);
}

/* ---- the administrator, from the other side ---- */

static void block(const char *cipher, int encrypt, const uint8_t *key, const uint8_t *input, uint8_t *output,
                  size_t size)
{
    int length = 0;
    EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, cipher, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_true(EVP_CipherInit_ex2(ctx, fetched, key, NULL, encrypt, NULL) > 0);
    assert_true(EVP_CIPHER_CTX_set_padding(ctx, 0) > 0);
    assert_true(EVP_CipherUpdate(ctx, output, &length, input, (int)size) > 0);
    assert_int_equal(length, size);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(fetched);
}

static const uint8_t FACTORY_KEY[] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8 };

/* The witness comes back decrypted; the card shows that it knows the key, too. */
static void authenticate(struct bench *piv)
{
    uint8_t data[22] = { 0x7c, 20, 0x80, 8 }, expected[8];
    expect(piv, "0087039B04 7C028000 00", 0x9000);
    assert_int_equal(piv->length, 12);
    block("DES-EDE3-ECB", 0, FACTORY_KEY, piv->answer + 4, data + 4, 8);
    data[12] = 0x81;
    data[13] = 8;
    memset(data + 14, 0x5a, 8);
    assert_int_equal(send(piv, "0087039B", data, sizeof data), 0x9000);
    block("DES-EDE3-ECB", 1, FACTORY_KEY, data + 14, expected, 8);
    assert_int_equal(piv->length, 12);
    assert_memory_equal(piv->answer, "\x7c\x0a\x82\x08", 4);
    assert_memory_equal(piv->answer + 4, expected, 8);
}

static void selected(struct bench *piv)
{
    insert(piv, "opcard+piv", NULL);
    expect(piv, SELECT, 0x9000);
}

static void administered(struct bench *piv)
{
    selected(piv);
    authenticate(piv);
}

/* ---- selection ---- */

static void nothing_is_selected_at_first(void **state)
{
    struct bench piv;
    (void)state;
    insert(&piv, "opcard+piv", NULL);
    expect(&piv, VERIFY, 0x6a82);
    expect(&piv, "00CA004F00", 0x6a82);
    expect_tries(&piv, 3, 5);
    take_out(&piv);
}

static void name_may_be_cut_after_nine_bytes_and_no_sooner(void **state)
{
    struct bench piv;
    (void)state;
    insert(&piv, "opcard+piv", NULL);
    expect(&piv, "00A404000B A000000308000010000100 00", 0x9000);
    expect(&piv, "00A4040009 A00000030800001000 00", 0x9000);
    expect(&piv, "00A4040008 A000000308000010 00", 0x6a82);
    expect(&piv, "00A4040005 A000000308 00", 0x6a82);
    expect(&piv, "00A404000B A000000308000010000200 00", 0x6a82);
    take_out(&piv);
}

static void selection_tells_what_it_is(void **state)
{
    struct bench piv;
    struct tlv_view template, aid;
    (void)state;
    selected(&piv);
    assert_true(tlv_find((struct tlv_view){ piv.answer, piv.length }, 0x61, &template));
    assert_true(tlv_find(template, 0x4f, &aid));
    assert_int_equal(aid.length, 6);
    assert_memory_equal(aid.bytes, "\x00\x00\x10\x00\x01\x00", 6);
    take_out(&piv);
}

/* As apdu-dispatch has it: no Le, no data. */
static void answer_that_nobody_asked_for_waits(void **state)
{
    struct bench piv;
    (void)state;
    insert(&piv, "opcard+piv", NULL);
    const unsigned told = tell(&piv, "00A4040009 A00000030800001000");
    assert_int_equal(told & 0xff00, 0x6100);
    assert_int_equal(piv.length, 0);
    expect(&piv, "00C0000000", 0x9000);
    assert_int_equal(piv.length, told & 0xff);
    take_out(&piv);
}

static void another_application_makes_it_forget_who_was_there(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, SELECT, 0x9000);
    expect(&piv, "00200080", 0x9000); /* to select it again changes nothing */
    expect(&piv, SELECT_OPENPGP, 0x9000);
    expect(&piv, "00200081 06 313233343536", 0x9000);
    expect(&piv, SELECT, 0x9000);
    expect(&piv, "00200080", 0x63c3);
    expect(&piv, SELECT_OPENPGP, 0x9000);
    expect(&piv, "00200081", 0x63c3);
    take_out(&piv);
}

static void unknown_application_leaves_nothing_selected(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, "00A4040007 A0000005272101 00", 0x6a82);
    expect(&piv, "00200080", 0x6a82);
    expect(&piv, SELECT, 0x9000);
    expect(&piv, "00200080", 0x63c3);
    take_out(&piv);
}

static void power_cut_forgets_who_was_there(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    expect(&piv, VERIFY, 0x9000);
    piv.is.class->reset(piv.is.card);
    expect(&piv, "00200080", 0x6a82);
    expect(&piv, SELECT, 0x9000);
    expect(&piv, "00200080", 0x63c3);
    expect(&piv, "0047009A05 AC03800111 00", 0x6982);
    take_out(&piv);
}

/* ---- PINs ---- */

static void wrong_pin_costs_a_try_and_the_right_one_restores_them(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, WRONG, 0x63c2);
    expect(&piv, WRONG, 0x63c1);
    expect_tries(&piv, 1, 5);
    expect(&piv, VERIFY, 0x9000);
    expect_tries(&piv, 3, 5);
    take_out(&piv);
}

static void what_can_be_no_pin_costs_no_try(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, "0020008008 FFFFFFFFFFFFFFFF", 0x6a80);
    expect(&piv, "0020008006 313233343536", 0x6a80);
    expect(&piv, "0020008008 3132333435FFFFFF", 0x6a80);
    expect(&piv, "0020008008 313233343536FF31", 0x6a80);
    expect(&piv, "0020000008 313233343536FFFF", 0x6a81);
    expect(&piv, "0020008108 313233343536FFFF", 0x6a88);
    expect_tries(&piv, 3, 5);
    take_out(&piv);
}

static void log_out_and_wrong_pin_end_what_a_right_one_began(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, "0020FF80", 0x9000);
    expect(&piv, "00200080", 0x63c3);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, WRONG, 0x63c2);
    expect(&piv, "00200080", 0x63c2);
    take_out(&piv);
}

static void blocked_pin_is_blocked_for_the_right_one_and_the_puk_unblocks_it(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, WRONG, 0x63c2);
    expect(&piv, WRONG, 0x63c1);
    expect(&piv, WRONG, 0x6983);
    expect(&piv, VERIFY, 0x6983);
    expect(&piv, "002C008010 3132333435363739 363534333231FFFF", 0x6300);
    expect_tries(&piv, 0, 4);
    expect(&piv, "002C008010 3132333435363738 363534333231FFFF", 0x9000);
    expect_tries(&piv, 3, 5);
    expect(&piv, "0020008008 363534333231FFFF", 0x9000);
    take_out(&piv);
}

static void pin_and_puk_change(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, "0024008010 393939393939FFFF 363534333231FFFF", 0x6300);
    expect_tries(&piv, 2, 5);
    expect(&piv, "0024008010 313233343536FFFF 363534333231FFFF", 0x9000);
    expect(&piv, VERIFY, 0x63c2);
    expect(&piv, "0020008008 363534333231FFFF", 0x9000);
    expect(&piv, "0024008110 3132333435363738 3837363534333231", 0x9000);
    expect(&piv, "0024008110 3132333435363738 3837363534333231", 0x6300);
    expect_tries(&piv, 3, 4);
    take_out(&piv);
}

static void reset_is_for_a_blocked_card_only(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x9000);
    expect(&piv, "00FB0000", 0x6985);
    expect(&piv, WRONG, 0x63c2);
    expect(&piv, WRONG, 0x63c1);
    expect(&piv, WRONG, 0x6983);
    expect(&piv, "00FB0000", 0x9000);
    expect_tries(&piv, 3, 5);
    expect(&piv, "00CB3FFF05 5C035FC10A 00", 0x6a82);
    expect(&piv, "0047009A05 AC03800111 00", 0x6982);
    take_out(&piv);
}

/* ---- administrator ---- */

static void management_key_opens_by_mutual_authentication(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x6982);
    authenticate(&piv);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x9000);
    take_out(&piv);
}

static void management_key_opens_by_external_authentication(void **state)
{
    struct bench piv;
    uint8_t data[12] = { 0x7c, 10, 0x82, 8 };
    (void)state;
    selected(&piv);
    expect(&piv, "0087039B04 7C028100 00", 0x9000);
    block("DES-EDE3-ECB", 1, FACTORY_KEY, piv.answer + 4, data + 4, 8);
    assert_int_equal(send(&piv, "0087039B", data, sizeof data), 0x9000);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x9000);
    take_out(&piv);
}

static void wrong_answer_does_not_open_and_each_question_is_good_once(void **state)
{
    struct bench piv;
    uint8_t data[12] = { 0x7c, 10, 0x82, 8 };
    (void)state;
    administered(&piv);
    expect(&piv, "0087039B04 7C028100 00", 0x9000);
    block("DES-EDE3-ECB", 1, FACTORY_KEY, piv.answer + 4, data + 4, 8);
    data[5] ^= 1;
    assert_int_equal(send(&piv, "0087039B", data, sizeof data), 0x6982);
    data[5] ^= 1;
    assert_int_equal(send(&piv, "0087039B", data, sizeof data), 0x6982);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x6982);
    take_out(&piv);
}

static void answer_to_a_witness_is_none_to_a_challenge(void **state)
{
    struct bench piv;
    uint8_t data[12] = { 0x7c, 10, 0x82, 8 };
    (void)state;
    selected(&piv);
    expect(&piv, "0087039B04 7C028000 00", 0x9000);
    block("DES-EDE3-ECB", 0, FACTORY_KEY, piv.answer + 4, data + 4, 8);
    assert_int_equal(send(&piv, "0087039B", data, sizeof data), 0x6982);
    take_out(&piv);
}

static void management_key_becomes_another_one(void **state)
{
    struct bench piv;
    uint8_t data[20] = { 0x7c, 18, 0x82, 16 }, key[35] = { 0x0c, 0x9b, 32 };
    (void)state;
    administered(&piv);
    memset(key + 3, 0x77, 32);
    assert_int_equal(send(&piv, "00FFFFFF", key, sizeof key - 1), 0x6a80);
    assert_int_equal(send(&piv, "00FFFFFF", key, sizeof key), 0x9000);
    piv.is.class->reset(piv.is.card);
    expect(&piv, SELECT, 0x9000);
    expect(&piv, "0087039B04 7C028100 00", 0x6a86);
    expect(&piv, "00870C9B04 7C028100 00", 0x9000);
    block("AES-256-ECB", 1, key + 3, piv.answer + 4, data + 4, 16);
    assert_int_equal(send(&piv, "00870C9B", data, sizeof data), 0x9000);
    expect(&piv, "00DB3FFF0A 5C035FC10A 5303010203", 0x9000);
    take_out(&piv);
}

/* ---- objects ---- */

static void objects_come_back_as_they_were_put(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    expect(&piv, "00CB3FFF05 5C035FC105 00", 0x6a82);
    expect(&piv, "00DB3FFF0A 5C035FC105 5303010203", 0x9000);
    expect(&piv, "00CB3FFF05 5C035FC105 00", 0x9000);
    assert_answer(&piv, "5303010203");
    expect(&piv, "00CB3FFF03 5C017E 00", 0x9000);
    assert_answer(&piv, "7E12 4F0BA000000308000010000100 5F2F024000");
    expect(&piv, "00CB3FFF05 5C035FC104 00", 0x6a80);
    expect(&piv, "00CB3FFE05 5C035FC105 00", 0x6a81);
    take_out(&piv);
}

static void certificate_of_3_kb_goes_in_a_chain_and_comes_by_get_response(void **state)
{
    struct bench piv;
    uint8_t object[9 + 3000] = { 0x5c, 3, 0x5f, 0xc1, 0x05, 0x53, 0x82, 0x0b, 0xb8 }, back[4 + 3000];
    (void)state;
    administered(&piv);
    for (size_t i = 9; i < sizeof object; i++)
        object[i] = (uint8_t)(i * 31);
    for (size_t at = 0; at < sizeof object;) {
        uint8_t apdu[5 + 255] = { 0x10, 0xdb, 0x3f, 0xff, 255 };
        const size_t left = sizeof object - at, part = left < 255 ? left : 255;
        apdu[0] = left > 255 ? 0x10 : 0x00;
        apdu[4] = (uint8_t)part;
        memcpy(apdu + 5, object + at, part);
        assert_int_equal(tell_bytes(&piv, apdu, 5 + part), 0x9000);
        at += part;
    }
    unsigned told = tell(&piv, "00CB3FFF05 5C035FC105 00");
    size_t got = 0;
    for (;; told = tell(&piv, "00C0000000")) {
        assert_true(got + piv.length <= sizeof back);
        memcpy(back + got, piv.answer, piv.length);
        got += piv.length;
        if (told >> 8 != 0x61)
            break;
    }
    assert_int_equal(told, 0x9000);
    assert_int_equal(got, sizeof back);
    assert_memory_equal(back, object + 5, sizeof back);
    take_out(&piv);
}

static void private_objects_want_the_pin(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    expect(&piv, "00DB3FFF0A 5C035FC109 5303010203", 0x9000);
    expect(&piv, PRINTED, 0x6982);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, PRINTED, 0x9000);
    take_out(&piv);
}

/* ---- keys ---- */

static EVP_PKEY *public_key(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
    assert_true(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) > 0);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *point(const uint8_t *bytes, size_t length)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, bytes, length);
    return public_key("EC", builder);
}

static EVP_PKEY *generate_ec(struct bench *piv, const char *apdu)
{
    expect(piv, apdu, 0x9000);
    assert_int_equal(piv->effort, EFFORT_GENERATE);
    assert_int_equal(piv->length, 70);
    assert_memory_equal(piv->answer, "\x7f\x49\x43\x86\x41\x04", 6);
    return point(piv->answer + 5, 65);
}

static EVP_PKEY *generate_rsa(struct bench *piv)
{
    struct tlv_view template, n, e;
    const uint8_t control[] = { 0xac, 3, 0x80, 1, 0x07 };
    assert_int_equal(send(piv, "0047009A", control, sizeof control), 0x9000);
    assert_int_equal(piv->effort, EFFORT_GENERATE);
    assert_true(tlv_find((struct tlv_view){ piv->answer, piv->length }, 0x7f49, &template));
    assert_true(tlv_find(template, 0x81, &n) && tlv_find(template, 0x82, &e));
    assert_int_equal(n.length, 256);
    BIGNUM *modulus = BN_bin2bn(n.bytes, 256, NULL), *exponent = BN_bin2bn(e.bytes, (int)e.length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
    EVP_PKEY *key = public_key("RSA", builder);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static const uint8_t ASK_P256[] = { 0x7c, 36, 0x82, 0,  0x81, 32, 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                    14,   15, 16,   17, 18,   19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };

static void assert_signed(const struct bench *piv, EVP_PKEY *key)
{
    struct tlv_view template, signature;
    assert_true(tlv_find((struct tlv_view){ piv->answer, piv->length }, 0x7c, &template));
    assert_true(tlv_find(template, 0x82, &signature));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    assert_int_equal(EVP_PKEY_verify(ctx, signature.bytes, signature.length, ASK_P256 + 6, 32), 1);
    EVP_PKEY_CTX_free(ctx);
}

static void key_on_p256_signs(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    EVP_PKEY *key = generate_ec(&piv, "0047009A05 AC03800111 00");
    assert_int_equal(send(&piv, "0087119A", ASK_P256, sizeof ASK_P256), 0x6982);
    expect(&piv, VERIFY, 0x9000);
    for (int i = 0; i < 2; i++) { /* the PIN lasts */
        assert_int_equal(send(&piv, "0087119A", ASK_P256, sizeof ASK_P256), 0x9000);
        assert_int_equal(piv.effort, EFFORT_PRIVATE_KEY);
        assert_signed(&piv, key);
    }
    assert_int_equal(send(&piv, "0087079A", ASK_P256, sizeof ASK_P256), 0x6a86);
    EVP_PKEY_free(key);
    take_out(&piv);
}

static void signature_key_wants_the_pin_just_before(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    EVP_PKEY *key = generate_ec(&piv, "0047009C05 AC03800111 00");
    expect(&piv, VERIFY, 0x9000);
    assert_int_equal(send(&piv, "0087119C", ASK_P256, sizeof ASK_P256), 0x9000);
    assert_signed(&piv, key);
    assert_int_equal(send(&piv, "0087119C", ASK_P256, sizeof ASK_P256), 0x6982);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, "00CB3FFF03 5C017E 00", 0x9000);
    assert_int_equal(send(&piv, "0087119C", ASK_P256, sizeof ASK_P256), 0x6982);
    EVP_PKEY_free(key);
    take_out(&piv);
}

static void card_authentication_key_wants_no_pin(void **state)
{
    struct bench piv;
    (void)state;
    administered(&piv);
    EVP_PKEY *key = generate_ec(&piv, "0047009E05 AC03800111 00");
    assert_int_equal(send(&piv, "0087119E", ASK_P256, sizeof ASK_P256), 0x9000);
    assert_signed(&piv, key);
    EVP_PKEY_free(key);
    take_out(&piv);
}

static void key_management_key_agrees(void **state)
{
    struct bench piv;
    uint8_t ask[71] = { 0x7c, 69, 0x82, 0, 0x85, 65 }, secret[32];
    size_t length = 65, secret_length = sizeof secret;
    (void)state;
    administered(&piv);
    EVP_PKEY *key = generate_ec(&piv, "0047009D05 AC03800111 00"), *mine = EVP_EC_gen("P-256");
    assert_true(EVP_PKEY_get_octet_string_param(mine, OSSL_PKEY_PARAM_PUB_KEY, ask + 6, 65, &length));
    expect(&piv, VERIFY, 0x9000);
    assert_int_equal(send(&piv, "0087119D", ask, sizeof ask), 0x9000);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
    assert_true(EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, key) > 0);
    assert_true(EVP_PKEY_derive(ctx, secret, &secret_length) > 0);
    assert_int_equal(piv.length, 36);
    assert_memory_equal(piv.answer + 4, secret, 32);
    ask[10] ^= 1; /* no point on the curve */
    assert_int_equal(send(&piv, "0087119D", ask, sizeof ask), 0x6a80);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(mine);
    EVP_PKEY_free(key);
    take_out(&piv);
}

static void rsa_key_computes_without_a_look_at_the_padding(void **state)
{
    struct bench piv;
    uint8_t ask[266] = { 0x7c, 0x82, 1, 6, 0x82, 0, 0x81, 0x82, 1, 0 }, back[256];
    size_t length = sizeof back;
    (void)state;
    administered(&piv);
    EVP_PKEY *key = generate_rsa(&piv);
    for (size_t i = 11; i < sizeof ask; i++) /* less than the modulus */
        ask[i] = (uint8_t)i;
    expect(&piv, VERIFY, 0x9000);
    assert_int_equal(send(&piv, "0087079A", ask, sizeof ask), 0x9000);
    assert_int_equal(piv.length, 264);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_encrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0);
    assert_true(EVP_PKEY_encrypt(ctx, back, &length, piv.answer + 8, 256) > 0);
    assert_memory_equal(back, ask + 10, 256);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    take_out(&piv);
}

static void keys_are_made_by_the_administrator_of_known_kinds_in_known_places(void **state)
{
    struct bench piv;
    (void)state;
    selected(&piv);
    expect(&piv, VERIFY, 0x9000);
    expect(&piv, "0047009A05 AC03800111 00", 0x6982);
    authenticate(&piv);
    expect(&piv, "0047009B05 AC03800111 00", 0x6a88);
    expect(&piv, "0047008005 AC03800111 00", 0x6a88);
    expect(&piv, "0047009A05 AC03800114 00", 0x6a80);
    expect(&piv, "0047009A02 AC00 00", 0x6a80);
    assert_int_equal(piv.effort, EFFORT_QUICK);
    expect(&piv, VERIFY, 0x9000);
    assert_int_equal(send(&piv, "0087119A", ASK_P256, sizeof ASK_P256), 0x6985);
    assert_int_equal(send(&piv, "0087009A", ASK_P256, sizeof ASK_P256), 0x6a88);
    take_out(&piv);
}

/* ---- state ---- */

static void state_file_brings_it_all_back(void **state)
{
    char path[] = "/tmp/test_piv.XXXXXX", piv_path[64];
    struct bench piv;
    (void)state;
    assert_true(close(mkstemp(path)) == 0 && unlink(path) == 0);
    (void)snprintf(piv_path, sizeof piv_path, "%s.piv", path);
    insert(&piv, "opcard+piv", path);
    expect(&piv, SELECT, 0x9000);
    authenticate(&piv);
    EVP_PKEY *key = generate_ec(&piv, "0047009E05 AC03800111 00");
    expect(&piv, "00DB3FFF0A 5C035FC105 5303010203", 0x9000);
    expect(&piv, WRONG, 0x63c2);
    take_out(&piv);
    insert(&piv, "opcard+piv", path);
    expect_tries(&piv, 2, 5);
    expect(&piv, SELECT, 0x9000);
    assert_int_equal(send(&piv, "0087119E", ASK_P256, sizeof ASK_P256), 0x9000);
    assert_signed(&piv, key);
    expect(&piv, "00CB3FFF05 5C035FC105 00", 0x9000);
    assert_answer(&piv, "5303010203");
    EVP_PKEY_free(key);
    take_out(&piv);
    FILE *file = fopen(piv_path, "a");
    assert_true(file && fputs("pin 4 0 -\n", file) >= 0 && fclose(file) == 0);
    assert_null(application_new("opcard+piv", path).card);
    assert_int_equal(unlink(piv_path), 0);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_selected_at_first),
        cmocka_unit_test(name_may_be_cut_after_nine_bytes_and_no_sooner),
        cmocka_unit_test(selection_tells_what_it_is),
        cmocka_unit_test(answer_that_nobody_asked_for_waits),
        cmocka_unit_test(another_application_makes_it_forget_who_was_there),
        cmocka_unit_test(unknown_application_leaves_nothing_selected),
        cmocka_unit_test(power_cut_forgets_who_was_there),
        cmocka_unit_test(wrong_pin_costs_a_try_and_the_right_one_restores_them),
        cmocka_unit_test(what_can_be_no_pin_costs_no_try),
        cmocka_unit_test(log_out_and_wrong_pin_end_what_a_right_one_began),
        cmocka_unit_test(blocked_pin_is_blocked_for_the_right_one_and_the_puk_unblocks_it),
        cmocka_unit_test(pin_and_puk_change),
        cmocka_unit_test(reset_is_for_a_blocked_card_only),
        cmocka_unit_test(management_key_opens_by_mutual_authentication),
        cmocka_unit_test(management_key_opens_by_external_authentication),
        cmocka_unit_test(wrong_answer_does_not_open_and_each_question_is_good_once),
        cmocka_unit_test(answer_to_a_witness_is_none_to_a_challenge),
        cmocka_unit_test(management_key_becomes_another_one),
        cmocka_unit_test(objects_come_back_as_they_were_put),
        cmocka_unit_test(certificate_of_3_kb_goes_in_a_chain_and_comes_by_get_response),
        cmocka_unit_test(private_objects_want_the_pin),
        cmocka_unit_test(key_on_p256_signs),
        cmocka_unit_test(signature_key_wants_the_pin_just_before),
        cmocka_unit_test(card_authentication_key_wants_no_pin),
        cmocka_unit_test(key_management_key_agrees),
        cmocka_unit_test(rsa_key_computes_without_a_look_at_the_padding),
        cmocka_unit_test(keys_are_made_by_the_administrator_of_known_kinds_in_known_places),
        cmocka_unit_test(state_file_brings_it_all_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
