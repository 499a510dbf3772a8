/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_redact.c - what may be seen of the traffic does not depend on what is secret in it.
 *
 * A session is made twice, alike but for its secrets: PINs and their lengths, plaintexts, keys, serial numbers. Each of
 * its messages must look the same in both, whatever the framing and whatever the firmware mixes up.
 */
#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include "redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 1200

/* Bytes in both sessions. */
struct both {
    uint8_t bytes[2][ROOM];
    size_t length[2];
};

struct session {
    const uint8_t *data;
    size_t size;
    uint32_t secrets;
    struct redactor redactor[2];
    enum ccid_level level;
    uint8_t sequence, ns, card_ns, type;
    size_t part_max;
    struct both last_part, older_part; /* that went out, with their framing */
};

static uint8_t byte(struct session *s)
{
    if (s->size == 0)
        return 0;
    s->size--;
    return *s->data++;
}

/* ---- bytes ---- */

static void put(struct both *both, uint8_t value)
{
    for (int i = 0; i < 2; i++)
        both->bytes[i][both->length[i]++] = value;
}

static void put_secret(struct session *s, struct both *both)
{
    s->secrets = s->secrets * 1103515245u + 12345u; /* it takes many of them: not from the input */
    both->bytes[0][both->length[0]++] = (uint8_t)(s->secrets >> 16);
    both->bytes[1][both->length[1]++] = (uint8_t)(s->secrets >> 24 ^ 0x55);
}

static void put_slice(struct both *to, const struct both *from, size_t at, size_t most)
{
    for (int i = 0; i < 2; i++) {
        const size_t left = at < from->length[i] ? from->length[i] - at : 0, count = left < most ? left : most;
        memcpy(to->bytes[i] + to->length[i], from->bytes[i] + at, count);
        to->length[i] += count;
    }
}

/* ---- messages ---- */

static void show(struct session *s, bool received, const struct both *message)
{
    static uint8_t shown[2][REDACT_MAX];
    struct redacted redacted[2];
    for (int i = 0; i < 2; i++)
        memset(shown[i], 0x77, message->length[i] + CCID_HEADER);
    for (int i = 0; i < 2; i++)
        redacted[i] = (received ? redact_received : redact_sent)(&s->redactor[i], message->bytes[i],
                                                                 message->length[i], shown[i]);
    assert(redacted[0].length == redacted[1].length && redacted[0].original == redacted[1].original);
    assert(redacted[0].length <= REDACT_MAX);
    assert(memcmp(shown[0], shown[1], redacted[0].length) == 0);
}

/* A CCID message around the data. */
static void pass(struct session *s, bool received, uint8_t type, const uint8_t tail[3], const struct both *data)
{
    struct both message = { .length = { 0, 0 } };
    put(&message, type);
    for (int i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4; k++)
            message.bytes[i][message.length[i]++] = (uint8_t)(data->length[i] >> 8 * k);
    put(&message, 0);
    put(&message, s->sequence);
    for (unsigned k = 0; k < 3; k++)
        put(&message, tail[k]);
    put_slice(&message, data, 0, ROOM);
    show(s, received, &message);
}

static void send(struct session *s, uint8_t type, uint8_t level, const struct both *data)
{
    s->sequence++;
    s->type = type;
    if (data->length[0] > 4) /* R-blocks and the like are of no interest */
        s->older_part = s->last_part;
    s->last_part = *data;
    pass(s, false, type, (const uint8_t[]){ 0, level, 0 }, data);
}

static void receive(struct session *s, uint8_t chain, const struct both *data)
{
    pass(s, true, CCID_DATA_BLOCK, (const uint8_t[]){ 0, 0, chain }, data);
}

