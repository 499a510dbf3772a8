/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_injection.c - whatever call of libusb or of the C library fails: no crash, no leak, no hang, one of the codes
 * that pcscd may be told, and a key that serves again.
 *
 * A scenario is what a client and pcscd do with a key. It is played once to count the calls that can fail, and then
 * once for each of them and each way to fail.
 */
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libusb_virtual.h"

#define PCSC_FEATURE_REQUEST 0x42000d48
#define ATTR_SERIAL 0x00010103
#define LONGEST (11 * MINUTE) /* the total of the commands below, and what is done after it */

static size_t played, failures;

/* What is being played, to be told when it goes wrong. */
static struct {
    size_t n;
    int error;
    bool all_after;
    const char *function;
} now;

static void note_culprit(void)
{
    if (libusb_virtual_failed())
        now.function = libusb_virtual_failed();
}

/* ---- what pcscd may be told ---- */

static void allowed(const char *what, RESPONSECODE code, const RESPONSECODE *codes)
{
    for (; *codes >= 0; codes++)
        if (code == *codes)
            return;
    note_culprit();
    fail_msg("%s returned %ld when %s, call %zu, failed (%d)", what, (long)code, now.function, now.n, now.error);
}

#define ALLOWED(what, code, ...) allowed(what, code, (const RESPONSECODE[]){ __VA_ARGS__, -1 })

static RESPONSECODE name_it(struct bench *b, bool by_node)
{
    const uint8_t *const d = b->device->identity->device;
    char name[128];
    snprintf(name, sizeof name, "usb:%02x%02x/%02x%02x:libusb-1.0:1:2:%u", d[9], d[8], d[11], d[10],
             b->device->identity->ccid_interface);
    return by_node ? bench_open() : IFDHCreateChannelByName(LUN, name);
}

/* 617 would make pcscd forget the key for good. */
static bool opens(struct bench *b, bool by_node)
{
    const int64_t begun = virtual_now_us(b->slot);
    const RESPONSECODE code = name_it(b, by_node);
    ALLOWED("CreateChannel", code, IFD_SUCCESS, IFD_COMMUNICATION_ERROR);
    assert_true(virtual_now_us(b->slot) - begun <= 10 * SECOND);
    if (code != IFD_SUCCESS)
        assert_int_equal(virtual_open_ports(), 0); /* pcscd calls no close then */
    return code == IFD_SUCCESS;
}

static void powers(struct bench *b, DWORD action)
{
    (void)b;
    ALLOWED("PowerICC", bench_power(action), IFD_SUCCESS, IFD_COMMUNICATION_ERROR, IFD_ERROR_POWER_ACTION);
}

static void sends(struct bench *b, const char *apdu)
{
    const struct answer answer = bench_transmit(b, apdu);
    ALLOWED("Transmit", answer.code, IFD_SUCCESS, IFD_COMMUNICATION_ERROR, IFD_RESPONSE_TIMEOUT);
    assert_true(answer.took_us <= LONGEST);
}

static void asks(void)
{
    UCHAR value[264];
    DWORD length = sizeof value;
    ALLOWED("Control", IFDHControl(LUN, PCSC_FEATURE_REQUEST, NULL, 0, value, sizeof value, &length), IFD_SUCCESS,
            IFD_COMMUNICATION_ERROR);
    length = sizeof value;
    ALLOWED("GetCapabilities", IFDHGetCapabilities(LUN, ATTR_SERIAL, &length, value), IFD_SUCCESS, IFD_ERROR_TAG,
            IFD_COMMUNICATION_ERROR);
    ALLOWED("ICCPresence", IFDHICCPresence(LUN), IFD_ICC_PRESENT, IFD_ICC_NOT_PRESENT, IFD_COMMUNICATION_ERROR);
}

/* ---- scenarios ---- */

static void a_session(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    sends(b, SELECT);
    sends(b, VERIFY_USER);
    sends(b, "00CA006E 000000");
    asks();
    powers(b, IFD_RESET);
    sends(b, GET_AID);
    powers(b, IFD_POWER_DOWN);
}

static void an_open_without_a_node(struct bench *b)
{
    if (opens(b, false))
        powers(b, IFD_POWER_UP);
}

static void long_commands(struct bench *b)
{
    char put[32 + 2 * 500] = "00DA0103 0001F4 ";
    for (int i = 0; i < 500; i++)
        strcat(put, "A5");
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    sends(b, put);
    sends(b, "00CA0103 000000");
}

static void a_generation_that_people_watch(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    sends(b, GENERATE_SIGNATURE_KEY); /* without the PIN: refused, but a command of its class */
}

static void answers_that_do_not_come(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    b->device->faults.answer = ANSWER_SWALLOWED;
    b->device->faults.answers = 1;
    sends(b, GET_AID);
    for (int i = 0; i < 8; i++)
        sends(b, GET_AID);
}

static void a_key_that_hears_nothing(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    b->device->faults.frozen = true;
    sends(b, GET_AID);
    b->device->faults.frozen = false;
    sends(b, GET_AID);
}

static void halted_endpoints(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    device_halt(b->device, b->device->identity->bulk_in);
    sends(b, SELECT);
    device_halt(b->device, b->device->identity->bulk_out);
    sends(b, SELECT);
    sends(b, GET_AID);
}

