/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_openpgp.c - the OpenPGP card in the virtual key, by whole APDUs; what it computes is checked with libcrypto. */
#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "openpgp_bench.h"
#include "tlv.h"

#define USER_81 "00200081 06 313233343536"
#define USER_82 "00200082 06 313233343536"
#define ADMIN "00200083 08 3132333435363738"
#define WRONG_81 "00200081 06 393939393939"
#define WRONG_83 "00200083 08 3939393939393939"
#define ATTRIBUTES(bits) "06 01" bits "002000"
#define SELECT_CERTIFICATE(n) "00A50" n "04 06 60045C027F21"
#define PUBLIC_SIGNATURE_KEY "00478100 000002 B600 0000"
#define PUBLIC_DECRYPTION_KEY "00478100 000002 B800 0000"
#define PUBLIC_AUTHENTICATION_KEY "00478100 000002 A400 0000"
/* DigestInfo of SHA-256 (RFC 8017 §9.2) with a digest that is easy to tell. */
#define DIGEST "A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF"
#define DIGEST_INFO "33 3031300D060960864801650304020105000420" DIGEST
#define SIGN "002A9E9A" DIGEST_INFO "00"
#define AUTHENTICATE "00880000" DIGEST_INFO "00"

static struct answer transmit(struct openpgp *card, const uint8_t *command, size_t length)
{
    openpgp_begin(card, command, length);
    return finish(card);
}

static void expect_tries_at(const struct openpgp *card, unsigned pw1, unsigned rc, unsigned pw3, const char *file,
                            int line)
{
    const struct openpgp_tries tries = openpgp_tries(card);
    _assert_int_equal(tries.pw1, pw1, file, line);
    _assert_int_equal(tries.rc, rc, file, line);
    _assert_int_equal(tries.pw3, pw3, file, line);
}
#define expect_tries(card, pw1, rc, pw3) expect_tries_at(card, pw1, rc, pw3, __FILE__, __LINE__)

/* ---- keys, by libcrypto ---- */

static EVP_PKEY *sample; /* RSA 2048, made by libcrypto, to be imported */

static EVP_PKEY *public_key(struct openpgp *card, const char *read_command)
{
    const struct answer answer = say(card, read_command);
    struct tlv_view object, n, e;
    EVP_PKEY *key = NULL;
    assert_int_equal(answer.status_word, 0x9000);
    assert_true(tlv_find((struct tlv_view){ answer.bytes, answer.length }, 0x7f49, &object));
    assert_true(tlv_find(object, 0x81, &n) && tlv_find(object, 0x82, &e));
    BIGNUM *modulus = BN_bin2bn(n.bytes, (int)n.length, NULL), *exponent = BN_bin2bn(e.bytes, (int)e.length, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    assert_true(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus));
    assert_true(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent));
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
    assert_true(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters) > 0);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

/* Whether the answer is the PKCS #1 v1.5 signature of DIGEST, by the key the card shows. */
static void expect_signature(struct openpgp *card, const char *command, const char *read_command)
{
    uint8_t digest[32] = { 0 };
    EVP_PKEY *key = public_key(card, read_command);
    const struct answer answer = say(card, command);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_int_equal(parse_hex(DIGEST, digest, sizeof digest), sizeof digest);
    assert_true(EVP_PKEY_verify_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0);
    assert_true(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0);
    uint8_t signature[512];
    size_t length = answer.length;
    assert_true(length <= sizeof signature);
    memcpy(signature, answer.bytes, length);
    if ((answer.status_word & 0xff00) == 0x6100) {
        const struct answer rest = say(card, "00C00000 00");
        assert_int_equal(rest.status_word, 0x9000);
        memcpy(signature + length, rest.bytes, rest.length);
        length += rest.length;
    } else
        assert_int_equal(answer.status_word, 0x9000);
    assert_int_equal(length, EVP_PKEY_get_size(key));
    assert_int_equal(EVP_PKEY_verify(ctx, signature, length, digest, sizeof digest), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

/* PSO:DECIPHER of "secret", encrypted for the key that the card shows. */
static struct answer decipher(struct openpgp *card, uint8_t padding_indicator)
{
    uint8_t data[513] = { padding_indicator };
    size_t length = sizeof data - 1;
    EVP_PKEY *key = public_key(card, PUBLIC_DECRYPTION_KEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_encrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0);
    assert_true(EVP_PKEY_encrypt(ctx, data + 1, &length, (const uint8_t *)"secret", 6) > 0);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return say_extended(card, "002A8086", data, length + 1);
}

static void expect_deciphered(struct openpgp *card)
{
    const struct answer answer = decipher(card, 0x00);
    assert_int_equal(answer.status_word, 0x9000);
    assert_int_equal(answer.length, 6);
    assert_memory_equal(answer.bytes, "secret", 6);
}

/* The private key template 4D for a control reference, with the parts 91 ... 97 that the mask names, made of the
 * sample key; e has 4 bytes, as the algorithm attributes say. */
static size_t key_template(uint16_t reference, unsigned mask, uint8_t *bytes, size_t size)
{
    static const char *const NAMES[] = { OSSL_PKEY_PARAM_RSA_E,         OSSL_PKEY_PARAM_RSA_FACTOR1,
                                         OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
                                         OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
                                         OSSL_PKEY_PARAM_RSA_N };
    static const int LENGTHS[] = { 4, 128, 128, 128, 128, 128, 256 };
    uint8_t header_bytes[64], value_bytes[1024], list_bytes[1200], number[256];
    struct tlv_writer headers = { .bytes = header_bytes, .size = sizeof header_bytes };
    struct tlv_writer values = { .bytes = value_bytes, .size = sizeof value_bytes };
    struct tlv_writer list = { .bytes = list_bytes, .size = sizeof list_bytes };
    struct tlv_writer whole = { .bytes = bytes, .size = size };
    for (unsigned i = 0; i < 7; i++) {
        BIGNUM *part = NULL;
        if (!(mask >> i & 1))
            continue;
        assert_true(EVP_PKEY_get_bn_param(sample, NAMES[i], &part));
        assert_int_equal(BN_bn2binpad(part, number, LENGTHS[i]), LENGTHS[i]);
        BN_clear_free(part);
        const uint8_t header[] = { (uint8_t)(0x91 + i), 0x82, (uint8_t)(LENGTHS[i] >> 8), (uint8_t)LENGTHS[i] };
        tlv_append(&headers, header, sizeof header);
        tlv_append(&values, number, (size_t)LENGTHS[i]);
    }
    tlv_put(&list, reference, NULL, 0);
    tlv_put(&list, 0x7f48, header_bytes, headers.length);
    tlv_put(&list, 0x5f48, value_bytes, values.length);
    tlv_put(&whole, 0x4d, list_bytes, list.length);
    assert_false(whole.overflow);
    return whole.length;
}

#define E_P_Q 0x07u
#define CRT 0x38u
#define N 0x40u

static uint16_t import(struct openpgp *card, uint16_t reference, unsigned mask)
{
    uint8_t bytes[1280];
    const size_t length = key_template(reference, mask, bytes, sizeof bytes);
    return say_extended(card, "00DB3FFF", bytes, length).status_word;
}

static void import_all(struct openpgp *card)
{
    expect(card, ADMIN, 0x9000);
    assert_int_equal(import(card, 0xb6, E_P_Q), 0x9000);
    assert_int_equal(import(card, 0xb8, E_P_Q), 0x9000);
    assert_int_equal(import(card, 0xa4, E_P_Q), 0x9000);
}

/* ---- a card for each test ---- */

static int make_sample(void **state)
{
    (void)state;
    sample = EVP_RSA_gen(2048);
    return sample ? 0 : -1;
}

static int drop_sample(void **state)
{
    (void)state;
    EVP_PKEY_free(sample);
    return 0;
}

static int new_card(void **state)
{
    *state = openpgp_new(NULL);
    return *state ? 0 : -1;
}

static int free_card(void **state)
{
    openpgp_free(*state);
    return 0;
}

/* ---- PINs ---- */

static void new_card_has_the_factory_pins(void **state)
{
    expect_tries(*state, 3, 0, 3);
    expect(*state, USER_81, 0x9000);
    expect(*state, USER_82, 0x9000);
    expect(*state, ADMIN, 0x9000);
    expect_data(*state, "00CA00C4 00", "00 404040 030003");
}

static void wrong_pin_costs_a_try_and_the_right_one_gives_all_back(void **state)
{
    expect(*state, WRONG_81, 0x6982);
    expect_tries(*state, 2, 0, 3);
    expect(*state, WRONG_83, 0x6982);
    expect(*state, WRONG_83, 0x6982);
    expect_tries(*state, 2, 0, 1);
    expect_data(*state, "00CA00C4 00", "00 404040 020001");
    expect(*state, USER_82, 0x9000);
    expect(*state, ADMIN, 0x9000);
    expect_tries(*state, 3, 0, 3);
}

static void third_wrong_pin_blocks_even_the_right_one(void **state)
{
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_81, 0x6982);
    expect(*state, USER_81, 0x6983);
    expect(*state, USER_82, 0x6983);
    expect(*state, "00200081", 0x63c0);
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_83, 0x6982);
    expect(*state, ADMIN, 0x6983);
    expect_tries(*state, 0, 0, 0);
}

