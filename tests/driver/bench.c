/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.c - the whole driver on a virtual key with a virtual clock, called as pcscd calls it. */
#include "bench.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "judge.h"
#include "storage.h"

#define SENT_MAX 1024

/* What the client has sent, and been answered, to be compared with what the card has executed. */
static struct judge_sent sent[SENT_MAX];
static size_t sent_count;

static const char *model = "nitrokey-pro-2";

void bench_choose(int argc, char *argv[])
{
    if (argc > 1)
        model = argv[1];
}

static const struct identity *identity(void)
{
    const struct identity *const found = identity_find(model);
    assert_non_null(found);
    return found;
}

bool bench_speaks_t1(void)
{
    return strcmp(identity()->firmware, "pro") == 0 || strcmp(identity()->firmware, "storage") == 0;
}

const char *bench_application(void)
{
    return identity()->application;
}

const char *bench_firmware(void)
{
    return identity()->firmware;
}

struct bench *bench_new_with(struct icc_options card)
{
    static struct bench bench;
    card.atr = identity()->atr;
    card.atr_len = identity()->atr_len;
    /* In a reader there may be any card, also in that of a key which has none; a firmware has its own application. */
    const char *const own = bench_application();
    if (!card.application && (strcmp(own, "gnuk") == 0 || strncmp(own, "opcard", 6) == 0))
        card.application = own;
    bench = (struct bench){ .icc = icc_new(&card), .admin_tries = 3 };
    assert_non_null(bench.icc);
    setenv("IFD_NITROKEY_RUN", "/nonexistent", 0); /* nobody watches, unless a test says so */
    bench.device = firmware_new(identity(), bench.icc, &(struct firmware_options){ .first_byte_limit_us = 0 });
    assert_non_null(bench.device);
    bench.slot = virtual_insert(BENCH_NODE, bench.device);
    assert_non_null(bench.slot);
    return &bench;
}

struct bench *bench_new(const struct icc_timing *generate)
{
    struct icc_options card = { .sign = { .work_us = 300 * MS }, .other = { .work_us = 10 * MS } };
    if (generate) {
        card.generate[0] = *generate;
        card.generate_count = 1;
    }
    return bench_new_with(card);
}

/* ---- what must hold after everything ---- */

static const uint8_t HID_COMMAND[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 };

static bool is_wrong_user_pin(const struct icc_apdu *apdu)
{
    return apdu->command_len == 11 && apdu->command[1] == 0x20 && apdu->command[3] == 0x81 &&
           memcmp(apdu->command + 5, "999999", 6) == 0;
}

static bool is_right_user_pin(const struct icc_apdu *apdu)
{
    return apdu->command_len == 11 && apdu->command[1] == 0x20 && apdu->command[3] == 0x81 &&
           memcmp(apdu->command + 5, "123456", 6) == 0;
}

static unsigned wrong_user_pins(const struct icc *icc)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < icc_log_count(icc); i++) {
        const struct icc_apdu apdu = icc_log_get(icc, i);
        wrong = is_right_user_pin(&apdu) && wrong < 3 ? 0 : wrong + is_wrong_user_pin(&apdu);
    }
    return wrong;
}

char *bench_verdict(const struct bench *bench)
{
    const size_t count = icc_log_count(bench->icc);
    struct judge_executed *const executed = calloc(count + 1, sizeof *executed);
    assert_non_null(executed);
    for (size_t i = 0; i < count; i++) {
        const struct icc_apdu apdu = icc_log_get(bench->icc, i);
        executed[i] = (struct judge_executed){ .bytes = apdu.command, .length = apdu.command_len,
                                               .status_word = apdu.status_word, .answer_length = apdu.answer_len,
                                               .resets = apdu.resets, .abandoned = apdu.abandoned };
    }
    char *const verdict = judge(&(struct judge_case){ .firmware = identity()->firmware, .sent = sent,
                                                      .sent_count = sent_count, .executed = executed,
                                                      .executed_count = count,
                                                      .of_others = bench->beside ? HID_COMMAND : NULL,
                                                      .of_others_length = sizeof HID_COMMAND });
    free(executed);
    return verdict;
}

