/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_hid.c - HID's commands for the card in the Storage's firmware, and the card's line that CCID and HID share.
 *
 * From ISO7816_ADPU.c, ISO7816_Prot_T1.c and the locks of USB_CCID.c in nitrokey-storage-firmware. Each side has a
 * lock, a time for which the other keeps off the card: HID's is 500 ms from the beginning of a command and 100 ms from
 * its end, CCID's 30 s and then 500 or 100 ms. A card that computes for longer than that is no longer locked.
 * HID does not reset the card. It sends I-blocks with the N(S) that the host would use next: the firmware counts the
 * host's I-blocks, but nobody tells the host of HID's.
 *
 *   IDLE --command--> WANTS_CARD --no lock of CCID--> LISTENING --> HEARING --> RELEASING --no lock of CCID--> IDLE
 */
#include "storage_firmware.h"

#define LOOK_US (50 * STORAGE_MS)    /* how often it looks whether CCID has done with the card */
#define LOCK_US (500 * STORAGE_MS)
#define LOCK_AFTER_US (100 * STORAGE_MS)
#define END_OF_ANSWER_US (5 * STORAGE_MS)
#define TRIES 6
#define T1_HEADER 3
#define T1_OVERHEAD 4

static void enter(struct storage *storage, enum storage_hid_stage stage, int64_t duration_us)
{
    storage->hid.stage = stage;
    storage->hid.until_us = storage->device.now_us + duration_us;
}

static uint8_t lrc(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum ^= bytes[i];
    return sum;
}

/* ---- the line ---- */

static bool is_heard(const struct storage *storage, bool listens, int64_t until_us)
{
    const int64_t speaks_at = icc_speaks_at(storage->icc);
    return listens && speaks_at <= storage->device.now_us && speaks_at <= until_us;
}

/* When both sides listen, each takes bytes out of the other's answer. */
static void share(struct storage *storage, const uint8_t *bytes, size_t length, bool ccid, bool hid)
{
    storage->heard_len = storage->hid.block_len = 0;
    for (size_t i = 0; i < length; i++) {
        if (ccid && (!hid || i % 2 == 0))
            storage->heard[storage->heard_len++] = bytes[i];
        else
            storage->hid.block[storage->hid.block_len++] = bytes[i];
    }
    if (ccid && storage->heard_len > 0)
        storage_task_hear_card(storage);
    if (hid && storage->hid.block_len > 0)
        enter(storage, HID_HEARING, END_OF_ANSWER_US);
}

bool storage_line_step(struct storage *storage)
{
    uint8_t bytes[STORAGE_ANSWER_MAX];
    const bool ccid = is_heard(storage, storage->stage == STORAGE_LISTENING_TO_CARD, storage->until_us);
    const bool hid = is_heard(storage, storage->hid.stage == HID_LISTENING, storage->hid.until_us);
    if (!ccid && !hid)
        return false;
    const size_t length = icc_speak(storage->icc, storage->device.now_us, bytes, sizeof bytes);
    share(storage, bytes, length, ccid, hid);
    return length > 0;
}

/* ---- a command ---- */

static void send_block(struct storage *storage)
{
    struct storage_hid *const hid = &storage->hid;
    uint8_t block[sizeof hid->apdu + T1_OVERHEAD] = { 0, hid->ns ? 0x40 : 0x00, (uint8_t)hid->apdu_len };
    memcpy(block + T1_HEADER, hid->apdu, hid->apdu_len);
    block[T1_HEADER + hid->apdu_len] = lrc(block, T1_HEADER + hid->apdu_len);
    icc_hear(storage->icc, storage->device.now_us, block, T1_OVERHEAD + hid->apdu_len);
    hid->tries++;
    enter(storage, HID_LISTENING, storage->first_byte_limit_us);
}

static void reset_card(struct storage *storage)
{
    storage->hid.reset_due = false;
    storage->card_active = storage_reset_card(storage);
}

/* CCID's lock is looked at in steps. */
static void want_card(struct storage *storage)
{
    if (storage->lock_until_us > storage->device.now_us) {
        enter(storage, HID_WANTS_CARD, LOOK_US);
        return;
    }
    storage->hid.lock_until_us = storage->device.now_us + LOCK_US;
    storage->hid.tries = 0;
    if (storage->hid.reset_due)
        reset_card(storage);
    if (storage->hid.due > 0)
        send_block(storage);
    else
        enter(storage, HID_RELEASING, 0);
}

static void release_card(struct storage *storage)
{
    struct storage_hid *const hid = &storage->hid;
    if (storage->lock_until_us > storage->device.now_us) {
        enter(storage, HID_RELEASING, LOOK_US);
        return;
    }
    hid->lock_until_us = storage->device.now_us + LOCK_AFTER_US;
    if (hid->due > 0)
        hid->due--;
    enter(storage, hid->due > 0 || hid->reset_due ? HID_WANTS_CARD : HID_IDLE, 0);
}

static void end_command(struct storage *storage, size_t got)
{
    storage->hid.got = got;
    enter(storage, HID_RELEASING, 0);
}

/* An I-block is the answer, whatever its N(S). An R-block that asks for more is taken for one: the command fails
 * after that. Anything else, and the block is sent again. */
static void hear_answer(struct storage *storage)
{
    struct storage_hid *const hid = &storage->hid;
    const uint8_t *const block = hid->block;
    const uint8_t more = (uint8_t)(0x80 | (hid->ns ? 0x00 : 0x10));
    if (hid->block_len < T1_OVERHEAD || block[2] != hid->block_len - T1_OVERHEAD || lrc(block, hid->block_len) != 0) {
        end_command(storage, 0);
    } else if ((block[1] & 0x80) == 0 || block[1] == more) {
        hid->ns ^= 1;
        end_command(storage, hid->block_len >= T1_OVERHEAD + 2 ? hid->block_len - T1_OVERHEAD - 2 : 0);
    } else if (hid->tries < TRIES)
        send_block(storage);
    else
        end_command(storage, 0);
}

/* ---- time ---- */

static void end_stage(struct storage *storage)
{
    switch (storage->hid.stage) {
    case HID_IDLE:
        break;
    case HID_WANTS_CARD:
        want_card(storage);
        break;
    case HID_LISTENING: /* silence */
        end_command(storage, 0);
        break;
    case HID_HEARING:
        hear_answer(storage);
        break;
    case HID_RELEASING:
        release_card(storage);
        break;
    }
}

bool storage_hid_step(struct storage *storage)
{
    if (storage->hid.stage == HID_IDLE || storage->hid.until_us > storage->device.now_us)
        return false;
    end_stage(storage);
    return true;
}

int64_t storage_hid_next_us(const struct storage *storage)
{
    return storage->hid.stage == HID_IDLE ? DEVICE_NEVER : storage->hid.until_us;
}

void storage_hid_command(struct storage *storage, const uint8_t *apdu, size_t length)
{
    struct storage_hid *const hid = &storage->hid;
    hid->apdu_len = length < sizeof hid->apdu ? length : sizeof hid->apdu;
    memcpy(hid->apdu, apdu, hid->apdu_len);
    hid->due++;
    if (hid->stage == HID_IDLE)
        enter(storage, HID_WANTS_CARD, 0);
}

void storage_hid_reset(struct storage *storage)
{
    storage->hid.reset_due = true;
    if (storage->hid.stage == HID_IDLE)
        enter(storage, HID_WANTS_CARD, 0);
}
