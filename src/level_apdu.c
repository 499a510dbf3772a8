/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level_apdu.c - APDUs through a reader of APDU level: whole, in CCID's parts, or in short APDUs. */
#include "level_apdu.h"
#include <string.h>
#include "apdu.h"
#include "log.h"

#define PARTS_MAX 2048 /* of one answer: 65536 bytes in the smallest parts there are */
#define INS_GET_RESPONSE 0xc0
#define RECOVERY_MS 5000 /* of a command that has failed, so that the next one need not wait for it */

/* What pending.chain says. */
enum { CHAIN_NONE, CHAIN_OF_CCID, CHAIN_OF_ISO };

/* Where an answer goes; what does not fit is counted and dropped. Without bytes all of it is. */
struct sink {
    uint8_t *bytes;
    size_t size, length;
};

static void drain_into(struct sink *sink, const uint8_t *bytes, size_t length)
{
    if (sink->bytes && sink->length + length <= sink->size && length > 0)
        memcpy(sink->bytes + sink->length, bytes, length);
    sink->length += length;
}

/* ---- one message each way ---- */

static enum err refused(const struct level_apdu *level, const struct ccid_answer *answer)
{
    char text[CCID_ERROR_SIZE];
    log_debug(level->exchange->name, "it has refused the message: %s", ccid_error_in_words(answer->error, text));
    return answer->powered ? ERR_PROTOCOL : ERR_CARD_RESET; /* it has lost its power, and all it knew */
}

static enum err send_part(struct level_apdu *level, struct vigil *vigil, enum ccid_chain chain, const uint8_t *data,
                          size_t length, struct ccid_answer *answer)
{
    const struct ccid_command command = {
        .type = CCID_XFR_BLOCK, .parameter = { 0, (uint8_t)chain, 0 }, .data = data, .length = length,
    };
    const enum err err = exchange_run(level->exchange, &command, vigil, answer);
    if (err != ERR_NONE)
        return err;
    return answer->status == CCID_OK && answer->complete ? ERR_NONE : refused(level, answer);
}

/* ---- a whole answer ---- */

static struct pending *pending(const struct level_apdu *level)
{
    return level->exchange->pending;
}

/* Takes the rest of an answer of which a part is there: the first one (due: BEGINS), or one after it (GOES_ON). */
static enum err receive(struct level_apdu *level, struct vigil *vigil, const struct ccid_answer *first,
                        enum ccid_chain due, struct sink *sink)
{
    struct ccid_answer part = *first;
    for (unsigned parts = 0; parts < PARTS_MAX; parts++) {
        const bool last = part.parameter == (due == CCID_CHAIN_BEGINS ? CCID_CHAIN_WHOLE : CCID_CHAIN_ENDS);
        if (!last && part.parameter != due)
            return ERR_PROTOCOL;
        drain_into(sink, part.data, part.length);
        pending(level)->rest = !last;
        if (last)
            return ERR_NONE;
        due = CCID_CHAIN_GOES_ON;
        const enum err err = send_part(level, vigil, CCID_CHAIN_SEND_ME_MORE, NULL, 0, &part);
        if (err != ERR_NONE)
            return err;
    }
    return ERR_PROTOCOL;
}

/* ---- what a command before has left ---- */

/* Parts of an answer that nobody wants. */
static enum err fetch_rest(struct level_apdu *level, struct vigil *vigil)
{
    struct sink nowhere = { NULL, 0, 0 };
    struct ccid_answer part;
    enum err err = send_part(level, vigil, CCID_CHAIN_SEND_ME_MORE, NULL, 0, &part);
    if (err == ERR_NONE)
        err = receive(level, vigil, &part, CCID_CHAIN_GOES_ON, &nowhere);
    return err;
}

/* ISO 7816-4 §5.3.3: a chain ends with a command of another instruction. GET RESPONSE changes nothing. */
static enum err end_iso_chain(struct level_apdu *level, struct vigil *vigil)
{
    static const uint8_t get_response[] = { 0x00, INS_GET_RESPONSE, 0x00, 0x00, 0x00 };
    struct ccid_answer answer;
    const enum err err = send_part(level, vigil, CCID_CHAIN_WHOLE, get_response, sizeof get_response, &answer);
    if (err == ERR_NONE)
        pending(level)->chain = CHAIN_NONE;
    return err;
}

