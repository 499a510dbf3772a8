/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_schsm.c - the SmartCard-HSM: what it answers, with libcrypto to see whether that is right. */
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
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "application_bench.h"
#include "tlv.h"

#define SELECT "00A404000B E82B0601040181C31F0201 00"
#define PLAIN_INITIALIZE "80500000 19 80020001 8106363438323139 82083537363231383830 910103"
#define WITH_SHARES(n) "80500000 1C 80020001 8106363438323139 82083537363231383830 910103 9201" n
#define VERIFY "00200081 06 363438323139"
#define WRONG "00200081 06 393939393939"
#define OID_RSA "060A04007F00070202020102"
#define OID_EC "060A04007F00070202020203"

static void initialized(struct bench *hsm, const char *name)
{
    insert(hsm, name, NULL);
    expect(hsm, SELECT, 0x9000);
    expect(hsm, PLAIN_INITIALIZE, 0x9000);
}

static void logged_in(struct bench *hsm)
{
    initialized(hsm, "smartcard-hsm-3.4");
    expect(hsm, VERIFY, 0x9000);
}

/* ---- selection ---- */

static void it_has_to_be_selected(void **state)
{
    struct bench hsm;
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, "00840000 08", 0x6d00);
    expect(&hsm, "00A4000002 2F02 00", 0x6a82);
    expect(&hsm, "00A4040006 D27600012401 00", 0x6a82);
    expect(&hsm, "00A404000B E82B0601040181C31F0202 00", 0x6a82);
    expect(&hsm, SELECT, 0x9000);
    assert_answer(&hsm, "6F0A 820138 8505 0000FF0304");
    expect(&hsm, "00840000 08", 0x9000);
    hsm.is.class->reset(hsm.is.card);
    expect(&hsm, "00840000 08", 0x6d00);
    take_out(&hsm);
}

static void it_tells_its_version_and_its_options(void **state)
{
    struct bench hsm;
    (void)state;
    initialized(&hsm, "smartcard-hsm-2.6");
    expect(&hsm, SELECT, 0x9000);
    assert_answer(&hsm, "6F0A 820138 8505 0001FF0206");
    take_out(&hsm);
}

static void selected_anew_it_has_forgotten_the_pin(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00200081", 0x9000);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00200081", 0x63c3);
    take_out(&hsm);
}

static void what_it_does_not_know_it_says_so(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00CA006E 00", 0x6d00);
    expect(&hsm, "80540000 00", 0x6d00); /* authentication by public keys */
    expect(&hsm, "00500000 00", 0x6d00);
    expect(&hsm, "0C200081 00", 0x6e00);
    expect(&hsm, "00A4080002 2F02 00", 0x6a86);
    expect(&hsm, "0020008105 3132", 0x6700);
    expect(&hsm, "00200085", 0x6a88);
    take_out(&hsm);
}

/* ---- initialisation and PINs ---- */

static void a_new_device_has_no_pins(void **state)
{
    struct bench hsm;
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00200088", 0x6a88);
    expect(&hsm, "00200081", 0x6984);
    expect(&hsm, VERIFY, 0x6984);
    expect(&hsm, "00240081 0C 363438323139 313233343536", 0x6984);
    expect(&hsm, "002C0081 0E 3537363231383830 313233343536", 0x6a88);
    expect(&hsm, "80520000 00", 0x6d00);
    take_out(&hsm);
}

static void initialisation_takes_its_time_and_sets_pins_and_counters(void **state)
{
    struct bench hsm;
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "80500000 1D 80020001 810731323334353637 82083537363231383830 910105 920100", 0x9000);
    assert_int_equal(hsm.effort, EFFORT_RESET);
    expect(&hsm, "00200081", 0x63c5);
    expect(&hsm, "00200088", 0x63cf);
    expect(&hsm, "00200081 07 31323334353637", 0x9000);
    const struct application_tries tries = hsm.is.class->tries(hsm.is.card);
    assert_int_equal(tries.pw1, 5);
    assert_int_equal(tries.pw3, 15);
    take_out(&hsm);
}

static void short_pins_have_few_tries(void **state)
{
    struct bench hsm;
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "80500000 19 80020001 8106363438323139 82083537363231383830 910104", 0x6a80);
    assert_int_equal(hsm.effort, EFFORT_QUICK);
    expect(&hsm, "80500000 1A 80020001 810731323334353637 82083537363231383830 910106", 0x6a80);
    expect(&hsm, "80500000 1B 80020001 81083132333435363738 82083537363231383830 91010B", 0x6a80);
    expect(&hsm, "80500000 18 80020001 81053634383231 82083537363231383830 910103", 0x6a80);
    expect(&hsm, "80500000 18 80020001 8106363438323139 820735373632313838 910103", 0x6a80);
    expect(&hsm, "80500000 1D 80020001 8106363438323139 82083537363231383830 910103 93020201", 0x6a81);
    expect(&hsm, "80500000 1B 80020001 81083132333435363738 82083537363231383830 91010A", 0x9000);
    take_out(&hsm);
}

static void the_next_initialisation_needs_the_so_pin_and_erases_all(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00D7CF01 06 54020000 5300", 0x9000);
    expect(&hsm, "80500000 19 80020001 8106363438323139 82083537363231383831 910103", 0x63ce);
    assert_int_equal(hsm.effort, EFFORT_QUICK);
    expect(&hsm, "00A4000002 CF01 00", 0x9000);
    expect(&hsm, "00200081", 0x9000);
    expect(&hsm, PLAIN_INITIALIZE, 0x9000);
    expect(&hsm, "00A4000002 CF01 00", 0x6a82);
    expect(&hsm, "00A4000002 2F02 00", 0x9000);
    expect(&hsm, "00200081", 0x63c3);
    expect(&hsm, "00200088", 0x63cf);
    take_out(&hsm);
}

