/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_properties.c - what pcscd and programs ask about the reader: capabilities, part 10 features, attributes. */
#include "bench.h"
#include <string.h>
#include <PCSC/reader.h>

static int set_up(void **state)
{
    struct bench *b = bench_new(NULL);
    bench_start(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench_free(*state);
    return 0;
}

/* ---- capabilities ---- */

static void is_byte(DWORD tag, UCHAR expected)
{
    UCHAR value[8] = { 0xee };
    DWORD length = 1;
    assert_int_equal(IFDHGetCapabilities(LUN, tag, &length, value), IFD_SUCCESS);
    assert_int_equal(length, 1);
    assert_int_equal(value[0], expected);
}

static void pcscd_may_use_many_readers_at_once_from_many_threads(void **state)
{
    (void)state;
    UCHAR value = 0;
    DWORD length = 1;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_SIMULTANEOUS_ACCESS, &length, &value), IFD_SUCCESS);
    assert_true(value >= 16);
    is_byte(TAG_IFD_THREAD_SAFE, 1);
    is_byte(TAG_IFD_SLOTS_NUMBER, 1);
    is_byte(TAG_IFD_POLLING_THREAD_KILLABLE, 0);
    is_byte(TAG_IFD_DEVICE_REMOVED, 0);
}

static void a_buffer_that_is_too_small_is_told(void **state)
{
    (void)state;
    UCHAR value[8];
    DWORD length = sizeof(void *) - 1;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, value), IFD_ERROR_INSUFFICIENT_BUFFER);
    length = 5;
    assert_int_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_ATR_STRING, &length, value), IFD_ERROR_INSUFFICIENT_BUFFER);
}

/* What pcscd asks for passes through SCardGetAttrib, too: a client could learn where pcscd's memory is. Where it stops a
 * poll pcscd asks for again and again. */
static void the_polling_function_is_told_once_after_each_opening(void **state)
{
    struct bench *b = *state;
    void *function = NULL, *again = NULL;
    DWORD length = sizeof function;
    for (int i = 0; i < 2; i++) {
        bench_stop(b);
        bench_start(b);
        length = sizeof function - 1;
        assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&function),
                         IFD_ERROR_INSUFFICIENT_BUFFER);
        length = sizeof function;
        assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&function),
                         IFD_SUCCESS);
        assert_int_equal(length, sizeof function);
        assert_non_null(function);
        assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&again),
                         IFD_ERROR_TAG);
        assert_null(again);
        for (int k = 0; k < 3; k++)
            assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&function),
                             IFD_SUCCESS);
    }
}

static void nothing_can_be_set(void **state)
{
    (void)state;
    UCHAR removed = 1;
    assert_int_equal(IFDHSetCapabilities(LUN, TAG_IFD_DEVICE_REMOVED, 1, &removed), IFD_ERROR_TAG);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
}

/* ---- attributes ---- */

static void attribute_is(DWORD tag, const void *expected, size_t expected_length)
{
    UCHAR value[264];
    DWORD length = sizeof value;
    assert_int_equal(IFDHGetCapabilities(LUN, tag, &length, value), IFD_SUCCESS);
    assert_int_equal(length, expected_length);
    assert_memory_equal(value, expected, expected_length);
}

static void attributes_are_those_that_programs_know_from_libccid(void **state)
{
    struct bench *b = *state;
    const uint32_t version = 0x01010000, channel = 0x00200102, longest = 271 - 10;
    attribute_is(SCARD_ATTR_ATR_STRING, b->device->identity->atr, b->device->identity->atr_len);
    attribute_is(SCARD_ATTR_ICC_PRESENCE, "\2", 1);
    attribute_is(SCARD_ATTR_ICC_INTERFACE_STATUS, "\1", 1);
    attribute_is(SCARD_ATTR_VENDOR_NAME, "Nitrokey", 9); /* with the NUL */
    attribute_is(SCARD_ATTR_VENDOR_IFD_SERIAL_NO, "000000000000000012345678", 25);
    attribute_is(SCARD_ATTR_VENDOR_IFD_VERSION, &version, sizeof version);
    attribute_is(SCARD_ATTR_CHANNEL_ID, &channel, sizeof channel);
    attribute_is(SCARD_ATTR_MAXINPUT, &longest, sizeof longest);
}

static void an_attribute_that_pcscd_answers_itself_leaves_it_the_room(void **state)
{
    (void)state;
    UCHAR value[264];
    DWORD length = sizeof value;
    assert_int_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_DEVICE_FRIENDLY_NAME, &length, value), IFD_ERROR_TAG);
    assert_int_equal(length, sizeof value);
}

