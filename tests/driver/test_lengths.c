/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_lengths.c - answers of every length take the time of their neighbours, whatever packets they fill. */
#include "bench.h"
#include <stdlib.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "libusb_virtual.h"

#define ONE_PACKET 52 /* bytes and a status word that make a message of 64 */

static char apdu[4096];

/* Data of so many bytes for an APDU, 00, 01 ... FF, 00 ... */
static const char *with_data(const char *header, size_t length)
{
    size_t at = (size_t)snprintf(apdu, sizeof apdu, length < 256 ? "%s %02zX " : "%s 00%04zX ", header, length);
    for (size_t i = 0; i < length; i++)
        at += (size_t)snprintf(apdu + at, sizeof apdu - at, "%02X", (unsigned)(i & 0xff));
    return apdu;
}

static struct bench *started(void)
{
    struct bench *b = bench_new(&(struct icc_timing){ .work_us = SECOND });
    bench_start(b);
    bench_expect(b, SELECT, 0x9000);
    bench_expect(b, VERIFY_ADMIN, 0x9000);
    bench_expect(b, VERIFY_USER, 0x9000);
    bench_expect(b, "00200082 06 313233343536", 0x9000);
    return b;
}

static bool has(struct bench *b, const char *get)
{
    const struct answer answer = bench_transmit(b, get);
    assert_int_equal(answer.code, IFD_SUCCESS);
    return answer.status_word == 0x9000;
}

/* ---- what the bus sees ---- */

static struct traffic {
    size_t in, out;
} traffic;

static void count(void *context, enum libusb_virtual_event event, const uint8_t *bytes, size_t length)
{
    (void)context, (void)bytes, (void)length;
    traffic.in += event != TAP_SENT;
    traffic.out += event == TAP_SENT;
}

static struct answer counted(struct bench *b, const char *get)
{
    traffic = (struct traffic){ 0, 0 };
    libusb_virtual_listen(count, NULL);
    const struct answer answer = bench_expect(b, get, 0x9000);
    libusb_virtual_listen(NULL, NULL);
    return answer;
}

/* ---- tests ---- */

/* Writes and reads an object of each length; no answer takes much longer than the one before. */
static void all_lengths(struct bench *b, const char *put, const char *get, size_t from, size_t to)
{
    int64_t before = 0;
    for (size_t length = from; length <= to; length++) {
        bench_expect(b, with_data(put, length), 0x9000);
        const struct answer got = bench_expect(b, get, 0x9000);
        assert_int_equal(got.length, length + 2);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(got.bytes[i], i & 0xff);
        assert_true(got.took_us < 3 * SECOND);
        if (before > 0)
            assert_true(got.took_us < before + before / 2 + 20 * MS);
        before = got.took_us;
    }
}

static void url_login_and_private_objects_of_all_lengths_are_read_in_the_time_of_their_neighbours(void **state)
{
    static const char *const OBJECTS[][2] = {
        { "00DA5F50", "00CA5F50 00" }, { "00DA005E", "00CA005E 00" }, { "00DA0101", "00CA0101 00" },
        { "00DA0102", "00CA0102 00" }, { "00DA0103", "00CA0103 00" }, { "00DA0104", "00CA0104 00" },
    };
    (void)state;
    struct bench *b = started();
    for (size_t i = 0; i < sizeof OBJECTS / sizeof OBJECTS[0]; i++)
        if (has(b, OBJECTS[i][1]))
            all_lengths(b, OBJECTS[i][0], OBJECTS[i][1], ONE_PACKET - 2, ONE_PACKET + 66);
    bench_free(b);
}

static void certificates_of_all_lengths_modulo_256_are_read_in_the_time_of_their_neighbours(void **state)
{
    (void)state;
    struct bench *b = started();
    all_lengths(b, "00DA7F21", "00CA7F21 000000", 1, 256 + 64);
    bench_free(b);
}

