/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_model.c - what the driver knows of a model is what readers/ says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "model.h"

static void the_nitrokey_pro_is_known(void **state)
{
    (void)state;
    const struct model *pro = model_find(0x20a0, 0x4108);
    assert_non_null(pro);
    assert_string_equal(pro->name, "Nitrokey Nitrokey Pro");
    assert_int_equal(pro->ifsd, 254);
}

static void each_model_has_the_name_that_users_know_from_libccid(void **state)
{
    (void)state;
    assert_string_equal(model_find(0x20a0, 0x4107)->name, "German Privacy Foundation Crypto Stick v1.2");
    assert_string_equal(model_find(0x20a0, 0x4109)->name, "Nitrokey Nitrokey Storage");
    assert_string_equal(model_find(0x20a0, 0x4230)->name, "Nitrokey Nitrokey HSM");
    assert_string_equal(model_find(0x316d, 0x4c4b)->name, "Purism, SPC Librem Key");
}

static void the_storages_blocks_stay_as_its_firmware_needs_them(void **state)
{
    (void)state;
    assert_int_equal(model_find(0x20a0, 0x4109)->ifsd, 32);
    assert_true(model_is_mute_answer(model_find(0x20a0, 0x4109), (const uint8_t *)"", 0));
}

static void other_devices_are_not(void **state)
{
    (void)state;
    assert_null(model_find(0x20a0, 0x42b4)); /* the Pro's bootloader */
    assert_null(model_find(0x20a0, 0));
    assert_null(model_find(0, 0x4108));
}

static void their_vendor_is_told(void **state)
{
    (void)state;
    assert_int_equal(model_main_vendor(), 0x20a0);
}

static void the_firmwares_word_for_a_silent_card_is_known_and_nothing_like_it(void **state)
{
    (void)state;
    const struct model *pro = model_find(0x20a0, 0x4108);
    assert_true(model_is_mute_answer(pro, (const uint8_t *)"\xa5\xa5", 2));
    assert_false(model_is_mute_answer(pro, (const uint8_t *)"\xa5\xa5\xa5", 3));
    assert_false(model_is_mute_answer(pro, (const uint8_t *)"\xa5", 1));
    assert_false(model_is_mute_answer(pro, (const uint8_t *)"\x90\x00", 2));
    assert_false(model_is_mute_answer(pro, (const uint8_t *)"", 0));
}

static void a_model_without_such_a_word_has_none(void **state)
{
    (void)state;
    const struct model none = { .has_mute_answer = false };
    const struct model empty_block = { .has_mute_answer = true, .mute_answer_len = 0 };
    assert_false(model_is_mute_answer(&none, (const uint8_t *)"", 0));
    assert_true(model_is_mute_answer(&empty_block, (const uint8_t *)"", 0));
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_nitrokey_pro_is_known),
        TEST(each_model_has_the_name_that_users_know_from_libccid),
        TEST(the_storages_blocks_stay_as_its_firmware_needs_them),
        TEST(other_devices_are_not),
        TEST(their_vendor_is_told),
        TEST(the_firmwares_word_for_a_silent_card_is_known_and_nothing_like_it),
        TEST(a_model_without_such_a_word_has_none),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
