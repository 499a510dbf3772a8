/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device.c - what every virtual USB device does: standard requests and halted endpoints (USB 2.0 chapter 9). */
#include "device.h"
#include <string.h>

#define FROM_DEVICE 0x80
#define RECIPIENT 0x1f
#define TYPE 0x60

enum { TO_DEVICE = 0, TO_INTERFACE = 1, TO_ENDPOINT = 2 };
enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR = 6, GET_CONFIGURATION = 8,
       SET_CONFIGURATION = 9, GET_INTERFACE = 10, SET_INTERFACE = 11 };
enum { DESCRIPTOR_DEVICE = 1, DESCRIPTOR_CONFIGURATION = 2, DESCRIPTOR_STRING = 3, DESCRIPTOR_INTERFACE = 4,
       DESCRIPTOR_ENDPOINT = 5,
       DESCRIPTOR_BOS = 15 };

void device_free(struct device *device)
{
    if (device)
        device->firmware->free(device);
}

static void forget_configuration(struct device *device)
{
    device->configuration = 0;
    device->halted = 0;
}

void device_power(struct device *device, bool on)
{
    if (device->powered == on)
        return;
    device->powered = on;
    forget_configuration(device);
    device->firmware->power(device, on);
}

void device_reset(struct device *device)
{
    forget_configuration(device);
    device->firmware->reset(device);
}

void device_advance(struct device *device, int64_t now_us)
{
    if (now_us > device->now_us)
        device->now_us = now_us;
    if (device->powered)
        device->firmware->advance(device);
}

int64_t device_next_us(const struct device *device)
{
    if (!device->powered)
        return DEVICE_NEVER;
    const int64_t next_us = device->firmware->next_us(device), naked_us = device->faults.naked_until_us;
    return naked_us > device->now_us && naked_us < next_us ? naked_us : next_us;
}

bool device_busy(const struct device *device)
{
    return device->powered && device->firmware->busy(device);
}

void device_reset_by_sibling(struct device *device)
{
    if (device->powered)
        device->firmware->reset_by_sibling(device);
}

bool device_sibling_apdu(struct device *device, const uint8_t *apdu, size_t length)
{
    if (!device->powered || !device->firmware->sibling_apdu)
        return false;
    device->firmware->sibling_apdu(device, apdu, length);
    return true;
}

size_t device_sibling_answer(const struct device *device)
{
    return device->firmware->sibling_answer ? device->firmware->sibling_answer(device) : 0;
}

/* ---- descriptors ---- */

bool device_configure(struct device *device, unsigned value)
{
    if (value != 0 && value != device->identity->configuration[5])
        return false;
    device->configuration = (uint8_t)value;
    device->halted = 0;
    if (value != 0 && device->firmware->configured)
        device->firmware->configured(device);
    return true;
}

size_t device_configuration(const struct device *device, uint8_t bytes[DEVICE_CONFIGURATION_MAX])
{
    const size_t length = device->identity->configuration_len;
    memcpy(bytes, device->identity->configuration, length);
    return faults_spoil_configuration(device->faults.descriptors, bytes, length);
}

size_t device_packet_size(const struct device *device, uint8_t endpoint)
{
    const uint8_t *bytes = device->identity->configuration;
    const size_t length = device->identity->configuration_len;
    for (size_t at = 0; at + 7 <= length && bytes[at] > 0; at += bytes[at])
        if (bytes[at + 1] == DESCRIPTOR_ENDPOINT && bytes[at + 2] == endpoint)
            return (size_t)(bytes[at + 4] | bytes[at + 5] << 8);
    return 0;
}

/* USB 2.0 §9.6.7; in some firmwares a string is an array that may be longer than the text. */
static size_t string_descriptor(const struct identity *identity, size_t index, uint8_t bytes[255])
{
    static const uint8_t languages[] = { 4, DESCRIPTOR_STRING, 0x09, 0x04 };
    size_t length = 2;
    if (index == 0) {
        memcpy(bytes, languages, sizeof languages);
        return sizeof languages;
    }
    if (index >= sizeof identity->strings / sizeof identity->strings[0] || !identity->strings[index])
        return 0;
    const char *text = identity->strings[index];
    const size_t characters = strlen(text), least = index < 4 ? identity->string_lengths[index] : 0;
    for (size_t i = 0; (i < characters || length < least) && length + 2 <= 254; i++) {
        bytes[length++] = i < characters ? (uint8_t)text[i] : 0;
        bytes[length++] = 0;
    }
    bytes[0] = (uint8_t)length;
    bytes[1] = DESCRIPTOR_STRING;
    return length;
}

