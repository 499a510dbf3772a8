/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pro_commands.c - CCID commands and the line to the card in the Pro's firmware (Ifd_ccid.c, Ifd_protocol.c and
 * smartcard.c of nitrokey-pro-firmware 0.15).
 *
 * A command is executed in the buffer that it came in, so its answer has whatever the command does not write.
 */
#include "pro_firmware.h"
#include <string.h>

#define SECOND INT64_C(1000000)
#define CARD_BYTES 261       /* the most that is read from the card */
#define MUTE_LENGTH 2        /* the answer of a card that stayed silent */
#define FILLER 0xa5          /* what the buffer for the card's answer holds before */
#define POWER_ON_US 600000
#define END_OF_ANSWER_US 10000 /* a block ends when the card has been silent for so long */
#define RETRY_US 1000        /* a card whose computation is late is listened to in such steps */

enum { DATA_BLOCK = 0x80, SLOT_STATUS = 0x81, PARAMETERS = 0x82, ESCAPE = 0x83 };
enum { OK = 0x00, INACTIVE = 0x01, FAILED = 0x40 };
enum { NO_ERROR = 0x81, UNSUPPORTED = 0x00, BAD_LENGTH = 0x01, BAD_SLOT = 0x05, BAD_BYTE_7 = 0x07, BAD_BYTE_8 = 0x08,
       BAD_FI_DI = 0x0a, BAD_CHECKSUM = 0x0b, BAD_CLOCK_STOP = 0x0e, HARDWARE_ERROR = 0xfb, ABORTED = 0xff };
enum { FI_DI, CHECKSUM, GUARD_TIME, WAITING_INTEGER, CLOCK_STOP, IFSC, NAD }; /* CCID 1.1 §6.2.3, for T=1 */

static size_t data_length(const struct pro *pro)
{
    return (size_t)(pro->message[1] | pro->message[2] << 8);
}

static void set_length(struct pro *pro, size_t length)
{
    pro->message[1] = (uint8_t)length;
    pro->message[2] = (uint8_t)(length >> 8);
    pro->message[3] = pro->message[4] = 0;
}

/* ---- answers: slot and sequence number stay as the request had them ---- */

static void answer(struct pro *pro, uint8_t type, uint8_t error)
{
    const bool ok = error == NO_ERROR;
    pro->message[0] = type;
    pro->message[7] = ok ? OK : FAILED;
    pro->message[8] = ok ? 0 : error;
    if (!ok)
        set_length(pro, 0);
    if (type != PARAMETERS)
        pro->message[9] = 0;
    pro_answer(pro);
}

static void answer_parameters(struct pro *pro, uint8_t error)
{
    if (error == NO_ERROR) {
        memcpy(pro->message + PRO_HEADER, pro->parameters, sizeof pro->parameters);
        set_length(pro, sizeof pro->parameters);
        pro->message[9] = 1; /* T=1, whatever they say */
    }
    answer(pro, PARAMETERS, error);
}

/* ---- what requests have in common ---- */

static uint8_t check_slot(const struct pro *pro)
{
    return pro->message[5] == 0 ? NO_ERROR : BAD_SLOT;
}

static uint8_t check_slot_and_no_data(const struct pro *pro)
{
    static const uint8_t none[4];
    if (check_slot(pro) != NO_ERROR)
        return BAD_SLOT;
    return memcmp(pro->message + 1, none, sizeof none) == 0 ? NO_ERROR : BAD_LENGTH;
}

static uint8_t check_slot_and_data(const struct pro *pro)
{
    if (check_slot(pro) != NO_ERROR)
        return BAD_SLOT;
    const bool fits = PRO_HEADER + data_length(pro) <= PRO_LONGEST_REQUEST;
    return fits && pro->message[3] == 0 && pro->message[4] == 0 ? NO_ERROR : BAD_LENGTH;
}

static bool has_zeros_at_its_end(const struct pro *pro)
{
    return pro->message[7] == 0 && pro->message[8] == 0 && pro->message[9] == 0;
}