static void without_power_there_is_no_atr(void **state)
{
    (void)state;
    UCHAR value[264];
    DWORD length = sizeof value;
    assert_int_equal(bench_power(IFD_POWER_DOWN), IFD_SUCCESS);
    assert_int_not_equal(IFDHGetCapabilities(LUN, SCARD_ATTR_ATR_STRING, &length, value), IFD_SUCCESS);
    attribute_is(SCARD_ATTR_ICC_INTERFACE_STATUS, "\0", 1);
}

/* ---- part 10 ---- */

static DWORD control(DWORD code, UCHAR *answer, DWORD size)
{
    DWORD length = 0;
    assert_int_equal(IFDHControl(LUN, code, NULL, 0, answer, size, &length), IFD_SUCCESS);
    return length;
}

static const UCHAR *property(const UCHAR *properties, DWORD length, UCHAR tag, UCHAR expected_length)
{
    for (DWORD i = 0; i + 2 <= length; i += 2u + properties[i + 1])
        if (properties[i] == tag) {
            assert_int_equal(properties[i + 1], expected_length);
            assert_true(i + 2 + expected_length <= length);
            return properties + i + 2;
        }
    fail_msg("there is no property %u", tag);
    return NULL;
}

static void the_list_of_features_leads_to_the_properties(void **state)
{
    (void)state;
    UCHAR list[256], answer[256];
    const DWORD length = control(CM_IOCTL_GET_FEATURE_REQUEST, list, sizeof list);
    assert_int_equal(length, 6); /* one feature; no PIN pad */
    assert_int_equal(control(0x313520, answer, sizeof answer), length); /* as Windows numbers the request */
    assert_memory_equal(answer, list, length);
    assert_int_equal(list[0], FEATURE_GET_TLV_PROPERTIES);
    assert_int_equal(list[1], 4);
    const DWORD code = (DWORD)list[2] << 24 | (DWORD)list[3] << 16 | (DWORD)list[4] << 8 | list[5];
    const DWORD found = control(code, answer, sizeof answer);
    assert_memory_equal(property(answer, found, PCSCv2_PART10_PROPERTY_dwMaxAPDUDataSize, 4), "\x00\x00\x01\x00", 4);
    assert_memory_equal(property(answer, found, PCSCv2_PART10_PROPERTY_wIdVendor, 2), "\xa0\x20", 2);
    assert_memory_equal(property(answer, found, PCSCv2_PART10_PROPERTY_wIdProduct, 2), "\x08\x41", 2);
}

static void a_control_code_that_is_not_known_is_refused(void **state)
{
    (void)state;
    UCHAR answer[16];
    DWORD length = 7;
    assert_int_equal(IFDHControl(LUN, SCARD_CTL_CODE(1), answer, 1, answer, sizeof answer, &length),
                     IFD_ERROR_NOT_SUPPORTED); /* escapes */
    assert_int_equal(length, 0);
    assert_int_equal(IFDHControl(LUN, CM_IOCTL_GET_FEATURE_REQUEST, NULL, 0, answer, 3, &length),
                     IFD_ERROR_INSUFFICIENT_BUFFER);
    assert_int_equal(length, 0);
}

static void asking_sends_nothing_to_the_card(void **state)
{
    struct bench *b = *state;
    UCHAR answer[264];
    const struct host_statistics before = virtual_statistics(b->slot);
    for (DWORD tag = 0; tag < 0x400; tag++) {
        DWORD length = sizeof answer;
        (void)IFDHGetCapabilities(LUN, 0x00090000 + tag, &length, answer);
    }
    control(CM_IOCTL_GET_FEATURE_REQUEST, answer, sizeof answer);
    const struct host_statistics after = virtual_statistics(b->slot);
    assert_int_equal(after.bulk_out, before.bulk_out);
    assert_int_equal(after.bulk_in, before.bulk_in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pcscd_may_use_many_readers_at_once_from_many_threads),
        TEST(a_buffer_that_is_too_small_is_told),
        TEST(the_polling_function_is_told_once_after_each_opening),
        TEST(nothing_can_be_set),
        TEST(attributes_are_those_that_programs_know_from_libccid),
        TEST(an_attribute_that_pcscd_answers_itself_leaves_it_the_room),
        TEST(without_power_there_is_no_atr),
        TEST(the_list_of_features_leads_to_the_properties),
        TEST(a_control_code_that_is_not_known_is_refused),
        TEST(asking_sends_nothing_to_the_card),
    };
    return cmocka_run_group_tests_name("properties", tests, NULL, NULL);
}