static void what_was_cut_off_has_not_happened(void **state)
{
    struct bench hsm;
    uint8_t apdu[64];
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00D7CF01 06 54020000 5300", 0x9000);
    const size_t length = parse_hex(PLAIN_INITIALIZE, apdu, sizeof apdu);
    assert_int_equal(hsm.is.class->begin(hsm.is.card, apdu, length), EFFORT_RESET);
    hsm.is.class->reset(hsm.is.card);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00A4000002 CF01 00", 0x9000);
    take_out(&hsm);
}

static void wrong_pins_are_counted_until_none_is_left(void **state)
{
    struct bench hsm;
    (void)state;
    initialized(&hsm, "smartcard-hsm-3.4");
    expect(&hsm, WRONG, 0x63c2);
    expect(&hsm, VERIFY, 0x9000);
    expect(&hsm, WRONG, 0x63c2);
    expect(&hsm, "00200081", 0x63c2); /* and it is verified no more */
    expect(&hsm, "00200081 05 3634383231", 0x63c1);
    expect(&hsm, WRONG, 0x6983);
    expect(&hsm, VERIFY, 0x6983);
    expect(&hsm, "00200081", 0x6983);
    assert_int_equal(hsm.is.class->tries(hsm.is.card).pw1, 0);
    take_out(&hsm);
}

static void pins_are_changed(void **state)
{
    struct bench hsm;
    (void)state;
    initialized(&hsm, "smartcard-hsm-3.4");
    expect(&hsm, "00240081 0C 393939393939 313233343536", 0x63c2);
    expect(&hsm, "00240081 0B 363438323139 3132333435", 0x6700);
    expect(&hsm, "00240081 0C 363438323139 313233343536", 0x9000);
    expect(&hsm, VERIFY, 0x63c2);
    expect(&hsm, "00200081 06 313233343536", 0x9000);
    expect(&hsm, "00240088 10 3537363231383831 0123456789ABCDEF", 0x63ce);
    expect(&hsm, "00240088 0F 3537363231383830 0123456789ABCD", 0x6700);
    expect(&hsm, "00240088 10 3537363231383830 0123456789ABCDEF", 0x9000);
    expect(&hsm, "00200088 08 0123456789ABCDEF", 0x9000);
    expect(&hsm, PLAIN_INITIALIZE, 0x63ce);
    take_out(&hsm);
}

static void the_so_pin_resets_the_user_pin_where_that_was_allowed(void **state)
{
    struct bench hsm;
    (void)state;
    initialized(&hsm, "smartcard-hsm-3.4");
    for (int i = 0; i < 3; i++)
        (void)tell(&hsm, WRONG);
    expect(&hsm, "002C0081 0E 3537363231383831 313233343536", 0x63ce);
    expect(&hsm, VERIFY, 0x6983);
    expect(&hsm, "002C0081 0E 3537363231383830 313233343536", 0x9000);
    expect(&hsm, "00200081 06 313233343536", 0x9000);
    expect(&hsm, "80500000 19 80020000 8106363438323139 82083537363231383830 910103", 0x9000);
    expect(&hsm, "002C0081 0E 3537363231383830 313233343536", 0x6985);
    take_out(&hsm);
}

static void a_transport_pin_must_be_changed_first(void **state)
{
    struct bench hsm;
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "80500000 19 80020003 8106363438323139 82083537363231383830 910103", 0x9000);
    expect(&hsm, VERIFY, 0x6984);
    expect(&hsm, "00200081", 0x6984);
    expect(&hsm, "00240081 0C 363438323139 313233343536", 0x9000);
    expect(&hsm, "00200081 06 313233343536", 0x9000);
    take_out(&hsm);
}

/* ---- files ---- */

static void files_are_written_and_read_in_parts(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00B1CE01 04 54020000 00", 0x6a82);
    expect(&hsm, "00D7CE01 06 54020000 5300", 0x9000); /* makes it, and selects it */
    expect(&hsm, "00D70000 0A 54020000 530401020304", 0x9000);
    expect(&hsm, "00D70000 08 54020004 53020506", 0x9000);
    expect(&hsm, "00D70000 07 54020001 5301FF", 0x9000);
    expect(&hsm, "00D70000 07 54020008 5301FF", 0x6a84); /* a gap */
    expect(&hsm, "00B1CE01 04 54020000 06", 0x9000);
    assert_answer(&hsm, "01FF03040506");
    expect(&hsm, "00B1CE01 04 54020002 02", 0x9000);
    assert_answer(&hsm, "0304");
    expect(&hsm, "00B1CE01 04 54020004 00", 0x6282);
    assert_answer(&hsm, "0506");
    expect(&hsm, "00B10000 04 54020006 00", 0x6282);
    assert_answer(&hsm, "");
    expect(&hsm, "00B10000 04 54020007 00", 0x6b00);
    expect(&hsm, "00B10000 03 540200 00", 0x6a80);
    expect(&hsm, "00A4000002 CE01 00", 0x9000);
    assert_answer(&hsm, "620B 80020006 820101 8302CE01");
    expect(&hsm, "00D7CE01 06 54020000 5300", 0x9000);
    expect(&hsm, "00B10000 04 54020000 00", 0x6282);
    take_out(&hsm);
}

static void a_file_of_4_kb_goes_in_and_comes_out(void **state)
{
    uint8_t data[8 + 1200] = { 0x54, 0x02, 0, 0, 0x53, 0x82, 0x04, 0xb0 }, whole[4 * 1200];
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    for (unsigned i = 0; i < 3; i++) {
        data[2] = (uint8_t)(1200 * i >> 8);
        data[3] = (uint8_t)(1200 * i);
        memset(data + 8, (int)i + 1, 1200);
        memcpy(whole + 1200 * i, data + 8, 1200);
        assert_int_equal(send(&hsm, "00D7CA00", data, sizeof data), 0x9000);
    }
    data[2] = 3600 >> 8;
    data[3] = 3600 & 0xff;
    assert_int_equal(send(&hsm, "00D7CA00", data, sizeof data), 0x6a84); /* 4096 bytes are the most */
    assert_int_equal(send(&hsm, "00B1CA00", "\x54\x02\x00\x00", 4), 0x6282);
    assert_int_equal(hsm.length, 3600);
    assert_memory_equal(hsm.answer, whole, 3600);
    uint8_t longer[1300] = { 0 };
    assert_int_equal(send(&hsm, "00D7CA00", longer, sizeof longer), 0x6700); /* than its buffer */
    take_out(&hsm);
}

