/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* storage.c - the firmware of Nitrokey Storage and Storage 2, as the host sees it: endpoints and control requests. */
#include "storage.h"
#include <stdlib.h>
#include "storage_firmware.h"

const struct storage_options storage_defaults = { .version = STORAGE_0_57, .first_byte_limit_us = 60 * STORAGE_SECOND };

static const struct storage_traits TRAITS[] = {
    [STORAGE_0_57] = { .buffer = 271, .startup_us = 2 * STORAGE_SECOND, .answer_patience_us = 80 * STORAGE_MS,
                       .power_on_resets = true, .counts_blocks = true },
    [STORAGE_0_43] = { .buffer = 270, .startup_us = 100 * STORAGE_MS, .answer_patience_us = DEVICE_NEVER,
                       .lock_poll_us = 50 * STORAGE_MS },
    [STORAGE_0_29] = { .buffer = 270, .startup_us = 100 * STORAGE_MS, .answer_patience_us = DEVICE_NEVER,
                       .lock_poll_us = 50 * STORAGE_MS, .gathers_packets = true, .dispatches_answers = true },
};

static struct storage *storage_of(struct device *device)
{
    return (struct storage *)device;
}

static const struct storage *const_storage_of(const struct device *device)
{
    return (const struct storage *)device;
}

/* ---- time ---- */

static void storage_advance(struct device *device)
{
    struct storage *const storage = storage_of(device);
    while (storage_line_step(storage) || storage_hid_step(storage) || storage_task_step(storage))
        continue;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the card may speak to somebody. A computation may be late: it is listened to in steps. */
static int64_t line_next_us(const struct storage *storage)
{
    const int64_t now = storage->device.now_us, speaks_at = icc_speaks_at(storage->icc);
    if (storage->stage != STORAGE_LISTENING_TO_CARD && storage->hid.stage != HID_LISTENING)
        return DEVICE_NEVER;
    return speaks_at > now ? speaks_at : now + STORAGE_MS;
}

static int64_t storage_next_us(const struct device *device)
{
    const struct storage *const storage = const_storage_of(device);
    const int64_t sides = earlier(storage_task_next_us(storage), storage_hid_next_us(storage));
    return earlier(sides, line_next_us(storage));
}

/* ---- packets ---- */

static enum handshake bulk_out(struct storage *storage, const uint8_t *packet, size_t length)
{
    if (storage->out.full)
        return HANDSHAKE_NAK;
    storage->out.full = true;
    storage->out.length = length;
    if (length > 0)
        memcpy(storage->out.bytes, packet, length);
    storage_advance(&storage->device);
    return HANDSHAKE_ACK;
}

static enum handshake take(struct storage_bank *bank, uint8_t *packet, size_t *length)
{
    if (!bank->full)
        return HANDSHAKE_NAK;
    bank->full = false;
    *length = bank->length;
    memcpy(packet, bank->bytes, bank->length);
    return HANDSHAKE_ACK;
}

static enum handshake storage_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct storage *const storage = storage_of(device);
    if (endpoint == STORAGE_DISK_OUT)
        return mass_storage_out(&storage->disk, packet, length);
    return endpoint == device->identity->bulk_out ? bulk_out(storage, packet, length) : HANDSHAKE_NAK;
}

static enum handshake storage_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct storage *const storage = storage_of(device);
    if (endpoint == STORAGE_DISK_IN)
        return mass_storage_in(&storage->disk, packet, device_packet_size(device, endpoint), length);
    if (endpoint == device->identity->interrupt_in)
        return take(&storage->interrupt, packet, length);
    if (endpoint != device->identity->bulk_in)
        return HANDSHAKE_NAK;
    const enum handshake handshake = take(&storage->in, packet, length);
    storage_advance(device); /* the task may have waited for that */
    return handshake;
}

/* ---- control requests ---- */

static const uint8_t HID_REPORT_DESCRIPTOR[42] = {
    0x06, 0x00, 0xff,                                     /* usage page: vendor defined */
    0x09, 0x01,                                           /* usage 1 */
    0xa1, 0x01,                                           /* collection: application */
    0x09, 0x01, 0x15, 0x00, 0x26, 0xff, 0x00,             /*   usage 1, logical values 0 ... 255 */
    0x75, 0x08, 0x95, 0x40, 0x81, 0x02,                   /*   64 bytes: input */
    0x09, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00,             /*   usage 2 */
    0x75, 0x08, 0x95, 0x40, 0x91, 0x02,                   /*   output */
    0x09, 0x02, 0x75, 0x08, 0x95, 0x40, 0xb1, 0x02, 0xc0, /*   feature */
};
static const uint8_t HID_DESCRIPTOR[] = { 0x09, 0x21, 0x10, 0x01, 0x00, 0x01, 0x22, sizeof HID_REPORT_DESCRIPTOR, 0 };

static enum handshake give(const struct setup *setup, uint8_t *data, size_t *length, const uint8_t *bytes, size_t size)
{
    *length = size < setup->length ? size : setup->length;
    memcpy(data, bytes, *length);
    return HANDSHAKE_ACK;
}