static void nonsense(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    for (enum answer_fault fault = ANSWER_WRONG_SEQUENCE; fault <= ANSWER_REPEATED; fault++) {
        if (fault == ANSWER_SWALLOWED)
            continue;
        b->device->faults.answer = fault;
        b->device->faults.answers = 1;
        sends(b, GET_AID);
        (void)bench_event_thread();
    }
}

static void an_unplug_in_the_middle(struct bench *b)
{
    if (!opens(b, true))
        return;
    powers(b, IFD_POWER_UP);
    bench_unplug_after(b, 5 * MS);
    sends(b, GET_AID);
    sends(b, GET_AID);
    asks();
}

static void a_key_that_another_program_has(struct bench *b)
{
    virtual_occupy(b->slot, b->device->identity->ccid_interface, true);
    const bool open = opens(b, true);
    if (open)
        (void)bench_event_thread();
    virtual_occupy(b->slot, b->device->identity->ccid_interface, false);
    if (open)
        (void)bench_event_thread();
}

/* ---- with one failure, or one and all after it ---- */

/* may_be_gone: the driver may have been told that the key was unplugged; then only a new channel helps. */
static void serves_at_last(struct bench *b, bool may_be_gone)
{
    for (int i = 0; i < 64; i++) { /* three minutes of a debt, ten seconds a time */
        if (i == 32)
            virtual_pass(b->slot, LONGEST); /* a key that is held back is served then */
        if (bench_event_thread() == IFD_COMMUNICATION_ERROR && may_be_gone)
            return;
        if (bench_transmit(b, SELECT).status_word == 0x9000) {
            bench_works(b);
            return;
        }
    }
    fail_msg("after %s, call %zu, failed (%d%s), the key does not serve any more", now.function, now.n, now.error,
             now.all_after ? " and all after it" : "");
}

static struct bench *new_bench(void)
{
    return bench_new_with((struct icc_options){ .other = { .work_us = 10 * MS } });
}

/* Returns how many calls there were. */
static size_t play(void (*scenario)(struct bench *), size_t n, int error, bool all_after)
{
    struct bench *const b = new_bench();
    now.n = n, now.error = error, now.all_after = all_after, now.function = "nothing";
    libusb_virtual_fail(n, error, all_after);
    scenario(b);
    note_culprit();
    const size_t calls = libusb_virtual_calls();
    failures += n > 0 && libusb_virtual_failed();
    played++;
    b->device->faults = (struct faults){ .answers = 0 };
    if (all_after)
        IFDHCloseChannel(LUN);
    libusb_virtual_fail(0, 0, false);
    virtual_pass(b->slot, SECOND);
    if (virtual_open_ports() > 0) /* as far as it has come, the channel serves again */
        serves_at_last(b, error == LIBUSB_ERROR_NO_DEVICE || !b->device->powered);
    IFDHCloseChannel(LUN);
    assert_int_equal(virtual_open_ports(), 0);
    virtual_plug(b->slot);
    if (bench_open() != IFD_SUCCESS)
        fail_msg("after %s, call %zu, failed (%d%s), the key cannot be opened", now.function, now.n, now.error,
                 now.all_after ? " and all after it" : "");
    serves_at_last(b, false);
    bench_free(b);
    return calls;
}

static void survives(void (*scenario)(struct bench *))
{
    static const int ERRORS[] = { LIBUSB_ERROR_IO, LIBUSB_ERROR_NO_DEVICE, LIBUSB_ERROR_NO_MEM, LIBUSB_ERROR_BUSY };
    const size_t calls = play(scenario, 0, 0, false);
    assert_true(calls > 0);
    for (size_t n = 1; n <= calls; n++) {
        for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++)
            (void)play(scenario, n, ERRORS[i], false);
        (void)play(scenario, n, LIBUSB_ERROR_IO, true);
        (void)play(scenario, n, LIBUSB_ERROR_NO_DEVICE, true);
    }
}

#define SURVIVES(scenario)                      \
    static void scenario##_survives(void **state) \
    {                                           \
        (void)state;                            \
        survives(scenario);                     \
    }

SURVIVES(a_session)
SURVIVES(an_open_without_a_node)
SURVIVES(long_commands)
SURVIVES(a_generation_that_people_watch)
SURVIVES(answers_that_do_not_come)
SURVIVES(a_key_that_hears_nothing)
SURVIVES(halted_endpoints)
SURVIVES(nonsense)
SURVIVES(an_unplug_in_the_middle)
SURVIVES(a_key_that_another_program_has)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_survives),
        cmocka_unit_test(an_open_without_a_node_survives),
        cmocka_unit_test(long_commands_survives),
        cmocka_unit_test(a_generation_that_people_watch_survives),
        cmocka_unit_test(answers_that_do_not_come_survives),
        cmocka_unit_test(a_key_that_hears_nothing_survives),
        cmocka_unit_test(halted_endpoints_survives),
        cmocka_unit_test(nonsense_survives),
        cmocka_unit_test(an_unplug_in_the_middle_survives),
        cmocka_unit_test(a_key_that_another_program_has_survives),
    };
    char directory[] = "/tmp/ifd-nitrokey-injection-XXXXXX";
    if (!mkdtemp(directory) || setenv("IFD_NITROKEY_RUN", directory, 1) != 0)
        return 1;
    bench_choose(argc, argv);
    const int failed = cmocka_run_group_tests_name("injection", tests, NULL, NULL);
    printf("# %zu scenarios played, %zu of them with a failure\n", played, failures);
    return rmdir(directory) != 0 ? 1 : failed;
}