static struct both block(uint8_t pcb, const struct both *inf, size_t at, size_t most)
{
    struct both result = { .length = { 0, 0 } }, part = result;
    put_slice(&part, inf, at, most);
    put(&result, 0);
    put(&result, pcb);
    for (int i = 0; i < 2; i++)
        result.bytes[i][result.length[i]++] = (uint8_t)part.length[i];
    put_slice(&result, &part, 0, ROOM);
    for (int i = 0; i < 2; i++) {
        uint8_t lrc = 0;
        for (size_t k = 0; k < result.length[i]; k++)
            lrc ^= result.bytes[i][k];
        result.bytes[i][result.length[i]++] = lrc;
    }
    return result;
}

/* ---- what firmwares mix up ---- */

/* The key says something that is no answer, made of what it has got. */
static void confusion(struct session *s)
{
    static const struct both nothing = { .length = { 0, 0 } };
    const uint8_t kind = byte(s), sequence = s->sequence;
    /* What came before the last part cannot be told from an answer that is right in everything else. */
    const bool older = kind & 16 && (kind % 8 == 2 || kind % 8 == 3 || kind % 8 == 5);
    struct both what = older ? s->older_part : s->last_part;
    switch (kind % 8) {
    case 0: /* its last message, as an answer of this type */
        pass(s, true, byte(s), (const uint8_t[]){ byte(s), byte(s), byte(s) }, &what);
        break;
    case 1:
        receive(s, 0, &what);
        break;
    case 2: /* late */
        s->sequence = (uint8_t)(s->sequence - 1 - byte(s) % 4);
        receive(s, 0, &what);
        s->sequence = sequence;
        break;
    case 3: /* bytes of anything, without any framing */
        show(s, true, &what);
        break;
    case 4: /* cut, and not saying so: no T=1 block then. At APDU level only what fails cannot be told from an answer */
        if (s->level == CCID_TPDU && what.length[0] > 4 && what.length[1] > 4) {
            what.length[0]--;
            what.length[1]--;
            receive(s, 0, &what);
        } else {
            pass(s, true, CCID_DATA_BLOCK, (const uint8_t[]){ 0x40, byte(s), 0 }, &what);
        }
        break;
    case 5: /* time extension */
        pass(s, true, CCID_DATA_BLOCK, (const uint8_t[]){ 0x80, byte(s), 0 }, kind & 8 ? &what : &nothing);
        break;
    case 6: /* the same part once more */
        if (s->level == CCID_TPDU && s->type == CCID_XFR_BLOCK)
            send(s, CCID_XFR_BLOCK, 0, &what);
        break;
    case 7: /* an R-block of ours */
        if (s->level == CCID_TPDU) {
            const struct both again = block(0x80, &nothing, 0, 0);
            send(s, CCID_XFR_BLOCK, 0, &again);
            s->last_part = what;
        }
        break;
    }
}

static void maybe_confusion(struct session *s)
{
    for (unsigned i = 0; i < 3 && (byte(s) & 7) == 7; i++)
        confusion(s);
}

/* ---- commands and answers in their parts ---- */

static size_t longest(const struct both *both)
{
    return both->length[0] > both->length[1] ? both->length[0] : both->length[1];
}

/* The number of parts of a PIN's command is seen; it is the same for all that fit into one. */
static bool same_parts(const struct both *both, size_t most)
{
    return (both->length[0] + most - 1) / most == (both->length[1] + most - 1) / most;
}

static void command(struct session *s, const struct both *apdu)
{
    static const struct both nothing = { .length = { 0, 0 } };
    const size_t most = same_parts(apdu, s->part_max) && s->level != CCID_SHORT_APDU ? s->part_max : ROOM;
    const size_t limit = s->level == CCID_TPDU && most > 254 ? 254 : most, length = longest(apdu);
    for (size_t at = 0; at < length; at += limit) {
        const bool more = length - at > limit;
        struct both part = { .length = { 0, 0 } };
        if (s->level == CCID_TPDU) {
            part = block((uint8_t)(s->ns << 6 | (more ? 0x20 : 0)), apdu, at, limit);
            s->ns ^= 1;
        } else {
            put_slice(&part, apdu, at, limit);
        }
        send(s, CCID_XFR_BLOCK, s->level != CCID_EXTENDED_APDU ? 0 : at == 0 ? more : more ? 3 : 2, &part);
        maybe_confusion(s);
        if (more && s->level == CCID_TPDU)
            part = block((uint8_t)(0x80 | s->ns << 4), &nothing, 0, 0);
        if (more)
            receive(s, s->level == CCID_TPDU ? 0 : 0x10, s->level == CCID_TPDU ? &part : &nothing);
    }
}

