/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_openpgp_models.c - in what the OpenPGP applications of the models differ: elliptic curves, touch, KDF. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include "openpgp_bench.h"
#include "openpgp_profile.h"
#include "tlv.h"

#define USER_81 "00200081 06 313233343536"
#define USER_82 "00200082 06 313233343536"
#define ADMIN "00200083 08 3132333435363738"
#define SELECT "00A40400 06 D27600012401 00"
#define GENERATE(reference) "00478000 02 " reference "00 00"
#define READ_PUBLIC(reference) "00478100 02 " reference "00 00"
#define DIGEST "A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF"
#define SIGN "002A9E9A 20 " DIGEST "00"
#define AUTHENTICATE "00880000 20 " DIGEST "00"
#define ED25519 "16 2B06010401DA470F01"
#define CV25519 "12 2B060104019755010501"

/* ---- cards ---- */

static const struct openpgp_profile *const PROFILES[] = { &openpgp_card_3_4, &openpgp_card_2_1, &openpgp_gnuk,
                                                          &openpgp_opcard };
#define PROFILE_COUNT (sizeof PROFILES / sizeof PROFILES[0])

/* Ready for commands: Gnuk's application has to be selected first. */
static struct openpgp *new_card(const char *state_path, const struct openpgp_profile *profile)
{
    struct openpgp *const card = openpgp_new_profile(state_path, profile);
    if (card && profile == &openpgp_gnuk)
        expect(card, SELECT, 0x9000);
    return card;
}

static int new_gnuk(void **state)
{
    *state = new_card(NULL, &openpgp_gnuk);
    return *state ? 0 : -1;
}

static int new_opcard(void **state)
{
    *state = new_card(NULL, &openpgp_opcard);
    return *state ? 0 : -1;
}

static int new_card_2_1(void **state)
{
    *state = new_card(NULL, &openpgp_card_2_1);
    return *state ? 0 : -1;
}

static int free_card(void **state)
{
    openpgp_free(*state);
    return 0;
}

/* ---- who they are ---- */

static void nitrokey_start_tells_what_it_is(void **state)
{
    expect_data(*state, "00CA004F 00", "D27600012401 0200 FFFE 12345678 0000");
    expect_data(*state, "00CA5F52 00", "0031 84 73 800180 05 9000");
    expect_data(*state, "00CA00C0 00", "75 00 0020 0800 00FF 0100");
    expect_data(*state, "00CA7F74 00", "810120");
    expect(*state, "00CA7F66 00", 0x6a88);
    expect(*state, "00CA00DE 00", 0x6a88);
    expect(*state, "00CA0101 00", 0x6a88);
    expect(*state, "00A50104 06 60045C027F21", 0x6d00);
    expect_data(*state, "00CA00FA 00",
                "C106010800002000 C1 09 132A8648CE3D030107 C1 06 132B8104000A C1 0A" ED25519
                "C206010800002000 C2 09 122A8648CE3D030107 C2 06 122B8104000A C2 0B" CV25519
                "C306010800002000 C3 09 132A8648CE3D030107 C3 06 132B8104000A C3 0A" ED25519);
}

static void nitrokey_3_tells_what_it_is(void **state)
{
    expect_data(*state, "00CA004F 00", "D27600012401 0304 000F 12345678 0000");
    expect_data(*state, "00CA5F52 00", "0031 F5 73 C00160 05 9000");
    expect_data(*state, "00CA00C0 00", "7D 00 00FF 1000 1000 00 00");
    expect_data(*state, "00CA7F66 00", "02021DB9 02021DB9");
    expect_data(*state, "00CA7F74 00", "810120");
    expect_data(*state, "00CA00DE 00", "0100 0200 0300");
    expect_data(*state, "00CA00F9 00", "810100");
}

static void crypto_stick_tells_what_it_is(void **state)
{
    expect_data(*state, "00CA004F 00", "D27600012401 0201 0005 12345678 0000");
    expect_data(*state, "00CA5F52 00", "0031 C5 73 C00140 05 9000");
    expect_data(*state, "00CA00C0 00", "7C 00 00FF 0800 0800 0800");
    expect(*state, "00CA7F66 00", 0x6a88);
    expect(*state, "00CA7F74 00", 0x6a88);
    expect(*state, "00CA00DE 00", 0x6a88);
    expect(*state, "00CA00FA 00", 0x6a88);
    expect(*state, "00CA00F9 00", 0x6a88);
    expect(*state, "00CA00D6 00", 0x6a88);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00C1 09 132A8648CE3D030107", 0x6700);
}

static void passkey_has_no_application(void **state)
{
    (void)state;
    struct openpgp *card = new_card(NULL, &openpgp_none);
    expect(card, SELECT, 0x6a82);
    expect(card, "00CA004F 00", 0x6a82);
    expect(card, ADMIN, 0x6a82);
    openpgp_free(card);
}

static void card_without_a_profile_is_a_card_3_4(void **state)
{
    (void)state;
    struct openpgp *card = new_card(NULL, NULL);
    expect_data(card, "00CA004F 00", "D2760001240103040005123456780000");
    openpgp_free(card);
}

static void every_model_can_be_selected_by_its_own_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        struct openpgp *card = new_card(NULL, PROFILES[i]);
        expect(card, SELECT, 0x9000);
        assert_int_equal(say_bytes(card, "00A40400", PROFILES[i]->aid, OPENPGP_AID_LENGTH).status_word,
                         PROFILES[i]->gnuk ? 0x6a82 : 0x9000); /* which knows it by its first six bytes */
        expect(card, "00A40400 10 D27600012401 0304 0099 123456780000", 0x6a82);
        openpgp_free(card);
    }
}

