/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storage.c - the firmware of Nitrokey Storage and Storage 2, as the host sees it.
 *
 * Theory of operation
 *
 *               first packet           0.5 ms later                    card answers, or is given up
 *   LISTENING ---------------> RECEIVING ----------> POWERING, LISTENING_TO_CARD, HEARING_CARD --+
 *       ^                             \_____ answered at once ____________                       |
 *       |                                                                 \                      v
 *       +--------------------- the answer's packet read -------------------+---------------> ANSWERING
 *
 * A task looks at the bulk OUT endpoint every 0.5 ms. What has come by then is the message, whatever dwLength says.
 * After that, and until its answer has been read, the endpoint still takes packets, and nobody ever sees them.
 * One buffer holds the request and then the answer, which is written in one go: one packet, and never an empty one
 * after it. How many bytes are written is 10 and the request's dwLength, unless the command has its own opinion.
 * A bus reset ends neither a running command nor an answer that has not been read; losing power does.
 *
 * What looks like a mistake below is one of the real firmware, kept because hosts have to live with it.
 */
#include "storage.h"
#include <stdlib.h>
#include <string.h>
#include "hid_report.h"
#include "mass_storage.h"

#define HID_INTERFACE 2
#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define HEADER 10
#define BUFFER 300
#define TOO_LONG 271            /* a request of so many bytes, or one that announces so many */
#define TASK_US 500             /* how often the task looks at its endpoint */
#define PRESENCE_US (2 * SECOND) /* from the enumeration to the interrupt message */
#define POWER_ON_TRIES 10
#define END_OF_ANSWER_US (5 * MS) /* a block ends when the card has been silent for so long */
#define RETRY_US 1000           /* a card whose computation is late is listened to in such steps */
#define RESERVED_LONG (500 * MS) /* after a command the card is not given to HID for so long */
#define RESERVED_SHORT (100 * MS)

const struct storage_options storage_defaults = { .first_byte_limit_us = 60 * SECOND, .power_on_us = 400 * MS };

enum stage { LISTENING, RECEIVING, POWERING, LISTENING_TO_CARD, HEARING_CARD, ANSWERING };

struct storage {
    struct device device; /* first: a device is cast to its firmware */
    struct icc *icc;
    struct storage_options options;
    struct mass_storage disk;
    struct storage_disturbances disturbances;

    enum stage stage;
    int64_t until_us;         /* when the stage ends; LISTENING_TO_CARD: when the card is given up */
    uint8_t message[BUFFER];  /* the request, then the answer */
    size_t received;          /* bytes of the request, more than BUFFER is possible */
    size_t data_len;          /* bytes written after the header of the answer */
    unsigned tries;           /* POWERING: that have failed */
    const uint8_t *sending;   /* ANSWERING: message, or before it previous */
    size_t sending_len, answer_len;
    uint8_t previous[BUFFER]; /* the last answer, for the host that is to get it twice */
    size_t previous_len;

    bool card_powered, enumerated, sibling_reset_due;
    int64_t presence_us;       /* from when on the interrupt message waits */
    int64_t reserved_for_us;   /* after this command is answered HID does not get the card for so long */
    int64_t reserved_until_us;
};

static struct storage *storage_of(struct device *device)
{
    return (struct storage *)device;
}

static const struct storage *const_storage_of(const struct device *device)
{
    return (const struct storage *)device;
}

static bool serves_card(const struct storage *storage)
{
    return storage->stage == POWERING || storage->stage == LISTENING_TO_CARD || storage->stage == HEARING_CARD;
}

static uint32_t dw_length(const struct storage *storage)
{
    const uint8_t *m = storage->message;
    return (uint32_t)m[1] | (uint32_t)m[2] << 8 | (uint32_t)m[3] << 16 | (uint32_t)m[4] << 24;
}

/* ---- answers ---- */

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82 };
enum { ACTIVE = 0x00, INACTIVE = 0x01, FAILED = 0x40 };
enum { CLOCK_RUNNING = 0x00, CLOCK_STOPPED_LOW = 0x01, CLOCK_STOPPED = 0x03 };
enum { BAD_SLOT = 0x01, BAD_LENGTH = 0x02, HARDWARE_ERROR = 0x03 }; /* none of them as in CCID 1.1 table 6.2-2 */