static size_t descriptor(const struct device *device, uint16_t value, uint8_t bytes[DEVICE_CONFIGURATION_MAX])
{
    static const uint8_t bos[] = { 5, DESCRIPTOR_BOS, 5, 0, 0 };
    switch (value >> 8) {
    case DESCRIPTOR_DEVICE:
        memcpy(bytes, device->identity->device, 18);
        return 18;
    case DESCRIPTOR_CONFIGURATION:
        return (value & 0xff) == 0 ? device_configuration(device, bytes) : 0;
    case DESCRIPTOR_BOS: /* only devices that say more than USB 2.0 are asked; one without capabilities */
        memcpy(bytes, bos, sizeof bos);
        return device->identity->device[3] == 2 && device->identity->device[2] > 0 ? sizeof bos : 0;
    case DESCRIPTOR_STRING:
        return string_descriptor(device->identity, value & 0xff, bytes);
    default:
        return 0;
    }
}

/* ---- standard requests ---- */

static enum handshake give(const struct setup *setup, uint8_t *data, size_t *length, const uint8_t *bytes, size_t size)
{
    *length = size < setup->length ? size : setup->length;
    memcpy(data, bytes, *length);
    return HANDSHAKE_ACK;
}

static uint32_t endpoint_bit(uint16_t endpoint)
{
    return UINT32_C(1) << ((endpoint & 0x0f) + (endpoint & 0x80 ? 16 : 0));
}

static enum handshake asked_of_device(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    static const uint8_t status[2] = { 0, 0 }; /* bus powered, no remote wake-up */
    uint8_t bytes[DEVICE_CONFIGURATION_MAX];
    const bool in = setup->request_type & FROM_DEVICE;
    if (in && setup->request == GET_STATUS)
        return give(setup, data, length, status, sizeof status);
    if (in && setup->request == GET_CONFIGURATION)
        return give(setup, data, length, &device->configuration, 1);
    if (in && setup->request == GET_DESCRIPTOR) {
        const size_t size = descriptor(device, setup->value, bytes);
        return size > 0 ? give(setup, data, length, bytes, size) : HANDSHAKE_STALL;
    }
    if (!in && setup->request == SET_ADDRESS)
        return HANDSHAKE_ACK;
    if (!in && setup->request == SET_CONFIGURATION && device_configure(device, setup->value))
        return HANDSHAKE_ACK;
    return HANDSHAKE_STALL;
}

static enum handshake asked_of_endpoint(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    const uint32_t bit = endpoint_bit(setup->index);
    const bool halt_feature = setup->value == 0;
    if ((setup->index & 0x7f) != 0 && device_packet_size(device, (uint8_t)setup->index) == 0)
        return HANDSHAKE_STALL;
    if (setup->request_type & FROM_DEVICE) {
        const uint8_t status[2] = { (device->halted & bit) != 0, 0 };
        return setup->request == GET_STATUS ? give(setup, data, length, status, sizeof status) : HANDSHAKE_STALL;
    }
    if (setup->request == CLEAR_FEATURE && halt_feature) {
        device->halted &= ~bit;
        if (device->firmware->halt_cleared)
            device->firmware->halt_cleared(device, (uint8_t)setup->index);
    } else if (setup->request == SET_FEATURE && halt_feature)
        device->halted |= bit;
    else
        return HANDSHAKE_STALL;
    return HANDSHAKE_ACK;
}

static bool has_interface(const struct device *device, uint16_t number)
{
    const uint8_t *bytes = device->identity->configuration;
    const size_t length = device->identity->configuration_len;
    for (size_t at = 0; at + 3 <= length && bytes[at] > 0; at += bytes[at])
        if (bytes[at + 1] == DESCRIPTOR_INTERFACE && bytes[at + 2] == number)
            return true;
    return false;
}

static enum handshake asked_of_interface(struct device *device, const struct setup *setup, uint8_t *data,
                                         size_t *length)
{
    static const uint8_t zeros[2] = { 0, 0 };
    switch (setup->request) {
    case GET_STATUS:
        return give(setup, data, length, zeros, 2);
    case GET_INTERFACE:
        if (!has_interface(device, setup->index))
            return HANDSHAKE_STALL;
        return give(setup, data, length, zeros, 1);
    case SET_INTERFACE:
        if (setup->value != 0 || !has_interface(device, setup->index))
            return HANDSHAKE_STALL;
        if (device->firmware->interface_set)
            device->firmware->interface_set(device);
        return HANDSHAKE_ACK;
    default: /* descriptors of a class */
        return device->firmware->control(device, setup, data, length);
    }
}

static enum handshake asked(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    *length = setup->request_type & FROM_DEVICE ? 0 : setup->length;
    if ((setup->request_type & TYPE) != 0)
        return device->firmware->control(device, setup, data, length);
    switch (setup->request_type & RECIPIENT) {
    case TO_DEVICE:
        return asked_of_device(device, setup, data, length);
    case TO_INTERFACE:
        return asked_of_interface(device, setup, data, length);
    case TO_ENDPOINT:
        return asked_of_endpoint(device, setup, data, length);
    default:
        return HANDSHAKE_STALL;
    }
}

/* ---- packets ---- */

struct transaction {
    uint8_t endpoint;
    const struct setup *setup; /* of a control transfer, which is one transaction here */
    const uint8_t *sent;
    uint8_t *received; /* of a control transfer: in either direction */
    size_t *length;
};