/* What clients ask every card for when they list it. */
static void every_model_has_the_objects_that_clients_read(void **state)
{
    (void)state;
    static const char *const READ[] = { "00CA004F 000000", "00CA5F52 000000", "00CA006E 000000", "00CA0065 000000",
                                        "00CA007A 000000", "00CA00C4 000000", "00CA7F21 000000", "00CA5F50 000000",
                                        "00CA005E 000000" };
    static const uint16_t INNER[] = { 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xcd };
    struct tlv_view application, discretionary, value;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        struct openpgp *card = new_card(NULL, PROFILES[i]);
        for (size_t j = 0; j < sizeof READ / sizeof READ[0]; j++)
            expect(card, READ[j], 0x9000);
        const struct answer answer = say(card, "00CA006E 000000");
        application = (struct tlv_view){ answer.bytes, answer.length };
        assert_true(PROFILES[i]->gnuk || tlv_find(application, 0x6e, &application));
        assert_true(tlv_find(application, 0x73, &discretionary));
        for (size_t j = 0; j < sizeof INNER / sizeof INNER[0]; j++)
            assert_true(tlv_find(discretionary, INNER[j], &value));
        for (uint16_t tag = 0xd6; tag <= 0xd8; tag++)
            assert_int_equal(tlv_find(discretionary, tag, &value), PROFILES[i]->button);
        openpgp_free(card);
    }
}

static void every_model_keeps_a_certificate(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        struct openpgp *card = new_card(NULL, PROFILES[i]);
        expect(card, ADMIN, 0x9000);
        expect(card, "10DA7F21 02 3003", 0x9000);
        expect(card, "00DA7F21 03 020105", 0x9000);
        expect_data(card, "00CA7F21 00", "3003020105");
        openpgp_free(card);
    }
}

/* Chains are joined and answers cut by who talks to the host; CLA is nobody's business. */
static void nitrokey_start_gives_whole_answers_whatever_le_says(void **state)
{
    uint8_t bytes[300] = { 0 };
    openpgp_start(*state);
    expect(*state, SELECT, 0x9000);
    expect(*state, ADMIN, 0x9000);
    assert_int_equal(say_extended(*state, "00DA7F21", bytes, sizeof bytes).status_word, 0x9000);
    const struct answer answer = say(*state, "00CA7F21 01");
    assert_int_equal(answer.length, sizeof bytes);
    assert_int_equal(answer.status_word, 0x9000);
    expect(*state, "00C00000 00", 0x6d00);
    expect(*state, "80CA7F21", 0x9000);
}

static void nitrokey_start_hears_nothing_before_it_is_selected(void **state)
{
    openpgp_start(*state);
    expect(*state, "00CA004F 00", 0x6a88);
    expect(*state, ADMIN, 0x6a88);
    expect(*state, "00E60000", 0x6a88);
    expect(*state, "00440000", 0x6a88);
    expect(*state, "00FF0000", 0x6d00);
    expect(*state, "00840000 08", 0x9000);
    expect(*state, "00A40400 07 D2760001240102", 0x6a82);
    expect(*state, SELECT, 0x9000);
    expect(*state, "00CA004F 00", 0x9000);
    expect(*state, "00A4000C 02 3F00", 0x9000);
    expect(*state, "00CA004F 00", 0x6a88);
}

/* Nor does a wrong PIN. */
static void nitrokey_start_forgets_pins_when_its_application_ends_and_not_when_it_is_killed(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, USER_81, 0x9000);
    openpgp_cancel(*state);
    openpgp_start(*state);
    expect(*state, SELECT, 0x9000);
    expect(*state, "00200081", 0x9000);
    expect(*state, "00200083", 0x9000);
    expect(*state, "00200081 03 313233", 0x6982);
    expect(*state, "00200081", 0x9000);
    openpgp_reset(*state);
    openpgp_start(*state);
    expect(*state, SELECT, 0x9000);
    expect(*state, "00200081", 0x63c2);
    expect(*state, "00200083", 0x63c3);
}

static void nitrokey_start_loses_an_object_that_is_overwritten_by_one_too_long(void **state)
{
    uint8_t bytes[256] = { 0 };
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA5F50 03 616263", 0x9000);
    assert_int_equal(say_extended(*state, "00DA5F50", bytes, sizeof bytes).status_word, 0x6581);
    expect_data(*state, "00CA5F50 00", "");
    assert_int_equal(say_extended(*state, "00DA5F50", bytes, 255).status_word, 0x9000);
}

static void make_key(struct openpgp *card);

/* As a person finds it who changes the user PIN first. */
static void nitrokey_start_whose_user_pin_is_changed_first_has_no_admin_pin_of_its_own(void **state)
{
    expect(*state, "00240081 0E 3132333435363837363534333231", 0x6985); /* there are no keys */
    make_key(*state);
    expect(*state, "00240081 0C 313233343536363534333231", 0x6985);     /* too short for an admin */
    expect(*state, "00240081 0E 3132333435363837363534333231", 0x9000);
    expect(*state, "00200083", 0x63c3);
    expect(*state, ADMIN, 0x6982);
    expect(*state, "00200083 08 3837363534333231", 0x9000);
    expect(*state, "00DA5F50 03 616263", 0x9000);
    expect(*state, "00200081 08 3837363534333231", 0x9000);
}