static void start_sending(struct storage *storage, const uint8_t *bytes, size_t length)
{
    storage->stage = ANSWERING;
    storage->sending = bytes;
    storage->sending_len = length;
}

static void listen(struct storage *storage)
{
    storage->stage = LISTENING;
    storage->received = 0;
    memset(storage->message, 0, sizeof storage->message);
}

/* The buffer as it is becomes the answer. */
static void send_message(struct storage *storage)
{
    storage->reserved_until_us = storage->device.now_us + storage->reserved_for_us;
    const enum answer_fault fault = faults_next_answer(&storage->device.faults);
    storage->answer_len = faults_spoil_answer(fault, storage->message, HEADER + storage->data_len);
    if (storage->answer_len == 0)
        listen(storage);
    else if (fault == ANSWER_REPEATED && storage->previous_len > 0)
        start_sending(storage, storage->previous, storage->previous_len);
    else
        start_sending(storage, storage->message, storage->answer_len);
}

static void put_type_and_length(struct storage *storage, uint8_t type, size_t length)
{
    uint8_t *m = storage->message;
    m[0] = type;
    m[1] = (uint8_t)length;
    m[2] = (uint8_t)(length >> 8);
    m[3] = m[4] = 0;
}

/* length: what dwLength says; how much is written is storage->data_len. Slot and sequence number stay. */
static void answer(struct storage *storage, uint8_t type, size_t length, uint8_t status, uint8_t error, uint8_t last)
{
    put_type_and_length(storage, type, length);
    storage->message[7] = status;
    storage->message[8] = error;
    storage->message[9] = last;
    send_message(storage);
}

static uint8_t slot_state(const struct storage *storage)
{
    return storage->card_powered ? ACTIVE : INACTIVE;
}

static void refuse(struct storage *storage, uint8_t type, uint8_t error)
{
    answer(storage, type, 0, FAILED | slot_state(storage), error, 0);
}

static void whole_answer_read(struct storage *storage)
{
    if (storage->sending == storage->previous) {
        start_sending(storage, storage->message, storage->answer_len);
        return;
    }
    memcpy(storage->previous, storage->message, storage->answer_len);
    storage->previous_len = storage->answer_len;
    listen(storage);
}

/* ---- commands (CCID 1.1 §6.1) ---- */

static void power_card_on(struct storage *storage)
{
    storage->stage = POWERING;
    storage->until_us = storage->device.now_us + storage->options.power_on_us;
    storage->tries = 0;
}

/* bStatus, bError and bChainParameter are what the request had in their places: bPowerSelect, and two bytes RFU. A
 * card that stays mute is no error either, but an ATR of no bytes. */
static void try_to_power_on(struct storage *storage)
{
    size_t atr_len;
    const uint8_t *atr = icc_reset(storage->icc, storage->device.now_us, &atr_len);
    storage->card_powered = atr_len > 0;
    if (atr_len == 0 && ++storage->tries < POWER_ON_TRIES) {
        storage->until_us += storage->options.power_on_us;
        return;
    }
    if (atr_len > 0)
        memcpy(storage->message + HEADER, atr, atr_len);
    if (atr_len > 2)
        storage->message[HEADER + 2] = 0x18; /* TA1, whatever the card said; TCK stays */
    storage->data_len = atr_len;
    put_type_and_length(storage, DATA_BLOCK, atr_len);
    send_message(storage);
}

static void power_card_off(struct storage *storage)
{
    icc_power_off(storage->icc);
    storage->card_powered = false;
    answer(storage, SLOT_STATUS, 0, INACTIVE, 0, CLOCK_STOPPED_LOW);
}

static void get_slot_status(struct storage *storage)
{
    answer(storage, SLOT_STATUS, 0, slot_state(storage), 0, CLOCK_STOPPED);
}

/* An S(IFS request) for 254 bytes is answered by the firmware: 32, and the card never hears of it. */
static bool is_answered_for_the_card(const uint8_t *block, size_t length)
{
    return length == 5 && block[1] == 0xc1 && block[2] == 0x01 && block[3] == 0xfe && block[4] == 0x3e;
}