static enum handshake ask_firmware(struct device *device, const struct transaction *t)
{
    if (t->endpoint == 0)
        return asked(device, t->setup, t->received, t->length);
    if (t->endpoint & FROM_DEVICE)
        return device->firmware->in(device, t->endpoint, t->received, t->length);
    return device->firmware->out(device, t->endpoint, t->sent, *t->length);
}

/* HANDSHAKE_ACK: the firmware may be asked. */
static enum handshake gate(const struct device *device, uint8_t endpoint)
{
    const struct faults *const faults = &device->faults;
    const bool is_control = endpoint == 0;
    if (!device->powered)
        return HANDSHAKE_NONE;
    if (!is_control && (device->configuration == 0 || device_packet_size(device, endpoint) == 0))
        return HANDSHAKE_NONE;
    if (faults->frozen || faults->paused)
        return HANDSHAKE_NAK;
    if (faults->naked_endpoint == endpoint && faults->naked_until_us > device->now_us)
        return HANDSHAKE_NAK;
    return !is_control && device->halted & endpoint_bit(endpoint) ? HANDSHAKE_STALL : HANDSHAKE_ACK;
}

static enum handshake halt(struct device *device, uint8_t endpoint)
{
    if (endpoint != 0)
        device_halt(device, endpoint);
    return HANDSHAKE_STALL;
}

/* Whether the fault comes before the firmware is asked. An IN packet is not missed before there is one to come. */
static bool comes_before(const struct device *device, enum packet_fault_kind fault, const struct transaction *t)
{
    const bool in = t->endpoint & FROM_DEVICE, control = t->endpoint == 0;
    switch (fault) {
    case PACKET_LOST:
    case PACKET_NAKED:
    case PACKET_PAUSED:
        return !in || device_busy(device);
    case PACKET_HALTED:
        return !in;
    case PACKET_NO_ZLP:
        return !in && !control && *t->length == 0;
    case PACKET_RIGHT:
    case PACKET_UNACKNOWLEDGED:
    case PACKET_BABBLE:
        break;
    }
    return false;
}

static enum handshake spoil_before(struct device *device, enum packet_fault_kind fault, const struct transaction *t)
{
    faults_strike_packet(&device->faults, device->now_us);
    switch (fault) {
    case PACKET_LOST:
        return HANDSHAKE_NONE;
    case PACKET_HALTED:
        return halt(device, t->endpoint);
    case PACKET_NO_ZLP:
        return HANDSHAKE_ACK;
    case PACKET_RIGHT:
    case PACKET_UNACKNOWLEDGED:
    case PACKET_BABBLE:
    case PACKET_NAKED:
    case PACKET_PAUSED:
        break;
    }
    return HANDSHAKE_NAK;
}

/* What the firmware has done, as the host sees it. */
static enum handshake spoil_after(struct device *device, enum packet_fault_kind fault, const struct transaction *t)
{
    const bool in = t->endpoint & FROM_DEVICE, empty = t->endpoint != 0 && *t->length == 0;
    const bool strikes = fault == PACKET_UNACKNOWLEDGED || (in && (fault == PACKET_BABBLE || fault == PACKET_HALTED)) ||
                         (in && empty && fault == PACKET_NO_ZLP);
    if (!strikes) {
        faults_count_packet(&device->faults, t->endpoint, empty);
        return HANDSHAKE_ACK;
    }
    faults_strike_packet(&device->faults, device->now_us);
    if (in)
        *t->length = 0;
    if (fault == PACKET_NO_ZLP)
        return ask_firmware(device, t);
    if (fault == PACKET_BABBLE)
        return HANDSHAKE_BABBLE;
    return fault == PACKET_HALTED ? halt(device, t->endpoint) : HANDSHAKE_NONE;
}

static enum handshake transact(struct device *device, const struct transaction *t)
{
    const enum handshake answer = gate(device, t->endpoint);
    if (answer != HANDSHAKE_ACK)
        return answer;
    const enum packet_fault_kind fault = faults_packet_due(&device->faults, t->endpoint);
    if (comes_before(device, fault, t))
        return spoil_before(device, fault, t);
    const enum handshake said = ask_firmware(device, t);
    return said == HANDSHAKE_ACK ? spoil_after(device, fault, t) : said;
}

enum handshake device_control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    return transact(device, &(struct transaction){ .setup = setup, .received = data, .length = length });
}

enum handshake device_out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    if (length > device_packet_size(device, endpoint))
        return HANDSHAKE_NONE;
    return transact(device, &(struct transaction){ .endpoint = endpoint, .sent = packet, .length = &length });
}

enum handshake device_in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    *length = 0;
    return transact(device, &(struct transaction){ .endpoint = endpoint, .received = packet, .length = length });
}

void device_halt(struct device *device, uint8_t endpoint)
{
    device->halted |= endpoint_bit(endpoint);
}