static uint8_t check_empty(const struct pro *pro)
{
    const uint8_t error = check_slot_and_no_data(pro);
    return error == NO_ERROR && !has_zeros_at_its_end(pro) ? BAD_BYTE_7 : error;
}

/* ---- power ---- */

static void icc_power_on(struct pro *pro)
{
    const uint8_t error = check_slot_and_no_data(pro);
    if (error != NO_ERROR) {
        answer(pro, DATA_BLOCK, error);
        return;
    }
    pro->work = POWERING; /* bPowerSelect is not looked at: it is 3 V in any case */
    pro->until_us = pro->device.now_us + POWER_ON_US;
}

/* The PPS exchange that follows is between firmware and card. */
static void powered_on(struct pro *pro)
{
    size_t atr_len;
    const uint8_t *const atr = icc_reset(pro->icc, pro->device.now_us, &atr_len);
    pro->late_byte = -1;
    if (atr_len == 0) {
        answer(pro, DATA_BLOCK, HARDWARE_ERROR);
        return;
    }
    memcpy(pro->message + PRO_HEADER, atr, atr_len);
    if (pro->options.raises_ta1 && atr_len > 2 && atr[2] == 0x96)
        pro->message[PRO_HEADER + 2] = 0x98;
    set_length(pro, atr_len);
    answer(pro, DATA_BLOCK, NO_ERROR);
}

/* It only says so, whatever the request says: the card keeps its power and its state. */
static void icc_power_off_pretended(struct pro *pro)
{
    pro->message[0] = SLOT_STATUS;
    pro->message[7] = INACTIVE;
    pro->message[8] = 0;
    pro->message[9] = 1;
    pro_answer(pro);
}

static void get_slot_status(struct pro *pro)
{
    answer(pro, SLOT_STATUS, check_empty(pro));
}

/* ---- blocks to the card and back ---- */

/* How long bytes are on the line to the card: 11 bits each (ISO 7816-3 §11.2: the guard time of T=1 is one bit). */
static int64_t line_us(const struct pro *pro, size_t length)
{
    return pro->options.line_rate ? (int64_t)length * 11 * SECOND / pro->options.line_rate : 0;
}

/* The receiver holds one byte: of a block that comes when nobody listens, the first. */
static void overhear(struct pro *pro)
{
    uint8_t block[PRO_BUFFER];
    const bool speaks = icc_speaks_at(pro->icc) <= pro->device.now_us;
    if (speaks && icc_speak(pro->icc, pro->device.now_us, block, sizeof block) > 0 && pro->late_byte < 0)
        pro->late_byte = block[0];
}

/* A byte in the receiver is taken for the echo of the first one sent. Where it is another, the sending ends there, and
 * nobody sets how much has been received. */
static bool late_byte_disturbs(struct pro *pro)
{
    overhear(pro);
    const bool disturbs = pro->late_byte >= 0 && pro->late_byte != pro->message[PRO_HEADER];
    pro->late_byte = -1;
    return disturbs;
}

static void block_is_over(struct pro *pro)
{
    set_length(pro, pro->received);
    answer(pro, DATA_BLOCK, NO_ERROR);
}

static void send_to_card(struct pro *pro, size_t length)
{
    uint8_t *const data = pro->message + PRO_HEADER;
    const int64_t sent_us = pro->device.now_us + line_us(pro, length);
    if (late_byte_disturbs(pro)) {
        icc_hear(pro->icc, pro->device.now_us, data, 1);
        block_is_over(pro);
        return;
    }
    icc_hear(pro->icc, sent_us, data, length);
    memset(data, FILLER, CARD_BYTES);
    pro->work = LISTENING_TO_CARD;
    pro->until_us = sent_us + pro->options.first_byte_limit_us;
}