static void nitrokey_start_terminated_waits_for_activate_file(void **state)
{
    expect(*state, "00440000", 0x6a88);
    expect(*state, "00E60000", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00E60000", 0x9000);
    assert_true(openpgp_is_terminated(*state));
    openpgp_start(*state);
    expect(*state, SELECT, 0x6285);
    expect(*state, "00CA004F 00", 0x6285);
    expect(*state, "00440000", 0x9000);
    assert_false(openpgp_is_terminated(*state));
    expect(*state, "00CA004F 00", 0x9000);
}

/* ---- elliptic curves ---- */

static struct openpgp *new_for(const struct card_curve *curve)
{
    const bool gnuk = openpgp_gnuk.curves >> (curve - card_curves) & 1;
    struct openpgp *card = new_card(NULL, gnuk ? &openpgp_gnuk : &openpgp_opcard);
    assert_non_null(card);
    expect(card, ADMIN, 0x9000);
    return card;
}

/* Makes a key slot, 0 ... 2, one of this curve. */
static void set_curve(struct openpgp *card, unsigned slot, const struct card_curve *curve)
{
    uint8_t attributes[11] = { slot == KEY_DECRYPTION ? curve->agrees : curve->signs };
    char header[9];
    snprintf(header, sizeof header, "00DA00C%u", slot + 1);
    memcpy(attributes + 1, curve->oid, curve->oid_length);
    assert_int_equal(say_bytes(card, header, attributes, 1u + curve->oid_length).status_word, 0x9000);
}

static EVP_PKEY *key_of_point(const struct card_curve *curve, struct tlv_view point)
{
    EVP_PKEY *key = NULL;
    if (!curve->group)
        return EVP_PKEY_new_raw_public_key_ex(NULL, curve->type, NULL, point.bytes, point.length);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve->group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point.bytes, point.length),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
    assert_true(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters) > 0);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* The key in the answer to GENERATE, to be freed. */
static EVP_PKEY *public_key(const struct answer *answer, const struct card_curve *curve)
{
    struct tlv_view object, point;
    assert_int_equal(answer->status_word, 0x9000);
    assert_true(tlv_find((struct tlv_view){ answer->bytes, answer->length }, 0x7f49, &object));
    assert_true(tlv_find(object, 0x86, &point));
    assert_int_equal(point.length, curve->group ? 1 + 2 * curve->bytes : curve->bytes);
    EVP_PKEY *key = key_of_point(curve, point);
    assert_non_null(key);
    return key;
}

static bool verify_ecdsa(EVP_PKEY *key, const uint8_t *digest, size_t length, const uint8_t *raw, size_t half)
{
    uint8_t *der = NULL;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    assert_true(ECDSA_SIG_set0(signature, BN_bin2bn(raw, (int)half, NULL), BN_bin2bn(raw + half, (int)half, NULL)));
    const int der_length = i2d_ECDSA_SIG(signature, &der);
    assert_true(der_length > 0);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_verify_init(ctx) > 0);
    const bool ok = EVP_PKEY_verify(ctx, der, (size_t)der_length, digest, length) == 1;
    EVP_PKEY_CTX_free(ctx);
    ECDSA_SIG_free(signature);
    OPENSSL_free(der);
    return ok;
}

static bool verify_eddsa(EVP_PKEY *key, const uint8_t *message, size_t length, const uint8_t *signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_true(EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) > 0);
    const bool ok = EVP_DigestVerify(ctx, signature, 64, message, length) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static void expect_signature(const struct answer *answer, const struct card_curve *curve, EVP_PKEY *key)
{
    uint8_t digest[32];
    assert_int_equal(parse_hex(DIGEST, digest, sizeof digest), sizeof digest);
    assert_int_equal(answer->status_word, 0x9000);
    assert_int_equal(answer->length, 2 * curve->bytes);
    assert_true(curve->group ? verify_ecdsa(key, digest, sizeof digest, answer->bytes, curve->bytes) :
                               verify_eddsa(key, digest, sizeof digest, answer->bytes));
}

static void keys_of_every_curve_are_generated_and_sign(void **state)
{
    (void)state;
    for (const struct card_curve *curve = card_curves; curve < card_curves + CURVE_COUNT; curve++) {
        if (curve->signs == 0)
            continue;
        struct openpgp *card = new_for(curve);
        set_curve(card, KEY_SIGNATURE, curve);
        set_curve(card, KEY_AUTHENTICATION, curve);
        const struct answer signature_key = say(card, GENERATE("B6")), key = say(card, GENERATE("A4"));
        expect(card, USER_81, 0x9000);
        expect(card, USER_82, 0x9000);
        EVP_PKEY *signer = public_key(&signature_key, curve), *authenticator = public_key(&key, curve);
        const struct answer signature = say(card, SIGN), authentication = say(card, AUTHENTICATE);
        expect_signature(&signature, curve, signer);
        expect_signature(&authentication, curve, authenticator);
        expect_data(card, "00CA0093 00", "000001");
        const struct answer again = say(card, READ_PUBLIC("B6"));
        assert_int_equal(again.length, signature_key.length);
        assert_memory_equal(again.bytes, signature_key.bytes, again.length);
        EVP_PKEY_free(signer);
        EVP_PKEY_free(authenticator);
        openpgp_free(card);
    }
}

/* PSO:DECIPHER with a point, in A6, 7F49, 86. */
static struct answer decipher(struct openpgp *card, const uint8_t *point, size_t length)
{
    uint8_t inner[160], middle[170], outer[180];
    struct tlv_writer key = { .bytes = inner, .size = sizeof inner };
    struct tlv_writer template = { .bytes = middle, .size = sizeof middle };
    struct tlv_writer cipher = { .bytes = outer, .size = sizeof outer };
    tlv_put(&key, 0x86, point, length);
    tlv_put(&template, 0x7f49, inner, key.length);
    tlv_put(&cipher, 0xa6, middle, template.length);
    assert_false(key.overflow || template.overflow || cipher.overflow);
    return say_bytes(card, "002A8086", outer, cipher.length);
}

static size_t agree(EVP_PKEY *own, EVP_PKEY *other, uint8_t *secret, size_t size)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    assert_true(EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, other) > 0);
    assert_true(EVP_PKEY_derive(ctx, secret, &size) > 0);
    EVP_PKEY_CTX_free(ctx);
    return size;
}

