/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_arguments.c - whatever the entry points are given, no pointer, no such reader, no room: they say no. */
#include "bench.h"
#include <string.h>

#define NOBODY 77 /* a Lun that was never opened */

static void without_a_pointer_nothing_is_done(void **state)
{
    (void)state;
    UCHAR bytes[33] = { 0x00, 0xa4, 0x04, 0x00 };
    DWORD length = sizeof bytes;
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    struct bench *b = bench_new(NULL);
    bench_start(b);
    assert_int_equal(IFDHCreateChannelByName(1 << 16, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_ATR, NULL, bytes), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_ATR, &length, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHTransmitToICC(LUN, pci, NULL, 4, bytes, &length, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHTransmitToICC(LUN, pci, bytes, 4, NULL, &length, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHTransmitToICC(LUN, pci, bytes, 4, bytes, NULL, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHControl(LUN, 0x42000d48, NULL, 0, bytes, sizeof bytes, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHPowerICC(LUN, IFD_POWER_DOWN, NULL, NULL), IFD_SUCCESS);
    assert_int_equal(IFDHPowerICC(LUN, IFD_POWER_UP, NULL, NULL), IFD_ERROR_INSUFFICIENT_BUFFER);
    bench_works(b);
    bench_free(b);
}

static void a_reader_that_is_not_open_does_nothing(void **state)
{
    (void)state;
    RESPONSECODE (*poll)(DWORD, int);
    RESPONSECODE (*stop)(DWORD);
    UCHAR bytes[33] = { 0x00, 0xa4, 0x04, 0x00 };
    DWORD length = sizeof bytes;
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    assert_int_equal(IFDHCloseChannel(NOBODY), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHICCPresence(NOBODY), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHPowerICC(NOBODY, IFD_POWER_UP, bytes, &length), IFD_COMMUNICATION_ERROR);
    assert_int_equal(length, 0);
    length = sizeof bytes;
    assert_int_equal(IFDHTransmitToICC(NOBODY, pci, bytes, 4, bytes, &length, NULL), IFD_COMMUNICATION_ERROR);
    assert_int_equal(length, 0);
    assert_int_equal(IFDHControl(NOBODY, 0x42000d48, NULL, 0, bytes, sizeof bytes, &length), IFD_COMMUNICATION_ERROR);
    length = sizeof bytes;
    assert_int_equal(IFDHGetCapabilities(NOBODY, TAG_IFD_ATR, &length, bytes), IFD_COMMUNICATION_ERROR);
    assert_int_equal(IFDHSetProtocolParameters(NOBODY, SCARD_PROTOCOL_T1, 0, 0, 0, 0), IFD_COMMUNICATION_ERROR);
    length = sizeof poll;
    assert_int_equal(IFDHGetCapabilities(NOBODY, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&poll),
                     IFD_COMMUNICATION_ERROR);
    struct bench *b = bench_new(NULL);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&poll), IFD_SUCCESS);
    bench_free(b);
    assert_int_equal(IFDHGetCapabilities(NOBODY, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&stop), IFD_SUCCESS);
    assert_int_equal(poll(NOBODY, 0), IFD_COMMUNICATION_ERROR);
    assert_int_equal(stop(NOBODY), IFD_COMMUNICATION_ERROR);
}

static void what_a_key_cannot_do_is_refused(void **state)
{
    (void)state;
    UCHAR bytes[33] = { 0x00, 0xa4, 0x04, 0x00 };
    DWORD length = sizeof bytes;
    const SCARD_IO_HEADER t0 = { .Protocol = 0, .Length = sizeof t0 };
    struct bench *b = bench_new(NULL);
    bench_start(b);
    assert_int_equal(IFDHCreateChannel(LUN, 0x0103f8), IFD_COMMUNICATION_ERROR); /* a serial port */
    assert_int_equal(IFDHPowerICC(LUN, 12345, bytes, &length), IFD_NOT_SUPPORTED);
    length = sizeof bytes;
    assert_int_equal(IFDHTransmitToICC(LUN, t0, bytes, 4, bytes, &length, NULL), IFD_PROTOCOL_NOT_SUPPORTED);
    assert_int_equal(length, 0);
    assert_int_equal(IFDHSetProtocolParameters(LUN, SCARD_PROTOCOL_T0, 0, 0, 0, 0), IFD_PROTOCOL_NOT_SUPPORTED);
    assert_int_equal(IFDHSetCapabilities(LUN, TAG_IFD_ATR, 1, bytes), IFD_ERROR_TAG);
    length = sizeof bytes;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_SLOT_THREAD_SAFE, &length, bytes), IFD_SUCCESS);
    assert_int_equal(bytes[0], 0);
    bytes[0] = 7;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_KILLABLE, &length, bytes), IFD_SUCCESS);
    assert_int_equal(bytes[0], 0); /* it holds what must be given back */
    length = 3;
    assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_ATR, &length, bytes), IFD_ERROR_INSUFFICIENT_BUFFER);
    assert_int_equal(bench_transmit(b, "00A4").code, IFD_ERROR_NOT_SUPPORTED); /* no APDU */
    assert_int_equal(IFDHControl(LUN, 0x42000d48, NULL, 0, bytes, 2, &length), IFD_ERROR_INSUFFICIENT_BUFFER);
    assert_int_equal(length, 0);
    bench_works(b);
    bench_free(b);
}