static void who_may_read_and_write_what(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00D7CD01 07 54020000 530101", 0x9000);
    expect(&hsm, "00D7CF01 07 54020000 530101", 0x9000);
    expect(&hsm, "00D72F03 07 54020000 530101", 0x9000);
    expect(&hsm, "00B1CD01 04 54020000 01", 0x9000);
    expect(&hsm, "00D72F02 07 54020000 530101", 0x6982);
    expect(&hsm, "00D7CC01 07 54020000 530101", 0x6982);
    expect(&hsm, "00E4020002 2F02", 0x6982);
    expect(&hsm, "00E4020002 CC00", 0x6982);
    expect(&hsm, "00B1CC00 04 54020000 01", 0x6982);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00B1CD01 04 54020000 01", 0x6982);
    expect(&hsm, "00B1CF01 04 54020000 01", 0x9000);
    expect(&hsm, "00D7CF01 07 54020000 530101", 0x6982);
    expect(&hsm, "00E4020002 CF01", 0x6982);
    expect(&hsm, "00B10000 04 54020000 01", 0x6986); /* no file was selected */
    take_out(&hsm);
}

static void objects_are_enumerated_and_deleted(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    expect(&hsm, "00D7CF01 06 54020000 5300", 0x9000);
    expect(&hsm, "00D7C901 06 54020000 5300", 0x9000);
    expect(&hsm, "00D7CF02 06 54020000 5300", 0x9000);
    expect(&hsm, "80580000 000000", 0x9000);
    assert_answer(&hsm, "CC00 CF01 C901 CF02");
    expect(&hsm, "00E4020002 C901", 0x9000);
    expect(&hsm, "00E4020002 C901", 0x6a82);
    expect(&hsm, "00E4020002 CC07", 0x6a82);
    expect(&hsm, "80580000 000000", 0x9000);
    assert_answer(&hsm, "CC00 CF01 CF02");
    take_out(&hsm);
}

static void random_numbers_are_as_many_as_wanted_and_never_the_same(void **state)
{
    struct bench hsm;
    uint8_t first[64];
    (void)state;
    insert(&hsm, "smartcard-hsm-3.4", NULL);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00840000 40", 0x9000);
    assert_int_equal(hsm.length, 64);
    memcpy(first, hsm.answer, 64);
    expect(&hsm, "00840000 40", 0x9000);
    assert_memory_not_equal(hsm.answer, first, 64);
    expect(&hsm, "00840000 000400", 0x9000);
    assert_int_equal(hsm.length, 1024);
    expect(&hsm, "00840000 000401", 0x6700);
    take_out(&hsm);
}

/* ---- certificates and requests ---- */

static struct tlv_view object(struct tlv_view in, uint16_t tag)
{
    struct tlv_view value;
    if (!tlv_find(in, tag, &value))
        fail_msg("there is no object %04x", tag);
    return value;
}

/* From the beginning of one object to the end of another. */
static struct tlv_view with_header(struct tlv_view in, uint16_t wanted)
{
    struct tlv_view rest = in, value;
    uint16_t tag;
    for (;;) {
        const uint8_t *const begin = rest.bytes;
        if (!tlv_next(&rest, &tag, &value))
            fail_msg("there is no object %04x", wanted);
        if (tag == wanted)
            return (struct tlv_view){ begin, (size_t)(rest.bytes - begin) };
    }
}

static EVP_PKEY *from_parameters(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters) > 0);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *rsa_key(struct tlv_view public_key)
{
    const struct tlv_view n = object(public_key, 0x81), e = object(public_key, 0x82);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.length, NULL), *exponent = BN_bin2bn(e.bytes, (int)e.length, NULL);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent);
    EVP_PKEY *key = from_parameters("RSA", build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

/* The group is not taken from the name: libcrypto gets the domain parameters as they are. */
static EVP_PKEY *ec_key(struct tlv_view public_key)
{
    static const struct {
        const char *name;
        uint16_t tag;
    } NUMBERS[] = {
        { OSSL_PKEY_PARAM_EC_P, 0x81 },     { OSSL_PKEY_PARAM_EC_A, 0x82 },        { OSSL_PKEY_PARAM_EC_B, 0x83 },
        { OSSL_PKEY_PARAM_EC_ORDER, 0x85 }, { OSSL_PKEY_PARAM_EC_COFACTOR, 0x87 },
    };
    const struct tlv_view base = object(public_key, 0x84), point = object(public_key, 0x86);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *number[5];
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_EC_FIELD_TYPE, "prime-field", 0);
    for (size_t i = 0; i < 5; i++) {
        const struct tlv_view value = object(public_key, NUMBERS[i].tag);
        number[i] = BN_bin2bn(value.bytes, (int)value.length, NULL);
        OSSL_PARAM_BLD_push_BN(build, NUMBERS[i].name, number[i]);
    }
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_EC_GENERATOR, base.bytes, base.length);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.bytes, point.length);
    EVP_PKEY *key = from_parameters("EC", build);
    for (size_t i = 0; i < 5; i++)
        BN_free(number[i]);
    return key;
}

static EVP_PKEY *key_in(struct tlv_view body)
{
    struct tlv_view point;
    const struct tlv_view public_key = object(body, 0x7f49);
    return tlv_find(public_key, 0x86, &point) ? ec_key(public_key) : rsa_key(public_key);
}