static void wrong_pin_ends_what_the_right_one_allowed(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, WRONG_83, 0x6982);
    expect(*state, "00DA005B 01 41", 0x6982);
}

static void verify_without_data_tells_state_and_tries(void **state)
{
    expect(*state, "00200081", 0x63c3);
    expect(*state, WRONG_81, 0x6982);
    expect(*state, "00200082", 0x63c2);
    expect(*state, "0020008200", 0x63c2);
    expect(*state, USER_82, 0x9000);
    expect(*state, "00200082", 0x9000);
    expect(*state, "00200081", 0x63c3);
    expect(*state, "00200083", 0x63c3);
    expect_tries(*state, 3, 0, 3);
}

static void verify_with_p1_ff_ends_one_verification(void **state)
{
    expect(*state, USER_81, 0x9000);
    expect(*state, USER_82, 0x9000);
    expect(*state, "0020FF81 01 00", 0x6700);
    expect(*state, "00200081", 0x9000);
    expect(*state, "0020FF81", 0x9000);
    expect(*state, "00200081", 0x63c3);
    expect(*state, "00200082", 0x9000);
}

static void verification_outlives_select_but_not_reset(void **state)
{
    expect(*state, USER_82, 0x9000);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00A40400 06 D27600012401 00", 0x9000);
    expect(*state, "00A40400 07 A0000003080000", 0x6a82);
    expect(*state, "00200082", 0x9000);
    expect(*state, "00200083", 0x9000);
    openpgp_reset(*state);
    expect(*state, "00200082", 0x63c3);
    expect(*state, "00200083", 0x63c3);
}

static void pin_that_is_too_long_costs_no_try(void **state)
{
    uint8_t pin[65] = { 0 };
    assert_int_equal(say_extended(*state, "00200081", pin, sizeof pin).status_word, 0x6700);
    expect_tries(*state, 3, 0, 3);
    assert_int_equal(say_extended(*state, "00200081", pin, sizeof pin - 1).status_word, 0x6982);
    expect_tries(*state, 2, 0, 3);
    expect(*state, "00200080 06 313233343536", 0x6b00);
    expect(*state, "00200181 06 313233343536", 0x6b00);
}

static void change_needs_the_old_pin(void **state)
{
    expect(*state, "00240081 0C 393939393939 363534333231", 0x6982);
    expect(*state, "00240081 04 31323334", 0x6982);
    expect_tries(*state, 1, 0, 3);
    expect(*state, "00240081 0D 313233343536 36353433323130", 0x9000);
    expect_tries(*state, 3, 0, 3);
    expect(*state, USER_81, 0x6982);
    expect(*state, "00200081 07 36353433323130", 0x9000);
    expect(*state, "00240083 10 3132333435363738 3837363534333231", 0x9000);
    expect(*state, "00200083 08 3837363534333231", 0x9000);
    expect_tries(*state, 3, 0, 3);
}

static void part_of_a_pin_is_not_the_pin(void **state)
{
    expect(*state, "00240081 0C 313233343536 313233343500", 0x9000);
    expect(*state, "00240081 05 3132333435", 0x6982);
    expect(*state, "00200081 05 3132333435", 0x6982);
    expect_tries(*state, 1, 0, 3);
    expect(*state, "00200081 06 313233343500", 0x9000);
}

static void change_to_a_pin_of_wrong_length_keeps_the_old_one(void **state)
{
    uint8_t data[8 + 65] = "12345678";
    expect(*state, "00240081 0B 313233343536 3635343332", 0x6a80);
    expect(*state, "00240083 0F 3132333435363738 38373635343332", 0x6a80);
    assert_int_equal(say_extended(*state, "00240083", data, sizeof data).status_word, 0x6a80);
    expect(*state, "00240081", 0x6700);
    expect(*state, "00240082 0C 313233343536 363534333231", 0x6b00);
    expect(*state, USER_81, 0x9000);
    expect(*state, ADMIN, 0x9000);
    expect_tries(*state, 3, 0, 3);
    assert_int_equal(say_extended(*state, "00240083", data, sizeof data - 1).status_word, 0x9000);
    assert_int_equal(say_extended(*state, "00200083", data + 8, 64).status_word, 0x9000);
}

static void change_of_a_blocked_pin_is_refused(void **state)
{
    for (int i = 0; i < 3; i++)
        expect(*state, "00240081 0C 393939393939 363534333231", 0x6982);
    expect(*state, "00240081 0C 313233343536 363534333231", 0x6983);
}

static void resetting_code_unblocks_the_user_pin(void **state)
{
    expect(*state, "00DA00D3 08 3131323233333434", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00D3 07 31313232333334", 0x6a80);
    expect(*state, "00DA00D3 08 3131323233333434", 0x9000);
    expect_tries(*state, 3, 3, 3);
    openpgp_reset(*state);
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_81, 0x6982);
    expect(*state, "002C0081 0E 3939393939393939 363534333231", 0x6982);
    expect(*state, "002C0081 04 31313232", 0x6982);
    expect_tries(*state, 0, 1, 3);
    expect(*state, "002C0081 0E 3131323233333434 363534333231", 0x9000);
    expect_tries(*state, 3, 3, 3);
    expect(*state, "00200081 06 363534333231", 0x9000);
}

static void resetting_code_is_blocked_too_and_can_be_removed(void **state)
{
    expect(*state, "002C0081 0E 3131323233333434 363534333231", 0x6983); /* there is none */
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00D3 08 3131323233333434", 0x9000);
    for (int i = 0; i < 3; i++)
        expect(*state, "002C0081 0E 3939393939393939 363534333231", 0x6982);
    expect(*state, "002C0081 0E 3131323233333434 363534333231", 0x6983);
    expect(*state, "00DA00D3 08 3131323233333434", 0x9000);
    expect_tries(*state, 3, 3, 3);
    expect(*state, "00DA00D3", 0x9000);
    expect_tries(*state, 3, 0, 3);
    expect(*state, USER_81, 0x9000);
}

static void admin_unblocks_the_user_pin(void **state)
{
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_81, 0x6982);
    expect(*state, "002C0281 06 363534333231", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "002C0281 05 3635343332", 0x6a80);
    expect(*state, "002C0283 06 363534333231", 0x6b00);
    expect_tries(*state, 0, 0, 3);
    expect(*state, "002C0281 06 363534333231", 0x9000);
    expect_tries(*state, 3, 0, 3);
    expect(*state, "00200082 06 363534333231", 0x9000);
}

/* ---- factory reset ---- */

static void termination_needs_the_admin_or_two_blocked_pins(void **state)
{
    expect(*state, "00E60000", 0x6982);
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_83, 0x6982);
    expect(*state, "00E60000", 0x6982);
    for (int i = 0; i < 3; i++)
        expect(*state, WRONG_81, 0x6982);
    expect(*state, "00E60001", 0x6b00);
    expect(*state, "00E60000", 0x9000);
    expect(*state, "00A40400 06 D27600012401 00", 0x6285);
}

