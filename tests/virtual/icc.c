/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * icc.c - the smart card inside a virtual key: line, clock and scripted time around T=1 (t1_card.h) and the
 * application (application.h).
 *
 * A chip has one thing to do at a time. While it computes it does not listen: what the reader sends is lost. It speaks
 * when its answer, or an S(WTX request) of the script, is due; the block stays on offer until the reader takes it or
 * sends something: then its bytes went by unheard.
 *
 * Every call that tells the time first lets happen what was due before it (catch_up), so what the card does depends on
 * the script alone, never on how often it is looked at.
 */
#include "icc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "apdu_log.h"
#include "application.h"
#include "t1_card.h"

#define GENERATE_MAX 8
#define LOOK_AGAIN_US 20000 /* in real time, when a computation takes longer than the script says */

struct icc {
    uint8_t atr[33];
    size_t atr_len;
    struct icc_timing generate[GENERATE_MAX], sign, reset, other;
    size_t generate_count, generated;
    bool real_time, powered, mute;
    struct application application;
    struct t1_card t1;
    struct apdu_log *log;
    size_t resets, blocks;
    int64_t now_us;
    /* the command under way; nobody's: T=1 forgot it, so its answer is dropped and a next command waits for its end */
    struct icc_timing timing;
    bool busy, nobodys, whole; /* whole: the answer goes to icc_take_answer(), not to T=1 */
    unsigned wtx_asked;
    int64_t begun_us, look_us, wtx_us; /* look_us: when the work may be done; wtx_us: the next S(WTX request) */
    uint8_t command[APPLICATION_COMMAND_MAX];
    size_t command_len;
    uint8_t answer[APPLICATION_ANSWER_MAX]; /* of a whole APDU */
    size_t answer_len;
    /* a block is on offer */
    bool speaking;
    int64_t speaks_us;
    /* faults */
    enum icc_corruption corruption;
    unsigned corrupt, mishear;
    uint32_t noise;
    bool lies;
    uint8_t lie;
};

struct icc *icc_new(const struct icc_options *options)
{
    struct icc *icc = calloc(1, sizeof *icc);
    if (!icc) {
        perror("card");
        return NULL;
    }
    icc->atr_len = options->atr_len < sizeof icc->atr ? options->atr_len : sizeof icc->atr;
    memcpy(icc->atr, options->atr, icc->atr_len);
    icc_set_generate(icc, options->generate, options->generate_count);
    icc->sign = options->sign;
    icc->reset = options->reset;
    icc->other = options->other;
    icc->real_time = options->real_time;
    icc->application = application_new(options->application ? options->application : "openpgp-card-3.4",
                                       options->state_path);
    icc->log = icc->application.card ? apdu_log_new(options->log_path) : NULL;
    if (!icc->log) {
        icc_free(icc);
        return NULL;
    }
    if (icc->reset.work_us == 0)
        icc->reset.work_us = icc->application.class->reset_us;
    t1_card_reset(&icc->t1);
    return icc;
}

void icc_free(struct icc *icc)
{
    if (!icc)
        return;
    if (icc->application.card)
        icc->application.class->free(icc->application.card);
    apdu_log_free(icc->log);
    OPENSSL_cleanse(icc, sizeof *icc);
    free(icc);
}

/* ---- a command ---- */

static const struct icc_timing *generation(struct icc *icc)
{
    if (icc->generate_count == 0)
        return &icc->other;
    const size_t n = icc->generated < icc->generate_count ? icc->generated : icc->generate_count - 1;
    icc->generated++;
    return &icc->generate[n];
}

static const struct icc_timing *timing(struct icc *icc, enum application_effort effort)
{
    switch (effort) {
    case EFFORT_QUICK: return &icc->other;
    case EFFORT_PRIVATE_KEY: return &icc->sign;
    case EFFORT_GENERATE: return generation(icc);
    case EFFORT_RESET: return icc->reset.work_us > 0 ? &icc->reset : &icc->other;
    }
    return &icc->other;
}

static bool waits_for_touch(const struct icc *icc)
{
    return icc->application.class->waits_for_touch(icc->application.card);
}

