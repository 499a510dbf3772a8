/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* redact.c - what of the CCID traffic with a key anybody may see. */
#include "redact.h"
#include <string.h>
#include "apdu.h"
#include "atr.h"

enum { INS_SELECT = 0xa4, INS_GET_RESPONSE = 0xc0, INS_GET_DATA = 0xca, SELECT_BY_NAME = 0x04 };
enum { AID_AT = 5 }; /* in a SELECT with a short length field */
enum { PROLOGUE = 3, PCB_MORE = 0x20, PCB_RESYNCH = 0xc0 }; /* ISO 7816-3 §11.3 */
/* CCID 1.1 §6.1.4 */
enum { CHAIN_WHOLE = 0, CHAIN_BEGINS = 1, CHAIN_ENDS = 2, CHAIN_GOES_ON = 3, CHAIN_SEND_ME_MORE = 0x10 };

/* ---- the picture of one message ---- */

struct picture {
    const uint8_t *message;
    size_t length;
    uint8_t *shown; /* all zero at first */
    size_t size;    /* how long the message is said to be */
    bool begins;    /* a command */
};

static struct picture blank(const uint8_t *message, size_t length, uint8_t shown[REDACT_MAX])
{
    memset(shown, 0, length < REDACT_MAX ? length : REDACT_MAX);
    return (struct picture){ .message = message, .length = length, .shown = shown, .size = length };
}

/* Permission for some bytes that are in the message. */
static void permit(const struct picture *picture, size_t at, size_t count)
{
    if (at < REDACT_MAX && count > 0)
        memcpy(picture->shown + at, picture->message + at, count < REDACT_MAX - at ? count : REDACT_MAX - at);
}

static void put_le32(uint8_t *bytes, size_t value)
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

/* The length field says what is shown; other than in the message where that is not to be known. */
static struct redacted finished(const struct picture *picture)
{
    put_le32(picture->shown + 1, picture->size - CCID_HEADER);
    return (struct redacted){
        .length = picture->size < REDACT_MAX ? picture->size : REDACT_MAX, .original = picture->size,
        .begins = picture->begins,
    };
}

/* No more than that there was a message. */
static struct redacted unknown(uint8_t shown[REDACT_MAX])
{
    memset(shown, 0, CCID_HEADER);
    return (struct redacted){ .length = CCID_HEADER, .original = CCID_HEADER };
}

/* CCID 1.1 §6.1: the length field, and that it is right. */
static bool is_message(const uint8_t *message, size_t length)
{
    if (length < CCID_HEADER)
        return false;
    size_t said = 0;
    for (unsigned i = 4; i > 0; i--)
        said = said << 8 | message[i];
    return said == length - CCID_HEADER;
}

/* ---- what kind of command ---- */

#define ANY 0x10000u /* no P1 P2 */

/* Commands whose length is no secret. VERIFY and the like are not among them, nor are those that may carry a PIN. */
static const struct known {
    uint8_t ins;
    uint32_t p1_p2;
    bool answers_data;
} KNOWN[] = {
    { INS_SELECT, ANY, true },       { 0xa5, ANY, false },            /* SELECT DATA */
    { INS_GET_DATA, ANY, true },     { 0xcb, ANY, true },             /* GET DATA, odd */
    { 0xcc, ANY, true },             { INS_GET_RESPONSE, ANY, true }, /* GET NEXT DATA */
    { 0xb0, ANY, true },             { 0xb1, ANY, true },             /* READ BINARY */
    { 0xd6, ANY, false },            { 0xd7, ANY, false },            /* UPDATE BINARY */
    { 0x2a, ANY, true },             { 0x22, ANY, false },            /* PSO, MANAGE SECURITY ENVIRONMENT */
    { 0x86, ANY, true },             { 0x87, ANY, true },             /* GENERAL AUTHENTICATE */
    { 0x88, ANY, true },             { 0x84, ANY, true },             /* INTERNAL AUTHENTICATE, GET CHALLENGE */
    { 0x46, ANY, true },             { 0x47, ANY, true },             /* GENERATE ASYMMETRIC KEY PAIR */
    { 0xda, 0x7f21, false },         { 0xdb, 0x3fff, false },         /* PUT DATA: certificate; import of a key */
    { 0xe4, ANY, false },            { 0xe6, ANY, false },            /* DELETE, TERMINATE */
    { 0x44, ANY, false },                                             /* ACTIVATE */
    { 0x62, ANY, true },             { 0x68, ANY, true },             /* SmartCard-HSM: DECIPHER, SIGN */
    { 0x72, ANY, true },             { 0x74, ANY, false },            /*                WRAP, UNWRAP KEY */
};