static EVP_PKEY *new_key(const struct card_curve *curve)
{
    return curve->group ? EVP_PKEY_Q_keygen(NULL, NULL, curve->type, curve->group) :
                          EVP_PKEY_Q_keygen(NULL, NULL, curve->type);
}

static size_t point_of(EVP_PKEY *key, uint8_t *point, size_t size)
{
    assert_true(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, size, &size));
    return size;
}

static void keys_of_every_curve_agree_with_the_other_side(void **state)
{
    (void)state;
    for (const struct card_curve *curve = card_curves; curve < card_curves + CURVE_COUNT; curve++) {
        uint8_t point[133], secret[66];
        if (curve->agrees == 0)
            continue;
        struct openpgp *card = new_for(curve);
        set_curve(card, KEY_DECRYPTION, curve);
        const struct answer generated = say(card, GENERATE("B8"));
        EVP_PKEY *key = public_key(&generated, curve), *ours = new_key(curve);
        const size_t length = agree(ours, key, secret, sizeof secret);
        const size_t point_length = point_of(ours, point, sizeof point);
        assert_int_equal(decipher(card, point, point_length).status_word, 0x6982);
        expect(card, USER_82, 0x9000);
        const struct answer answer = decipher(card, point, point_length);
        assert_int_equal(answer.status_word, 0x9000);
        assert_int_equal(answer.length, length);
        assert_memory_equal(answer.bytes, secret, length);
        EVP_PKEY_free(ours);
        EVP_PKEY_free(key);
        openpgp_free(card);
    }
}

static void point_on_curve25519_may_have_the_prefix_of_gnupg(void **state)
{
    const struct card_curve *const curve = &card_curves[CURVE_X25519];
    uint8_t point[33] = { 0x40 };
    EVP_PKEY *ours = new_key(curve);
    expect(*state, ADMIN, 0x9000);
    expect(*state, USER_82, 0x9000);
    set_curve(*state, KEY_DECRYPTION, curve);
    expect(*state, GENERATE("B8"), 0x9000);
    assert_int_equal(point_of(ours, point + 1, 32), 32);
    const struct answer with = decipher(*state, point, 33), without = decipher(*state, point + 1, 32);
    assert_int_equal(with.status_word, 0x9000);
    assert_int_equal(with.length, 32);
    assert_int_equal(without.length, 32);
    assert_memory_equal(with.bytes, without.bytes, 32);
    point[0] = 0x41;
    assert_int_equal(decipher(*state, point, 33).status_word, 0x6a80);
    EVP_PKEY_free(ours);
}

static void point_that_is_not_on_the_curve_is_refused(void **state)
{
    const struct card_curve *const curve = &card_curves[CURVE_P256];
    uint8_t point[65];
    EVP_PKEY *ours = new_key(curve);
    expect(*state, ADMIN, 0x9000);
    expect(*state, USER_82, 0x9000);
    set_curve(*state, KEY_DECRYPTION, curve);
    expect(*state, GENERATE("B8"), 0x9000);
    assert_int_equal(point_of(ours, point, sizeof point), 65);
    assert_int_equal(decipher(*state, point, 65).status_word, 0x9000);
    assert_int_equal(decipher(*state, point, 64).status_word, 0x6a80);
    point[64] ^= 1;
    assert_int_equal(decipher(*state, point, 65).status_word, 0x6a80);
    assert_int_equal(decipher(*state, (const uint8_t[]){ 0x00 }, 1).status_word, 0x6a80);
    expect(*state, "002A8086 04 A602 8600 00", 0x6a80);
    expect(*state, "002A8086 04 00010203 00", 0x6a80); /* a cryptogram of RSA */
    EVP_PKEY_free(ours);
}

/* Private key template 4D: 7F48 names the lengths of the private number 92 and, if there is one, the point 99. */
static uint16_t import(struct openpgp *card, uint16_t reference, const uint8_t *number, size_t length,
                       const uint8_t *point, size_t point_length)
{
    const uint8_t header[] = { 0x92, (uint8_t)length, 0x99, (uint8_t)point_length };
    uint8_t values[200], list_bytes[230], whole_bytes[240];
    struct tlv_writer list = { .bytes = list_bytes, .size = sizeof list_bytes };
    struct tlv_writer whole = { .bytes = whole_bytes, .size = sizeof whole_bytes };
    assert_true(length + point_length <= sizeof values);
    memcpy(values, number, length);
    if (point_length > 0)
        memcpy(values + length, point, point_length);
    tlv_put(&list, reference, NULL, 0);
    tlv_put(&list, 0x7f48, header, point_length > 0 ? 4 : 2);
    tlv_put(&list, 0x5f48, values, length + point_length);
    tlv_put(&whole, 0x4d, list_bytes, list.length);
    assert_false(list.overflow || whole.overflow);
    return say_bytes(card, "00DB3FFF", whole_bytes, whole.length).status_word;
}

/* The private number as GnuPG sends it: big-endian, also that of X25519. */
static size_t number_of(EVP_PKEY *key, const struct card_curve *curve, uint8_t *bytes, size_t size)
{
    BIGNUM *number = NULL;
    if (curve->group) {
        assert_true(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number));
        assert_true(BN_bn2binpad(number, bytes, (int)curve->bytes) > 0);
        BN_clear_free(number);
        return curve->bytes;
    }
    assert_true(EVP_PKEY_get_raw_private_key(key, bytes, &size));
    if (curve->agrees != 0) {
        number = BN_lebin2bn(bytes, (int)size, NULL);
        assert_true(BN_bn2binpad(number, bytes, (int)size) > 0);
        BN_clear_free(number);
    }
    return size;
}