static void xfr_block(struct pro *pro)
{
    const uint8_t *const data = pro->message + PRO_HEADER;
    const size_t length = data_length(pro);
    uint8_t error = check_slot_and_data(pro);
    if (error == NO_ERROR && length == 0)
        error = BAD_LENGTH;
    if (error != NO_ERROR) {
        answer(pro, DATA_BLOCK, error);
    } else if (length == 4 && data[0] == 0xff && data[1] == 0x11) {
        pro->received = length; /* a PPS request: done at power on, so it is agreed to unheard */
        block_is_over(pro);
    } else {
        send_to_card(pro, length);
    }
}

/* The card's first byte has come: takes what it says. A first byte 6X looks like a status word of T=0 and ends
 * the reception after two bytes; the next byte stays in the receiver. */
static void hear_card(struct pro *pro, int64_t at_us)
{
    uint8_t block[PRO_BUFFER];
    size_t length = icc_speak(pro->icc, pro->device.now_us, block, sizeof block);
    if (length == 0)
        return; /* not yet */
    if (length > CARD_BYTES)
        length = CARD_BYTES;
    if ((block[0] & 0xf0) == 0x60 && length > 2) {
        pro->late_byte = block[2];
        length = 2;
    }
    memcpy(pro->message + PRO_HEADER, block, length);
    pro->received = length;
    pro->work = HEARING_CARD;
    pro->until_us = at_us + line_us(pro, length) + END_OF_ANSWER_US;
}

static void card_is_mute(struct pro *pro)
{
    pro->received = MUTE_LENGTH; /* of the filler */
    block_is_over(pro);
}

/* ---- parameters: kept and told, but without any effect ---- */

/* Length of the elementary time unit in clock cycles (ISO 7816-3 §7.1 and §8.3); F is looked up by FI, D by DI, and
 * the table of D has 64ths. Its last six rows are those of an old edition. */
static bool has_possible_etu(uint8_t fi_di)
{
    static const unsigned F[16] = { 0, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048 };
    static const unsigned D[16] = { 0, 64, 128, 256, 512, 1024, 2048, 0, 768, 1280, 32, 16, 8, 4, 2, 1 };
    const unsigned half_cycles = 128 * F[fi_di >> 4] / D[fi_di & 15], cycles = (half_cycles + 1) / 2;
    return cycles >= 12 && cycles <= 2048;
}

/* Both nibbles are looked up in the table of D. */
static bool has_known_nibbles(uint8_t fi_di)
{
    const unsigned fi = fi_di >> 4, di = fi_di & 15;
    return fi != 0 && fi != 7 && di != 0 && di != 7;
}

/* Takes what is in the buffer for parameters of T=0. */
static uint8_t store_parameters(struct pro *pro)
{
    const uint8_t *const given = pro->message + PRO_HEADER;
    if (!has_known_nibbles(given[FI_DI]))
        return BAD_FI_DI;
    if (given[CHECKSUM] != 0 && given[CHECKSUM] != 2)
        return BAD_CHECKSUM;
    if (given[CLOCK_STOP] != 0 && given[CLOCK_STOP] != 3)
        return BAD_CLOCK_STOP;
    memcpy(pro->parameters, given, IFSC);
    pro->parameters[CHECKSUM] = 0; /* direct convention */
    pro->parameters[IFSC] = pro->parameters[NAD] = 0;
    return has_possible_etu(given[FI_DI]) ? NO_ERROR : BAD_FI_DI;
}

/* Stores what some earlier message has left in the buffer. */
static void get_parameters(struct pro *pro)
{
    uint8_t error = check_empty(pro);
    if (error == NO_ERROR)
        error = store_parameters(pro);
    answer_parameters(pro, error);
}

static void reset_parameters(struct pro *pro)
{
    static const uint8_t defaults[7] = { 0x11, 0x00, 0x00, 0x0a, 0x03, 0x00, 0x00 };
    uint8_t error = check_empty(pro);
    if (error == NO_ERROR) {
        memcpy(pro->message + PRO_HEADER, defaults, sizeof defaults);
        error = store_parameters(pro);
    }
    answer_parameters(pro, error);
}