static void answer(struct session *s, const struct both *data)
{
    static const struct both nothing = { .length = { 0, 0 } };
    const size_t limit = s->level == CCID_SHORT_APDU ? ROOM : s->part_max, length = longest(data);
    for (size_t at = 0; at < length; at += limit) {
        const bool more = length - at > limit;
        struct both part = { .length = { 0, 0 } };
        if (s->level == CCID_TPDU) {
            part = block((uint8_t)(s->card_ns << 6 | (more ? 0x20 : 0)), data, at, limit);
            s->card_ns ^= 1;
        } else {
            put_slice(&part, data, at, limit);
        }
        receive(s, s->level != CCID_EXTENDED_APDU ? 0 : at == 0 ? more : more ? 3 : 2, &part);
        if (!more)
            break;
        part = s->level == CCID_TPDU ? block((uint8_t)(0x80 | s->card_ns << 4), &nothing, 0, 0) : nothing;
        send(s, CCID_XFR_BLOCK, s->level == CCID_TPDU ? 0 : 0x10, &part);
        maybe_confusion(s);
    }
}

static void put_header(struct both *apdu, uint8_t cla, uint8_t ins, uint8_t p1, uint8_t p2)
{
    put(apdu, cla);
    put(apdu, ins);
    put(apdu, p1);
    put(apdu, p2);
}

static void status_word(struct session *s, struct both *to)
{
    const uint8_t sw1 = byte(s);
    put(to, sw1 & 1 ? 0x90 : sw1 & 2 ? 0x61 : sw1);
    put(to, byte(s));
}

/* A command with a PIN, whose length is secret, too. */
static void pin_command(struct session *s)
{
    static const uint8_t INS[] = { 0x20, 0x21, 0x24, 0x2c, 0xda, 0xb2, 0x50 };
    struct both apdu = { .length = { 0, 0 } }, said = apdu;
    size_t length[2] = { 1u + byte(s) % 120, 1u + byte(s) % 120 };
    put_header(&apdu, byte(s), INS[byte(s) % sizeof INS], byte(s) & 0x0f, byte(s));
    struct both secret = { .length = { 0, 0 } };
    for (unsigned i = 0; i < 120; i++)
        put_secret(s, &secret);
    for (int i = 0; i < 2; i++) {
        apdu.bytes[i][apdu.length[i]++] = (uint8_t)length[i];
        memcpy(apdu.bytes[i] + apdu.length[i], secret.bytes[i], length[i]);
        apdu.length[i] += length[i];
    }
    if (!same_parts(&apdu, s->part_max)) {
        s->part_max = 250; /* as every card that takes it in one */
    }
    command(s, &apdu);
    status_word(s, &said);
    answer(s, &said);
}

static void secret_bytes(struct session *s, struct both *to, size_t count)
{
    while (count-- > 0)
        put_secret(s, to);
}

/* The first byte tells it from an echo, which is none. */
static void secret_answer(struct session *s, struct both *to, uint8_t cla)
{
    put(to, (uint8_t)~cla);
    secret_bytes(s, to, byte(s) * 2u);
    status_word(s, to);
}