static void terminated_card_does_nothing_but_activate(void **state)
{
    static const char *const COMMANDS[] = {
        USER_81, "00240081 0C 313233343536 363534333231", "002C0281 06 363534333231", "00478000 02 B600 00", SIGN,
        AUTHENTICATE, "00840000 08", "00DA005B 01 41", "00DB3FFF 02 4D00", SELECT_CERTIFICATE("1"), "00E60000",
    };
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00E60000", 0x9000);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
        expect(*state, COMMANDS[i], 0x6285);
    expect_data(*state, "00CA5F52 00", "00 31F573C00160 03 9000");
    openpgp_reset(*state);
    expect(*state, "00A40400 06 D27600012401 00", 0x6285);
    expect(*state, "00440000", 0x9000);
    expect(*state, "00A40400 06 D27600012401 00", 0x9000);
    expect_data(*state, "00CA5F52 00", "00 31F573C00160 05 9000");
}

static void activation_makes_the_card_as_new(void **state)
{
    import_all(*state);
    expect(*state, USER_81, 0x9000);
    expect(*state, SIGN, 0x9000);
    expect(*state, "00DA005B 02 4142", 0x9000);
    expect(*state, "00DA00C2" ATTRIBUTES("1000"), 0x9000);
    expect(*state, "00DA00C4 01 01", 0x9000);
    expect(*state, "00DA00D3 08 3131323233333434", 0x9000);
    expect(*state, "00240083 10 3132333435363738 3837363534333231", 0x9000);
    expect(*state, "00E60000", 0x9000);
    expect(*state, "00440000", 0x9000);
    expect(*state, "00200083", 0x63c3); /* nothing is verified any more */
    expect_data(*state, "00CA005B 00", "");
    expect_data(*state, "00CA00C2 00", "010800002000");
    expect_data(*state, "00CA00C4 00", "00 404040 030003");
    expect_data(*state, "00CA0093 00", "000000");
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
    expect(*state, PUBLIC_DECRYPTION_KEY, 0x6a88);
    expect(*state, PUBLIC_AUTHENTICATION_KEY, 0x6a88);
    expect(*state, ADMIN, 0x9000);
}

static void activation_of_an_active_card_changes_nothing(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA005B 02 4142", 0x9000);
    expect(*state, "00440000", 0x9000);
    expect_data(*state, "00CA005B 00", "4142");
}

/* ---- data objects ---- */

static void select_takes_the_name_or_its_beginning(void **state)
{
    expect(*state, "00A40400 06 D27600012401 00", 0x9000);
    expect(*state, "00A4040C 10 D2760001240103040005123456780000", 0x9000);
    expect(*state, "00A40400 05 D276000124", 0x6a82);
    expect(*state, "00A40400 08 D276000124010200", 0x6a82);
    expect(*state, "00A40400 11 D276000124010304000512345678000000", 0x6a82);
    expect(*state, "00A40000 02 3F00", 0x6b00);
    expect(*state, "00A40401 06 D27600012401", 0x6b00);
}

static void card_tells_what_it_is(void **state)
{
    expect_data(*state, "00CA004F 00", "D2760001240103040005123456780000");
    expect_data(*state, "00CA5F52 00", "0031F573C00160059000");
    expect_data(*state, "00CA00C0 00", "7C 00 00FF 0600 0600 00 00");
    expect_data(*state, "00CA7F66 00", "02020800 02020800");
    expect_data(*state, "00CA7F74 00", "810100");
    expect_data(*state, "00CA0093 00", "000000");
    expect_data(*state, "00CA007A 00", "7A05 9303000000");
    expect_data(*state, "00CA00DE 00", "0100 0200 0300");
    expect_data(*state, "00CA00FA 00 0000",
                "FA820105 C106010800002000 C106010C00002000 C106011000002000 C109132A8648CE3D030107"
                "C106132B81040022 C106132B81040023 C10A132B2403030208010107 C10A132B240303020801010B"
                "C10A132B240303020801010D C206010800002000 C206010C00002000 C206011000002000"
                "C209122A8648CE3D030107 C206122B81040022 C206122B81040023 C20A122B2403030208010107"
                "C20A122B240303020801010B C20A122B240303020801010D C306010800002000 C306010C00002000"
                "C306011000002000 C309132A8648CE3D030107 C306132B81040022 C306132B81040023"
                "C30A132B2403030208010107 C30A132B240303020801010B C30A132B240303020801010D");
    expect(*state, "00CA0042 00", 0x6a88);
    expect(*state, "00CA00F9 00", 0x6a88); /* KDF: C0 does not announce it */
    expect(*state, "00CA004F 01 00 00", 0x6700);
}

/* How long each object may be, and whether the user's PIN or the admin's allows to write it. */
static const struct {
    uint16_t tag, least, most;
    bool user;
} OBJECTS[] = {
    { 0x005b, 0, 39, false },   { 0x5f2d, 0, 8, false },    { 0x5f35, 0, 1, false },   { 0x5f50, 0, 1536, false },
    { 0x005e, 0, 1536, false }, { 0x0101, 0, 1536, true },  { 0x0102, 0, 1536, false }, { 0x0103, 0, 1536, true },
    { 0x0104, 0, 1536, false }, { 0x7f21, 0, 1536, false }, { 0x00c7, 20, 20, false }, { 0x00c8, 20, 20, false },
    { 0x00c9, 20, 20, false },  { 0x00ca, 20, 20, false },  { 0x00cb, 20, 20, false }, { 0x00cc, 20, 20, false },
    { 0x00ce, 4, 4, false },    { 0x00cf, 4, 4, false },    { 0x00d0, 4, 4, false },
};

static uint16_t put(struct openpgp *card, uint16_t tag, const uint8_t *bytes, size_t length)
{
    char header[9];
    snprintf(header, sizeof header, "00DA%04X", tag);
    if (length > 0)
        return say_extended(card, header, bytes, length).status_word;
    return say(card, header).status_word;
}

static struct answer get(struct openpgp *card, uint16_t tag)
{
    char command[16];
    snprintf(command, sizeof command, "00CA%04X 000000", tag);
    return say(card, command);
}

static void fill(uint8_t *bytes, size_t length, uint16_t tag)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(tag + i * 7);
}

static void every_object_keeps_what_its_pin_allows_to_write(void **state)
{
    uint8_t bytes[1537];
    for (size_t i = 0; i < sizeof OBJECTS / sizeof OBJECTS[0]; i++) {
        const uint16_t tag = OBJECTS[i].tag;
        const size_t most = OBJECTS[i].most, least = OBJECTS[i].least;
        fill(bytes, sizeof bytes, tag);
        openpgp_reset(*state);
        assert_int_equal(put(*state, tag, bytes, most), 0x6982);
        expect(*state, OBJECTS[i].user ? ADMIN : USER_82, 0x9000); /* the other one does not help */
        assert_int_equal(put(*state, tag, bytes, most), 0x6982);
        expect(*state, OBJECTS[i].user ? USER_82 : ADMIN, 0x9000);
        assert_int_equal(put(*state, tag, bytes, most), 0x9000);
        assert_int_equal(put(*state, tag, bytes, most + 1), 0x6700);
        if (least > 0)
            assert_int_equal(put(*state, tag, bytes, least - 1), 0x6700);
    }
    for (size_t i = 0; i < sizeof OBJECTS / sizeof OBJECTS[0]; i++) {
        const struct answer answer = get(*state, OBJECTS[i].tag);
        fill(bytes, sizeof bytes, OBJECTS[i].tag);
        assert_int_equal(answer.status_word, 0x9000);
        assert_int_equal(answer.length, OBJECTS[i].most);
        assert_memory_equal(answer.bytes, bytes, answer.length);
    }
}

static void object_can_be_emptied(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA005E 03 616263", 0x9000);
    expect(*state, "00DA005E", 0x9000);
    expect_data(*state, "00CA005E 00", "");
}

