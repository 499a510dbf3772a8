/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_ccid.c - the CCID commands of the Storage's firmware: one buffer holds the request and becomes the answer.
 *
 * From USB_CCID.c of nitrokey-storage-firmware. How many bytes are written is 10 and the request's dwLength, unless the
 * command has its own opinion; what a command does not touch stays as it was sent. What looks like a mistake is one of
 * the real firmware, kept because hosts have to live with it.
 */
#include "storage_firmware.h"

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, FAILED = 0x40 };
enum { CLOCK_STOPPED_LOW = 0x01, CLOCK_UNKNOWN = 0x03 };
enum { NO_ERROR = 0x00, BAD_SLOT = 0x01, BAD_LENGTH = 0x02 }; /* none of them as in CCID 1.1 table 6.2-2 */
enum { TYPE, LENGTH, SLOT = 5, SEQUENCE, STATUS, ERROR, LAST };

#define TA1_AT (STORAGE_HEADER + 2)
#define TA1 0x18 /* what the card is told to have said, to keep its line slow; TCK stays */
#define RESERVED_LONG_US (500 * STORAGE_MS) /* after a command the card is not given to HID for so long */
#define RESERVED_SHORT_US (100 * STORAGE_MS)

static uint8_t slot_state(const struct storage *storage)
{
    return storage->card_active ? ACTIVE : INACTIVE;
}

static void put_length(struct storage *storage, size_t length)
{
    storage->message[LENGTH] = (uint8_t)length;
    storage->message[LENGTH + 1] = (uint8_t)(length >> 8);
    storage->message[LENGTH + 2] = storage->message[LENGTH + 3] = 0;
}

static void finish(struct storage *storage, int64_t reserved_us)
{
    storage->lock_until_us = storage->device.now_us + reserved_us;
    storage_task_answer(storage);
}

/* bSlot, and data where there must be none. */
static uint8_t check(const struct storage *storage)
{
    if (storage->message[SLOT] != 0)
        return BAD_SLOT;
    return storage->data_len > 0 ? BAD_LENGTH : NO_ERROR;
}

/* ---- slot status ---- */

static void tell_slot_status(struct storage *storage, uint8_t status, uint8_t error, uint8_t clock, int64_t reserved_us)
{
    storage->message[TYPE] = SLOT_STATUS;
    put_length(storage, 0);
    storage->message[STATUS] = error == NO_ERROR ? status : status + FAILED;
    storage->message[ERROR] = error;
    storage->message[LAST] = clock;
    finish(storage, reserved_us);
}

static void get_slot_status(struct storage *storage)
{
    tell_slot_status(storage, slot_state(storage), check(storage), CLOCK_UNKNOWN, RESERVED_SHORT_US);
}

static void clock_or_abort(struct storage *storage)
{
    tell_slot_status(storage, slot_state(storage), NO_ERROR, CLOCK_UNKNOWN, RESERVED_LONG_US);
}

/* Says that the card is off, also when it refuses to do it. */
static void power_off(struct storage *storage)
{
    if (check(storage) == NO_ERROR) {
        icc_power_off(storage->icc);
        storage->card_active = false;
    }
    tell_slot_status(storage, INACTIVE, NO_ERROR, CLOCK_STOPPED_LOW, RESERVED_LONG_US);
}

/* ---- IccPowerOn ---- */

/* The type is all that a failure changes. */
static void power_on_failed(struct storage *storage)
{
    storage->message[TYPE] = DATA_BLOCK;
    finish(storage, RESERVED_LONG_US);
}

static void power_on(struct storage *storage)
{
    if (check(storage) != NO_ERROR)
        power_on_failed(storage);
    else if (storage->card_active && !storage->traits->power_on_resets)
        storage_task_pause(storage);
    else
        storage_task_power_on(storage);
}

void storage_ccid_powered_on(struct storage *storage, bool active)
{
    storage->card_active = active;
    if (active)
        storage_task_pause(storage);
    else
        power_on_failed(storage);
}