static uint8_t check_parameters(const struct pro *pro)
{
    const uint8_t *const m = pro->message;
    const size_t length = data_length(pro);
    if (check_slot(pro) != NO_ERROR)
        return BAD_SLOT;
    if ((length != 5 && length != 7) || m[3] || m[4])
        return BAD_LENGTH;
    if ((length == 5 || m[7] != 1) && m[7] != 0) /* 7 bytes for another protocol count as 5 */
        return BAD_BYTE_7;
    return m[8] || m[9] ? BAD_BYTE_8 : NO_ERROR;
}

/* It stores nothing. */
static void set_parameters(struct pro *pro)
{
    answer_parameters(pro, check_parameters(pro));
}

/* ---- other commands ---- */

static void escape(struct pro *pro)
{
    static const char name[] = "GemTwin-V2.00-GT00";
    uint8_t error = check_slot_and_data(pro);
    if (error == NO_ERROR && !has_zeros_at_its_end(pro))
        error = BAD_BYTE_7;
    if (error == NO_ERROR) {
        const bool asks_name = data_length(pro) == 1 && pro->message[PRO_HEADER] == 0x02;
        if (asks_name)
            memcpy(pro->message + PRO_HEADER, name, sizeof name);
        set_length(pro, asks_name ? sizeof name - 1 : 0);
    }
    answer(pro, ESCAPE, error);
}

static uint8_t check_clock(const struct pro *pro)
{
    const uint8_t *const m = pro->message;
    const uint8_t error = check_slot_and_no_data(pro);
    if (error != NO_ERROR)
        return error;
    if (m[7] > 1)
        return BAD_BYTE_7;
    if (m[8] || m[9])
        return BAD_BYTE_8;
    return pro->parameters[CLOCK_STOP] == 0 ? UNSUPPORTED : NO_ERROR;
}

/* The clock goes on in any case. */
static void icc_clock(struct pro *pro)
{
    answer(pro, SLOT_STATUS, check_clock(pro));
}

static void abort_command(struct pro *pro)
{
    const uint8_t error = check_empty(pro);
    answer(pro, SLOT_STATUS, error == NO_ERROR ? ABORTED : error);
}

static const struct {
    uint8_t type;
    void (*run)(struct pro *pro);
} COMMANDS[] = {
    { 0x61, set_parameters }, { 0x62, icc_power_on },   { 0x63, icc_power_off_pretended }, { 0x65, get_slot_status },
    { 0x6b, escape },         { 0x6c, get_parameters }, { 0x6d, reset_parameters },        { 0x6e, icc_clock },
    { 0x6f, xfr_block },      { 0x72, abort_command },
};

void pro_execute(struct pro *pro)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
        if (COMMANDS[i].type == pro->message[0]) {
            COMMANDS[i].run(pro);
            return;
        }
    }
    answer(pro, pro->message[0], UNSUPPORTED); /* not even the type of an answer */
}

/* ---- time ---- */

bool pro_work_on(struct pro *pro)
{
    const int64_t now = pro->device.now_us;
    const enum pro_work before = pro->work;
    if (before == LISTENING_TO_CARD) {
        const int64_t speaks_at = icc_speaks_at(pro->icc);
        if (speaks_at <= now && speaks_at <= pro->until_us)
            hear_card(pro, speaks_at);
        else if (pro->until_us <= now)
            card_is_mute(pro);
    } else if (before == HEARING_CARD && pro->until_us <= now) {
        block_is_over(pro);
    } else if (before == POWERING && pro->until_us <= now) {
        powered_on(pro);
    }
    return pro->work != before;
}

int64_t pro_next_work_us(const struct pro *pro)
{
    if (pro->work == AT_LEISURE)
        return DEVICE_NEVER;
    if (pro->work != LISTENING_TO_CARD)
        return pro->until_us;
    int64_t speaks_at = icc_speaks_at(pro->icc);
    if (speaks_at <= pro->device.now_us)
        speaks_at = pro->device.now_us + RETRY_US;
    return speaks_at < pro->until_us ? speaks_at : pro->until_us;
}
