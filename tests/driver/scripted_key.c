/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scripted_key.c - a key that says what a test wants, byte by byte. */
#include "scripted_key.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"

#define HEADER 10
#define PACKET 64

/* ---- CCID and T=1, honest ---- */

size_t scripted_frame(const uint8_t *command, const uint8_t *data, size_t length, uint8_t *answer)
{
    const bool data_block = command[0] == POWER_ON || command[0] == XFR_BLOCK;
    const uint8_t header[HEADER] = {
        data_block ? 0x80 : 0x81,
        (uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), (uint8_t)(length >> 24),
        command[5], command[6],
    };
    memcpy(answer, header, HEADER);
    if (length)
        memcpy(answer + HEADER, data, length);
    return HEADER + length;
}

static size_t write_block(uint8_t pcb, uint8_t said, const uint8_t *inf, size_t length, uint8_t *block)
{
    block[0] = 0;
    block[1] = pcb;
    block[2] = said;
    if (length)
        memcpy(block + 3, inf, length);
    block[3 + length] = 0;
    for (size_t i = 0; i < 3 + length; i++)
        block[3 + length] ^= block[i];
    return 4 + length;
}

size_t scripted_block(const uint8_t *command, uint8_t pcb, uint8_t said, const uint8_t *inf, size_t length,
                      uint8_t *answer)
{
    uint8_t block[260];
    const size_t whole = scripted_frame(command, block, write_block(pcb, said, inf, length, block), answer);
    explicit_bzero(block, sizeof block); /* it may carry a secret */
    return whole;
}

static void answer_block(struct scripted_key *key, const uint8_t *block)
{
    const uint8_t pcb = block[1], ns = pcb >> 6 & 1;
    if ((pcb & 0xc0) == 0xc0) /* an S request: the response is the same with bit 6 */
        key->block_length = write_block(pcb | 0x20, block[2], block + 3, block[2], key->block);
    else if (!(pcb & 0x80) && pcb & 0x20) /* more to come */
        key->block_length = write_block((uint8_t)(0x80 | !ns << 4), 0, NULL, 0, key->block);
    else if (!(pcb & 0x80)) {
        key->block_length = write_block(key->ns ? 0x40 : 0, 2, (const uint8_t *)"\x90\0", 2, key->block);
        key->ns = !key->ns;
    }
}

size_t scripted_honest(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer)
{
    const bool tpdu = scripted_class(key)[42] & 1; /* dwFeatures 00010000h */
    (void)length;
    key->ns = key->ns && command[0] != POWER_ON;
    if (command[0] == POWER_ON)
        return scripted_frame(command, key->atr, key->atr_length, answer);
    if (command[0] != XFR_BLOCK)
        return scripted_frame(command, NULL, 0, answer);
    if (!tpdu)
        return scripted_frame(command, (const uint8_t *)"\x90\0", 2, answer);
    answer_block(key, command + HEADER);
    return scripted_frame(command, key->block, key->block_length, answer);
}

/* ---- USB ---- */

static struct scripted_key *key_of(const struct device *device)
{
    return (struct scripted_key *)(uintptr_t)device;
}

static void forget(struct device *device)
{
    struct scripted_key *key = key_of(device);
    key->out_length = key->in_length = key->in_at = 0;
    key->in_ready = false;
    key->answer_at_us = DEVICE_NEVER;
}

static void power(struct device *device, bool on)
{
    (void)on;
    forget(device);
}

static enum handshake control(struct device *device, const struct setup *setup, uint8_t *data, size_t *length)
{
    (void)data;
    (void)length;
    key_of(device)->class_requests += (setup->request_type & 0xe0) > 0x80; /* that ask for something */
    return HANDSHAKE_STALL;
}

static enum handshake out(struct device *device, uint8_t endpoint, const uint8_t *packet, size_t length)
{
    struct scripted_key *key = key_of(device);
    (void)endpoint;
    assert_true(key->out_length + length <= sizeof key->out);
    memcpy(key->out + key->out_length, packet, length);
    key->out_length += length;
    if (length == PACKET && HEADER + (size_t)(key->out[1] | key->out[2] << 8 | key->out[3] << 16) > key->out_length)
        return HANDSHAKE_ACK;
    key->commands++;
    key->in_length = key->answer(key, key->out, key->out_length, key->in);
    key->in_at = key->out_length = 0;
    key->in_ready = false;
    key->answer_at_us = key->in_length > 0 || key->empty_packet ? device->now_us + key->delay_us : DEVICE_NEVER;
    return HANDSHAKE_ACK;
}

