/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_ready_keys.c - the RSA keys that the driver's tests do not wait for are keys, and each is another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "card_rsa.h"

#define KEYS_MAX 64

/* There are primes * primes keys; to check each prime once, it is enough to check every (primes + 1)th of them. */
static void check_keys(unsigned bits, unsigned primes)
{
    const unsigned count = primes * primes;
    EVP_PKEY *key[KEYS_MAX];
    for (unsigned i = 0; i < count; i++) {
        key[i] = card_rsa_generate(bits, NULL, NULL);
        assert_non_null(key[i]);
        assert_int_equal(EVP_PKEY_get_bits(key[i]), bits);
        for (unsigned j = 0; j < i; j++)
            assert_int_equal(EVP_PKEY_eq(key[i], key[j]), 0);
    }
    for (unsigned i = 0; i < count; i += primes + 1) {
        EVP_PKEY_CTX *const ctx = EVP_PKEY_CTX_new(key[i], NULL);
        assert_int_equal(EVP_PKEY_check(ctx), 1); /* its numbers belong together, and p and q are primes */
        EVP_PKEY_CTX_free(ctx);
    }
    assert_null(card_rsa_generate(bits, NULL, NULL));
    for (unsigned i = 0; i < count; i++)
        EVP_PKEY_free(key[i]);
}

static void keys_of_2048_bits_are_keys_and_all_different(void **state)
{
    (void)state;
    check_keys(2048, 8);
}

static void keys_of_4096_bits_are_keys_and_all_different(void **state)
{
    (void)state;
    check_keys(4096, 2);
}

static void of_another_length_there_is_none(void **state)
{
    (void)state;
    assert_null(card_rsa_generate(1024, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_2048_bits_are_keys_and_all_different),
        cmocka_unit_test(keys_of_4096_bits_are_keys_and_all_different),
        cmocka_unit_test(of_another_length_there_is_none),
    };
    return cmocka_run_group_tests_name("ready_keys", tests, NULL, NULL);
}