/* The next S(WTX request): at a multiple of wtx_every_us of the work, past now and not within the silence. */
static int64_t next_wtx(const struct icc *icc)
{
    const int64_t every = icc->timing.wtx_every_us;
    if (every <= 0 || (icc->timing.wtx_count > 0 && icc->wtx_asked >= icc->timing.wtx_count))
        return ICC_NEVER;
    const int64_t worked = icc->now_us - icc->begun_us;
    const int64_t least = worked < icc->timing.silent_us ? icc->timing.silent_us - 1 : worked;
    return icc->begun_us + (least / every + 1) * every;
}

static void begin_to_work(struct icc *icc)
{
    icc->wtx_asked = 0;
    icc->begun_us = icc->now_us;
    icc->look_us = icc->begun_us + icc->timing.work_us;
    icc->wtx_us = next_wtx(icc);
}

static void begin(struct icc *icc)
{
    icc->command_len = icc->t1.command_len;
    memcpy(icc->command, icc->t1.command, icc->command_len);
    const struct application *const runs = &icc->application;
    icc->timing = *timing(icc, runs->class->begin(runs->card, icc->command, icc->command_len));
    icc->busy = true;
    begin_to_work(icc);
    if (waits_for_touch(icc))
        icc->look_us = ICC_NEVER;
}

/* From now on at_us the block in t1.out is on the line. */
static void offer(struct icc *icc, int64_t at_us)
{
    icc->speaking = true;
    icc->speaks_us = at_us;
}

static void deliver(struct icc *icc, const uint8_t *answer, size_t length)
{
    if (!icc->nobodys) {
        if (t1_card_answer(&icc->t1, answer, length))
            offer(icc, icc->look_us);
        return;
    }
    icc->nobodys = false;
    if (icc->t1.state == T1_CARD_WORKING)
        begin(icc);
}

/* The work may be done. false: in real time it is not yet. */
static bool end(struct icc *icc)
{
    const struct application *const runs = &icc->application;
    if (icc->real_time && !runs->class->done(runs->card)) {
        icc->look_us = icc->now_us + LOOK_AGAIN_US;
        return false;
    }
    uint8_t answer[APPLICATION_ANSWER_MAX];
    const size_t length = runs->class->finish(runs->card, answer, sizeof answer);
    apdu_log_executed(icc->log, icc->begun_us, icc->look_us, icc->command, icc->command_len,
                      (uint16_t)(answer[length - 2] << 8 | answer[length - 1]), length - 2);
    OPENSSL_cleanse(icc->command, icc->command_len);
    icc->busy = false;
    if (icc->whole) {
        memcpy(icc->answer, answer, length);
        icc->answer_len = length;
    } else
        deliver(icc, answer, length);
    OPENSSL_cleanse(answer, length);
    return true;
}

static void ask_wtx(struct icc *icc)
{
    icc->wtx_asked++;
    t1_card_ask_wtx(&icc->t1, icc->lies ? icc->lie : icc->timing.wtx_multiplier);
    offer(icc, icc->wtx_us);
}

/* Lets happen what was due up to now. The work goes on while an S(WTX request) waits for its response. */
static void catch_up(struct icc *icc, int64_t now_us)
{
    icc->now_us = now_us;
    if (icc->busy && icc->t1.state == T1_CARD_WORKING && icc->wtx_us < icc->look_us && icc->wtx_us <= now_us)
        ask_wtx(icc);
    while (icc->busy && icc->look_us <= now_us && end(icc))
        continue;
}

/* ---- power ---- */

static void forget_command(struct icc *icc)
{
    if (icc->busy)
        apdu_log_abandoned(icc->log, icc->now_us, icc->command, icc->command_len);
    OPENSSL_cleanse(icc->command, sizeof icc->command);
    OPENSSL_cleanse(icc->answer, sizeof icc->answer);
    icc->answer_len = 0;
    icc->busy = icc->nobodys = icc->whole = icc->speaking = false;
}

static void lose_power(struct icc *icc)
{
    forget_command(icc);
    icc->powered = false;
    icc->application.class->reset(icc->application.card);
    t1_card_reset(&icc->t1);
}