void storage_ccid_paused(struct storage *storage)
{
    storage->message[TYPE] = DATA_BLOCK;
    storage->message[LENGTH] = storage->atr_len;
    memcpy(storage->message + STORAGE_HEADER, storage->atr, storage->atr_len);
    storage->message[TA1_AT] = TA1;
    storage->data_len = storage->atr_len;
    finish(storage, RESERVED_LONG_US);
}

/* ---- XfrBlock ---- */

static void tell_data_block(struct storage *storage, uint8_t error)
{
    storage->message[TYPE] = DATA_BLOCK;
    storage->message[STATUS] = error == NO_ERROR ? slot_state(storage) : slot_state(storage) + FAILED;
    storage->message[ERROR] = error;
    storage->message[LAST] = 0;
    if (error != NO_ERROR)
        put_length(storage, 0);
    finish(storage, RESERVED_LONG_US);
}

void storage_ccid_card_answered(struct storage *storage, const uint8_t *block, size_t length)
{
    const size_t most = storage->traits->buffer;
    storage->data_len = length < most ? length : most; /* 0: it was mute, which is not taken for an error */
    memcpy(storage->message + STORAGE_HEADER, block, storage->data_len);
    put_length(storage, storage->data_len);
    tell_data_block(storage, NO_ERROR);
}

/* An S(IFS request) for 254 bytes is answered by the firmware, with 32: the card never hears of it. How long the
 * block is, and what its NAD, nobody looks. */
static bool is_answered_for_the_card(const uint8_t *block)
{
    return block[1] == 0xc1 && block[2] == 0x01 && block[3] == 0xfe && block[4] == 0x3e;
}

static void answer_for_the_card(struct storage *storage, uint8_t nad)
{
    const uint8_t block[] = { nad, 0xe1, 0x01, 0x20, nad ^ 0xe1 ^ 0x01 ^ 0x20 };
    storage_ccid_card_answered(storage, block, sizeof block);
}

static void xfr_block(struct storage *storage)
{
    const uint8_t *const block = storage->message + STORAGE_HEADER;
    if (storage->message[SLOT] != 0)
        tell_data_block(storage, BAD_SLOT);
    else if (storage->data_len == 0)
        tell_data_block(storage, BAD_LENGTH);
    else if (is_answered_for_the_card(block))
        answer_for_the_card(storage, block[0]);
    else {
        if (storage->traits->counts_blocks && !(block[1] & 0x80)) /* an I-block */
            storage->hid.ns ^= 1;
        storage_task_send_block(storage, block, storage->data_len);
    }
}

/* ---- parameters ---- */

static void tell_parameters(struct storage *storage)
{
    storage->message[TYPE] = PARAMETERS;
    put_length(storage, 7); /* of which none is written that was not sent */
    storage->message[STATUS] = slot_state(storage);
    storage->message[LAST] = 1; /* T=1 */
    finish(storage, RESERVED_LONG_US);
}

static void set_parameters(struct storage *storage)
{
    if (storage->message[SLOT] == 0 && (storage->data_len == 5 || storage->data_len == 7))
        storage->message[ERROR] = 0;
    tell_parameters(storage);
}

/* Escape, and what is not supported: comes back as it is. */
static void echo(struct storage *storage)
{
    finish(storage, storage->message[TYPE] == 0x6b ? RESERVED_LONG_US : RESERVED_SHORT_US);
}

static const struct {
    uint8_t type;
    void (*run)(struct storage *storage);
} COMMANDS[] = {
    { 0x61, set_parameters }, { 0x62, power_on },       { 0x63, power_off },       { 0x65, get_slot_status },
    { 0x6c, tell_parameters }, { 0x6d, tell_parameters }, { 0x6e, clock_or_abort }, { 0x6f, xfr_block },
    { 0x72, clock_or_abort },
};

void storage_ccid_run(struct storage *storage)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
        if (COMMANDS[i].type == storage->message[TYPE]) {
            COMMANDS[i].run(storage);
            return;
        }
    echo(storage);
}