/* A command with a secret, whose length is none. */
static void secret_command(struct session *s)
{
    static const uint8_t INS[] = { 0x2a, 0x88, 0x87, 0xdb, 0xda, 0xca, 0xcb, 0xb0 };
    const uint8_t ins = INS[byte(s) % sizeof INS], cla = byte(s);
    struct both apdu = { .length = { 0, 0 } }, said = apdu;
    put_header(&apdu, cla, ins, ins == 0xda ? 0x7f : ins == 0xdb ? 0x3f : byte(s),
               ins == 0xda ? 0x21 : ins == 0xdb ? 0xff : byte(s));
    const size_t length = s->level == CCID_SHORT_APDU ? byte(s) : byte(s) * 4u;
    put(&apdu, length < 256 ? (uint8_t)length : 0);
    secret_bytes(s, &apdu, length);
    command(s, &apdu);
    secret_answer(s, &said, cla);
    answer(s, &said);
}

/* An answer that everybody may see but for what is about the holder. */
static void template(struct session *s, struct both *to)
{
    put(to, 0x6e);
    put(to, 0x82);
    put(to, byte(s));
    put(to, byte(s));
    for (unsigned i = 0; i < 12; i++)
        put(to, (const uint8_t[]){ 0x4f, 16, 0xd2, 0x76, 0, 1, 0x24, 1, 3, 4, 0, 5 }[i]);
    secret_bytes(s, to, 4);
    put(to, 0);
    put(to, 0);
    for (unsigned i = 0; i < 5; i++)
        put(to, (const uint8_t[]){ 0x73, 0x81, 71, 0xc4, 7 }[i]);
    for (unsigned i = 0; i < 7; i++)
        put(to, byte(s));
    put(to, 0xc5);
    put(to, 60);
    secret_bytes(s, to, 60);
}

static void public_command(struct session *s)
{
    struct both apdu = { .length = { 0, 0 } }, said = apdu, done = apdu;
    for (unsigned i = 0; i < 11; i++)
        put(&apdu, (const uint8_t[]){ 0, 0xa4, 4, 0, 6, 0xd2, 0x76, 0, 1, 0x24, 1 }[i]);
    command(s, &apdu);
    put(&done, 0x90);
    put(&done, 0);
    answer(s, &done);
    apdu.length[0] = apdu.length[1] = 0;
    const bool composed = byte(s) & 1;
    put_header(&apdu, 0, 0xca, 0, composed ? 0x6e : byte(s) | 1);
    put(&apdu, 0);
    command(s, &apdu);
    if (composed)
        template(s, &said);
    else
        put(&said, byte(s));
    status_word(s, &said);
    answer(s, &said);
}

static void get_response(struct session *s)
{
    struct both apdu = { .length = { 0, 0 } }, said = apdu;
    put_header(&apdu, 0, 0xc0, 0, 0);
    put(&apdu, byte(s));
    command(s, &apdu);
    secret_answer(s, &said, 0);
    said.bytes[0][0] = said.bytes[1][0] = 0xff; /* no tag that is known */
    answer(s, &said);
}

/* The card's ATR, and behind it what was in the buffer before. */
static void power_on_again(struct session *s)
{
    static const uint8_t ATR[] = { 0x3b, 0x81, 0x81, 0x31, 0xfe, 0x45, 0x00, 0x0a };
    static const struct both nothing = { .length = { 0, 0 } };
    struct both said = nothing;
    for (size_t i = 0; i < sizeof ATR; i++)
        put(&said, ATR[i]);
    secret_bytes(s, &said, 8);
    send(s, CCID_ICC_POWER_ON, 0, &nothing);
    receive(s, 0, &said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct both nothing = { .length = { 0, 0 } };
    struct session s = { .data = data, .size = size };
    s.secrets = byte(&s);
    s.level = (enum ccid_level)(CCID_TPDU + byte(&s) % 3);
    for (int i = 0; i < 2; i++)
        redact_init(&s.redactor[i], s.level, false);
    send(&s, CCID_ICC_POWER_ON, 0, &nothing);
    while (s.size > 0) {
        s.part_max = 1u + byte(&s) % 254;
        switch (byte(&s) % 5) {
        case 0: pin_command(&s); break;
        case 1: secret_command(&s); break;
        case 2: public_command(&s); break;
        case 3: get_response(&s); break;
        case 4: maybe_confusion(&s); break;
        }
    }
    power_on_again(&s);
    return 0;
}