const uint8_t *icc_reset(struct icc *icc, int64_t now_us, size_t *atr_len)
{
    catch_up(icc, now_us);
    lose_power(icc);
    icc->powered = true;
    icc->resets++;
    apdu_log_reset(icc->log, now_us);
    *atr_len = icc->mute ? 0 : icc->atr_len;
    return icc->atr;
}

void icc_power_off(struct icc *icc)
{
    lose_power(icc);
}

/* ---- an application that is a task ---- */

void icc_start(struct icc *icc, int64_t now_us)
{
    icc->now_us = now_us;
    icc->powered = true;
    icc->resets++;
    apdu_log_reset(icc->log, now_us);
    if (icc->application.class->start)
        icc->application.class->start(icc->application.card);
}

void icc_cancel(struct icc *icc, int64_t now_us)
{
    catch_up(icc, now_us);
    forget_command(icc);
    icc->powered = false;
    if (icc->application.class->cancel)
        icc->application.class->cancel(icc->application.card);
}

bool icc_is_terminated(const struct icc *icc)
{
    const struct application *const runs = &icc->application;
    return runs->class->is_terminated && runs->class->is_terminated(runs->card);
}

/* ---- the line ---- */

/* S(RESYNCH) while an S(WTX request) waited: T=1 has forgotten the command. The script ends here; the computation
 * cannot be stopped without a reset. */
static void disown(struct icc *icc)
{
    icc->nobodys = true;
    icc->wtx_us = ICC_NEVER;
    icc->look_us = icc->now_us;
}

static void hear(struct icc *icc, const uint8_t *block, size_t length)
{
    switch (t1_card_hear(&icc->t1, block, length)) {
    case T1_CARD_SPEAK:
        if (icc->busy && icc->t1.state == T1_CARD_LISTENING)
            disown(icc);
        offer(icc, icc->now_us);
        break;
    case T1_CARD_EXECUTE:
        if (!icc->nobodys)
            begin(icc);
        break;
    case T1_CARD_RESUME:
        icc->wtx_us = next_wtx(icc);
        break;
    }
}

void icc_hear(struct icc *icc, int64_t now_us, const uint8_t *bytes, size_t length)
{
    const bool deaf = !icc->powered || icc->mute;
    if (!deaf)
        catch_up(icc, now_us);
    icc->speaking = false;
    if (deaf || icc->t1.state == T1_CARD_WORKING)
        return;
    uint8_t heard[T1_CARD_BLOCK_MAX + 1];
    if (length > sizeof heard)
        length = sizeof heard; /* longer than any block: wrong anyway */
    memcpy(heard, bytes, length);
    if (icc->mishear > 0 && length > 0) {
        icc->mishear--;
        heard[length - 1] ^= 0x55;
    }
    icc->blocks++;
    hear(icc, heard, length);
    OPENSSL_cleanse(heard, sizeof heard);
}

int64_t icc_speaks_at(const struct icc *icc)
{
    if (!icc->powered || icc->mute)
        return ICC_NEVER;
    if (icc->speaking)
        return icc->speaks_us;
    if (icc->t1.state != T1_CARD_WORKING)
        return ICC_NEVER;
    return icc->wtx_us < icc->look_us ? icc->wtx_us : icc->look_us;
}

/* What the line does to a block on its way to the reader; returns its length. */
static size_t corrupted(struct icc *icc, uint8_t *block, size_t length)
{
    switch (icc->corruption) {
    case ICC_BAD_EDC:
        block[length - 1] ^= 0xff;
        return length;
    case ICC_BAD_LENGTH:
        block[2] ^= 0x04;
        block[length - 1] ^= 0x04; /* the length alone is wrong */
        return length;
    case ICC_BAD_SEQUENCE: {
        const uint8_t bit = block[1] & 0x80 ? 0x10 : 0x40;
        block[1] ^= bit;
        block[length - 1] ^= bit;
        return length;
    }
    case ICC_TRUNCATED:
        return length / 2;
    case ICC_NOISE:
        for (size_t i = 0; i < length; i++) { /* the same in every run */
            icc->noise = icc->noise * 1664525 + 1013904223;
            block[i] = (uint8_t)(icc->noise >> 24);
        }
        return length;
    }
    return length;
}

