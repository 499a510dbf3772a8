/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage_task.c - the task of the Storage's firmware that serves CCID.
 *
 * From USB_CCID_task.c of nitrokey-storage-firmware; what differs between versions is in TRAITS.
 *
 *   STARTING --> LOOKING --> ANNOUNCING         once; from then on
 *
 *                LOOKING --packet--> (GATHERING) --> (WAITING_FOR_HID) --> a command is executed
 *                   ^                                                              |
 *                   |                                            POWERING, POWERED, or LISTENING_, HEARING_CARD
 *                   |                                                              v
 *                DRAINING <----------------------------------------------------- WRITING
 *
 * It looks for a packet each 500 us; here packets come just before it does. There is one bank an endpoint. A packet
 * that comes while a command is executed stays in its bank and is thrown away before the answer is written; what comes
 * after that is served next. The answer is written in one go: one packet, and never an empty one after it; of a longer
 * one the rest is lost. When the host does not read it, a newer firmware goes on after a while, and the next answer is
 * written over it.
 */
#include "storage_firmware.h"

#define GATHER_US (1 * STORAGE_MS)
#define POWER_ON_TRIES 10
#define BEFORE_RESET_US (250 * STORAGE_MS)   /* the card is without power, then without clock */
#define AFTER_RESET_US (50 * STORAGE_MS)     /* ATR and PPS */
#define PAUSE_US (100 * STORAGE_MS)
#define END_OF_ANSWER_US (5 * STORAGE_MS)
#define ATR_MIN 4

static void enter(struct storage *storage, enum storage_stage stage, int64_t duration_us)
{
    storage->stage = stage;
    storage->until_us = duration_us == DEVICE_NEVER ? DEVICE_NEVER : storage->device.now_us + duration_us;
}

void storage_task_start(struct storage *storage)
{
    enter(storage, STORAGE_STARTING, BEFORE_RESET_US + AFTER_RESET_US);
}

bool storage_task_is_idle(const struct storage *storage)
{
    const bool waits = storage->stage == STORAGE_LOOKING || storage->stage == STORAGE_STARTING ||
                       storage->stage == STORAGE_ANNOUNCING;
    return waits && !storage->out.full && !storage->in.full;
}

/* ---- the card ---- */

bool storage_reset_card(struct storage *storage)
{
    size_t length;
    const uint8_t *const atr = icc_reset(storage->icc, storage->device.now_us, &length);
    storage->hid.ns = 0;
    if (length < ATR_MIN)
        return false;
    storage->atr_len = (uint8_t)(length < sizeof storage->atr ? length : sizeof storage->atr);
    memcpy(storage->atr, atr, storage->atr_len);
    return true;
}

void storage_task_power_on(struct storage *storage)
{
    storage->tries = 0;
    enter(storage, STORAGE_POWERING, BEFORE_RESET_US);
}

/* A mute card is listened to twice, and then tried again. */
static void try_to_power_on(struct storage *storage)
{
    if (storage->tries >= POWER_ON_TRIES)
        storage_ccid_powered_on(storage, false);
    else if (storage_reset_card(storage))
        storage_ccid_powered_on(storage, true);
    else if (++storage->tries < POWER_ON_TRIES)
        enter(storage, STORAGE_POWERING, 2 * storage->first_byte_limit_us + BEFORE_RESET_US);
    else
        enter(storage, STORAGE_POWERING, 2 * storage->first_byte_limit_us);
}

void storage_task_pause(struct storage *storage)
{
    const bool was_reset = storage->stage == STORAGE_POWERING;
    enter(storage, STORAGE_POWERED, PAUSE_US + (was_reset ? AFTER_RESET_US : 0));
}

void storage_task_send_block(struct storage *storage, const uint8_t *block, size_t length)
{
    icc_hear(storage->icc, storage->device.now_us, block, length);
    enter(storage, STORAGE_LISTENING_TO_CARD, storage->first_byte_limit_us);
}

void storage_task_hear_card(struct storage *storage)
{
    enter(storage, STORAGE_HEARING_CARD, END_OF_ANSWER_US);
}

/* ---- the answer ---- */

static void write_bank(struct storage *storage, struct storage_bank *bank, const uint8_t *bytes, size_t length)
{
    const size_t most = device_packet_size(&storage->device, storage->device.identity->bulk_in);
    if (length > most)
        length = most;
    if (length > STORAGE_MESSAGE_MAX) {
        memset(bank->bytes, 0, length); /* memory beyond the buffer; what is there is not known */
        memcpy(bank->bytes, bytes, STORAGE_MESSAGE_MAX);
    } else
        memcpy(bank->bytes, bytes, length);
    if (!bank->full) /* otherwise it is written over, and as long as it was */
        bank->length = length;
    bank->full = storage->device.configuration != 0;
}

static void begin_to_write(struct storage *storage)
{
    storage->out.full = false; /* whatever has come meanwhile */
    enter(storage, STORAGE_WRITING, storage->traits->answer_patience_us);
}

static void forget_message(struct storage *storage)
{
    storage->dispatching_answer = false;
    memset(storage->message, 0, sizeof storage->message);
    enter(storage, STORAGE_LOOKING, 0);
}

void storage_task_answer(struct storage *storage)
{
    if (storage->dispatching_answer)
        forget_message(storage);
    else
        begin_to_write(storage);
}

