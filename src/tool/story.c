/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* story.c - what a trace tells, packet by packet. */
#include "story.h"
#include <stdio.h>
#include <string.h>

enum { CONTROL = 2, BULK = 3 };
enum { DEVICE = 1, CONFIGURATION = 2, CLASS = 0x21 };
enum { CHAIN_BEGINS = 1, CHAIN_ENDS = 2, CHAIN_GOES_ON = 3, CHAIN_SEND_ME_MORE = 0x10 };

/* ---- descriptors ---- */

static bool tell_device(struct story *story, const struct packet *packet, struct event *event)
{
    const uint8_t *const d = packet->data;
    story->vendor_id = (uint16_t)(d[8] | d[9] << 8);
    story->product_id = (uint16_t)(d[10] | d[11] << 8);
    snprintf(event->message, sizeof event->message, "key %04x:%04x at %03u/%03u", story->vendor_id, story->product_id,
             packet->bus, packet->address);
    return true;
}

static bool tell_configuration(struct story *story, const struct packet *packet, struct event *event)
{
    static const char *const LEVELS[] = { "characters", "TPDU", "short APDU", "short and extended APDU" };
    const uint8_t *const d = packet->data;
    struct ccid_class class;
    for (size_t at = 0; at + 2 <= packet->length && d[at] >= 2 && d[at] <= packet->length - at; at += d[at])
        if (d[at + 1] == CLASS && ccid_parse_class(d + at, d[at], &class) == ERR_NONE) {
            *story = (struct story){ .level = class.level, .known = true, .vendor_id = story->vendor_id,
                                     .product_id = story->product_id };
            snprintf(event->message, sizeof event->message, "exchange level: %s", LEVELS[class.level]);
            return true;
        }
    return false;
}

static bool tell_control(struct story *story, const struct packet *packet, struct event *event)
{
    if (packet->submitted || packet->length < 2)
        return false;
    if (packet->data[1] == DEVICE && packet->length >= 18)
        return tell_device(story, packet, event);
    return packet->data[1] == CONFIGURATION && tell_configuration(story, packet, event);
}

/* ---- commands and answers ---- */

static void begin(struct story *story, struct event *event, const char *command)
{
    story->running = true;
    story->begun_us = event->time_us;
    snprintf(story->command, sizeof story->command, "%s", command);
    snprintf(event->command, sizeof event->command, "%s", command);
}

static void begin_apdu(struct story *story, struct event *event, const uint8_t *apdu, size_t length)
{
    char text[WORDS_SIZE];
    begin(story, event, length >= 4 ? command_in_words(apdu, length, text) : "a command in pieces too small to tell");
}

static void end(struct story *story, struct event *event)
{
    snprintf(event->command, sizeof event->command, "%s", story->command);
    event->ends = story->running;
    event->took_us = event->time_us > story->begun_us ? event->time_us - story->begun_us : 0;
    story->running = false;
}

/* The last part of an answer. */
static void end_by_status(struct story *story, struct event *event, const uint8_t *bytes, size_t length)
{
    const uint8_t sw1 = length >= 2 ? bytes[length - 2] : 0, sw2 = length >= 2 ? bytes[length - 1] : 0;
    if (sw1 == 0) {
        snprintf(event->meaning, sizeof event->meaning, "answered, but the status word is not shown");
    } else {
        snprintf(event->status, sizeof event->status, "%02X%02X", sw1, sw2);
        status_in_words(sw1, sw2, event->meaning);
    }
    end(story, event);
}

/* ---- T=1 ---- */

static void tell_supervisory(struct event *event, const uint8_t *block)
{
    static const char *const S[] = { "RESYNCH", "IFS", "ABORT", "WTX" };
    const uint8_t pcb = block[1];
    char *const text = event->block;
    if ((pcb & 0xc0) == 0x80)
        snprintf(text, STORY_TEXT, "R %u%s", pcb >> 4 & 1u, pcb & 1 ? " EDC error" : pcb & 15 ? " error" : "");
    else if (block[2] == 1)
        snprintf(text, STORY_TEXT, "S %s %s %u", S[pcb & 3], pcb & 0x20 ? "response" : "request", block[3]);
    else
        snprintf(text, STORY_TEXT, "S %s %s", S[pcb & 3], pcb & 0x20 ? "response" : "request");
    if (pcb == 0xc3)
        snprintf(event->meaning, sizeof event->meaning, "the card is at work and wants more time");
}

static void sent_i_block(struct story *story, struct event *event, const uint8_t *block, size_t inf)
{
    const unsigned ns = block[1] >> 6 & 1u;
    const bool repeated = story->block_sent && ns == story->ns, first = !story->block_sent || !story->block_chained;
    if (repeated)
        snprintf(event->meaning, sizeof event->meaning, "once more, as the card has asked for");
    else if (first)
        begin_apdu(story, event, block + 3, inf);
    story->block_sent = true;
    story->ns = ns;
    story->block_chained = block[1] & 0x20;
}