/* The key that READ PUBLIC KEY tells: 7F49 82.... 81 82.... modulus 82 03 exponent. */
static EVP_PKEY *public_key(const struct answer *read)
{
    const uint8_t *at = read->bytes + 5;
    assert_int_equal(at[0], 0x81);
    assert_int_equal(at[1], 0x82);
    const size_t length = (size_t)(at[2] << 8 | at[3]);
    BIGNUM *const n = BN_bin2bn(at + 4, (int)length, NULL), *const e = BN_bin2bn(at + 4 + length + 2, at[5 + length],
                                                                                NULL);
    OSSL_PARAM_BLD *const build = OSSL_PARAM_BLD_new();
    assert_true(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) > 0);
    assert_true(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) > 0);
    OSSL_PARAM *const parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *const context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_true(EVP_PKEY_fromdata_init(context) > 0);
    assert_true(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) > 0);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static const char *decipher(EVP_PKEY *key, const uint8_t *text, size_t text_length)
{
    uint8_t cryptogram[512];
    size_t length = sizeof cryptogram;
    EVP_PKEY_CTX *const context = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_encrypt_init(context) > 0);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0);
    assert_true(EVP_PKEY_encrypt(context, cryptogram, &length, text, text_length) > 0);
    EVP_PKEY_CTX_free(context);
    size_t at = (size_t)snprintf(apdu, sizeof apdu, "002A8086 00%04zX 00", length + 1);
    for (size_t i = 0; i < length; i++)
        at += (size_t)snprintf(apdu + at, sizeof apdu - at, "%02X", cryptogram[i]);
    (void)snprintf(apdu + at, sizeof apdu - at, "0000");
    return apdu;
}

static void a_deciphered_text_of_any_length_comes_in_the_time_of_its_neighbours(void **state)
{
    static const uint8_t TEXT[128] = { 0x5a };
    (void)state;
    struct bench *b = started();
    const struct answer read = bench_expect(b, GENERATE_DECRYPTION_KEY, 0x9000);
    EVP_PKEY *const key = public_key(&read);
    for (size_t length = ONE_PACKET - 2; length <= ONE_PACKET + 2; length++) {
        const struct answer got = bench_expect(b, decipher(key, TEXT, length), 0x9000);
        assert_int_equal(got.length, length + 2);
        assert_memory_equal(got.bytes, TEXT, length);
        assert_true(got.took_us < 3 * SECOND);
    }
    EVP_PKEY_free(key);
    bench_free(b);
}

/* At short APDU level one transfer brings a message of up to a packet, two a longer one. */
static void no_more_transfers_are_made_than_needed(void **state)
{
    (void)state;
    struct bench *b = started();
    bench_expect(b, "00DA5F50 01 00", 0x9000);
    (void)counted(b, "00CA5F50 00");
    const size_t in = traffic.in;
    assert_in_range(in, 1, 2); /* with the extension that comes at once */
    assert_int_equal(traffic.out, 1);
    for (size_t length = 2; length <= 250; length++) {
        bench_expect(b, with_data("00DA5F50", length), 0x9000);
        (void)counted(b, "00CA5F50 00");
        assert_int_equal(traffic.in, length <= ONE_PACKET ? in : in + 1);
        assert_int_equal(traffic.out, 1);
    }
    bench_free(b);
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        TEST(url_login_and_private_objects_of_all_lengths_are_read_in_the_time_of_their_neighbours),
        TEST(certificates_of_all_lengths_modulo_256_are_read_in_the_time_of_their_neighbours),
        TEST(a_deciphered_text_of_any_length_comes_in_the_time_of_its_neighbours),
        TEST(no_more_transfers_are_made_than_needed),
    };
    bench_choose(argc, argv);
    if (argc > 1 && (strncmp(argv[1], "nitrokey-start", 14) != 0 && strcmp(argv[1], "gnuk") != 0))
        cmocka_set_skip_filter("no_more_*"); /* of others test_levels.c tells */
    return cmocka_run_group_tests_name("lengths", tests, NULL, NULL);
}