static void each_of_three_certificates_can_be_selected(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA7F21 01 A0", 0x9000);
    expect(*state, SELECT_CERTIFICATE("2") "00", 0x9000);
    expect_data(*state, "00CA7F21 00", "");
    expect(*state, "00DA7F21 01 C2", 0x9000);
    expect(*state, SELECT_CERTIFICATE("1"), 0x9000);
    expect(*state, "00DA7F21 01 B1", 0x9000);
    expect(*state, SELECT_CERTIFICATE("3"), 0x6a88);
    expect_data(*state, "00CA7F21 00", "B1");
    expect(*state, SELECT_CERTIFICATE("2"), 0x9000);
    expect_data(*state, "00CA7F21 00", "C2");
    expect(*state, "00CA005B 00", 0x9000); /* other objects are what they are */
    openpgp_reset(*state);
    expect_data(*state, "00CA7F21 00", "A0");
    expect(*state, "00A50004 05 60035C015B", 0x6a80);
    expect(*state, "00A50004 06 60045C025F50", 0x6a88);
    expect(*state, "00A50000 06 60045C027F21", 0x6b00);
}

static void private_objects_3_and_4_are_read_with_their_pin_only(void **state)
{
    expect_data(*state, "00CA0101 00", "");
    expect_data(*state, "00CA0102 00", "");
    expect(*state, USER_81, 0x9000);
    expect(*state, "00CA0103 00", 0x6982);
    expect(*state, USER_82, 0x9000);
    expect_data(*state, "00CA0103 00", "");
    expect(*state, "00CA0104 00", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect_data(*state, "00CA0104 00", "");
}

static void what_the_card_counts_or_is_cannot_be_written(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA0093 03 000001", 0x6a88);
    expect(*state, "00DA004F 01 00", 0x6a88);
    expect(*state, "00DA00C0 01 00", 0x6a88);
    expect(*state, "00DA006E 01 00", 0x6a88);
    expect(*state, "00DA00D6 02 0120", 0x6982); /* there is no button to be asked for */
    expect(*state, "00DA00C4 01 02", 0x6a80);
    expect(*state, "00DA00C4", 0x6700);
}

static void templates_hold_their_objects(void **state)
{
    static const struct { uint16_t tag; size_t length; } INNER[] = {
        { 0xc0, 10 }, { 0xc1, 6 }, { 0xc2, 6 }, { 0xc3, 6 }, { 0xc4, 7 }, { 0xc5, 60 }, { 0xc6, 60 }, { 0xcd, 12 },
        { 0xde, 6 },
    };
    struct tlv_view application, discretionary, value;
    const struct answer answer = get(*state, 0x6e);
    assert_true(tlv_find((struct tlv_view){ answer.bytes, answer.length }, 0x6e, &application));
    assert_int_equal(application.bytes + application.length - answer.bytes, answer.length);
    assert_true(tlv_find(application, 0x4f, &value) && value.length == 16);
    assert_true(tlv_find(application, 0x5f52, &value) && value.length == 10);
    assert_true(tlv_find(application, 0x7f66, &value) && value.length == 8);
    assert_true(tlv_find(application, 0x7f74, &value) && value.length == 3);
    assert_true(tlv_find(application, 0x73, &discretionary));
    for (size_t i = 0; i < sizeof INNER / sizeof INNER[0]; i++) {
        assert_true(tlv_find(discretionary, INNER[i].tag, &value));
        assert_int_equal(value.length, INNER[i].length);
    }
    const struct answer alone = get(*state, 0x73);
    assert_int_equal(alone.status_word, 0x9000);
    assert_int_equal(alone.length, discretionary.length);
    assert_memory_equal(alone.bytes, discretionary.bytes, alone.length);
}

static void templates_show_what_was_written(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA005B 04 413C3C42", 0x9000);
    expect(*state, "00DA5F2D 02 6465", 0x9000);
    expect(*state, "00DA5F35 01 31", 0x9000);
    expect_data(*state, "00CA0065 00", "65 0F 5B04413C3C42 5F2D026465 5F350131");
    expect(*state, "00DA00C8 14 0102030405060708090A0B0C0D0E0F1011121314", 0x9000);
    expect(*state, "00DA00CC 14 2102030405060708090A0B0C0D0E0F1011121314", 0x9000);
    expect(*state, "00DA00CE 04 5F000001", 0x9000);
    const struct answer prints = get(*state, 0xc5), authorities = get(*state, 0xc6);
    assert_int_equal(prints.bytes[19] | prints.bytes[40], 0);
    assert_int_equal(prints.bytes[20], 0x01);
    assert_int_equal(authorities.bytes[40], 0x21);
    expect_data(*state, "00CA00CD 00", "5F000001 00000000 00000000");
}

/* ---- keys ---- */

static void card_without_keys_says_so(void **state)
{
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
    expect(*state, PUBLIC_DECRYPTION_KEY, 0x6a88);
    expect(*state, PUBLIC_AUTHENTICATION_KEY, 0x6a88);
    expect(*state, USER_81, 0x9000);
    expect(*state, USER_82, 0x9000);
    expect(*state, SIGN, 0x6a88);
    expect(*state, AUTHENTICATE, 0x6a88);
    expect(*state, "002A8086 04 00010203 00", 0x6a88);
}

static void generation_needs_the_admin_and_a_key_reference(void **state)
{
    expect(*state, USER_81, 0x9000);
    expect(*state, "00478000 02 B600 00", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00478000 02 B700 00", 0x6a80);
    expect(*state, "00478000 00", 0x6a80);
    expect(*state, "00478200 02 B600 00", 0x6b00);
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
}

static void keys_of_every_size_are_generated_and_sign(void **state)
{
    static const char *const ATTRIBUTES[] = { "00DA00C1" ATTRIBUTES("0800"), "00DA00C1" ATTRIBUTES("0C00"),
                                              "00DA00C1" ATTRIBUTES("1000") };
    for (int i = 0; i < 3; i++) {
        expect(*state, ADMIN, 0x9000);
        expect(*state, ATTRIBUTES[i], 0x9000);
        const struct answer generated = say(*state, "00478000 000002 B600 0000");
        const struct answer read = say(*state, PUBLIC_SIGNATURE_KEY);
        assert_int_equal(generated.status_word, 0x9000);
        assert_int_equal(generated.length, read.length);
        assert_memory_equal(generated.bytes, read.bytes, read.length);
        EVP_PKEY *key = public_key(*state, PUBLIC_SIGNATURE_KEY);
        assert_int_equal(EVP_PKEY_get_bits(key), 2048 + 1024 * i);
        EVP_PKEY_free(key);
        expect_data(*state, "00CA00DE 00", "0101 0200 0300");
        expect(*state, USER_81, 0x9000);
        expect_signature(*state, SIGN, PUBLIC_SIGNATURE_KEY);
    }
}

static void each_key_is_generated_for_its_own_use(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, USER_82, 0x9000);
    assert_int_equal(say(*state, "00478000 000002 B800 0000").status_word, 0x9000);
    assert_int_equal(say(*state, "00478000 000005 A403840103 0000").status_word, 0x9000);
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
    expect_deciphered(*state);
    expect_signature(*state, AUTHENTICATE, PUBLIC_AUTHENTICATION_KEY);
}

static void each_operation_needs_its_own_pin(void **state)
{
    import_all(*state);
    expect(*state, SIGN, 0x6982);
    expect(*state, USER_82, 0x9000);
    expect(*state, SIGN, 0x6982);
    expect_deciphered(*state);
    expect_signature(*state, AUTHENTICATE, PUBLIC_AUTHENTICATION_KEY);
    openpgp_reset(*state);
    expect(*state, USER_81, 0x9000);
    expect(*state, AUTHENTICATE, 0x6982);
    assert_int_equal(decipher(*state, 0x00).status_word, 0x6982);
    expect_signature(*state, SIGN, PUBLIC_SIGNATURE_KEY);
}

static void pin_81_is_good_for_one_signature_unless_c4_says_more(void **state)
{
    import_all(*state);
    expect(*state, USER_81, 0x9000);
    expect(*state, SIGN, 0x9000);
    expect(*state, SIGN, 0x6982);
    expect(*state, "00DA00C4 01 01", 0x9000);
    expect_data(*state, "00CA00C4 00", "01 404040 030003");
    expect(*state, USER_81, 0x9000);
    expect(*state, SIGN, 0x9000);
    expect(*state, SIGN, 0x9000);
}

static void signature_counter_counts_signatures_of_one_key(void **state)
{
    import_all(*state);
    expect(*state, "00DA00C4 01 01", 0x9000);
    expect(*state, USER_81, 0x9000);
    expect(*state, USER_82, 0x9000);
    expect(*state, SIGN, 0x9000);
    expect(*state, SIGN, 0x9000);
    expect(*state, AUTHENTICATE, 0x9000);
    expect_data(*state, "00CA0093 00", "000002");
    assert_int_equal(import(*state, 0xb8, E_P_Q), 0x9000);
    expect_data(*state, "00CA0093 00", "000002");
    assert_int_equal(import(*state, 0xb6, E_P_Q), 0x9000);
    expect_data(*state, "00CA0093 00", "000000");
}

static void digest_info_may_fill_two_fifths_of_the_modulus(void **state)
{
    uint8_t data[103] = { 0 };
    import_all(*state);
    expect(*state, USER_81, 0x9000);
    expect(*state, USER_82, 0x9000);
    assert_int_equal(say_extended(*state, "002A9E9A", data, 103).status_word, 0x6a80);
    expect(*state, "002A9E9A 00", 0x6a80);
    assert_int_equal(say_extended(*state, "002A9E9A", data, 102).status_word, 0x9000);
    assert_int_equal(say_extended(*state, "00880000", data, 103).status_word, 0x6a80);
    expect(*state, "002A9E9B 01 00 00", 0x6b00);
    expect(*state, "00880001 01 00 00", 0x6b00);
}

static void nonsense_is_not_deciphered(void **state)
{
    uint8_t data[600];
    memset(data, 0xff, sizeof data);
    data[0] = 0x00;
    import_all(*state);
    expect(*state, USER_82, 0x9000);
    assert_int_equal(say_extended(*state, "002A8086", data, 257).status_word, 0x6a80); /* more than the modulus */
    assert_int_equal(say_extended(*state, "002A8086", data, 258).status_word, 0x6a80);
    assert_int_equal(say_extended(*state, "002A8086", data, sizeof data).status_word, 0x6a80);
    assert_int_equal(say_extended(*state, "002A8086", data, 1).status_word, 0x6a80);
    assert_int_equal(decipher(*state, 0x02).status_word, 0x6a80); /* AES, which C0 does not announce */
    expect_deciphered(*state);
}

static void changed_attributes_delete_the_key(void **state)
{
    import_all(*state);
    expect(*state, "00DA00C1" ATTRIBUTES("0800"), 0x9000); /* the same */
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x9000);
    expect(*state, "00DA00C1" ATTRIBUTES("0C00"), 0x9000);
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
    expect(*state, PUBLIC_DECRYPTION_KEY, 0x9000);
    expect_data(*state, "00CA00C1 00", "010C00002000");
    expect_data(*state, "00CA00DE 00", "0100 0202 0302");
    expect(*state, "00DA00C1" ATTRIBUTES("0400"), 0x6a80);
    expect(*state, "00DA00C1" ATTRIBUTES("0801"), 0x6a80);
    expect(*state, "00DA00C1 06 120800002000", 0x6a80);
    expect(*state, "00DA00C2 06 120800002000", 0x6a80);
    expect(*state, "00DA00C3 06 120800002000", 0x6a80);
    expect(*state, "00DA00C1 05 0108000020", 0x6700);
}