static const struct known *find_known(const uint8_t header[4])
{
    const uint32_t p1_p2 = (uint32_t)header[2] << 8 | header[3];
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (KNOWN[i].ins == header[1] && (KNOWN[i].p1_p2 == ANY || KNOWN[i].p1_p2 == p1_p2))
            return &KNOWN[i];
    return NULL;
}

/* Data is only ever shown of commands without chaining, secure messaging and logical channels. */
static enum sight classify(struct redactor *r, const uint8_t *apdu, size_t length, bool whole)
{
    struct apdu parsed;
    const struct known *const known = length >= 4 ? find_known(apdu) : NULL;
    gate_shut(&r->gate);
    r->answers_data = known && known->answers_data;
    if (!known)
        return SIGHT_NOTHING;
    if (apdu[0] != 0 || !whole || !apdu_parse(apdu, length, &parsed))
        return SIGHT_LENGTH;
    if (apdu[1] == INS_SELECT && apdu[2] == SELECT_BY_NAME && !parsed.extended && parsed.length <= AID_LENGTH)
        return SIGHT_DATA;
    if (apdu[1] == INS_GET_DATA && parsed.length == 0 && r->selected &&
        gate_open(&r->gate, (unsigned)apdu[2] << 8 | apdu[3], r->names))
        return SIGHT_DATA;
    return SIGHT_LENGTH;
}

/* A GET RESPONSE belongs to the command before it; what it brings is shown only if the card has promised more. */
static void go_on(struct redactor *r)
{
    if (!r->more_promised)
        gate_shut(&r->gate);
    if (r->sight == SIGHT_DATA)
        r->sight = SIGHT_LENGTH;
}

static void begin_anew(struct redactor *r, const uint8_t *apdu, size_t length, bool whole)
{
    r->sight = classify(r, apdu, length, whole);
    if (r->sight == SIGHT_NOTHING)
        memcpy(r->hidden, r->header, sizeof r->hidden);
    if (r->header[1] != INS_SELECT)
        return;
    r->selected = false;
    r->selecting = r->sight == SIGHT_DATA && length > AID_AT && is_openpgp_aid(apdu + AID_AT, apdu[AID_AT - 1]);
}

/* The first part of a command. */
static void begin(struct redactor *r, const uint8_t *apdu, size_t length, bool whole)
{
    memset(r->header, 0, sizeof r->header);
    if (length >= sizeof r->header)
        memcpy(r->header, apdu, sizeof r->header);
    if (r->header[1] == INS_GET_RESPONSE)
        go_on(r);
    else
        begin_anew(r, apdu, length, whole);
    r->first_answer = true;
    r->more_promised = false;
}

void redact_init(struct redactor *redactor, enum ccid_level level, bool names)
{
    *redactor = (struct redactor){ .level = level, .names = names };
}

/* The card has lost what it knew, and T=1 begins anew. The firmware may have its buffers still. */
static void forget(struct redactor *r)
{
    const struct redactor before = *r;
    redact_init(r, before.level, before.names);
    r->type = before.type;
    r->sequence = before.sequence;
    memcpy(r->hidden, before.hidden, sizeof r->hidden);
}

/* ---- commands ---- */

/* All but the card's serial number, which may be in the AID that is selected. */
static void show_whole(const struct redactor *r, const struct picture *picture, size_t at, size_t length)
{
    const size_t serial = AID_AT + AID_SERIAL, rest = serial + AID_SERIAL_LENGTH;
    const bool names_card = r->header[1] == INS_SELECT && length > serial && !r->names;
    permit(picture, at, names_card ? serial : length);
    if (names_card && length > rest)
        permit(picture, at + rest, length - rest);
}