enum err level_apdu_hear_out(struct level_apdu *level, struct vigil *vigil)
{
    enum err err = exchange_recover(level->exchange, vigil);
    bool lost = pending(level)->chain == CHAIN_OF_CCID;
    if (err == ERR_NONE && pending(level)->rest && !lost) {
        err = fetch_rest(level, vigil);
        lost = err == ERR_PROTOCOL;
    }
    if ((err == ERR_NONE || err == ERR_PROTOCOL) && lost)
        err = exchange_forget_parts(level->exchange, vigil);
    if (err == ERR_NONE && pending(level)->chain == CHAIN_OF_ISO)
        err = end_iso_chain(level, vigil);
    return err;
}

/* The next command should not have to wait for what this one, which has failed with err, has left. Returns err, or what
 * is worse. */
static enum err recover_at_once(struct level_apdu *level, const struct vigil *vigil, enum err err)
{
    struct vigil part = vigil_within(vigil, RECOVERY_MS, exchange_now_ms(level->exchange));
    const enum err found = level_apdu_hear_out(level, &part);
    return found == ERR_DEAD || found == ERR_CARD_RESET ? found : err;
}

/* ---- a whole command ---- */

static size_t part_size(const struct level_apdu *level)
{
    return level->exchange->out_size - CCID_HEADER;
}

/* Sends a command in as many messages as it takes; *answer is the first message of the answer. */
static enum err send(struct level_apdu *level, struct vigil *vigil, const uint8_t *apdu, size_t length,
                     struct ccid_answer *answer)
{
    const size_t most = part_size(level);
    if (length <= most)
        return send_part(level, vigil, CCID_CHAIN_WHOLE, apdu, length, answer);
    pending(level)->chain = CHAIN_OF_CCID;
    for (size_t at = 0; at < length; at += most) {
        const bool last = length - at <= most;
        const enum ccid_chain chain = at == 0 ? CCID_CHAIN_BEGINS : last ? CCID_CHAIN_ENDS : CCID_CHAIN_GOES_ON;
        const enum err err = send_part(level, vigil, chain, apdu + at, last ? length - at : most, answer);
        if (err == ERR_NONE && last)
            pending(level)->chain = CHAIN_NONE;
        if (err != ERR_NONE || last)
            return err;
        if (answer->parameter != CCID_CHAIN_SEND_ME_MORE || answer->length != 0)
            return ERR_PROTOCOL;
    }
    return ERR_PROTOCOL;
}

static enum err exchange_apdu(struct level_apdu *level, struct vigil *vigil, const uint8_t *apdu, size_t length,
                              struct sink *sink)
{
    struct ccid_answer first;
    const enum err err = send(level, vigil, apdu, length, &first);
    return err == ERR_NONE ? receive(level, vigil, &first, CCID_CHAIN_BEGINS, sink) : err;
}

/* ---- an extended APDU in short ones ---- */

struct status {
    uint8_t sw1, sw2;
};

/* Takes the status word off the end of what came. */
static enum err take_status(struct sink *sink, struct status *status)
{
    if (sink->length > sink->size)
        return ERR_TOO_LONG;
    if (sink->length < 2)
        return ERR_PROTOCOL;
    sink->length -= 2;
    status->sw1 = sink->bytes[sink->length];
    status->sw2 = sink->bytes[sink->length + 1];
    return ERR_NONE;
}

static enum err exchange_short(struct level_apdu *level, struct vigil *vigil, const uint8_t header[4],
                               const uint8_t *data, size_t length, size_t expected, struct sink *sink,
                               struct status *status)
{
    uint8_t part[APDU_SHORT_MAX];
    const size_t part_length = apdu_write_short(part, header, data, length, expected);
    const enum err err = exchange_apdu(level, vigil, part, part_length, sink);
    explicit_bzero(part, sizeof part);
    return err == ERR_NONE ? take_status(sink, status) : err;
}