static void keys_of_every_curve_are_imported(void **state)
{
    (void)state;
    for (const struct card_curve *curve = card_curves; curve < card_curves + CURVE_COUNT; curve++) {
        const unsigned slot = curve->signs ? KEY_SIGNATURE : KEY_DECRYPTION;
        uint8_t number[66], point[133];
        struct openpgp *card = new_for(curve);
        EVP_PKEY *key = new_key(curve);
        const size_t length = number_of(key, curve, number, sizeof number);
        const size_t point_length = point_of(key, point, sizeof point);
        set_curve(card, slot, curve);
        for (int with_point = 0; with_point < 2; with_point++) {
            assert_int_equal(import(card, curve->signs ? 0xb6 : 0xb8, number, length, point,
                                    with_point ? point_length : 0), 0x9000);
            const struct answer read = say(card, curve->signs ? READ_PUBLIC("B6") : READ_PUBLIC("B8"));
            EVP_PKEY *told = public_key(&read, curve);
            assert_int_equal(EVP_PKEY_eq(told, key), 1);
            EVP_PKEY_free(told);
        }
        if (curve->signs) {
            expect(card, USER_81, 0x9000);
            const struct answer signature = say(card, SIGN);
            expect_signature(&signature, curve, key);
        }
        EVP_PKEY_free(key);
        openpgp_free(card);
    }
}

/* RFC 8032 §7.1, test 1. */
static void imported_seed_makes_the_key_of_rfc_8032(void **state)
{
    uint8_t seed[32];
    parse_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed, sizeof seed);
    expect(*state, ADMIN, 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_ED25519]);
    assert_int_equal(import(*state, 0xb6, seed, sizeof seed, NULL, 0), 0x9000);
    expect_data(*state, READ_PUBLIC("B6"),
                "7F49 22 86 20 d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

static void import_refuses_a_number_that_makes_no_key(void **state)
{
    static const char ORDER[] = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551"; /* of P-256 */
    const uint8_t one = 1, zero = 0;
    uint8_t number[32] = { 0 };
    expect(*state, ADMIN, 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_P256]);
    parse_hex(ORDER, number, 32);
    assert_int_equal(import(*state, 0xb6, number, 32, NULL, 0), 0x6a80);
    assert_int_equal(import(*state, 0xb6, &zero, 1, NULL, 0), 0x6a80);
    assert_int_equal(import(*state, 0xb6, &zero, 0, NULL, 0), 0x6a80);
    assert_int_equal(import(*state, 0xb6, (const uint8_t[33]){ [32] = 1 }, 33, NULL, 0), 0x6a80);
    expect(*state, READ_PUBLIC("B6"), 0x6a88);
    assert_int_equal(import(*state, 0xb6, &one, 1, NULL, 0), 0x9000); /* leading zeros may be left out */
    expect_data(*state, READ_PUBLIC("B6"), "7F49 43 86 41 04" /* the base point */
                "6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
                "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5");
    number[31]--;
    assert_int_equal(import(*state, 0xb6, number, 32, NULL, 0), 0x9000);
}

static void digest_for_ecdsa_has_64_bytes_at_most(void **state)
{
    uint8_t digest[65] = { 1 };
    expect(*state, ADMIN, 0x9000);
    expect(*state, USER_82, 0x9000);
    set_curve(*state, KEY_AUTHENTICATION, &card_curves[CURVE_P521]);
    expect(*state, GENERATE("A4"), 0x9000);
    assert_int_equal(say_bytes(*state, "00880000", digest, 64).status_word, 0x9000);
    assert_int_equal(say_bytes(*state, "00880000", digest, 65).status_word, 0x6a80);
    set_curve(*state, KEY_AUTHENTICATION, &card_curves[CURVE_ED25519]);
    expect(*state, GENERATE("A4"), 0x9000);
    assert_int_equal(say_bytes(*state, "00880000", digest, 65).status_word, 0x9000); /* a message, not a digest */
}

static void every_algorithm_that_is_offered_can_be_set_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        struct openpgp *card = new_card(NULL, PROFILES[i]);
        struct answer answer = say(card, "00CA00FA 000000");
        struct tlv_view list, attributes;
        uint16_t tag;
        expect(card, ADMIN, 0x9000);
        if (answer.status_word == 0x9000 && tlv_find((struct tlv_view){ answer.bytes, answer.length }, 0xfa, &list))
            while (tlv_next(&list, &tag, &attributes)) {
                char header[9];
                snprintf(header, sizeof header, "00DA%04X", tag);
                assert_int_equal(say_bytes(card, header, attributes.bytes, attributes.length).status_word, 0x9000);
            }
        openpgp_free(card);
    }
    struct openpgp *start = new_card(NULL, &openpgp_gnuk);
    expect(start, ADMIN, 0x9000);
    expect(start, "00DA00C1 06 132B81040022", 0x6a80);     /* P-384 */
    expect(start, "00DA00C1 06 011000002000", 0x6a80);     /* RSA 4096 */
    expect(start, "00DA00C1 06 122B8104000A", 0x6a80);     /* ECDH for signatures */
    expect(start, "00DA00C2 06 132B8104000A", 0x6a80);     /* ECDSA for decryption */
    expect(start, "00DA00C2 0A" ED25519, 0x6a80);
    expect(start, "00DA00C1 0B" CV25519, 0x6a80);
    expect(start, "00DA00C1 09 132A8648CE3D030100", 0x6a80);
    expect(start, "00DA00C1 07 132B8104000A FE", 0x6a80);
    expect(start, "00DA00C1 07 132B8104000A FF", 0x9000);  /* import brings the public key */
    openpgp_free(start);
    struct openpgp *nitrokey_3 = new_card(NULL, &openpgp_opcard);
    expect(nitrokey_3, ADMIN, 0x9000);
    expect(nitrokey_3, "00DA00C1 06 132B8104000A", 0x6a80); /* secp256k1 */
    openpgp_free(nitrokey_3);
}