/* A part of a command, length bytes from at on; returns how many of them are told. */
static size_t show_command(struct redactor *r, struct picture *picture, size_t at, size_t length, bool first)
{
    r->part_length = length;
    r->part_first = picture->begins = first;
    if (first && length >= sizeof r->header)
        permit(picture, at, sizeof r->header);
    switch (r->sight) {
    case SIGHT_NOTHING: /* whether there is data, by a length field that says nothing */
        if (!first || length < sizeof r->header)
            return 0;
        return length > sizeof r->header ? sizeof r->header + 1 : length;
    case SIGHT_LENGTH:
        return length;
    case SIGHT_DATA:
        show_whole(r, picture, at, length);
        return length;
    }
    return 0;
}

/* An I-block with the N(S) of the one before. Should it be no repetition, it is none to look into. */
static void repeat(struct redactor *r, const uint8_t *inf, size_t length)
{
    if (!r->block_first)
        return;
    r->block_first = length >= sizeof r->header && memcmp(inf, r->header, sizeof r->header) == 0;
    if (!r->block_first)
        r->sight = SIGHT_NOTHING;
    else if (r->sight == SIGHT_DATA)
        r->sight = SIGHT_LENGTH;
}

static void sent_i_block(struct redactor *r, struct picture *picture, uint8_t pcb, size_t length)
{
    const size_t at = CCID_HEADER + PROLOGUE;
    const uint8_t *const inf = picture->message + at;
    const unsigned ns = pcb >> 6 & 1u;
    const bool more = pcb & PCB_MORE, repeated = r->block_sent && ns == r->sent_ns;
    if (repeated)
        repeat(r, inf, length);
    else
        r->block_first = !r->block_sent || !r->block_chained;
    if (!repeated && r->block_first)
        begin(r, inf, length, !more);
    r->block_sent = true;
    r->block_chained = more;
    r->sent_ns = ns;
    const size_t told = show_command(r, picture, at, length, r->block_first);
    permit(picture, CCID_HEADER, 2);
    picture->shown[CCID_HEADER + 2] = (uint8_t)told;
    picture->size = at + told + (picture->length - at - length); /* the EDC's place stays */
}

/* R- and S-blocks hold nothing of a command. */
static bool is_supervisory(uint8_t pcb, size_t length)
{
    if ((pcb & 0xc0) == 0x80)
        return (pcb & 0x2c) == 0 && length == 0;
    return (pcb & 0xc0) == 0xc0 && (pcb & 0x1c) == 0 && length <= 1;
}

static void sent_block(struct redactor *r, struct picture *picture)
{
    const uint8_t *const block = picture->message + CCID_HEADER;
    const size_t length = picture->length - CCID_HEADER;
    const size_t edc = length > PROLOGUE ? length - PROLOGUE - block[2] : 0; /* wraps when it is none */
    if (length <= PROLOGUE || (edc != 1 && edc != 2)) {
        picture->size = CCID_HEADER;
        return;
    }
    if (block[1] == PCB_RESYNCH) /* the command is given up */
        r->block_sent = r->block_received = false;
    if ((block[1] & 0x80) == 0)
        sent_i_block(r, picture, block[1], block[2]);
    else if (is_supervisory(block[1], block[2]))
        permit(picture, CCID_HEADER, length);
}

/* At APDU level: a whole APDU, or a part of one in CCID's chain. */
static void sent_part(struct redactor *r, struct picture *picture)
{
    const uint8_t chain = picture->message[8];
    const size_t length = picture->length - CCID_HEADER;
    const bool first = chain == CHAIN_WHOLE || chain == CHAIN_BEGINS;
    if (first)
        begin(r, picture->message + CCID_HEADER, length, chain == CHAIN_WHOLE);
    picture->size = CCID_HEADER + show_command(r, picture, CCID_HEADER, length, first);
}