static void key_is_imported_in_the_format_the_attributes_say(void **state)
{
    static const char *const PUT[] = { "00DA00C1 06 010800002000", "00DA00C1 06 010800002001",
                                       "00DA00C1 06 010800002002", "00DA00C1 06 010800002003" };
    static const unsigned NEEDED[] = { E_P_Q, E_P_Q | N, E_P_Q | CRT, E_P_Q | CRT | N };
    expect(*state, ADMIN, 0x9000);
    for (int format = 0; format < 4; format++) {
        expect(*state, PUT[format], 0x9000);
        for (unsigned part = 0; part < 7; part++)
            if (NEEDED[format] >> part & 1)
                assert_int_equal(import(*state, 0xb6, NEEDED[format] & ~(1u << part)), 0x6a80);
        expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
        assert_int_equal(import(*state, 0xb6, NEEDED[format]), 0x9000);
        EVP_PKEY *key = public_key(*state, PUBLIC_SIGNATURE_KEY);
        assert_int_equal(EVP_PKEY_eq(key, sample), 1);
        EVP_PKEY_free(key);
        expect(*state, USER_81, 0x9000);
        expect_signature(*state, SIGN, PUBLIC_SIGNATURE_KEY);
    }
}

static void import_refuses_what_is_no_key(void **state)
{
    uint8_t bytes[1280];
    const size_t length = key_template(0xb6, E_P_Q, bytes, sizeof bytes);
    assert_int_equal(import(*state, 0xb6, E_P_Q), 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DB3FFF 02 4D00", 0x6a80);
    expect(*state, "00DB3FFE 02 4D00", 0x6b00);
    expect(*state, "00DB3FFF 16 4D14 B600 7F4808 9104 928180 938180 5F4804 00010001", 0x6a80); /* no p, no q */
    assert_int_equal(import(*state, 0xb7, E_P_Q), 0x6a80);
    assert_int_equal(say_extended(*state, "00DB3FFF", bytes, length - 1).status_word, 0x6a80);
    expect(*state, "00DA00C1" ATTRIBUTES("1000"), 0x9000);
    assert_int_equal(import(*state, 0xb6, E_P_Q), 0x6a80); /* 2048 bits are too few for it */
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
}

/* 5F48 ends one byte before the last part does; the byte is there, but is not its own. */
static void imported_parts_are_not_read_past_their_object(void **state)
{
    static const uint8_t VALUES[] = { 0x5f, 0x48, 0x82, 0x01, 0x04 };
    const size_t at = 21;
    uint8_t bytes[1280];
    const size_t length = key_template(0xb6, E_P_Q, bytes, sizeof bytes);
    assert_memory_equal(bytes + at, VALUES, sizeof VALUES);
    bytes[at + 4]--;
    expect(*state, ADMIN, 0x9000);
    assert_int_equal(say_extended(*state, "00DB3FFF", bytes, length).status_word, 0x6a80);
    expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
    bytes[at + 4]++;
    assert_int_equal(say_extended(*state, "00DB3FFF", bytes, length).status_word, 0x9000);
}

static void challenge_is_random_and_as_long_as_asked(void **state)
{
    const struct answer first = say(*state, "00840000 10"), second = say(*state, "00840000 10");
    assert_int_equal(first.status_word, 0x9000);
    assert_int_equal(first.length, 16);
    assert_memory_not_equal(first.bytes, second.bytes, 16);
    assert_int_equal(say(*state, "00840000 FF").length, 255);
    expect(*state, "00840000 00", 0x6700);
    expect(*state, "00840000", 0x6700);
    expect(*state, "00840100 08", 0x6b00);
}

/* ---- APDUs as such ---- */

static void long_answer_comes_in_parts(void **state)
{
    uint8_t url[600], joined[600];
    fill(url, sizeof url, 0);
    expect(*state, ADMIN, 0x9000);
    assert_int_equal(put(*state, 0x5f50, url, sizeof url), 0x9000);
    const struct answer whole = get(*state, 0x5f50);
    assert_int_equal(whole.length, sizeof url);
    const struct answer first = say(*state, "00CA5F50 00"), second = say(*state, "00C00000 00"),
                        third = say(*state, "00C00000 58");
    assert_int_equal(first.status_word, 0x6100);
    assert_int_equal(first.length, 256);
    assert_int_equal(second.status_word, 0x6158);
    assert_int_equal(second.length, 256);
    assert_int_equal(third.status_word, 0x9000);
    assert_int_equal(third.length, 88);
    memcpy(joined, first.bytes, 256);
    memcpy(joined + 256, second.bytes, 256);
    memcpy(joined + 512, third.bytes, 88);
    assert_memory_equal(joined, url, sizeof url);
    expect(*state, "00C00000 00", 0x6985);
}

static void extended_answer_comes_whole_even_without_le(void **state)
{
    import_all(*state);
    const struct answer asked = say(*state, PUBLIC_SIGNATURE_KEY), unasked = say(*state, "00478100 000002 B600");
    assert_true(asked.length > 256);
    assert_int_equal(unasked.status_word, 0x9000);
    assert_int_equal(unasked.length, asked.length);
}

static void answer_is_as_long_as_le_says_in_every_form(void **state)
{
    static const struct { const char *command; size_t length; uint16_t status_word; } CASES[] = {
        { "00CA004F 04", 4, 0x610c },                  /* 2S */
        { "00CA004F 00 0004", 4, 0x610c },             /* 2E */
        { "00CA004F 00 0100", 16, 0x9000 },
        { "00478100 02 B600 10", 16, 0x61fe },         /* 4S: the public key has 270 bytes */
        { "00478100 00 0002 B600 0010", 16, 0x61fe },  /* 4E */
        { "00478100 00 0002 B600 0104", 260, 0x610a },
        { "00478100 00 0002 B600 010E", 270, 0x9000 },
    };
    import_all(*state);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct answer answer = say(*state, CASES[i].command);
        assert_int_equal(answer.length, CASES[i].length);
        assert_int_equal(answer.status_word, CASES[i].status_word);
    }
}