static void another_curve_deletes_the_key(void **state)
{
    expect(*state, ADMIN, 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_ED25519]);
    expect(*state, GENERATE("B6"), 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_ED25519]);
    expect(*state, READ_PUBLIC("B6"), 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_SECP256K1]);
    expect(*state, READ_PUBLIC("B6"), 0x6a88);
    expect_data(*state, "00CA00C1 00", "132B8104000A");
    expect(*state, "00DA00C1 07 132B8104000A FF", 0x9000);
    expect(*state, GENERATE("B6"), 0x9000);
    set_curve(*state, KEY_SIGNATURE, &card_curves[CURVE_SECP256K1]); /* these are other attributes, too */
    expect(*state, READ_PUBLIC("B6"), 0x6a88);
}

/* ---- touch ---- */

static void make_key(struct openpgp *card)
{
    expect(card, ADMIN, 0x9000);
    set_curve(card, KEY_SIGNATURE, &card_curves[CURVE_ED25519]);
    expect(card, GENERATE("B6"), 0x9000);
    expect(card, USER_81, 0x9000);
}

static void touch_is_off_until_the_admin_turns_it_on(void **state)
{
    make_key(*state);
    expect_data(*state, "00CA00D6 00", "0020");
    expect(*state, "00DA00D6 02 0300", 0x6a80);
    expect(*state, "00DA00D6 02 0320", 0x6a80);
    expect(*state, "00DA00D6 02 0100", 0x6a80);
    expect(*state, "00DA00D6 01 01", 0x6700);
    expect(*state, SIGN, 0x9000);
    openpgp_reset(*state);
    expect(*state, "00DA00D6 02 0120", 0x6a88);
    expect(*state, SELECT, 0x9000);
    expect(*state, "00DA00D6 02 0120", 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00D6 02 0120", 0x9000);
    expect_data(*state, "00CA00D6 00", "0120");
    expect_data(*state, "00CA00D7 00", "0020");
    expect(*state, "00DA00D6 02 0020", 0x9000);
    expect_data(*state, "00CA00D6 00", "0020");
}

static void key_waits_for_a_touch_and_then_signs(void **state)
{
    make_key(*state);
    expect(*state, "00DA00D6 02 0120", 0x9000);
    const struct answer read = say(*state, READ_PUBLIC("B6"));
    EVP_PKEY *key = public_key(&read, &card_curves[CURVE_ED25519]);
    assert_false(openpgp_waits_for_touch(*state));
    assert_int_equal(begin(*state, SIGN), OPENPGP_PRIVATE_KEY);
    assert_true(openpgp_waits_for_touch(*state));
    assert_false(openpgp_done(*state));
    openpgp_touch(*state);
    assert_false(openpgp_waits_for_touch(*state));
    const struct answer signature = finish(*state);
    expect_signature(&signature, &card_curves[CURVE_ED25519], key);
    assert_true(openpgp_done(*state));
    expect(*state, SIGN, 0x6982); /* PIN 81 is used up */
    EVP_PKEY_free(key);
}

static void untouched_key_says_no_and_can_be_asked_again(void **state)
{
    (void)state;
    static const struct { const struct openpgp_profile *profile; uint16_t status_word; } MODELS[] = {
        { &openpgp_gnuk, 0x6600 }, { &openpgp_opcard, 0x6982 }
    };
    for (size_t i = 0; i < 2; i++) {
        struct openpgp *card = new_card(NULL, MODELS[i].profile);
        make_key(card);
        expect(card, "00DA00D6 02 0120", 0x9000);
        assert_int_equal(begin(card, SIGN), OPENPGP_PRIVATE_KEY);
        openpgp_touch_timeout(card);
        assert_false(openpgp_waits_for_touch(card));
        assert_true(openpgp_done(card));
        const struct answer answer = finish(card);
        assert_int_equal(answer.status_word, MODELS[i].status_word);
        assert_int_equal(answer.length, 0);
        expect_data(card, "00CA0093 00", "000000");
        expect(card, SIGN, MODELS[i].status_word); /* finish without a touch */
        assert_int_equal(begin(card, SIGN), OPENPGP_PRIVATE_KEY);
        openpgp_touch(card);
        assert_int_equal(finish(card).status_word, 0x9000);
        openpgp_free(card);
    }
}

static void reset_ends_the_wait_for_a_touch(void **state)
{
    make_key(*state);
    expect(*state, "00DA00D6 02 0120", 0x9000);
    begin(*state, SIGN);
    openpgp_reset(*state);
    assert_false(openpgp_waits_for_touch(*state));
    assert_true(openpgp_done(*state));
    openpgp_touch(*state);
    expect(*state, SELECT, 0x9000);
    expect_data(*state, "00CA0093 00", "000000");
    begin(*state, USER_81);
    openpgp_touch(*state); /* nothing waits for them */
    openpgp_touch_timeout(*state);
    assert_int_equal(finish(*state).status_word, 0x9000);
    begin(*state, SIGN); /* the card may go away meanwhile */
}

static void each_key_waits_on_its_own_account_and_generation_never(void **state)
{
    expect(*state, ADMIN, 0x9000);
    set_curve(*state, KEY_DECRYPTION, &card_curves[CURVE_X25519]);
    set_curve(*state, KEY_AUTHENTICATION, &card_curves[CURVE_ED25519]);
    expect(*state, "00DA00D6 02 0120", 0x9000);
    expect(*state, "00DA00D8 02 0120", 0x9000);
    expect(*state, GENERATE("A4"), 0x9000);
    expect(*state, GENERATE("B8"), 0x9000);
    expect(*state, USER_82, 0x9000);
    const struct answer point = say(*state, READ_PUBLIC("B8"));
    assert_int_equal(decipher(*state, point.bytes + point.length - 32, 32).status_word, 0x9000);
    begin(*state, AUTHENTICATE);
    assert_true(openpgp_waits_for_touch(*state));
    openpgp_touch(*state);
    assert_int_equal(finish(*state).status_word, 0x9000);
    begin(*state, "00880000 00");
    assert_false(openpgp_waits_for_touch(*state)); /* what is refused does not wait */
    finish(*state);
}

static void touch_that_is_on_forever_ends_with_a_factory_reset(void **state)
{
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00D7 02 0220", 0x9000);
    expect(*state, "00DA00D7 02 0020", 0x6985);
    expect(*state, "00DA00D7 02 0120", 0x6985);
    expect_data(*state, "00CA00D7 00", "0220");
    expect(*state, "00E60000", 0x9000);
    expect(*state, "00440000", 0x9000);
    expect_data(*state, "00CA00D7 00", "0020");
}

/* ---- KDF ---- */

/* As GnuPG sets it up: salts for user, resetting code and admin, then the hashes of the factory's PINs. */
#define HASH(byte) byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte \
                   byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte
#define METHOD "810103 820108 830401E00000"
#define KDF METHOD "8408 0102030405060708 8508 1112131415161718 8608 2122232425262728" \
            "8720" HASH("AA") "8820" HASH("BB")
#define KDF_ONE_SALT METHOD "8408 0102030405060708 8720" HASH("AA") "8820" HASH("BB")
#define PUT_KDF "00DA00F9 6E" KDF
#define HASHED_USER "00200081 20" HASH("AA")
#define HASHED_ADMIN "00200083 20" HASH("BB")

static void kdf_object_makes_its_hashes_the_pins(void **state)
{
    expect_data(*state, "00CA00F9 00", "");
    expect(*state, PUT_KDF, 0x6982);
    expect(*state, ADMIN, 0x9000);
    expect(*state, "00DA00D3 08 3131323233333434", 0x9000);
    expect(*state, PUT_KDF, 0x9000);
    expect_data(*state, "00CA00F9 00", KDF);
    expect(*state, "00200083", 0x63c3); /* nothing is verified any more */
    assert_int_equal(openpgp_tries(*state).rc, 0);
    expect(*state, USER_81, 0x6982);
    expect(*state, ADMIN, 0x6982);
    expect(*state, HASHED_USER, 0x9000);
    expect(*state, HASHED_ADMIN, 0x9000);
    expect(*state, "00240081 40" HASH("AA") HASH("CC"), 0x6985); /* there are no keys */
    expect(*state, "00DA00F9 5A" KDF_ONE_SALT, 0x9000);
    expect(*state, HASHED_USER, 0x9000);
}

static void kdf_that_is_turned_off_brings_the_factory_pins_back(void **state)
{
    static const char *const OFF[] = { "00DA00F9 03 810100", "00DA00F9" };
    for (size_t i = 0; i < 2; i++) {
        expect(*state, ADMIN, 0x9000);
        expect(*state, PUT_KDF, 0x9000);
        expect(*state, HASHED_ADMIN, 0x9000);
        expect(*state, OFF[i], 0x9000);
        expect_data(*state, "00CA00F9 00", "810100");
        expect(*state, USER_81, 0x9000);
        expect(*state, HASHED_ADMIN, 0x6982);
    }
    expect(*state, ADMIN, 0x9000);
    expect(*state, PUT_KDF, 0x9000);
    expect(*state, HASHED_ADMIN, 0x9000);
    expect(*state, "00E60000", 0x9000);
    expect(*state, "00440000", 0x9000);
    expect_data(*state, "00CA00F9 00", "810100");
    expect(*state, ADMIN, 0x9000);
}

static void kdf_is_not_changed_while_there_is_a_key(void **state)
{
    make_key(*state);
    expect(*state, PUT_KDF, 0x6985);
    expect(*state, "00DA00F9 03 810100", 0x6985);
    expect(*state, ADMIN, 0x9000);
}

static void nonsense_is_no_kdf_object(void **state)
{
    static const char *const NONSENSE[] = {
        "00DA00F9 03 810103",
        "00DA00F9 03 810101",
        "00DA00F9 01 81",
        "00DA00F9 6E 810102 820108 830401E00000 8408 0102030405060708 8508 1112131415161718 8608 2122232425262728"
        "8720" HASH("AA") "8820" HASH("BB"),
        "00DA00F9 5A 810103 820109 830401E00000 8408 0102030405060708 8720" HASH("AA") "8820" HASH("BB"),
        "00DA00F9 5A 810103 82010A 830401E00000 8408 0102030405060708 8720" HASH("AA") "8820" HASH("BB"),
        "00DA00F9 38" METHOD "8408 0102030405060708 8720" HASH("AA"),
        "00DA00F9 3B" METHOD "8408 0102030405060708 8701AA 8820" HASH("BB"),
        "00DA00F9 50" METHOD "8720" HASH("AA") "8820" HASH("BB"),
    };
    expect(*state, ADMIN, 0x9000);
    for (size_t i = 0; i < sizeof NONSENSE / sizeof NONSENSE[0]; i++)
        expect(*state, NONSENSE[i], 0x6a80);
    expect(*state, ADMIN, 0x9000);
}

/* ---- the state file ---- */

static char directory[] = "/tmp/test_openpgp_models.XXXXXX";
static char path[sizeof directory + 16];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/test_openpgp_models.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/state", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void keys_kdf_and_touch_survive_a_reload(void **state)
{
    (void)state;
    for (const struct card_curve *curve = card_curves; curve < card_curves + CURVE_COUNT; curve++) {
        const bool gnuk = openpgp_gnuk.curves >> (curve - card_curves) & 1;
        const struct openpgp_profile *const profile = gnuk ? &openpgp_gnuk : &openpgp_opcard;
        const char *const generate = curve->signs ? GENERATE("B6") : GENERATE("B8");
        const char *const read = curve->signs ? READ_PUBLIC("B6") : READ_PUBLIC("B8");
        struct openpgp *card = new_card(path, profile);
        expect(card, ADMIN, 0x9000);
        expect(card, PUT_KDF, 0x9000);
        expect(card, HASHED_ADMIN, 0x9000);
        expect(card, "00DA00D6 02 0120", 0x9000);
        set_curve(card, curve->signs ? KEY_SIGNATURE : KEY_DECRYPTION, curve);
        const struct answer made = say(card, generate);
        openpgp_free(card);
        card = new_card(path, profile);
        assert_non_null(card);
        const struct answer kept = say(card, read);
        assert_int_equal(kept.status_word, 0x9000);
        assert_int_equal(kept.length, made.length);
        assert_memory_equal(kept.bytes, made.bytes, made.length);
        expect_data(card, "00CA00D6 00", "0120");
        expect_data(card, "00CA00F9 00", KDF);
        expect(card, HASHED_ADMIN, 0x9000);
        openpgp_free(card);
        unlink(path);
    }
}

/* Without the message on stderr. */
static struct openpgp *load_quietly(const struct openpgp_profile *profile)
{
    fflush(stderr);
    FILE *nowhere = fopen("/dev/null", "w");
    const int saved = dup(STDERR_FILENO);
    assert_true(nowhere && saved >= 0 && dup2(fileno(nowhere), STDERR_FILENO) >= 0);
    struct openpgp *card = new_card(path, profile);
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    fclose(nowhere);
    return card;
}

static void state_of_another_model_is_refused(void **state)
{
    (void)state;
    struct openpgp *card = new_card(path, &openpgp_gnuk);
    make_key(card);
    openpgp_free(card);
    assert_null(load_quietly(&openpgp_card_3_4));
    card = load_quietly(&openpgp_gnuk);
    assert_non_null(card);
    openpgp_free(card);
}

static void key_of_another_curve_is_refused(void **state)
{
    (void)state;
    static const char ATTRIBUTES[] = "object 193 0 132a8648ce3d030107\n", OTHER[] = "object 193 0 132b8104000a\n";
    char text[32768];
    struct openpgp *card = new_card(path, &openpgp_gnuk);
    expect(card, ADMIN, 0x9000);
    set_curve(card, KEY_SIGNATURE, &card_curves[CURVE_P256]);
    expect(card, GENERATE("B6"), 0x9000);
    openpgp_free(card);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    char *const at = strstr(text, ATTRIBUTES);
    assert_non_null(at);
    *at = '\0';
    rewind(file);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    fprintf(file, "%s%s%s", text, OTHER, at + strlen(ATTRIBUTES));
    fclose(file);
    assert_null(load_quietly(&openpgp_gnuk));
}

#define with_gnuk(test) cmocka_unit_test_setup_teardown(test, new_gnuk, free_card)
#define with_opcard(test) cmocka_unit_test_setup_teardown(test, new_opcard, free_card)
#define with_file(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

static const struct CMUnitTest TESTS[] = {
    with_gnuk(nitrokey_start_tells_what_it_is),
    with_opcard(nitrokey_3_tells_what_it_is),
    cmocka_unit_test_setup_teardown(crypto_stick_tells_what_it_is, new_card_2_1, free_card),
    cmocka_unit_test(passkey_has_no_application),
    cmocka_unit_test(card_without_a_profile_is_a_card_3_4),
    cmocka_unit_test(every_model_can_be_selected_by_its_own_name),
    cmocka_unit_test(every_model_has_the_objects_that_clients_read),
    cmocka_unit_test(every_model_keeps_a_certificate),
    with_gnuk(nitrokey_start_gives_whole_answers_whatever_le_says),
    with_gnuk(nitrokey_start_hears_nothing_before_it_is_selected),
    with_gnuk(nitrokey_start_forgets_pins_when_its_application_ends_and_not_when_it_is_killed),
    with_gnuk(nitrokey_start_loses_an_object_that_is_overwritten_by_one_too_long),
    with_gnuk(nitrokey_start_whose_user_pin_is_changed_first_has_no_admin_pin_of_its_own),
    with_gnuk(nitrokey_start_terminated_waits_for_activate_file),
    cmocka_unit_test(keys_of_every_curve_are_generated_and_sign),
    cmocka_unit_test(keys_of_every_curve_agree_with_the_other_side),
    with_gnuk(point_on_curve25519_may_have_the_prefix_of_gnupg),
    with_opcard(point_that_is_not_on_the_curve_is_refused),
    cmocka_unit_test(keys_of_every_curve_are_imported),
    with_gnuk(imported_seed_makes_the_key_of_rfc_8032),
    with_opcard(import_refuses_a_number_that_makes_no_key),
    with_opcard(digest_for_ecdsa_has_64_bytes_at_most),
    cmocka_unit_test(every_algorithm_that_is_offered_can_be_set_and_no_other),
    with_gnuk(another_curve_deletes_the_key),
    with_gnuk(touch_is_off_until_the_admin_turns_it_on),
    with_gnuk(key_waits_for_a_touch_and_then_signs),
    cmocka_unit_test(untouched_key_says_no_and_can_be_asked_again),
    with_gnuk(reset_ends_the_wait_for_a_touch),
    with_opcard(each_key_waits_on_its_own_account_and_generation_never),
    with_gnuk(touch_that_is_on_forever_ends_with_a_factory_reset),
    with_gnuk(kdf_object_makes_its_hashes_the_pins),
    with_opcard(kdf_that_is_turned_off_brings_the_factory_pins_back),
    with_gnuk(kdf_is_not_changed_while_there_is_a_key),
    with_opcard(nonsense_is_no_kdf_object),
    with_file(keys_kdf_and_touch_survive_a_reload),
    with_file(state_of_another_model_is_refused),
    with_file(key_of_another_curve_is_refused),
};

int main(void)
{
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