static void answer_for_the_card(struct storage *storage, uint8_t *block)
{
    block[1] = 0xe1;
    block[3] = 0x20;
    block[4] = block[0] ^ block[1] ^ block[2] ^ block[3];
    answer(storage, DATA_BLOCK, 5, ACTIVE, 0, 0);
}

static void xfr_block(struct storage *storage)
{
    uint8_t *data = storage->message + HEADER;
    if (storage->data_len == 0) {
        refuse(storage, DATA_BLOCK, BAD_LENGTH);
    } else if (is_answered_for_the_card(data, storage->data_len)) {
        answer_for_the_card(storage, data);
    } else if (!storage->card_powered) {
        refuse(storage, DATA_BLOCK, HARDWARE_ERROR);
    } else {
        icc_hear(storage->icc, storage->device.now_us, data, storage->data_len);
        storage->stage = LISTENING_TO_CARD;
        storage->until_us = storage->device.now_us + storage->options.first_byte_limit_us;
    }
}

static void card_has_answered(struct storage *storage, size_t length)
{
    storage->data_len = length; /* 0: it was mute, which is not taken for an error */
    answer(storage, DATA_BLOCK, length, ACTIVE, 0, 0);
}

/* The card's first byte has come: takes what it says. */
static void hear_card(struct storage *storage, int64_t at_us)
{
    const size_t length = icc_speak(storage->icc, storage->device.now_us, storage->message + HEADER, BUFFER - HEADER);
    if (length == 0)
        return; /* not yet */
    storage->data_len = length;
    storage->stage = HEARING_CARD;
    storage->until_us = at_us + END_OF_ANSWER_US;
}

/* dwLength announces seven bytes; as many are written as the request had, none if it only asked. */
static void get_set_or_reset_parameters(struct storage *storage)
{
    answer(storage, PARAMETERS, 7, ACTIVE, 0, 1);
}

static void clock_or_abort(struct storage *storage)
{
    answer(storage, SLOT_STATUS, 0, ACTIVE, 0, CLOCK_RUNNING);
}

static const struct command {
    uint8_t type;
    uint8_t answer_type;     /* of a refusal */
    bool any_slot;           /* bSlot is not looked at */
    int64_t reserves_us;     /* how long the card is then kept from HID */
    void (*run)(struct storage *storage);
} COMMANDS[] = {
    { 0x61, PARAMETERS, true, RESERVED_LONG, get_set_or_reset_parameters },
    { 0x62, DATA_BLOCK, false, RESERVED_LONG, power_card_on },
    { 0x63, SLOT_STATUS, false, RESERVED_SHORT, power_card_off },
    { 0x65, SLOT_STATUS, false, RESERVED_SHORT, get_slot_status },
    { 0x6c, PARAMETERS, true, RESERVED_LONG, get_set_or_reset_parameters },
    { 0x6d, PARAMETERS, true, RESERVED_LONG, get_set_or_reset_parameters },
    { 0x6f, DATA_BLOCK, false, RESERVED_LONG, xfr_block },
    { 0x72, SLOT_STATUS, true, RESERVED_LONG, clock_or_abort },
    { 0x7e, SLOT_STATUS, true, RESERVED_LONG, clock_or_abort },
};

static void run_command(struct storage *storage, const struct command *command)
{
    storage->reserved_for_us = command->reserves_us;
    if (storage->message[5] != 0 && !command->any_slot)
        refuse(storage, command->answer_type, BAD_SLOT);
    else
        command->run(storage);
}

/* NULL: it comes back as it is (Escape, Secure, T0APDU, Mechanical, SetDataRate and what is not in CCID). */
static const struct command *find_command(uint8_t type)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
        if (COMMANDS[i].type == type)
            return &COMMANDS[i];
    return NULL;
}

/* What has come is the message. One that is too long is dropped, and an answer made of nothing goes out, as long as
 * the last one; one that only says it is too long comes back as it is. */
static void dispatch(struct storage *storage)
{
    const uint32_t length = dw_length(storage);
    if (storage->received >= TOO_LONG) {
        memset(storage->message, 0, sizeof storage->message);
        send_message(storage);
        return;
    }
    storage->data_len = length < BUFFER - HEADER ? length : BUFFER - HEADER;
    storage->reserved_for_us = RESERVED_SHORT;
    const struct command *command = length < TOO_LONG ? find_command(storage->message[0]) : NULL;
    if (command)
        run_command(storage, command);
    else
        send_message(storage);
}