/* GET_REPORT: a feature report has 64 bytes, and none of a command that a test would send. */
static enum handshake get_report(const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t zeros[64] = { 0 };
    const size_t size = setup->value >> 8 == 3 ? sizeof zeros : 1;
    return give(setup, data, length, zeros, size);
}

/* BOT §3.1, §3.2 and HID 1.11 §7.1, §7.2; which interface is asked counts for the disk only. CCID's requests are not
 * known: GET_CLOCK_FREQUENCIES is taken for GET_IDLE, which is never answered. */
static enum handshake storage_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t last_lun[] = { 0 };
    struct storage *const storage = storage_of(device);
    const int request = setup->request_type << 8 | setup->request;
    if (setup->index == 0 && request == 0x21ff) { /* Bulk-Only Mass Storage Reset */
        mass_storage_reset(&storage->disk);
        return HANDSHAKE_ACK;
    }
    if (setup->index == 0 && request == 0xa1fe) /* Get Max LUN */
        return give(setup, data, length, last_lun, sizeof last_lun);
    if (request == 0x8106 && setup->value == 0x2200)
        return give(setup, data, length, HID_REPORT_DESCRIPTOR, sizeof HID_REPORT_DESCRIPTOR);
    if (request == 0x8106 && setup->value == 0x2100)
        return give(setup, data, length, HID_DESCRIPTOR, sizeof HID_DESCRIPTOR);
    if (request == 0xa101)
        return get_report(setup, data, length);
    if (request == 0xa102) /* GET_IDLE */
        return HANDSHAKE_NAK;
    return request == 0x2109 || request == 0x210a ? HANDSHAKE_ACK : HANDSHAKE_STALL; /* SET_REPORT, SET_IDLE */
}

/* ---- life ---- */

static void empty_banks(struct storage *storage)
{
    storage->out.full = storage->in.full = storage->interrupt.full = false;
}

static void storage_power(struct device *device, bool on)
{
    struct storage *const storage = storage_of(device);
    empty_banks(storage);
    memset(storage->message, 0, sizeof storage->message);
    storage->previous_len = storage->data_len = 0;
    storage->card_active = storage->announced = storage->dispatching_answer = storage->repeating = false;
    storage->lock_until_us = 0;
    storage->hid = (struct storage_hid){ .stage = HID_IDLE };
    mass_storage_reset(&storage->disk);
    storage_task_start(storage);
    if (!on)
        icc_power_off(storage->icc);
}

/* Ends neither a command nor the card's power; what is in a bank is lost. */
static void storage_reset(struct device *device)
{
    storage_of(device)->disturbances.bus_resets++;
    empty_banks(storage_of(device));
    if (device->powered)
        storage_advance(device);
}

static void storage_configured(struct device *device)
{
    struct storage *const storage = storage_of(device);
    storage->disturbances.configurations++;
    mass_storage_reset(&storage->disk);
}

static void storage_interface_set(struct device *device)
{
    empty_banks(storage_of(device));
    storage_advance(device);
}

static void storage_halt_cleared(struct device *device, uint8_t endpoint)
{
    struct storage *const storage = storage_of(device);
    if (endpoint == device->identity->bulk_out)
        storage->out.full = false;
    else if (endpoint == device->identity->bulk_in)
        storage->in.full = false;
    storage_advance(device);
}

static void storage_reset_by_sibling(struct device *device)
{
    storage_hid_reset(storage_of(device));
    storage_advance(device);
}

static void storage_sibling_apdu(struct device *device, const uint8_t *apdu, size_t length)
{
    storage_hid_command(storage_of(device), apdu, length);
    storage_advance(device);
}

static size_t storage_sibling_answer(const struct device *device)
{
    const struct storage *const storage = const_storage_of(device);
    return storage->hid.stage == HID_IDLE ? storage->hid.got : DEVICE_SIBLING_WAITS;
}

static bool storage_busy(const struct device *device)
{
    const struct storage *const storage = const_storage_of(device);
    const int64_t speaks_at = icc_speaks_at(storage->icc);
    const bool computing = speaks_at != ICC_NEVER && speaks_at > device->now_us; /* though the firmware gave it up */
    return !storage_task_is_idle(storage) || computing;
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
    .interface_set = storage_interface_set, .halt_cleared = storage_halt_cleared, .control = storage_control,
    .out = storage_out, .in = storage_in, .advance = storage_advance, .next_us = storage_next_us,
    .busy = storage_busy, .reset_by_sibling = storage_reset_by_sibling, .sibling_apdu = storage_sibling_apdu,
    .sibling_answer = storage_sibling_answer, .free = storage_free,
};

struct device *storage_new(const struct identity *identity, struct icc *icc, const struct storage_options *options)
{
    struct storage *storage = calloc(1, sizeof *storage);
    if (!storage)
        return NULL;
    storage->device.firmware = &STORAGE_FIRMWARE;
    storage->device.identity = identity;
    storage->icc = icc;
    storage->traits = &TRAITS[options->version];
    storage->first_byte_limit_us = options->first_byte_limit_us;
    return &storage->device;
}