static void an_atr_without_room_for_it_is_not_written(void **state)
{
    (void)state;
    UCHAR atr[33] = { 0 };
    DWORD length = 4;
    struct bench *b = bench_new(NULL);
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHPowerICC(LUN, IFD_POWER_UP, atr, &length), IFD_ERROR_INSUFFICIENT_BUFFER);
    assert_int_equal(length, 0);
    assert_int_equal(atr[0], 0);
    bench_free(b);
}

static void an_answer_says_by_which_protocol_it_came(void **state)
{
    (void)state;
    UCHAR apdu[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 }, bytes[300];
    DWORD length = sizeof bytes;
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    SCARD_IO_HEADER got = { .Protocol = 99 };
    struct bench *b = bench_new(NULL);
    bench_start(b);
    bench_will_execute("00CA00C400");
    assert_int_equal(IFDHTransmitToICC(LUN, pci, apdu, sizeof apdu, bytes, &length, &got), IFD_SUCCESS);
    assert_int_equal(got.Protocol, 1);
    bench_free(b);
}

/* Nor does any say that the key cannot do it, or nobody would look for another. */
static void of_a_key_that_is_gone_nothing_is_told_but_that(void **state)
{
    (void)state;
    static const DWORD CODES[] = { 0x42000d48, 0x42330012, 0x12345678 };
    UCHAR bytes[300];
    DWORD length;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    virtual_unplug(b->slot);
    assert_int_equal(bench_transmit(b, GET_AID).code, IFD_COMMUNICATION_ERROR);
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        length = 1;
        assert_int_equal(IFDHControl(LUN, CODES[i], NULL, 0, bytes, sizeof bytes, &length), IFD_COMMUNICATION_ERROR);
        assert_int_equal(length, 0);
    }
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR);
    assert_int_equal(bench_power(IFD_RESET), IFD_COMMUNICATION_ERROR);
    bench_free(b);
}

static void a_lun_is_given_once(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL);
    bench_start(b);
    assert_int_not_equal(bench_open(), IFD_SUCCESS);
    bench_works(b);
    bench_stop(b);
    assert_int_equal(IFDHICCPresence(LUN), IFD_COMMUNICATION_ERROR);
    bench_free(b);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_pointer_nothing_is_done),
        cmocka_unit_test(a_reader_that_is_not_open_does_nothing),
        cmocka_unit_test(what_a_key_cannot_do_is_refused),
        cmocka_unit_test(an_atr_without_room_for_it_is_not_written),
        cmocka_unit_test(an_answer_says_by_which_protocol_it_came),
        cmocka_unit_test(of_a_key_that_is_gone_nothing_is_told_but_that),
        cmocka_unit_test(a_lun_is_given_once),
    };
    bench_choose(argc, argv);
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