static void reset_discards_the_rest_of_an_answer(void **state)
{
    expect(*state, "00CA004F 04", 0x610c);
    openpgp_reset(*state);
    expect(*state, "00C00000 00", 0x6985);
}

static void short_le_cuts_and_another_command_discards_the_rest(void **state)
{
    const struct answer answer = say(*state, "00CA004F 04");
    assert_int_equal(answer.status_word, 0x610c);
    assert_int_equal(answer.length, 4);
    expect(*state, "00200081", 0x63c3);
    expect(*state, "00C00000 00", 0x6985);
}

static void chained_command_is_put_together(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "10DA005E 03 616263", 0x9000);
    expect(*state, "10DA005E 02 6465", 0x9000);
    expect_data(*state, "00DA005E 01 66", "");
    expect_data(*state, "00CA005E 00", "616263646566");
}

static void command_in_between_ends_a_chain(void **state)
{
    expect(*state, "10DA005E 03 616263", 0x9000);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA005E 01 66", 0x9000);
    expect_data(*state, "00CA005E 00", "66");
    expect(*state, "10DA005E 03 616263", 0x9000);
    openpgp_reset(*state);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA005E 01 67", 0x9000);
    expect_data(*state, "00CA005E 00", "67");
}

static void reset_ends_a_chain(void **state)
{
    expect(*state, "10200083 04 31323334", 0x9000);
    openpgp_reset(*state);
    expect(*state, ADMIN, 0x9000);
    openpgp_reset(*state);
    expect(*state, "10200083 04 31323334", 0x9000);
    expect(*state, "00200083 04 35363738", 0x9000);
}

static void chain_longer_than_any_command_is_refused(void **state)
{
    uint8_t part[2048 + 9] = { 0x10, 0xda, 0x7f, 0x21, 0x00, 0x08, 0x00 };
    assert_int_equal(transmit(*state, part, 2048 + 7).status_word, 0x9000);
    assert_int_equal(transmit(*state, part, 2048 + 7).status_word, 0x9000);
    assert_int_equal(transmit(*state, part, 2048 + 7).status_word, 0x6700);
}

static void malformed_apdu_is_refused(void **state)
{
    expect(*state, "", 0x6700);
    expect(*state, "00CA00", 0x6700);
    expect(*state, "00200081 06 3132333435", 0x6700);
    expect(*state, "00200081 06 313233343536 0000", 0x6700);
    expect(*state, "00200081 00 0006 3132333435", 0x6700);
    expect(*state, "00200081 00 0006 313233343536 00", 0x6700);
    expect(*state, "00CA004F 00 00", 0x6700);
    expect_tries(*state, 3, 0, 3);
}

static void unknown_class_or_instruction_is_refused(void **state)
{
    expect(*state, "80CA004F 00", 0x6e00);
    expect(*state, "01CA004F 00", 0x6e00);
    expect(*state, "00B00000 00", 0x6d00);
    expect(*state, "002A0000 00", 0x6b00);
    assert_int_equal(say(*state, "00CA004F 000000").length, 16);
}

/* ---- effort and reset ---- */

static enum openpgp_effort effort(struct openpgp *card, const char *hex)
{
    uint8_t command[OPENPGP_COMMAND_MAX] = { 0 };
    const size_t length = parse_hex(hex, command, sizeof command);
    const enum openpgp_effort told = openpgp_begin(card, command, length);
    if (told == OPENPGP_QUICK)
        assert_true(openpgp_done(card));
    finish(card);
    return told;
}

static void only_what_computes_is_slow(void **state)
{
    assert_int_equal(effort(*state, "00478000 000002 B600 0000"), OPENPGP_QUICK); /* refused */
    assert_int_equal(effort(*state, SIGN), OPENPGP_QUICK);
    assert_int_equal(effort(*state, PUBLIC_SIGNATURE_KEY), OPENPGP_QUICK);
    import_all(*state);
    assert_int_equal(effort(*state, PUBLIC_SIGNATURE_KEY), OPENPGP_QUICK);
    assert_int_equal(effort(*state, USER_81), OPENPGP_QUICK);
    assert_int_equal(effort(*state, SIGN), OPENPGP_PRIVATE_KEY);
    assert_int_equal(effort(*state, SIGN), OPENPGP_QUICK); /* refused: good for one signature */
    assert_int_equal(effort(*state, USER_82), OPENPGP_QUICK);
    assert_int_equal(effort(*state, AUTHENTICATE), OPENPGP_PRIVATE_KEY);
    assert_int_equal(effort(*state, "00478000 000002 A400 0000"), OPENPGP_GENERATE);
}

static void begin_generation(struct openpgp *card)
{
    static const uint8_t GENERATE[] = { 0x00, 0x47, 0x80, 0x00, 0x02, 0xb6, 0x00, 0x00 };
    expect(card, ADMIN, 0x9000);
    assert_int_equal(openpgp_begin(card, GENERATE, sizeof GENERATE), OPENPGP_GENERATE);
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Each generation would take a second or more. */
static void reset_during_generation_throws_the_key_away_at_once(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00C1" ATTRIBUTES("1000"), 0x9000);
    const double before = cpu_seconds();
    for (int i = 0; i < 20; i++) {
        begin_generation(*state);
        openpgp_reset(*state);
        assert_true(openpgp_done(*state));
        expect(*state, PUBLIC_SIGNATURE_KEY, 0x6a88);
        expect(*state, "00200083", 0x63c3);
    }
    assert_true(cpu_seconds() - before < 5.0);
}

static void reset_during_generation_keeps_the_old_key(void **state)
{
    import_all(*state);
    expect(*state, USER_81, 0x9000);
    expect(*state, SIGN, 0x9000);
    begin_generation(*state);
    openpgp_reset(*state);
    EVP_PKEY *key = public_key(*state, PUBLIC_SIGNATURE_KEY);
    assert_int_equal(EVP_PKEY_eq(key, sample), 1);
    EVP_PKEY_free(key);
    expect_data(*state, "00CA0093 00", "000001");
}

static void reset_before_the_answer_is_taken_keeps_the_old_key(void **state)
{
    import_all(*state);
    begin_generation(*state);
    while (!openpgp_done(*state))
        sched_yield();
    openpgp_reset(*state);
    EVP_PKEY *key = public_key(*state, PUBLIC_SIGNATURE_KEY);
    assert_int_equal(EVP_PKEY_eq(key, sample), 1);
    EVP_PKEY_free(key);
}

static void reset_during_a_signature_does_not_count_it(void **state)
{
    uint8_t command[64] = { 0 };
    import_all(*state);
    expect(*state, USER_81, 0x9000);
    assert_int_equal(openpgp_begin(*state, command, parse_hex(SIGN, command, sizeof command)), OPENPGP_PRIVATE_KEY);
    openpgp_reset(*state);
    expect_data(*state, "00CA0093 00", "000000");
    expect(*state, SIGN, 0x6982);
}

static unsigned threads(void)
{
    unsigned count = 0;
    DIR *const all = opendir("/proc/self/task");
    assert_non_null(all);
    for (const struct dirent *entry; (entry = readdir(all));)
        count += entry->d_name[0] != '.';
    closedir(all);
    return count;
}

/* What computes ends with it, and at once. */
static void card_may_be_taken_away_during_generation(void **state)
{
    (void)state;
    const unsigned before = threads();
    const double begun = cpu_seconds();
    for (int i = 0; i < 5; i++) {
        struct openpgp *card = openpgp_new(NULL);
        expect(card, ADMIN, 0x9000);
        expect(card, "00DA00C1" ATTRIBUTES("1000"), 0x9000);
        begin_generation(card);
        openpgp_free(card);
    }
    while (threads() > before && cpu_seconds() - begun < 3.0) /* the kernel may still list one that has ended */
        sched_yield();
    assert_int_equal(threads(), before);
    assert_true(cpu_seconds() - begun < 3.0);
}

/* ---- the state file ---- */

static char directory[] = "/tmp/test_openpgp.XXXXXX";
static char path[sizeof directory + 16];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_openpgp.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/state", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory); /* fails if anything else was left in it */
}