static void check_the_cards_log(const struct bench *bench)
{
    char *const verdict = bench_verdict(bench);
    if (verdict)
        fail_msg("%s", verdict);
    const unsigned wrong = wrong_user_pins(bench->icc);
    assert_int_equal(icc_counters(bench->icc).pw1, wrong < 3 ? 3 - wrong : 0);
    assert_int_equal(icc_counters(bench->icc).pw3, bench->admin_tries);
}

/* A file system hangs on a reset or a SET_CONFIGURATION of a Storage: there is none but those of enumerations. */
static void check_the_disk(const struct bench *bench)
{
    if (strncmp(identity()->firmware, "storage", 7) != 0)
        return;
    const struct storage_disturbances seen = storage_disturbances(bench->device);
    assert_int_equal(seen.configurations, seen.bus_resets);
}

static void drop(struct bench *bench)
{
    virtual_remove(bench->slot);
    device_free(bench->device);
    icc_free(bench->icc);
    while (sent_count > 0)
        OPENSSL_free((uint8_t *)(uintptr_t)sent[--sent_count].bytes);
}

void bench_free(struct bench *bench)
{
    IFDHCloseChannel(LUN); /* does no harm to a closed one */
    check_the_cards_log(bench);
    check_the_disk(bench);
    assert_int_equal(virtual_open_ports(), 0);
    drop(bench);
}

void bench_free_unchecked(struct bench *bench)
{
    IFDHCloseChannel(LUN);
    drop(bench);
}

/* ---- pcscd ---- */

RESPONSECODE bench_open(void)
{
    const uint8_t *const d = identity()->device;
    char name[128];
    snprintf(name, sizeof name, "usb:%02x%02x/%02x%02x:libudev:%u:" BENCH_NODE, d[9], d[8], d[11], d[10],
             identity()->ccid_interface);
    return IFDHCreateChannelByName(LUN, name);
}

RESPONSECODE bench_power(DWORD action)
{
    UCHAR atr[33];
    DWORD length = sizeof atr;
    return IFDHPowerICC(LUN, action, atr, &length);
}

void bench_start(struct bench *bench)
{
    (void)bench;
    assert_int_equal(bench_open(), IFD_SUCCESS);
    assert_int_equal(IFDHICCPresence(LUN), IFD_ICC_PRESENT);
    assert_int_equal(bench_power(IFD_POWER_UP), IFD_SUCCESS);
}

void bench_stop(struct bench *bench)
{
    (void)bench;
    assert_int_equal(IFDHCloseChannel(LUN), IFD_SUCCESS);
}

RESPONSECODE bench_poll(int timeout_ms)
{
    static RESPONSECODE (*poll)(DWORD, int);
    DWORD length = sizeof poll;
    if (!poll)
        assert_int_equal(IFDHGetCapabilities(LUN, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&poll), IFD_SUCCESS);
    return poll(LUN, timeout_ms);
}

RESPONSECODE bench_event_thread(void)
{
    (void)bench_poll(0);
    const RESPONSECODE presence = IFDHICCPresence(LUN);
    if (presence == IFD_ICC_PRESENT)
        (void)bench_power(IFD_POWER_UP);
    return presence;
}

void bench_card_comes_anew(void)
{
    unsigned rounds = 0;
    assert_int_equal(bench_event_thread(), IFD_ICC_NOT_PRESENT);
    while (bench_event_thread() != IFD_ICC_PRESENT)
        assert_true(++rounds < 4); /* wake-ups may still wait */
}

/* ---- the client ---- */

static size_t remember(const char *apdu)
{
    char digits[2 * 8192];
    size_t count = 0;
    for (; *apdu; apdu++)
        if (*apdu != ' ')
            digits[count++] = *apdu;
    digits[count] = '\0';
    long length = 0;
    assert_true(sent_count < SENT_MAX);
    sent[sent_count].bytes = OPENSSL_hexstr2buf(digits, &length);
    assert_non_null(sent[sent_count].bytes);
    sent[sent_count].length = (size_t)length;
    sent[sent_count].outcome = OUTCOME_UNKNOWN;
    return sent_count++;
}