/* r and s to what libcrypto wants. */
static size_t to_der(struct tlv_view raw, uint8_t *der)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    const int half = (int)raw.length / 2;
    assert_true(ECDSA_SIG_set0(signature, BN_bin2bn(raw.bytes, half, NULL), BN_bin2bn(raw.bytes + half, half, NULL)));
    const int length = i2d_ECDSA_SIG(signature, &der);
    ECDSA_SIG_free(signature);
    return (size_t)length;
}

static bool verifies(EVP_PKEY *key, const char *hash, struct tlv_view message, struct tlv_view signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool ok = EVP_DigestVerifyInit_ex(ctx, NULL, hash, NULL, NULL, key, NULL) > 0 &&
                    EVP_DigestVerify(ctx, signature.bytes, signature.length, message.bytes, message.length) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool cvc_verifies(EVP_PKEY *key, struct tlv_view message, struct tlv_view signature)
{
    uint8_t der[160];
    if (EVP_PKEY_is_a(key, "RSA"))
        return verifies(key, "SHA256", message, signature);
    return verifies(key, "SHA256", message, (struct tlv_view){ der, to_der(signature, der) });
}

static void assert_text(struct tlv_view value, const char *text)
{
    assert_int_equal(value.length, strlen(text));
    assert_memory_equal(value.bytes, text, value.length);
}

/* EF.C_DevAut: the public key that its request must be signed with. */
static EVP_PKEY *device_key(struct bench *hsm)
{
    assert_int_equal(send(hsm, "00B12F02", "\x54\x02\x00\x00", 4), 0x6282);
    const struct tlv_view file = { hsm->answer, hsm->length };
    return key_in(object(object(file, 0x7f21), 0x7f4e));
}

static void the_device_has_a_certificate_and_its_issuers(void **state)
{
    struct bench hsm;
    struct tlv_view rest, certificate;
    uint16_t tag;
    (void)state;
    initialized(&hsm, "smartcard-hsm-3.4");
    EVP_PKEY *device = device_key(&hsm);
    rest = (struct tlv_view){ hsm.answer, hsm.length };
    assert_true(tlv_next(&rest, &tag, &certificate));
    assert_int_equal(tag, 0x7f21);
    const struct tlv_view issuers = object(rest, 0x7f21), body = object(certificate, 0x7f4e);
    assert_text(object(body, 0x5f20), "DENK010000100000");
    assert_memory_equal(object(body, 0x42).bytes, object(object(issuers, 0x7f4e), 0x5f20).bytes, 13);
    EVP_PKEY *issuer = key_in(object(issuers, 0x7f4e));
    assert_true(cvc_verifies(issuer, with_header(certificate, 0x7f4e), object(certificate, 0x5f37)));
    EVP_PKEY_free(issuer);
    EVP_PKEY_free(device);
    take_out(&hsm);
}

/* ---- generation ---- */

/* The body of a request, without the value of the key, as OpenSC writes it. */
static size_t rsa_template(unsigned bits, uint8_t *body)
{
    char hex[256];
    snprintf(hex, sizeof hex,
             "5F290100 4209 555443413030303031 7F4915" OID_RSA "8203010001 0202%04X"
             "5F2010 44454E4B303130303030313030303031",
             bits);
    return parse_hex(hex, body, sizeof hex / 2);
}

/* The domain of a curve, as libcrypto has it. */
static size_t ec_template(const char *name, uint8_t *body)
{
    uint8_t key[1024], bytes[133];
    struct tlv_writer parts = { .bytes = key, .size = sizeof key }, whole = { .bytes = body, .size = 1200 };
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_txt2nid(name));
    assert_non_null(group);
    const int size = (EC_GROUP_get_degree(group) + 7) / 8;
    BIGNUM *number[3] = { BN_new(), BN_new(), BN_new() };
    EC_GROUP_get_curve(group, number[0], number[1], number[2], NULL);
    parts.length = parse_hex(OID_EC, key, sizeof key);
    for (uint16_t i = 0; i < 3; i++) {
        BN_bn2binpad(number[i], bytes, size);
        tlv_put(&parts, 0x81 + i, bytes, (size_t)size);
        BN_free(number[i]);
    }
    const size_t length = EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED,
                                             bytes, sizeof bytes, NULL);
    tlv_put(&parts, 0x84, bytes, length);
    BN_bn2binpad(EC_GROUP_get0_order(group), bytes, size);
    tlv_put(&parts, 0x85, bytes, (size_t)size);
    tlv_put(&parts, 0x87, (const uint8_t *)"\x01", 1);
    EC_GROUP_free(group);
    tlv_put(&whole, 0x5f29, (const uint8_t *)"\x00", 1);
    tlv_put(&whole, 0x42, (const uint8_t *)"UTCA00001", 9);
    tlv_put(&whole, 0x7f49, key, parts.length);
    tlv_put(&whole, 0x5f20, (const uint8_t *)"DENK010000100001", 16);
    assert_false(whole.overflow);
    return whole.length;
}

/* Generates key 1; its public key, after both signatures of the request were found right. */
static EVP_PKEY *generated(struct bench *hsm, const uint8_t *body, size_t length)
{
    EVP_PKEY *device = device_key(hsm);
    assert_int_equal(send(hsm, "00460100", body, length), 0x9000);
    assert_in_range(hsm->length, 1, 1200); /* OpenSC's buffer */
    const struct tlv_view request = object((struct tlv_view){ hsm->answer, hsm->length }, 0x67);
    const struct tlv_view inner = object(request, 0x7f21), signed_part = with_header(request, 0x7f21);
    const struct tlv_view authority = with_header(request, 0x42);
    assert_text(object(request, 0x42), "DENK010000100000");
    assert_text(object(object(inner, 0x7f4e), 0x42), "UTCA00001");
    assert_text(object(object(inner, 0x7f4e), 0x5f20), "DENK010000100001");
    assert_ptr_equal(signed_part.bytes + signed_part.length, authority.bytes);
    EVP_PKEY *key = key_in(object(inner, 0x7f4e));
    assert_true(cvc_verifies(key, with_header(inner, 0x7f4e), object(inner, 0x5f37)));
    assert_true(cvc_verifies(device, (struct tlv_view){ signed_part.bytes, signed_part.length + authority.length },
                             object(request, 0x5f37)));
    EVP_PKEY_free(device);
    return key;
}