/* ---- packets ---- */

static enum handshake bulk_out(struct storage *storage, const uint8_t *packet, size_t length)
{
    if (storage->stage != LISTENING && storage->stage != RECEIVING)
        return HANDSHAKE_ACK; /* taken, and thrown away before the answer is written */
    if (length == 0)
        return HANDSHAKE_ACK;
    if (storage->stage == LISTENING) {
        storage->stage = RECEIVING;
        storage->until_us = storage->device.now_us + TASK_US;
    }
    if (storage->received + length <= BUFFER)
        memcpy(storage->message + storage->received, packet, length);
    storage->received += length;
    return HANDSHAKE_ACK;
}

/* Of an answer longer than a packet the rest is lost; one of exactly a packet has no empty one after it. */
static enum handshake bulk_in(struct storage *storage, uint8_t *packet, size_t *length)
{
    const size_t most = device_packet_size(&storage->device, storage->device.identity->bulk_in);
    if (storage->stage != ANSWERING)
        return HANDSHAKE_NAK;
    *length = storage->sending_len < most ? storage->sending_len : most;
    memcpy(packet, storage->sending, *length);
    whole_answer_read(storage);
    return HANDSHAKE_ACK;
}

static enum handshake interrupt_in(struct storage *storage, uint8_t *packet, size_t *length)
{
    static const uint8_t present[] = { 0x50, 0x03 }; /* NotifySlotChange: card present, and this is news */
    if (storage->device.now_us < storage->presence_us)
        return HANDSHAKE_NAK;
    storage->presence_us = DEVICE_NEVER;
    *length = sizeof present;
    memcpy(packet, present, sizeof present);
    return HANDSHAKE_ACK;
}

static void storage_configured(struct device *device)
{
    struct storage *storage = storage_of(device);
    storage->disturbances.configurations++;
    mass_storage_reset(&storage->disk);
}

static enum handshake storage_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct storage *storage = storage_of(device);
    if (endpoint == STORAGE_DISK_OUT)
        return mass_storage_out(&storage->disk, packet, length);
    return endpoint == device->identity->bulk_out ? bulk_out(storage, packet, length) : HANDSHAKE_NAK;
}

static enum handshake storage_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct storage *storage = storage_of(device);
    if (endpoint == STORAGE_DISK_IN)
        return mass_storage_in(&storage->disk, packet, device_packet_size(device, endpoint), length);
    if (endpoint == device->identity->interrupt_in)
        return interrupt_in(storage, packet, length);
    return endpoint == device->identity->bulk_in ? bulk_in(storage, packet, length) : HANDSHAKE_NAK;
}

/* BOT §3.1, §3.2, asked of interface 0; none of CCID's requests is known, and HID says nothing. */
static enum handshake storage_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    struct storage *storage = storage_of(device);
    const int request = setup->index == 0 ? setup->request_type << 8 | setup->request : 0;
    if (request == 0x21ff) { /* Bulk-Only Mass Storage Reset */
        mass_storage_reset(&storage->disk);
    } else if (request == 0xa1fe && setup->length > 0) { /* Get Max LUN */
        data[0] = 0;
        *length = 1;
    } else if (setup->index == HID_INTERFACE && setup->request_type == 0x81 && setup->request == 6 &&
               setup->value == 0x2200) { /* GET_DESCRIPTOR */
        *length = setup->length < sizeof HID_REPORT_DESCRIPTOR ? setup->length : sizeof HID_REPORT_DESCRIPTOR;
        memcpy(data, HID_REPORT_DESCRIPTOR, *length);
    } else if (setup->index != HID_INTERFACE || setup->request_type != 0x21 || setup->request != 0x0a) { /* SET_IDLE */
        return HANDSHAKE_STALL;
    }
    return HANDSHAKE_ACK;
}

/* ---- time ---- */