static struct openpgp *reload(struct openpgp *card)
{
    openpgp_free(card);
    card = openpgp_new(path);
    assert_non_null(card);
    return card;
}

static void everything_survives_a_reload(void **state)
{
    (void)state;
    struct openpgp *card = openpgp_new(path);
    import_all(card);
    expect(card, "00DA00C4 01 01", 0x9000);
    expect(card, "00DA00D3 08 3131323233333434", 0x9000);
    expect(card, "00DA005E 03 616263", 0x9000);
    expect(card, SELECT_CERTIFICATE("2"), 0x9000);
    expect(card, "00DA7F21 01 C2", 0x9000);
    expect(card, "00DA00C3" ATTRIBUTES("0C00"), 0x9000);
    expect(card, "00240081 0C 313233343536 363534333231", 0x9000);
    expect(card, "00200081 06 363534333231", 0x9000);
    expect(card, SIGN, 0x9000);
    expect(card, WRONG_83, 0x6982);
    card = reload(card);
    expect_tries(card, 3, 3, 2);
    expect(card, "00200081", 0x63c3);
    expect_data(card, "00CA005E 00", "616263");
    expect_data(card, "00CA7F21 00", "");
    expect(card, SELECT_CERTIFICATE("2"), 0x9000);
    expect_data(card, "00CA7F21 00", "C2");
    expect_data(card, "00CA00C3 00", "010C00002000");
    expect_data(card, "00CA00C4 00", "01 404040 030302");
    expect_data(card, "00CA0093 00", "000001");
    expect_data(card, "00CA00DE 00", "0102 0202 0300");
    expect(card, "00200081 06 363534333231", 0x9000);
    expect(card, "00200082 06 363534333231", 0x9000);
    EVP_PKEY *key = public_key(card, PUBLIC_SIGNATURE_KEY);
    assert_int_equal(EVP_PKEY_eq(key, sample), 1);
    EVP_PKEY_free(key);
    expect_signature(card, SIGN, PUBLIC_SIGNATURE_KEY);
    expect_deciphered(card);
    openpgp_free(card);
}

static void every_change_is_written_before_the_answer(void **state)
{
    (void)state;
    struct openpgp *card = openpgp_new(path);
    expect(card, WRONG_81, 0x6982);
    struct openpgp *other = openpgp_new(path);
    expect_tries(other, 2, 0, 3);
    openpgp_free(other);
    expect(card, ADMIN, 0x9000);
    expect(card, "00DA005B 02 4142", 0x9000);
    other = openpgp_new(path);
    expect_data(other, "00CA005B 00", "4142");
    openpgp_free(other);
    expect(card, "00240081 0C 313233343536 363534333231", 0x9000);
    other = openpgp_new(path);
    expect(other, "00200081 06 363534333231", 0x9000);
    openpgp_free(other);
    openpgp_free(card);
}

static void terminated_card_stays_so(void **state)
{
    (void)state;
    struct openpgp *card = openpgp_new(path);
    expect(card, ADMIN, 0x9000);
    expect(card, "00E60000", 0x9000);
    card = reload(card);
    expect(card, "00A40400 06 D27600012401 00", 0x6285);
    expect(card, "00440000", 0x9000);
    card = reload(card);
    expect(card, "00A40400 06 D27600012401 00", 0x9000);
    openpgp_free(card);
}

static void state_file_is_its_owners_alone(void **state)
{
    (void)state;
    struct stat status;
    const mode_t mask = umask(0);
    struct openpgp *card = openpgp_new(path);
    assert_int_equal(stat(path, &status), -1); /* nothing changed yet */
    expect(card, ADMIN, 0x9000);
    umask(mask);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    openpgp_free(card);
}

/* A card that went on would lose keys. */
static void card_that_cannot_write_its_state_ends_the_program(void **state)
{
    (void)state;
    int status = 0;
    struct openpgp *card = openpgp_new(path);
    assert_int_equal(mkdir(path, 0700), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        expect(card, ADMIN, 0x9000);
        _exit(EXIT_SUCCESS);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
    openpgp_free(card);
    assert_int_equal(rmdir(path), 0);
}

/* Makes a card of a state file with this text; what went to stderr is in message. */
static struct openpgp *load_text(const char *text, char *message, size_t size)
{
    FILE *file = fopen(path, "w"), *caught = tmpfile();
    assert_true(file && caught && fputs(text, file) >= 0 && fclose(file) == 0);
    fflush(stderr);
    const int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(caught), STDERR_FILENO) >= 0);
    struct openpgp *card = openpgp_new(path);
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(caught);
    message[fread(message, 1, size - 1, caught)] = '\0';
    fclose(caught);
    return card;
}

#define HEADER "virtual OpenPGP card, state 1\n"

static void nonsense_in_the_state_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct { const char *text; unsigned line; } NONSENSE[] = {
        { "", 1 },
        { "something else\n", 1 },
        { HEADER, 2 }, /* cut */
        { HEADER "signatures 5 0 -\n", 3 },
        { HEADER "end 0 0 -\nend 0 0 -\n", 3 },
        { HEADER "colour 1 0 -\nend 0 0 -\n", 2 },
        { HEADER "signatures 5\nend 0 0 -\n", 2 },
        { HEADER "signatures 16777216 0 -\nend 0 0 -\n", 2 },
        { HEADER "terminated 2 0 -\nend 0 0 -\n", 2 },
        { HEADER "lasting -1 0 -\nend 0 0 -\n", 2 },
        { HEADER "signatures 5 0 -\nobject 91 0 4g\nend 0 0 -\n", 3 },
        { HEADER "object 91 0 414\nend 0 0 -\n", 2 },
        { HEADER "object 90 0 41\nend 0 0 -\n", 2 },
        { HEADER "object 199 0 4141\nend 0 0 -\n", 2 },          /* a fingerprint of two bytes */
        { HEADER "object 193 0 010000002000\nend 0 0 -\n", 2 },  /* RSA 0 */
        { HEADER "object 91 1 41\nend 0 0 -\n", 2 }, /* there is one name only */
        { HEADER "object 65629 0 41\nend 0 0 -\n", 2 },          /* 1005d */
        { HEADER "pin 3 3 313233343536\nend 0 0 -\n", 2 },
        { HEADER "pin 0 4 313233343536\nend 0 0 -\n", 2 },
        { HEADER "pin 0 3 3132333435\nend 0 0 -\n", 2 },
        { HEADER "pin 0 0 -\nend 0 0 -\n", 2 },
        { HEADER "pin 1 1 -\nend 0 0 -\n", 2 },
        { HEADER "key 0 1 3082\nend 0 0 -\n", 2 },
        { HEADER "key 3 1 3082\nend 0 0 -\n", 2 },
    };
    char message[512], expected[sizeof path + 16];
    for (size_t i = 0; i < sizeof NONSENSE / sizeof NONSENSE[0]; i++) {
        struct openpgp *card = load_text(NONSENSE[i].text, message, sizeof message);
        snprintf(expected, sizeof expected, "%s:%u: ", path, NONSENSE[i].line);
        if (card || strncmp(message, expected, strlen(expected)) != 0)
            fail_msg("%s is answered by '%s'", NONSENSE[i].text, message);
    }
}