static EVP_PKEY *generated_rsa(struct bench *hsm, unsigned bits)
{
    uint8_t body[128];
    EVP_PKEY *key = generated(hsm, body, rsa_template(bits, body));
    assert_int_equal(hsm->effort, EFFORT_GENERATE);
    assert_int_equal(EVP_PKEY_get_bits(key), bits);
    return key;
}

static EVP_PKEY *generated_ec(struct bench *hsm, const char *curve)
{
    uint8_t body[1200];
    EVP_PKEY *key = generated(hsm, body, ec_template(curve, body));
    assert_int_equal(hsm->effort, EFFORT_PRIVATE_KEY);
    return key;
}

static void rsa_keys_of_all_sizes_come_as_signed_requests(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    for (unsigned bits = 1024; bits <= 4096; bits += 1024) {
        EVP_PKEY_free(generated_rsa(&hsm, bits));
        expect(&hsm, "80580000 000000", 0x9000);
        assert_answer(&hsm, "CC00 CC01");
        expect(&hsm, "00E4020002 CC01", 0x9000);
    }
    take_out(&hsm);
}

static const char *const CURVES[] = {
    "prime192v1",      "prime256v1",      "secp384r1",       "secp521r1",       "brainpoolP192r1", "brainpoolP224r1",
    "brainpoolP256r1", "brainpoolP320r1", "brainpoolP384r1", "brainpoolP512r1", "secp192k1",       "secp256k1",
};
#define CURVE_COUNT (sizeof CURVES / sizeof CURVES[0])

/* What a key signs verifies, and the point it agrees upon is that of the other side. */
static void agrees_and_signs(struct bench *hsm, const char *curve, EVP_PKEY *key)
{
    uint8_t point[133], secret[66], digest[32] = { 1, 2, 3 };
    size_t length, secret_length = sizeof secret;
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    EVP_PKEY *named = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve); /* the card's key, on the curve by its name */
    uint8_t own[133];
    size_t own_length;
    assert_true(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, own, sizeof own, &own_length));
    assert_true(EVP_PKEY_set1_encoded_public_key(named, own, own_length));
    assert_true(EVP_PKEY_get_octet_string_param(other, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &length));
    assert_int_equal(send(hsm, "80620180", point, length), 0x9000);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(other, NULL);
    assert_true(EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, named) > 0 &&
                EVP_PKEY_derive(ctx, secret, &secret_length) > 0);
    EVP_PKEY_CTX_free(ctx);
    assert_int_equal(hsm->length, 2 * secret_length + 1);
    assert_int_equal(hsm->answer[0], 0x04);
    assert_memory_equal(hsm->answer + 1, secret, secret_length);
    assert_true(EVP_PKEY_set1_encoded_public_key(other, hsm->answer, hsm->length)); /* y is right, too */
    assert_int_equal(send(hsm, "80680170", digest, sizeof digest), 0x9000);
    ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    assert_int_equal(EVP_PKEY_verify(ctx, hsm->answer, hsm->length, digest, sizeof digest), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(other);
    EVP_PKEY_free(named);
}

static void keys_on_all_curves_sign_and_agree(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *key = generated_ec(&hsm, CURVES[i]);
        agrees_and_signs(&hsm, CURVES[i], key);
        EVP_PKEY_free(key);
        expect(&hsm, "00E4020002 CC01", 0x9000);
    }
    take_out(&hsm);
}

static void the_older_one_has_shorter_keys(void **state)
{
    struct bench hsm;
    uint8_t body[1200];
    (void)state;
    initialized(&hsm, "smartcard-hsm-2.6");
    expect(&hsm, VERIFY, 0x9000);
    assert_int_equal(send(&hsm, "00460100", body, rsa_template(4096, body)), 0x6a80);
    assert_int_equal(send(&hsm, "00460100", body, ec_template("secp384r1", body)), 0x6a80);
    EVP_PKEY_free(generated_ec(&hsm, "brainpoolP320r1"));
    take_out(&hsm);
}

static void what_it_cannot_generate_it_refuses_at_once(void **state)
{
    struct bench hsm;
    uint8_t body[1200];
    (void)state;
    logged_in(&hsm);
    assert_int_equal(send(&hsm, "00460100", body, rsa_template(8192, body)), 0x6a80);
    assert_int_equal(send(&hsm, "00460100", body, rsa_template(2000, body)), 0x6a80);
    size_t length = ec_template("prime256v1", body);
    body[length - 60] ^= 1; /* another base point or order */
    assert_int_equal(send(&hsm, "00460100", body, length), 0x6a80);
    assert_int_equal(send(&hsm, "00460100", "\x5f\x29\x01\x00", 4), 0x6a80);
    assert_int_equal(hsm.effort, EFFORT_QUICK);
    length = ec_template("prime256v1", body);
    assert_int_equal(send(&hsm, "00460000", body, length), 0x6a86);
    assert_int_equal(send(&hsm, "00460100", body, length), 0x9000);
    assert_int_equal(send(&hsm, "00460100", body, length), 0x6a89);
    expect(&hsm, SELECT, 0x9000);
    assert_int_equal(send(&hsm, "00460200", body, length), 0x6982);
    take_out(&hsm);
}

/* ---- use ---- */

/* With hash: of the message; without: the message is what the algorithm takes. */
static void signs(struct bench *hsm, EVP_PKEY *key, const char *header, const char *hash, int padding, bool on_card)
{
    static const uint8_t message[] = "what was written on one day is read on another";
    uint8_t digest[64];
    size_t length = 0;
    assert_true(EVP_Q_digest(NULL, hash, NULL, message, sizeof message, digest, &length));
    assert_int_equal(on_card ? send(hsm, header, message, sizeof message) : send(hsm, header, digest, length), 0x9000);
    assert_int_equal(hsm->effort, EFFORT_PRIVATE_KEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    if (padding)
        assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0);
    assert_true(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(hash)) > 0);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
    assert_int_equal(EVP_PKEY_verify(ctx, hsm->answer, hsm->length, digest, length), 1);
    EVP_PKEY_CTX_free(ctx);
}