/* One step of what is due; false: nothing is. */
static bool step(struct storage *storage)
{
    const int64_t now = storage->device.now_us;
    if (storage->stage == LISTENING_TO_CARD) {
        const int64_t speaks_at = icc_speaks_at(storage->icc);
        if (speaks_at <= now && speaks_at <= storage->until_us)
            hear_card(storage, speaks_at);
        else if (storage->until_us <= now)
            card_has_answered(storage, 0);
        return storage->stage != LISTENING_TO_CARD;
    }
    if (storage->until_us > now)
        return false;
    if (storage->stage == RECEIVING)
        dispatch(storage);
    else if (storage->stage == POWERING)
        try_to_power_on(storage);
    else if (storage->stage == HEARING_CARD)
        card_has_answered(storage, storage->data_len);
    else
        return false;
    return true;
}

static bool sibling_may_have_card(const struct storage *storage)
{
    return !serves_card(storage) && storage->reserved_until_us <= storage->device.now_us;
}

static void storage_advance(struct device *device)
{
    struct storage *storage = storage_of(device);
    while (step(storage))
        continue;
    if (storage->sibling_reset_due && sibling_may_have_card(storage)) {
        size_t atr_len;
        storage->sibling_reset_due = false;
        (void)icc_reset(storage->icc, device->now_us, &atr_len);
        storage->card_powered = atr_len > 0;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the stage ends on its own. */
static int64_t stage_next_us(const struct storage *storage)
{
    const int64_t now = storage->device.now_us;
    if (storage->stage == LISTENING || storage->stage == ANSWERING)
        return DEVICE_NEVER;
    if (storage->stage != LISTENING_TO_CARD)
        return storage->until_us;
    const int64_t speaks_at = icc_speaks_at(storage->icc);
    return earlier(speaks_at > now ? speaks_at : now + RETRY_US, storage->until_us);
}

static int64_t storage_next_us(const struct device *device)
{
    const struct storage *storage = const_storage_of(device);
    int64_t next = stage_next_us(storage);
    if (storage->presence_us > device->now_us)
        next = earlier(next, storage->presence_us);
    if (storage->sibling_reset_due && storage->reserved_until_us > device->now_us)
        next = earlier(next, storage->reserved_until_us);
    return next;
}

/* ---- life ---- */

static void storage_power(struct device *device, bool on)
{
    struct storage *storage = storage_of(device);
    listen(storage);
    storage->previous_len = storage->data_len = 0;
    storage->card_powered = storage->enumerated = storage->sibling_reset_due = false;
    storage->presence_us = DEVICE_NEVER;
    storage->reserved_until_us = 0;
    mass_storage_reset(&storage->disk);
    if (!on)
        icc_power_off(storage->icc);
}

/* The interrupt message belongs to the first enumeration after power on; there is never another. */
static void storage_reset(struct device *device)
{
    struct storage *storage = storage_of(device);
    storage->disturbances.bus_resets++;
    if (!storage->enumerated)
        storage->presence_us = device->now_us + PRESENCE_US;
    storage->enumerated = true;
}

static void storage_reset_by_sibling(struct device *device)
{
    storage_of(device)->sibling_reset_due = true;
    storage_advance(device);
}

static bool storage_busy(const struct device *device)
{
    const struct storage *storage = const_storage_of(device);
    const int64_t speaks_at = icc_speaks_at(storage->icc);
    const bool computing = speaks_at != ICC_NEVER && speaks_at > device->now_us; /* though the firmware gave it up */
    return storage->stage != LISTENING || computing;
}

static void storage_free(struct device *device)
{
    free(storage_of(device));
}

struct storage_disturbances storage_disturbances(const struct device *device)
{
    return const_storage_of(device)->disturbances;
}

static const struct firmware STORAGE_FIRMWARE = {
    .power = storage_power, .reset = storage_reset, .configured = storage_configured,
    .control = storage_control, .out = storage_out, .in = storage_in, .advance = storage_advance, .next_us = storage_next_us, .busy = storage_busy,
    .reset_by_sibling = storage_reset_by_sibling, .free = storage_free,
};

struct device *storage_new(const struct identity *identity, struct icc *icc, const struct storage_options *options)
{
    struct storage *storage = calloc(1, sizeof *storage);
    if (!storage)
        return NULL;
    storage->device.firmware = &STORAGE_FIRMWARE;
    storage->device.identity = identity;
    storage->icc = icc;
    storage->options = *options;
    return &storage->device;
}