struct redacted redact_sent(struct redactor *redactor, const uint8_t *message, size_t length,
                            uint8_t shown[REDACT_MAX])
{
    redactor->type = 0;
    if (!is_message(message, length))
        return unknown(shown);
    struct picture picture = blank(message, length, shown);
    redactor->type = message[0];
    redactor->sequence = message[6];
    permit(&picture, 0, CCID_HEADER);
    switch (message[0]) {
    case CCID_ICC_POWER_ON:
    case CCID_ICC_POWER_OFF:
        forget(redactor);
        picture.size = CCID_HEADER;
        break;
    case CCID_GET_SLOT_STATUS:
    case CCID_ABORT:
        picture.size = CCID_HEADER;
        break;
    case CCID_XFR_BLOCK:
        if (redactor->level == CCID_TPDU)
            sent_block(redactor, &picture);
        else
            sent_part(redactor, &picture);
        break;
    default:
        redactor->type = 0;
        return unknown(shown);
    }
    return finished(&picture);
}

/* ---- answers ---- */

/* ISO 7816-4 §5.1.3: 6X but 60, 9X. */
static bool is_status_word(uint8_t sw1)
{
    return (sw1 > 0x60 && sw1 <= 0x6f) || (sw1 & 0xf0) == 0x90;
}

static bool begins_with(const uint8_t *bytes, size_t length, const uint8_t header[4])
{
    return length >= 4 && memcmp(bytes, header, 4) == 0;
}

/* What a firmware sends that has mixed up its buffers. */
static bool is_echo(const struct redactor *r, const uint8_t *bytes, size_t length)
{
    return length == r->part_length || begins_with(bytes, length, r->header) || begins_with(bytes, length, r->hidden);
}

/* The command has ended with this status word. */
static void conclude(struct redactor *r, uint8_t sw1)
{
    r->more_promised = sw1 == 0x61;
    if (!r->more_promised)
        gate_shut(&r->gate);
    if (r->header[1] == INS_SELECT)
        r->selected = r->selecting && (sw1 == 0x90 || sw1 == 0x61);
}

/* The status word of a command whose answer's length is not to be known: it must be all there is. After a command in
 * parts it could be an echo of the last one, which may be as short. */
static size_t show_bare_status(struct redactor *r, const struct picture *picture, size_t at, size_t length, bool whole)
{
    const uint8_t *const bytes = picture->message + at;
    if (!whole || !r->part_first || length != 2 || !is_status_word(bytes[0]))
        return 0;
    conclude(r, bytes[0]);
    permit(picture, at, bytes[0] == 0x61 || bytes[0] == 0x6c ? 1 : 2); /* these tell a length */
    return 2;
}

/* A part of an answer, length bytes from at on; returns how many of them are told. */
static size_t show_answer(struct redactor *r, const struct picture *picture, size_t at, size_t length, bool last)
{
    const uint8_t *const bytes = picture->message + at;
    const bool whole = last && r->first_answer;
    r->first_answer = false;
    if (r->sight == SIGHT_NOTHING)
        return show_bare_status(r, picture, at, length, whole);
    if (is_echo(r, bytes, length) || (!r->answers_data && (!whole || length != 2))) {
        gate_shut(&r->gate);
        return length;
    }
    const bool status = last && length >= 2 && is_status_word(bytes[length - 2]);
    if (at + length <= REDACT_MAX && (status || !last))
        gate_pass(&r->gate, bytes, status ? length - 2 : length, whole, picture->shown + at);
    if (status) {
        conclude(r, bytes[length - 2]);
        permit(picture, at + length - 2, 2);
    }
    return length;
}

static bool lrc_is_right(const uint8_t *block, size_t length)
{
    uint8_t lrc = 0;
    for (size_t i = 0; i < length; i++)
        lrc ^= block[i];
    return lrc == 0;
}

static void received_i_block(struct redactor *r, struct picture *picture, uint8_t pcb, size_t length)
{
    const size_t at = CCID_HEADER + PROLOGUE;
    const unsigned ns = pcb >> 6 & 1u;
    if (r->block_received && ns == r->received_ns) /* not the one that is due */
        gate_shut(&r->gate);
    r->block_received = true;
    r->received_ns = ns;
    const size_t told = show_answer(r, picture, at, length, !(pcb & PCB_MORE));
    permit(picture, CCID_HEADER, 2);
    picture->shown[CCID_HEADER + 2] = (uint8_t)told;
    picture->size = at + told + 1;
}