/* Sends all parts of the command; ends early with the status word of a part that is not accepted. */
static enum err send_in_short_parts(struct level_apdu *level, struct vigil *vigil, const struct apdu *apdu,
                                    struct sink *sink, struct status *status)
{
    uint8_t header[4];
    memcpy(header, apdu->header, 4);
    size_t at = 0;
    if (apdu->length > 255)
        pending(level)->chain = CHAIN_OF_ISO;
    for (; apdu->length - at > 255; at += 255) {
        header[0] = apdu->header[0] | APDU_CLA_CHAIN;
        const enum err err = exchange_short(level, vigil, header, apdu->data + at, 255, 0, sink, status);
        if (err != ERR_NONE || status->sw1 != 0x90 || status->sw2 != 0x00)
            return err;
        sink->length = 0;
    }
    const size_t expected = apdu->expected < 256 ? apdu->expected : 256;
    const enum err err = exchange_short(level, vigil, apdu->header, apdu->length ? apdu->data + at : NULL,
                                        apdu->length - at, expected, sink, status);
    if (err == ERR_NONE)
        pending(level)->chain = CHAIN_NONE;
    return err;
}

/* As long as the card says 61xx and more is wanted, asks for more. */
static enum err get_responses(struct level_apdu *level, struct vigil *vigil, const struct apdu *apdu, struct sink *sink,
                              struct status *status)
{
    const uint8_t header[4] = { apdu->header[0] & (uint8_t)~APDU_CLA_CHAIN, INS_GET_RESPONSE, 0, 0 };
    while (status->sw1 == 0x61 && sink->length < apdu->expected) {
        const size_t left = apdu->expected - sink->length, before = sink->length;
        size_t ask = status->sw2 ? status->sw2 : 256;
        ask = left < ask ? left : ask;
        const enum err err = exchange_short(level, vigil, header, NULL, 0, ask, sink, status);
        if (err != ERR_NONE)
            return err;
        if (sink->length == before && status->sw1 == 0x61)
            return ERR_PROTOCOL; /* it promises more for ever */
    }
    return ERR_NONE;
}

static enum err transmit_in_short_parts(struct level_apdu *level, struct vigil *vigil, const struct apdu *apdu,
                                        struct sink *sink)
{
    struct status status;
    if (apdu_is_secure(apdu)) {
        log_info(level->exchange->name, "a command was not sent: it is an extended APDU with secure messaging, and the key "
                 "takes short ones only");
        return ERR_UNSUPPORTED;
    }
    enum err err = send_in_short_parts(level, vigil, apdu, sink, &status);
    if (err == ERR_NONE)
        err = get_responses(level, vigil, apdu, sink, &status);
    if (err == ERR_NONE)
        drain_into(sink, (const uint8_t[]){ status.sw1, status.sw2 }, 2);
    return err;
}

/* ---- public ---- */

void level_apdu_start(struct level_apdu *level)
{
    if (level->model->cut_message != CUT_ABORT) /* whose parts outlive a power on */
        pending(level)->chain = pending(level)->rest = 0;
}

enum err level_apdu_transmit(struct level_apdu *level, struct vigil *vigil, const uint8_t *apdu, size_t apdu_length,
                             uint8_t *answer, size_t size, size_t *length)
{
    struct sink sink = { answer, size, 0 };
    struct apdu parsed;
    const bool valid = apdu_parse(apdu, apdu_length, &parsed);
    const bool split = !level->takes_extended && (valid ? parsed.extended : apdu_length > APDU_SHORT_MAX);
    if (split && !valid) {
        log_info(level->exchange->name, "a command of %zu bytes was not sent: it is neither a short nor an extended APDU",
                 apdu_length);
        return ERR_UNSUPPORTED;
    }
    const enum err err = split ? transmit_in_short_parts(level, vigil, &parsed, &sink)
                               : exchange_apdu(level, vigil, apdu, apdu_length, &sink);
    if (err == ERR_IO && !level->takes_extended && apdu_length > 0 && (apdu[0] & APDU_CLA_CHAIN))
        pending(level)->chain = CHAIN_OF_ISO; /* the client's own: it has to begin anew */
    if (err == ERR_IO || err == ERR_PROTOCOL)
        return recover_at_once(level, vigil, err);
    if (err != ERR_NONE)
        return err;
    if (sink.length > size)
        return ERR_TOO_LONG;
    if (sink.length < 2)
        return ERR_PROTOCOL;
    *length = sink.length;
    return ERR_NONE;
}