struct answer bench_try(struct bench *bench, const char *apdu)
{
    const size_t i = remember(apdu);
    struct answer answer = { .length = 0 };
    const SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
    SCARD_IO_HEADER received = pci;
    DWORD length = sizeof answer.bytes;
    const int64_t begun = virtual_now_us(bench->slot);
    const size_t resets = icc_resets(bench->icc);
    const bool honest = bench->device->faults.answers == 0; /* the key says what it has done */
    answer.code = IFDHTransmitToICC(LUN, pci, (PUCHAR)(uintptr_t)sent[i].bytes, sent[i].length, answer.bytes, &length,
                                    &received);
    answer.took_us = virtual_now_us(bench->slot) - begun;
    answer.length = length;
    answer.card_was_reset = icc_resets(bench->icc) != resets;
    if (answer.code == IFD_SUCCESS && length >= 2)
        answer.status_word = (unsigned)(answer.bytes[length - 2] << 8 | answer.bytes[length - 1]);
    if (answer.code != IFD_SUCCESS)
        sent[i].outcome = OUTCOME_FAILED;
    else if (honest)
        sent[i].outcome = OUTCOME_ANSWERED;
    sent[i].status_word = (uint16_t)answer.status_word;
    return answer;
}

struct answer bench_transmit(struct bench *bench, const char *apdu)
{
    const struct answer answer = bench_try(bench, apdu);
    if (answer.code != IFD_SUCCESS)
        assert_int_equal(answer.length, 0);
    if (strncmp(identity()->firmware, "gnuk", 4) != 0) /* whose card is reset by an unplug and by SET_CONFIGURATION */
        assert_false(answer.card_was_reset); /* pcscd powers it on again, and tells everybody */
    return answer;
}

struct answer bench_expect(struct bench *bench, const char *apdu, unsigned status_word)
{
    const struct answer answer = bench_transmit(bench, apdu);
    if (answer.code != IFD_SUCCESS || answer.status_word != status_word)
        fail_msg("%s: code %ld, status word %04x instead of %04x", apdu, (long)answer.code, answer.status_word,
                 status_word);
    return answer;
}

void bench_works(struct bench *bench)
{
    bench_expect(bench, SELECT, 0x9000);
    const struct answer aid = bench_expect(bench, GET_AID, 0x9000);
    assert_int_equal(aid.length, 18);
    assert_memory_equal(aid.bytes, "\xD2\x76\x00\x01\x24\x01", 6);
}

void bench_will_execute(const char *apdu)
{
    (void)remember(apdu);
}

struct close_while {
    struct bench *bench;
    const char *apdu;
    RESPONSECODE code;
};

static void *transmit_until_closed(void *context)
{
    struct close_while *const job = context;
    job->code = bench_transmit(job->bench, job->apdu).code;
    return NULL;
}

RESPONSECODE bench_close_while(struct bench *bench, const char *apdu, int64_t after_us)
{
    struct close_while job = { .bench = bench, .apdu = apdu };
    pthread_t client;
    virtual_hold_at(bench->slot, virtual_now_us(bench->slot) + after_us);
    assert_int_equal(pthread_create(&client, NULL, transmit_until_closed, &job), 0);
    assert_true(virtual_await_hold(bench->slot));
    assert_int_equal(IFDHCloseChannel(LUN), IFD_SUCCESS);
    pthread_join(client, NULL);
    virtual_release(bench->slot);
    return job.code;
}

void bench_hid(struct bench *b, unsigned commands)
{
    b->beside = true;
    virtual_lock(b->slot);
    for (unsigned i = 0; i < commands; i++)
        assert_true(device_sibling_apdu(b->device, HID_COMMAND, sizeof HID_COMMAND));
    virtual_unlock(b->slot);
}

void bench_freeze(struct bench *b, bool frozen)
{
    virtual_lock(b->slot);
    b->device->faults.frozen = frozen;
    virtual_unlock(b->slot);
}

static void freeze(void *bench_that_freezes)
{
    bench_freeze(bench_that_freezes, true);
}

void bench_freeze_after(struct bench *b, int64_t after_us)
{
    assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + after_us, freeze, b));
}

static void unplug(void *slot)
{
    virtual_unplug(slot);
}

void bench_unplug_after(struct bench *b, int64_t after_us)
{
    assert_true(virtual_at(b->slot, virtual_now_us(b->slot) + after_us, unplug, b->slot));
}

static bool is_asleep(int thread)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *const file = fopen(path, "r");
    const bool read = file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    if (file)
        fclose(file);
    return read && state == 'S';
}

void bench_await_sleep(const atomic_int *thread)
{
    while (!atomic_load(thread) || !is_asleep(atomic_load(thread)))
        sched_yield();
}