/* An answer of which a piece was missed is not looked into any more. */
static void not_a_part(struct redactor *r, struct picture *picture)
{
    gate_shut(&r->gate);
    if (r->sight == SIGHT_NOTHING)
        picture->size = CCID_HEADER;
}

static void received_block(struct redactor *r, struct picture *picture)
{
    const uint8_t *const block = picture->message + CCID_HEADER;
    const size_t length = picture->length - CCID_HEADER;
    const bool right = length > PROLOGUE && block[0] == 0 && block[2] == length - PROLOGUE - 1 &&
                       lrc_is_right(block, length);
    if (right && (block[1] & 0x80) == 0)
        received_i_block(r, picture, block[1], block[2]);
    else if (right && is_supervisory(block[1], block[2]))
        permit(picture, CCID_HEADER, length);
    else if (length == 2 && block[0] == 0xa5 && block[1] == 0xa5) /* a firmware's word for: the card says nothing */
        permit(picture, CCID_HEADER, 2);
    else
        not_a_part(r, picture);
}

static void received_part(struct redactor *r, struct picture *picture)
{
    const uint8_t chain = picture->message[9];
    const size_t length = picture->length - CCID_HEADER;
    const bool extended = r->level == CCID_EXTENDED_APDU;
    const bool first = !extended || chain == CHAIN_WHOLE || chain == CHAIN_BEGINS;
    const bool last = !extended || chain == CHAIN_WHOLE || chain == CHAIN_ENDS;
    if (first != r->first_answer)
        gate_shut(&r->gate);
    picture->size = CCID_HEADER;
    if (!extended || chain != CHAIN_SEND_ME_MORE)
        picture->size += show_answer(r, picture, CCID_HEADER, length, last);
}

/* What stands behind an ATR may be what the firmware's buffer had in it before. */
static void received_atr(struct picture *picture)
{
    struct atr atr;
    const size_t length = picture->length - CCID_HEADER;
    if (atr_parse(picture->message + CCID_HEADER, length, &atr) == ERR_NONE && length <= atr.end)
        permit(picture, CCID_HEADER, length);
    else
        picture->size = CCID_HEADER;
}

/* Whether it has the slot, the number and the type of an answer to the last command. */
static bool is_due(const struct redactor *r, const uint8_t *message)
{
    static const uint8_t TYPES[] = { 0x6c, 0x80, 0x81, 0x82, 0x83, 0x84 }; /* seen in answers that say: failed */
    if (r->type == 0 || message[5] != 0 || message[6] != r->sequence)
        return false;
    if (message[7] >> 6 == CCID_FAILED)
        return message[0] == r->type || memchr(TYPES, message[0], sizeof TYPES);
    if (message[7] >> 6 == CCID_TIME_EXTENSION && message[0] == CCID_DATA_BLOCK)
        return true;
    return message[7] >> 6 != CCID_RESERVED && message[0] == ccid_answer_type((enum ccid_type)r->type);
}

struct redacted redact_received(struct redactor *redactor, const uint8_t *message, size_t length,
                                uint8_t shown[REDACT_MAX])
{
    if (!is_message(message, length) || !is_due(redactor, message)) {
        gate_shut(&redactor->gate);
        return unknown(shown);
    }
    struct picture picture = blank(message, length, shown);
    const bool extension = message[7] >> 6 == CCID_TIME_EXTENSION;
    const bool answered = message[7] >> 6 == CCID_OK && message[0] == CCID_DATA_BLOCK;
    permit(&picture, 0, CCID_HEADER);
    if (!answered && !extension)
        gate_shut(&redactor->gate);
    if (answered && redactor->type == CCID_ICC_POWER_ON)
        received_atr(&picture);
    else if (!answered)
        picture.size = CCID_HEADER;
    else if (redactor->level == CCID_TPDU)
        received_block(redactor, &picture);
    else
        received_part(redactor, &picture);
    if (!extension)
        redactor->type = 0;
    return finished(&picture);
}