static enum handshake in(struct device *device, uint8_t endpoint, uint8_t *packet, size_t *length)
{
    struct scripted_key *key = key_of(device);
    const size_t left = key->in_length - key->in_at;
    *length = 0;
    if (endpoint == key->identity.interrupt_in) { /* as long as a packet can be */
        key->interrupts++;
        *length = device_packet_size(device, endpoint);
        memset(packet, 0x50, *length);
        return HANDSHAKE_ACK;
    }
    if (!key->in_ready || key->spent == SCRIPTED_ENDLESS)
        return HANDSHAKE_NAK;
    key->spent += key->endless || key->fails_in != HANDSHAKE_ACK;
    if (key->fails_in != HANDSHAKE_ACK)
        return key->fails_in;
    if (key->empty_packet) {
        key->empty_packet = false;
        key->in_ready = left > 0;
        return HANDSHAKE_ACK;
    }
    *length = left < PACKET ? left : PACKET;
    memcpy(packet, key->in + key->in_at, *length);
    key->in_at += *length;
    key->in_ready = *length == PACKET; /* a short one, or one without a byte, is the last */
    if (!key->in_ready && key->endless) {
        key->in_at = 0;
        key->in_ready = true;
    }
    return HANDSHAKE_ACK;
}

static void advance(struct device *device)
{
    struct scripted_key *key = key_of(device);
    if (device->now_us < key->answer_at_us)
        return;
    key->answer_at_us = DEVICE_NEVER;
    key->in_ready = true;
}

static int64_t next_us(const struct device *device)
{
    return key_of(device)->answer_at_us;
}

static void configured(struct device *device)
{
    key_of(device)->configurations++;
    forget(device);
}

static void nothing(struct device *device)
{
    (void)device;
}

static bool is_busy(const struct device *device)
{
    return key_of(device)->in_ready || key_of(device)->answer_at_us != DEVICE_NEVER;
}

static const struct firmware FIRMWARE = {
    .power = power, .reset = forget, .control = control, .out = out, .in = in, .advance = advance,
    .next_us = next_us, .busy = is_busy, .reset_by_sibling = nothing, .free = nothing, .configured = configured,
};

/* ---- the key ---- */

struct scripted_key *scripted_new(const char *model)
{
    struct scripted_key *key = calloc(1, sizeof *key);
    const struct identity *identity = identity_find(model);
    assert_non_null(key);
    assert_non_null(identity);
    key->identity = *identity;
    memcpy(key->configuration, identity->configuration, identity->configuration_len);
    key->identity.configuration = key->configuration;
    memcpy(key->atr, identity->atr, identity->atr_len);
    key->atr_length = identity->atr_len;
    key->device = (struct device){ .firmware = &FIRMWARE, .identity = &key->identity };
    key->answer = scripted_honest;
    key->delay_us = MS;
    return key;
}

void scripted_plug(struct scripted_key *key)
{
    key->slot = virtual_insert(BENCH_NODE, &key->device);
    assert_non_null(key->slot);
}

RESPONSECODE scripted_open(const struct scripted_key *key)
{
    const uint8_t *const d = key->identity.device;
    char name[128];
    snprintf(name, sizeof name, "usb:%02x%02x/%02x%02x:libudev:%u:" BENCH_NODE, d[9], d[8], d[11], d[10],
             key->identity.ccid_interface);
    return IFDHCreateChannelByName(LUN, name);
}

void scripted_free(struct scripted_key *key)
{
    if (key->slot)
        virtual_remove(key->slot);
    assert_int_equal(virtual_open_ports(), 0);
    free(key);
}

uint8_t *scripted_class(struct scripted_key *key)
{
    uint8_t *const bytes = key->configuration;
    for (size_t at = 0; at + 2 < key->identity.configuration_len && bytes[at] > 0; at += bytes[at])
        if (bytes[at] == 54 && bytes[at + 1] == 0x21)
            return bytes + at;
    fail_msg("%s has no class descriptor", key->identity.name);
    return NULL;
}