static void write_message(struct storage *storage)
{
    const bool again = storage->repeating;
    const enum answer_fault fault = again ? ANSWER_RIGHT : faults_next_answer(&storage->device.faults);
    const size_t length = STORAGE_HEADER + storage->data_len;
    const size_t kept = length < STORAGE_MESSAGE_MAX ? length : STORAGE_MESSAGE_MAX;
    const size_t sent = fault == ANSWER_RIGHT ? length : faults_spoil_answer(fault, storage->message, kept);
    storage->stage = STORAGE_DRAINING; /* until_us is of both stages: the host's patience counts once */
    storage->repeating = fault == ANSWER_REPEATED && storage->previous_len > 0;
    if (storage->repeating) {
        write_bank(storage, &storage->in, storage->previous, storage->previous_len);
        return;
    }
    if (sent > 0)
        write_bank(storage, &storage->in, storage->message, sent);
    memcpy(storage->previous, storage->message, kept);
    storage->previous_len = kept;
}

/* ---- the message ---- */

static void run_message(struct storage *storage)
{
    storage->lock_until_us = storage->device.now_us + 30 * STORAGE_SECOND;
    storage_ccid_run(storage);
}

/* HID's lock is waited for by looking all the time, or in steps. */
static void wait_for_hid(struct storage *storage)
{
    const int64_t left = storage->hid.lock_until_us - storage->device.now_us, step = storage->traits->lock_poll_us;
    if (left <= 0)
        run_message(storage);
    else
        enter(storage, STORAGE_WAITING_FOR_HID, step > 0 ? (left + step - 1) / step * step : left);
}

/* dwLength counts, of which two bytes are looked at; what of the data has come does not. */
static void dispatch(struct storage *storage)
{
    storage->data_len = (size_t)(storage->message[1] | storage->message[2] << 8);
    if (storage->data_len >= storage->traits->buffer)
        storage_task_answer(storage);
    else
        wait_for_hid(storage);
}

/* A message that is too long is dropped; what there is of it is the answer. */
static void take_packet(struct storage *storage)
{
    const struct storage_bank *const out = &storage->out;
    storage->out.full = false;
    if (storage->data_len + out->length >= storage->traits->buffer) {
        begin_to_write(storage);
        return;
    }
    memcpy(storage->message + storage->data_len, out->bytes, out->length);
    storage->data_len += out->length;
    if (storage->traits->gathers_packets)
        enter(storage, STORAGE_GATHERING, GATHER_US);
    else
        dispatch(storage);
}

static void look(struct storage *storage)
{
    if (!storage->announced) {
        storage->announced = true;
        enter(storage, STORAGE_ANNOUNCING, storage->traits->startup_us);
        return;
    }
    storage->data_len = 0;
    take_packet(storage);
}

static void gather(struct storage *storage)
{
    if (storage->out.full)
        take_packet(storage);
    else
        dispatch(storage);
}

/* NotifySlotChange: card present, and this is news. */
static void announce(struct storage *storage)
{
    static const uint8_t present[] = { 0x50, 0x03 };
    write_bank(storage, &storage->interrupt, present, sizeof present);
    enter(storage, STORAGE_LOOKING, 0);
}

static void answer_is_read(struct storage *storage)
{
    if (storage->repeating)
        write_message(storage);
    else if (storage->traits->dispatches_answers && !storage->dispatching_answer) {
        storage->dispatching_answer = true;
        dispatch(storage);
    } else
        forget_message(storage);
}

/* ---- time ---- */

static bool has_something_to_look_at(const struct storage *storage)
{
    return storage->device.configuration != 0 && (storage->out.full || !storage->announced);
}

/* Whether the stage is over. */
static bool is_over(const struct storage *storage)
{
    const bool late = storage->until_us <= storage->device.now_us;
    switch (storage->stage) {
    case STORAGE_LOOKING:
        return late && has_something_to_look_at(storage);
    case STORAGE_WRITING:
        return late || (storage->device.configuration != 0 && !storage->in.full);
    case STORAGE_DRAINING:
        return late || !storage->in.full;
    case STORAGE_STARTING:
    case STORAGE_ANNOUNCING:
    case STORAGE_GATHERING:
    case STORAGE_WAITING_FOR_HID:
    case STORAGE_POWERING:
    case STORAGE_POWERED:
    case STORAGE_LISTENING_TO_CARD:
    case STORAGE_HEARING_CARD:
        return late;
    }
    return false;
}

static void end_stage(struct storage *storage)
{
    switch (storage->stage) {
    case STORAGE_STARTING:
        (void)storage_reset_card(storage); /* for HID; CCID says that the card is inactive */
        enter(storage, STORAGE_LOOKING, 0);
        break;
    case STORAGE_LOOKING:
        look(storage);
        break;
    case STORAGE_ANNOUNCING:
        announce(storage);
        break;
    case STORAGE_GATHERING:
        gather(storage);
        break;
    case STORAGE_WAITING_FOR_HID:
        wait_for_hid(storage);
        break;
    case STORAGE_POWERING:
        try_to_power_on(storage);
        break;
    case STORAGE_POWERED:
        storage_ccid_paused(storage);
        break;
    case STORAGE_LISTENING_TO_CARD:
        storage_ccid_card_answered(storage, storage->heard, 0);
        break;
    case STORAGE_HEARING_CARD:
        storage_ccid_card_answered(storage, storage->heard, storage->heard_len);
        break;
    case STORAGE_WRITING:
        write_message(storage);
        break;
    case STORAGE_DRAINING:
        answer_is_read(storage);
        break;
    }
}

bool storage_task_step(struct storage *storage)
{
    const bool over = is_over(storage);
    if (over)
        end_stage(storage);
    return over;
}

int64_t storage_task_next_us(const struct storage *storage)
{
    if (storage->stage == STORAGE_LOOKING && !has_something_to_look_at(storage))
        return DEVICE_NEVER;
    return storage->until_us;
}