static void state_file_may_leave_out_what_is_as_new(void **state)
{
    (void)state;
    char message[512];
    struct openpgp *card = load_text(HEADER "signatures 258 0 -\npin 1 0 -\nend 0 0 -\n", message, sizeof message);
    assert_non_null(card);
    assert_string_equal(message, "");
    expect_data(card, "00CA0093 00", "000102");
    expect(card, ADMIN, 0x9000);
    openpgp_free(card);
}

/* Replaces the first occurrence of a text in the state file. */
static void edit_state(const char *old, const char *new, char *text, size_t size)
{
    char before[32768];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    before[fread(before, 1, sizeof before - 1, file)] = '\0';
    fclose(file);
    char *const at = strstr(before, old);
    assert_non_null(at);
    *at = '\0';
    assert_true(snprintf(text, size, "%s%s%s", before, new, at + strlen(old)) < (int)size);
}

static void key_that_does_not_fit_its_attributes_is_refused(void **state)
{
    (void)state;
    char text[32768], message[512];
    struct openpgp *card = openpgp_new(path);
    import_all(card);
    openpgp_free(card);
    edit_state("object 194 0 010800002000", "object 194 0 010c00002000", text, sizeof text);
    assert_null(load_text(text, message, sizeof message));
    assert_non_null(strstr(message, path));
}

static void key_that_was_tampered_with_is_refused(void **state)
{
    (void)state;
    static const struct { const char *old, *new; } EDITS[] = {
        { "key 0 2 ", "key 0 0 " },       /* a key that is neither generated nor imported */
        { "key 0 2 ", "key 0 3 " },
        { "\nkey 1 2 ", "00\nkey 1 2 " }, /* something after the first key */
        { "key 0 2 30", "key 0 2 31" },
    };
    char text[32768], whole[32768], message[512];
    struct openpgp *card = openpgp_new(path);
    import_all(card);
    openpgp_free(card);
    edit_state(HEADER, HEADER, whole, sizeof whole);
    for (size_t i = 0; i < sizeof EDITS / sizeof EDITS[0]; i++) {
        edit_state(EDITS[i].old, EDITS[i].new, text, sizeof text);
        assert_null(load_text(text, message, sizeof message));
        assert_non_null(strstr(message, path));
        card = load_text(whole, message, sizeof message);
        assert_non_null(card);
        openpgp_free(card);
    }
}

static void signature_counter_stops_at_its_greatest_number(void **state)
{
    (void)state;
    char text[32768], message[512];
    struct openpgp *card = openpgp_new(path);
    import_all(card);
    openpgp_free(card);
    edit_state("signatures 0 ", "signatures 16777215 ", text, sizeof text);
    card = load_text(text, message, sizeof message);
    assert_non_null(card);
    expect(card, USER_81, 0x9000);
    expect(card, SIGN, 0x9000);
    expect_data(card, "00CA0093 00", "FFFFFF");
    openpgp_free(card);
}

#define with_card(test) cmocka_unit_test_setup_teardown(test, new_card, free_card)
#define with_file(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

static const struct CMUnitTest TESTS[] = {
    with_card(new_card_has_the_factory_pins),
    with_card(wrong_pin_costs_a_try_and_the_right_one_gives_all_back),
    with_card(third_wrong_pin_blocks_even_the_right_one),
    with_card(wrong_pin_ends_what_the_right_one_allowed),
    with_card(verify_without_data_tells_state_and_tries),
    with_card(verify_with_p1_ff_ends_one_verification),
    with_card(verification_outlives_select_but_not_reset),
    with_card(pin_that_is_too_long_costs_no_try),
    with_card(change_needs_the_old_pin),
    with_card(part_of_a_pin_is_not_the_pin),
    with_card(change_to_a_pin_of_wrong_length_keeps_the_old_one),
    with_card(change_of_a_blocked_pin_is_refused),
    with_card(resetting_code_unblocks_the_user_pin),
    with_card(resetting_code_is_blocked_too_and_can_be_removed),
    with_card(admin_unblocks_the_user_pin),
    with_card(termination_needs_the_admin_or_two_blocked_pins),
    with_card(terminated_card_does_nothing_but_activate),
    with_card(activation_makes_the_card_as_new),
    with_card(activation_of_an_active_card_changes_nothing),
    with_card(select_takes_the_name_or_its_beginning),
    with_card(card_tells_what_it_is),
    with_card(every_object_keeps_what_its_pin_allows_to_write),
    with_card(object_can_be_emptied),
    with_card(each_of_three_certificates_can_be_selected),
    with_card(private_objects_3_and_4_are_read_with_their_pin_only),
    with_card(what_the_card_counts_or_is_cannot_be_written),
    with_card(templates_hold_their_objects),
    with_card(templates_show_what_was_written),
    with_card(card_without_keys_says_so),
    with_card(generation_needs_the_admin_and_a_key_reference),
    with_card(keys_of_every_size_are_generated_and_sign),
    with_card(each_key_is_generated_for_its_own_use),
    with_card(each_operation_needs_its_own_pin),
    with_card(pin_81_is_good_for_one_signature_unless_c4_says_more),
    with_card(signature_counter_counts_signatures_of_one_key),
    with_card(digest_info_may_fill_two_fifths_of_the_modulus),
    with_card(nonsense_is_not_deciphered),
    with_card(changed_attributes_delete_the_key),
    with_card(key_is_imported_in_the_format_the_attributes_say),
    with_card(import_refuses_what_is_no_key),
    with_card(imported_parts_are_not_read_past_their_object),
    with_card(challenge_is_random_and_as_long_as_asked),
    with_card(long_answer_comes_in_parts),
    with_card(extended_answer_comes_whole_even_without_le),
    with_card(answer_is_as_long_as_le_says_in_every_form),
    with_card(short_le_cuts_and_another_command_discards_the_rest),
    with_card(reset_discards_the_rest_of_an_answer),
    with_card(chained_command_is_put_together),
    with_card(command_in_between_ends_a_chain),
    with_card(reset_ends_a_chain),
    with_card(chain_longer_than_any_command_is_refused),
    with_card(malformed_apdu_is_refused),
    with_card(unknown_class_or_instruction_is_refused),
    with_card(only_what_computes_is_slow),
    with_card(reset_during_generation_throws_the_key_away_at_once),
    with_card(reset_during_generation_keeps_the_old_key),
    with_card(reset_before_the_answer_is_taken_keeps_the_old_key),
    with_card(reset_during_a_signature_does_not_count_it),
    cmocka_unit_test(card_may_be_taken_away_during_generation),
    with_file(everything_survives_a_reload),
    with_file(every_change_is_written_before_the_answer),
    with_file(terminated_card_stays_so),
    with_file(state_file_is_its_owners_alone),
    with_file(card_that_cannot_write_its_state_ends_the_program),
    with_file(nonsense_in_the_state_file_is_refused_with_its_line),
    with_file(state_file_may_leave_out_what_is_as_new),
    with_file(key_that_does_not_fit_its_attributes_is_refused),
    with_file(key_that_was_tampered_with_is_refused),
    with_file(signature_counter_stops_at_its_greatest_number),
};

int main(void)
{
    return cmocka_run_group_tests(TESTS, make_sample, drop_sample);
}