static void an_rsa_key_signs_in_all_ways(void **state)
{
    struct bench hsm;
    uint8_t info[51];
    (void)state;
    logged_in(&hsm);
    EVP_PKEY *key = generated_rsa(&hsm, 2048);
    signs(&hsm, key, "80680131", "SHA1", RSA_PKCS1_PADDING, true);
    signs(&hsm, key, "80680133", "SHA256", RSA_PKCS1_PADDING, true);
    signs(&hsm, key, "80680140", "SHA1", RSA_PKCS1_PSS_PADDING, false);
    signs(&hsm, key, "80680140", "SHA256", RSA_PKCS1_PSS_PADDING, false);
    signs(&hsm, key, "80680140", "SHA512", RSA_PKCS1_PSS_PADDING, false);
    signs(&hsm, key, "80680141", "SHA1", RSA_PKCS1_PSS_PADDING, true);
    signs(&hsm, key, "80680143", "SHA256", RSA_PKCS1_PSS_PADDING, true);
    const size_t length = parse_hex("3031300D060960864801650304020105000420", info, sizeof info);
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, "abc", 3, info + length, NULL));
    assert_int_equal(send(&hsm, "80680130", info, sizeof info), 0x9000);
    assert_true(verifies(key, "SHA256", (struct tlv_view){ (const uint8_t *)"abc", 3 },
                         (struct tlv_view){ hsm.answer, hsm.length }));
    EVP_PKEY_free(key);
    take_out(&hsm);
}

static void an_rsa_key_computes_without_padding(void **state)
{
    struct bench hsm;
    uint8_t plain[256] = { 0, 2 }, cipher[256];
    size_t length = sizeof cipher;
    (void)state;
    logged_in(&hsm);
    EVP_PKEY *key = generated_rsa(&hsm, 2048);
    memset(plain + 2, 0x55, sizeof plain - 2);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_encrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
                EVP_PKEY_encrypt(ctx, cipher, &length, plain, sizeof plain) > 0);
    EVP_PKEY_CTX_free(ctx);
    assert_int_equal(send(&hsm, "80620121", cipher, length), 0x9000);
    assert_int_equal(hsm.length, sizeof plain);
    assert_memory_equal(hsm.answer, plain, sizeof plain);
    assert_int_equal(send(&hsm, "80680120", cipher, length), 0x9000);
    assert_memory_equal(hsm.answer, plain, sizeof plain);
    assert_int_equal(send(&hsm, "80620121", cipher, length - 1), 0x6a80);
    EVP_PKEY_free(key);
    take_out(&hsm);
}

static void an_ec_key_hashes_what_it_signs(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    EVP_PKEY *key = generated_ec(&hsm, "prime256v1");
    signs(&hsm, key, "80680171", "SHA1", 0, true);
    signs(&hsm, key, "80680172", "SHA224", 0, true);
    signs(&hsm, key, "80680173", "SHA256", 0, true);
    signs(&hsm, key, "80680170", "SHA256", 0, false);
    EVP_PKEY_free(key);
    take_out(&hsm);
}

static void keys_are_used_for_what_they_are_and_with_the_pin_only(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    EVP_PKEY_free(generated_ec(&hsm, "prime256v1"));
    assert_int_equal(send(&hsm, "80680133", "abc", 3), 0x6a86);
    assert_int_equal(send(&hsm, "80680177", "abc", 3), 0x6a86);
    assert_int_equal(send(&hsm, "80620121", "abc", 3), 0x6a86);
    assert_int_equal(send(&hsm, "80620180",
                          "\x04"
                          "abc",
                          4),
                     0x6a80); /* no point */
    assert_int_equal(send(&hsm, "80680270", "abc", 3), 0x6a88);
    assert_int_equal(send(&hsm, "80680070", "abc", 3), 0x6a88); /* the device's own */
    expect(&hsm, SELECT, 0x9000);
    assert_int_equal(send(&hsm, "80680170", "abc", 3), 0x6982);
    assert_int_equal(send(&hsm, "80620180", "abc", 3), 0x6982);
    take_out(&hsm);
}

static void an_answer_comes_only_to_who_wants_it(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    EVP_PKEY_free(generated_ec(&hsm, "prime256v1"));
    expect(&hsm, "00A404000B E82B0601040181C31F0201", 0x9000);
    assert_int_equal(hsm.length, 0);
    expect(&hsm, VERIFY, 0x9000);
    expect(&hsm, "80680170 03 616263 40", 0x6700); /* a signature is longer */
    expect(&hsm, "80680170 03 616263 00", 0x9000);
    take_out(&hsm);
}

/* ---- DKEK ---- */

static void with_dkek(struct bench *hsm, const char *name)
{
    insert(hsm, name, NULL);
    expect(hsm, SELECT, 0x9000);
    expect(hsm, WITH_SHARES("02"), 0x9000);
    expect(hsm, "80520000 00", 0x9000);
    assert_answer(hsm, "0202 0000000000000000");
    expect(hsm, "80520000 20 0101010101010101010101010101010101010101010101010101010101010101 00", 0x9000);
    assert_answer(hsm, "0201 0000000000000000");
    expect(hsm, VERIFY, 0x9000);
    expect(hsm, "80720192 000000", 0x6985);
    expect(hsm, "80520000 20 0203040506070809000102030405060708090001020304050607080900010203 00", 0x9000);
}

