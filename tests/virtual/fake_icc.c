/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_icc.c - a card that says what a test scripts; linked instead of icc.c. */
#include "fake_icc.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX 352

struct icc {
    uint8_t atr[33];
    size_t atr_len;
    bool powered, mute, scripted;
    uint8_t script[BLOCK_MAX], heard[BLOCK_MAX], block[BLOCK_MAX];
    size_t script_len, heard_len, block_len;
    int64_t delay_us, speaks_at;
    size_t resets, blocks;
};

struct icc *icc_new(const struct icc_options *options)
{
    struct icc *icc = calloc(1, sizeof *icc);
    if (!icc)
        return NULL;
    icc->atr_len = options->atr_len < sizeof icc->atr ? options->atr_len : sizeof icc->atr;
    memcpy(icc->atr, options->atr, icc->atr_len);
    icc->delay_us = options->other.work_us;
    icc->speaks_at = ICC_NEVER;
    return icc;
}

void icc_free(struct icc *icc)
{
    free(icc);
}

const uint8_t *icc_reset(struct icc *icc, int64_t now_us, size_t *atr_len)
{
    (void)now_us;
    icc->powered = true;
    icc->speaks_at = ICC_NEVER;
    icc->resets++;
    *atr_len = icc->mute ? 0 : icc->atr_len;
    return icc->atr;
}

void icc_power_off(struct icc *icc)
{
    icc->powered = false;
    icc->speaks_at = ICC_NEVER;
}

void icc_hear(struct icc *icc, int64_t now_us, const uint8_t *bytes, size_t length)
{
    memcpy(icc->heard, bytes, length);
    icc->heard_len = length;
    icc->blocks++;
    icc->block_len = icc->scripted ? icc->script_len : length;
    memcpy(icc->block, icc->scripted ? icc->script : bytes, icc->block_len);
    const bool speaks = icc->powered && !icc->mute && icc->block_len > 0;
    icc->speaks_at = speaks ? now_us + icc->delay_us : ICC_NEVER;
}

int64_t icc_speaks_at(const struct icc *icc)
{
    return icc->speaks_at;
}

size_t icc_speak(struct icc *icc, int64_t now_us, uint8_t *bytes, size_t capacity)
{
    if (icc->speaks_at > now_us || icc->block_len > capacity)
        return 0;
    memcpy(bytes, icc->block, icc->block_len);
    icc->speaks_at = ICC_NEVER;
    return icc->block_len;
}

void fake_icc_script(struct icc *icc, const uint8_t *bytes, size_t length, int64_t delay_us)
{
    icc->scripted = true;
    icc->script_len = length < BLOCK_MAX ? length : BLOCK_MAX;
    icc->delay_us = delay_us;
    if (length > 0)
        memcpy(icc->script, bytes, icc->script_len);
}

const uint8_t *fake_icc_heard(const struct icc *icc, size_t *length)
{
    *length = icc->heard_len;
    return icc->heard;
}

bool fake_icc_powered(const struct icc *icc)
{
    return icc->powered;
}

void icc_set_mute(struct icc *icc, bool mute)
{
    icc->mute = mute;
}

size_t icc_resets(const struct icc *icc)
{
    return icc->resets;
}

size_t icc_blocks(const struct icc *icc)
{
    return icc->blocks;
}

/* ---- what no test of the surroundings needs ---- */

void icc_start(struct icc *icc, int64_t now_us)
{
    (void)icc, (void)now_us;
}

void icc_cancel(struct icc *icc, int64_t now_us)
{
    (void)icc, (void)now_us;
}

bool icc_is_terminated(const struct icc *icc)
{
    (void)icc;
    return false;
}

void icc_execute(struct icc *icc, int64_t now_us, const uint8_t *apdu, size_t length)
{
    (void)icc, (void)now_us, (void)apdu, (void)length;
}

int64_t icc_answer_at(const struct icc *icc)
{
    (void)icc;
    return ICC_NEVER;
}

size_t icc_take_answer(struct icc *icc, int64_t now_us, uint8_t *answer, size_t capacity)
{
    (void)icc, (void)now_us, (void)answer, (void)capacity;
    return 0;
}

bool icc_waits_for_touch(const struct icc *icc)
{
    (void)icc;
    return false;
}

void icc_touch(struct icc *icc, int64_t now_us)
{
    (void)icc, (void)now_us;
}

void icc_touch_timeout(struct icc *icc, int64_t now_us)
{
    (void)icc, (void)now_us;
}

void icc_set_generate(struct icc *icc, const struct icc_timing *timing, size_t count)
{
    (void)icc, (void)timing, (void)count;
}

void icc_set_reset(struct icc *icc, const struct icc_timing *timing)
{
    (void)icc, (void)timing;
}

void icc_corrupt(struct icc *icc, enum icc_corruption how, unsigned times)
{
    (void)icc, (void)how, (void)times;
}

void icc_mishear(struct icc *icc, unsigned times)
{
    (void)icc, (void)times;
}

void icc_ask_ifs(struct icc *icc, uint8_t ifsc)
{
    (void)icc, (void)ifsc;
}

void icc_ask_abort(struct icc *icc)
{
    (void)icc;
}

void icc_lie_about_wtx(struct icc *icc, uint8_t multiplier)
{
    (void)icc, (void)multiplier;
}

size_t icc_log_count(const struct icc *icc)
{
    return icc->blocks;
}

struct icc_apdu icc_log_get(const struct icc *icc, size_t index)
{
    (void)icc, (void)index;
    return (struct icc_apdu){ 0 };
}

struct icc_counters icc_counters(const struct icc *icc)
{
    (void)icc;
    return (struct icc_counters){ .pw1 = 3, .pw3 = 3 };
}