size_t icc_speak(struct icc *icc, int64_t now_us, uint8_t *bytes, size_t capacity)
{
    if (!icc->powered || icc->mute)
        return 0;
    catch_up(icc, now_us);
    if (!icc->speaking || icc->speaks_us > now_us || icc->t1.out_len > capacity)
        return 0;
    icc->speaking = false;
    memcpy(bytes, icc->t1.out, icc->t1.out_len);
    if (icc->corrupt == 0)
        return icc->t1.out_len;
    icc->corrupt--;
    return corrupted(icc, bytes, icc->t1.out_len);
}

/* ---- whole APDUs ---- */

void icc_execute(struct icc *icc, int64_t now_us, const uint8_t *apdu, size_t length)
{
    catch_up(icc, now_us);
    icc->whole = true;
    memcpy(icc->t1.command, apdu, length);
    icc->t1.command_len = length;
    begin(icc);
    OPENSSL_cleanse(icc->t1.command, length);
}

int64_t icc_answer_at(const struct icc *icc)
{
    return icc->busy && !icc->mute ? icc->look_us : ICC_NEVER;
}

size_t icc_take_answer(struct icc *icc, int64_t now_us, uint8_t *answer, size_t capacity)
{
    catch_up(icc, now_us);
    const size_t length = icc->answer_len;
    if (icc->busy || icc->mute || length > capacity)
        return 0;
    memcpy(answer, icc->answer, length);
    OPENSSL_cleanse(icc->answer, length);
    icc->answer_len = 0;
    return length;
}

bool icc_waits_for_touch(const struct icc *icc)
{
    return icc->busy && waits_for_touch(icc);
}

void icc_touch(struct icc *icc, int64_t now_us)
{
    if (!icc_waits_for_touch(icc))
        return;
    catch_up(icc, now_us);
    icc->application.class->touch(icc->application.card);
    begin_to_work(icc);
}

void icc_touch_timeout(struct icc *icc, int64_t now_us)
{
    if (!icc_waits_for_touch(icc))
        return;
    icc->application.class->touch_timeout(icc->application.card);
    icc->look_us = now_us;
    catch_up(icc, now_us);
}

/* ---- faults ---- */

void icc_set_generate(struct icc *icc, const struct icc_timing *timing, size_t count)
{
    icc->generate_count = count < GENERATE_MAX ? count : GENERATE_MAX;
    if (count > 0)
        memcpy(icc->generate, timing, icc->generate_count * sizeof *timing);
    icc->generated = 0;
}

void icc_set_reset(struct icc *icc, const struct icc_timing *timing)
{
    icc->reset = *timing;
}

void icc_set_mute(struct icc *icc, bool mute)
{
    icc->mute = mute;
}

void icc_corrupt(struct icc *icc, enum icc_corruption how, unsigned times)
{
    icc->corruption = how;
    icc->corrupt = times;
}

void icc_mishear(struct icc *icc, unsigned times)
{
    icc->mishear = times;
}

void icc_ask_ifs(struct icc *icc, uint8_t ifsc)
{
    icc->t1.ask_ifs = ifsc;
}

void icc_ask_abort(struct icc *icc)
{
    icc->t1.ask_abort = true;
}

void icc_lie_about_wtx(struct icc *icc, uint8_t multiplier)
{
    icc->lies = true;
    icc->lie = multiplier;
}

/* ---- what tests ask ---- */

size_t icc_log_count(const struct icc *icc)
{
    return apdu_log_count(icc->log);
}

struct icc_apdu icc_log_get(const struct icc *icc, size_t index)
{
    return apdu_log_get(icc->log, index);
}

struct icc_counters icc_counters(const struct icc *icc)
{
    const struct application_tries tries = icc->application.class->tries(icc->application.card);
    return (struct icc_counters){
        .pw1 = tries.pw1, .rc = tries.rc, .pw3 = tries.pw3,
        .has_piv = tries.has_piv, .pin = tries.pin, .puk = tries.puk,
    };
}

bool icc_is_powered(const struct icc *icc)
{
    return icc->powered;
}

size_t icc_resets(const struct icc *icc)
{
    return icc->resets;
}

size_t icc_blocks(const struct icc *icc)
{
    return icc->blocks;
}