static void the_dkek_is_the_sum_of_its_shares(void **state)
{
    uint8_t dkek[32], hash[32], told[10] = { 2, 0 };
    struct bench hsm;
    (void)state;
    with_dkek(&hsm, "smartcard-hsm-3.4");
    parse_hex("0302050407060908010003020504070609080100030205040706090801000302", dkek, sizeof dkek);
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, dkek, sizeof dkek, hash, NULL));
    memcpy(told + 2, hash, 8);
    assert_int_equal(hsm.length, sizeof told);
    assert_memory_equal(hsm.answer, told, sizeof told);
    expect(&hsm, "80520000 00", 0x9000);
    assert_memory_equal(hsm.answer, told, sizeof told);
    expect(&hsm, "80520000 20 0101010101010101010101010101010101010101010101010101010101010101 00", 0x6985);
    expect(&hsm, "80520000 02 0101 00", 0x6700);
    take_out(&hsm);
}

static void without_shares_it_makes_a_dkek_of_its_own(void **state)
{
    struct bench one, other;
    (void)state;
    insert(&one, "smartcard-hsm-3.4", NULL);
    insert(&other, "smartcard-hsm-3.4", NULL);
    expect(&one, SELECT, 0x9000);
    expect(&other, SELECT, 0x9000);
    expect(&one, WITH_SHARES("00"), 0x9000);
    expect(&other, WITH_SHARES("00"), 0x9000);
    expect(&one, "80520000 00", 0x9000);
    expect(&other, "80520000 00", 0x9000);
    assert_int_equal(one.answer[0], 0);
    assert_int_equal(one.answer[1], 0);
    assert_memory_not_equal(one.answer + 2, other.answer + 2, 8);
    take_out(&one);
    take_out(&other);
}

static void without_a_dkek_nothing_is_wrapped(void **state)
{
    struct bench hsm;
    (void)state;
    logged_in(&hsm);
    EVP_PKEY_free(generated_ec(&hsm, "prime256v1"));
    expect(&hsm, "80720192 000000", 0x6d00);
    assert_int_equal(send(&hsm, "80740293", "abc", 3), 0x6d00);
    take_out(&hsm);
}

/* Into the file that UNWRAP KEY looks into, if it has no data; in two parts. */
static void put_wrapped(struct bench *hsm, const uint8_t *blob, size_t length)
{
    uint8_t data[1100] = { 0x54, 0x02, 0x00, 0x00, 0x53, 0x40 };
    memcpy(data + 6, blob, 64);
    assert_int_equal(send(hsm, "00D72F10", data, 6 + 64), 0x9000);
    const uint8_t rest[] = { 0x54, 0x02, 0x00, 0x40, 0x53, 0x82, (uint8_t)((length - 64) >> 8), (uint8_t)(length - 64) };
    memcpy(data, rest, sizeof rest);
    memcpy(data + sizeof rest, blob + 64, length - 64);
    assert_int_equal(send(hsm, "00D72F10", data, sizeof rest + length - 64), 0x9000);
}

/* Key 1 of one device goes to another, as key 7, and still fits its public key. */
static void moves(struct bench *one, struct bench *other, EVP_PKEY *key, const char *sign)
{
    uint8_t blob[2048], digest[32] = { 7 };
    assert_int_equal(tell(one, "80720192 000000"), 0x9000);
    const size_t length = one->length;
    memcpy(blob, one->answer, length);
    blob[length / 2] ^= 1;
    assert_int_equal(send(other, "80740793", blob, length), 0x6a80);
    blob[length / 2] ^= 1;
    assert_int_equal(send(other, "80740793", blob, length - 16), 0x6a80);
    assert_int_equal(send(other, "80740793", blob, length), 0x9000);
    assert_int_equal(send(other, "80740793", blob, length), 0x6a89);
    assert_int_equal(tell(other, "80740893"), 0x6a80);
    put_wrapped(other, blob, length);
    assert_int_equal(tell(other, "80740893"), 0x9000);
    assert_int_equal(tell(other, "80740993"), 0x6a80);
    assert_int_equal(tell(other, "00E4020002 CC08"), 0x9000);
    assert_int_equal(send(other, sign, digest, sizeof digest), 0x9000);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    assert_int_equal(EVP_PKEY_verify(ctx, other->answer, other->length, digest, sizeof digest), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    assert_int_equal(tell(one, "00E4020002 CC01"), 0x9000);
    assert_int_equal(tell(other, "00E4020002 CC07"), 0x9000);
}

static void a_wrapped_key_goes_to_who_has_the_same_dkek(void **state)
{
    struct bench one, other, stranger;
    uint8_t blob[2048];
    (void)state;
    with_dkek(&one, "smartcard-hsm-3.4");
    with_dkek(&other, "smartcard-hsm-3.4");
    moves(&one, &other, generated_rsa(&one, 2048), "80680730");
    for (size_t i = 0; i < CURVE_COUNT; i++)
        moves(&one, &other, generated_ec(&one, CURVES[i]), "80680770");
    EVP_PKEY_free(generated_ec(&one, "prime256v1"));
    expect(&one, "80720192 000000", 0x9000);
    const size_t length = one.length;
    memcpy(blob, one.answer, length);
    insert(&stranger, "smartcard-hsm-3.4", NULL);
    expect(&stranger, SELECT, 0x9000);
    expect(&stranger, WITH_SHARES("00"), 0x9000);
    expect(&stranger, VERIFY, 0x9000);
    assert_int_equal(send(&stranger, "80740793", blob, length), 0x6a80);
    expect(&one, "80720292 000000", 0x6a88);
    expect(&one, "80720193 000000", 0x6a86);
    expect(&one, SELECT, 0x9000);
    expect(&one, "80720192 000000", 0x6982);
    take_out(&one);
    take_out(&other);
    take_out(&stranger);
}

/* AES-256-CBC by a key of SHA-256(DKEK || counter). */
static void decrypt(const uint8_t *dkek, const uint8_t *from, size_t length, uint8_t *to)
{
    static const uint8_t IV[16];
    uint8_t input[36] = { 0 }, key[32];
    int written;
    memcpy(input, dkek, 32);
    input[35] = 1;
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, input, sizeof input, key, NULL));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_true(EVP_DecryptInit_ex2(ctx, EVP_aes_256_cbc(), key, IV, NULL) && EVP_CIPHER_CTX_set_padding(ctx, 0) &&
                EVP_DecryptUpdate(ctx, to, &written, from, (int)length));
    EVP_CIPHER_CTX_free(ctx);
}