static void tell_block(struct story *story, struct event *event, const uint8_t *block, size_t length)
{
    const size_t inf = length >= 4 && block[2] <= length - 4 ? block[2] : 0;
    if (length == 2 && block[0] == 0xa5 && block[1] == 0xa5) {
        snprintf(event->meaning, sizeof event->meaning, "the firmware has given up waiting for the card");
        return;
    }
    if (length < 4 || block[2] > length - 4 || (block[1] == 0 && block[2] == 0)) {
        snprintf(event->block, sizeof event->block, "no T=1 block");
        return;
    }
    if (block[1] & 0x80) {
        tell_supervisory(event, block);
        if (block[1] == 0xc0)
            story->block_sent = false;
        return;
    }
    snprintf(event->block, sizeof event->block, "I %u%s", block[1] >> 6 & 1u, block[1] & 0x20 ? " more" : "");
    if (!event->received)
        sent_i_block(story, event, block, inf);
    else if (!(block[1] & 0x20))
        end_by_status(story, event, block + 3, inf);
}

/* ---- APDU level ---- */

static void tell_part(struct story *story, struct event *event, uint8_t chain, const uint8_t *data, size_t length)
{
    static const char *const PARTS[] = { "", "part 1", "last part", "next part" };
    const bool asks = chain == CHAIN_SEND_ME_MORE;
    if (asks || chain <= CHAIN_GOES_ON)
        snprintf(event->block, sizeof event->block, "%s", asks ? "send me more" : PARTS[chain]);
    if (asks)
        return;
    if (!event->received && (chain == 0 || chain == CHAIN_BEGINS))
        begin_apdu(story, event, data, length);
    else if (event->received && (chain == 0 || chain == CHAIN_ENDS))
        end_by_status(story, event, data, length);
}

/* ---- CCID ---- */

static const char *message_name(uint8_t type)
{
    switch (type) {
    case CCID_ICC_POWER_ON: return "IccPowerOn";
    case CCID_ICC_POWER_OFF: return "IccPowerOff";
    case CCID_GET_SLOT_STATUS: return "GetSlotStatus";
    case CCID_XFR_BLOCK: return "XfrBlock";
    case CCID_ABORT: return "Abort";
    case CCID_DATA_BLOCK: return "DataBlock";
    case CCID_SLOT_STATUS: return "SlotStatus";
    default: return "another message";
    }
}

static void power_on(struct story *story, struct event *event)
{
    story->block_sent = false;
    story->powering = true;
    begin(story, event, "power on");
}

static void powered_on(struct story *story, struct event *event, const uint8_t *atr, size_t length)
{
    size_t at = (size_t)snprintf(event->meaning, sizeof event->meaning, "ATR ");
    for (size_t i = 0; i < length && i < ATR_MAX; i++)
        at += (size_t)snprintf(event->meaning + at, sizeof event->meaning - at, "%02X", atr[i]);
    story->powering = false;
    end(story, event);
}

/* true: there is no more to say about it */
static bool tell_failure(struct story *story, struct event *event, const uint8_t *message)
{
    char text[WORDS_SIZE];
    switch (message[7] >> 6) {
    case CCID_TIME_EXTENSION:
        snprintf(event->meaning, sizeof event->meaning, "the key is at work and wants more time (%u)", message[8]);
        return true;
    case CCID_FAILED:
        snprintf(event->meaning, sizeof event->meaning, "failed: %s", ccid_error_in_words(message[8], text));
        story->powering = false;
        end(story, event);
        return true;
    default:
        return false;
    }
}

static void tell_message(struct story *story, struct event *event, const uint8_t *message, size_t length)
{
    const uint8_t *const data = message + CCID_HEADER;
    const bool block = message[0] == CCID_XFR_BLOCK || message[0] == CCID_DATA_BLOCK;
    event->sequence = message[6];
    snprintf(event->message, sizeof event->message, "%s", message_name(message[0]));
    if (event->received && tell_failure(story, event, message))
        return;
    if (message[0] == CCID_ICC_POWER_ON)
        power_on(story, event);
    else if (event->received && block && story->powering)
        powered_on(story, event, data, length - CCID_HEADER);
    else if (block && story->level == CCID_TPDU)
        tell_block(story, event, data, length - CCID_HEADER);
    else if (block && story->known)
        tell_part(story, event, message[event->received ? 9 : 8], data, length - CCID_HEADER);
}

bool story_tell(struct story *story, const struct packet *packet, struct event *event)
{
    *event = (struct event){ .time_us = packet->time_us, .received = !packet->submitted, .sequence = -1 };
    event->length = packet->length;
    if (packet->type == CONTROL)
        return tell_control(story, packet, event);
    if (packet->type != BULK || packet->submitted == (packet->endpoint >> 7) || packet->length == 0)
        return false;
    if (packet->length < CCID_HEADER || packet->data[0] == 0)
        snprintf(event->message, sizeof event->message, "something that answers nothing");
    else
        tell_message(story, event, packet->data, packet->length);
    return true;
}