/* 1099 bytes are what a wrapped RSA 4096 key of a real one has. */
static void a_wrapped_rsa_4096_key_is_built_like_a_real_one(void **state)
{
    uint8_t dkek[32], plain[1056];
    struct bench hsm;
    (void)state;
    with_dkek(&hsm, "smartcard-hsm-3.4");
    parse_hex("0302050407060908010003020504070609080100030205040706090801000302", dkek, sizeof dkek);
    EVP_PKEY *key = generated_rsa(&hsm, 4096);
    expect(&hsm, "80720192 000000", 0x9000);
    assert_int_equal(hsm.length, 1099);
    assert_int_equal(hsm.answer[8], 5);
    assert_memory_equal(hsm.answer + 9, "\x00\x0a\x04\x00\x7f\x00\x07\x02\x02\x02\x01\x02\x00\x00\x00\x00\x00\x00", 18);
    decrypt(dkek, hsm.answer + 27, sizeof plain, plain);
    assert_memory_equal(plain + 8, "\x10\x00\x02\x00", 4); /* 4096 bits; d has 512 bytes */
    assert_memory_equal(plain + 12 + 512, "\x02\x00", 2);
    BIGNUM *n = NULL, *told = BN_bin2bn(plain + 14 + 512, 512, NULL);
    assert_true(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n));
    assert_int_equal(BN_cmp(n, told), 0);
    assert_memory_equal(plain + 14 + 1024, "\x00\x03\x01\x00\x01\x80\x00", 7);
    BN_free(n);
    BN_free(told);
    EVP_PKEY_free(key);
    take_out(&hsm);
}

/* ---- state ---- */

static void all_is_there_again_after_the_power_was_cut(void **state)
{
    char path[] = "/tmp/schsm.XXXXXX";
    struct bench hsm;
    uint8_t digest[32] = { 9 };
    const int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    insert(&hsm, "smartcard-hsm-3.4", path);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, WITH_SHARES("00"), 0x9000);
    expect(&hsm, VERIFY, 0x9000);
    EVP_PKEY *key = generated_ec(&hsm, "brainpoolP256r1");
    expect(&hsm, "00D7CF01 07 54020000 530142", 0x9000);
    expect(&hsm, "80520000 00", 0x9000);
    uint8_t dkek[10];
    memcpy(dkek, hsm.answer, sizeof dkek);
    expect(&hsm, WRONG, 0x63c2);
    take_out(&hsm);
    insert(&hsm, "smartcard-hsm-3.4", path);
    expect(&hsm, SELECT, 0x9000);
    expect(&hsm, "00200081", 0x63c2);
    expect(&hsm, VERIFY, 0x9000);
    expect(&hsm, "00B1CF01 04 54020000 01", 0x9000);
    assert_answer(&hsm, "42");
    expect(&hsm, "80520000 00", 0x9000);
    assert_memory_equal(hsm.answer, dkek, sizeof dkek);
    assert_int_equal(send(&hsm, "80680170", digest, sizeof digest), 0x9000);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    assert_int_equal(EVP_PKEY_verify(ctx, hsm.answer, hsm.length, digest, sizeof digest), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    take_out(&hsm);
    assert_int_equal(truncate(path, 300), 0);
    assert_null(application_new("smartcard-hsm-3.4", path).card);
    unlink(path);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_has_to_be_selected),
        TEST(it_tells_its_version_and_its_options),
        TEST(selected_anew_it_has_forgotten_the_pin),
        TEST(what_it_does_not_know_it_says_so),
        TEST(a_new_device_has_no_pins),
        TEST(initialisation_takes_its_time_and_sets_pins_and_counters),
        TEST(short_pins_have_few_tries),
        TEST(the_next_initialisation_needs_the_so_pin_and_erases_all),
        TEST(what_was_cut_off_has_not_happened),
        TEST(wrong_pins_are_counted_until_none_is_left),
        TEST(pins_are_changed),
        TEST(the_so_pin_resets_the_user_pin_where_that_was_allowed),
        TEST(a_transport_pin_must_be_changed_first),
        TEST(files_are_written_and_read_in_parts),
        TEST(a_file_of_4_kb_goes_in_and_comes_out),
        TEST(who_may_read_and_write_what),
        TEST(objects_are_enumerated_and_deleted),
        TEST(random_numbers_are_as_many_as_wanted_and_never_the_same),
        TEST(the_device_has_a_certificate_and_its_issuers),
        TEST(rsa_keys_of_all_sizes_come_as_signed_requests),
        TEST(keys_on_all_curves_sign_and_agree),
        TEST(the_older_one_has_shorter_keys),
        TEST(what_it_cannot_generate_it_refuses_at_once),
        TEST(an_rsa_key_signs_in_all_ways),
        TEST(an_rsa_key_computes_without_padding),
        TEST(an_ec_key_hashes_what_it_signs),
        TEST(keys_are_used_for_what_they_are_and_with_the_pin_only),
        TEST(an_answer_comes_only_to_who_wants_it),
        TEST(the_dkek_is_the_sum_of_its_shares),
        TEST(without_shares_it_makes_a_dkek_of_its_own),
        TEST(without_a_dkek_nothing_is_wrapped),
        TEST(a_wrapped_key_goes_to_who_has_the_same_dkek),
        TEST(a_wrapped_rsa_4096_key_is_built_like_a_real_one),
        TEST(all_is_there_again_after_the_power_was_cut),
    };
    return cmocka_run_group_tests_name("schsm", tests, NULL, NULL);
}
