/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clients.c - programs that use the card, and judge what they are told. */
#include "clients.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "judge.h"
#include "pcscd.h"
#include "world.h"

#define STRANGER SEQUENCE_CLIENTS /* the client that comes at the end */
#define SENT_MAX 2048
#define APDU_MAX 1200
#define ANSWER_MAX 4096
#define CONTENTS_MAX 16
#define SHORT_MAX 255

enum pin { USER, ADMIN, PINS };

static struct client {
    size_t resets;           /* of the card, of which it knows */
    unsigned application;    /* selections(), when it selected; 0: it has not */
    unsigned verified[PINS]; /* losses[], when it verified the PIN; 0: it has not */
    bool told;               /* of an error: it reconnects */
} clients[SEQUENCE_CLIENTS + 1];

static unsigned selections = 1, losses[PINS] = { 1, 1 }; /* each time that a client does what ends them for all */

/* What may be stored there: what was written last, or before that if nobody knows. By its number and length. */
static struct object {
    const char *name;
    uint8_t tag[2];
    struct content {
        unsigned number;
        size_t length;
    } may_be[CONTENTS_MAX];
    size_t count;
} certificate = { .name = "certificate", .tag = { 0x7f, 0x21 } }, login = { .name = "login", .tag = { 0x00, 0x5e } };

static struct judge_sent sent[SENT_MAX];
static size_t sent_count;
static unsigned numbers;
static bool touch_is_wanted; /* or has been */

struct answer {
    LONG code;
    bool was_sent;
    uint8_t bytes[ANSWER_MAX];
    size_t length;
    unsigned status_word;
};

static char name_of(const struct client *client)
{
    return client == &clients[STRANGER] ? '*' : (char)('A' + (client - clients));
}

/* ---- one command ---- */

static void remember(const uint8_t *apdu, size_t length)
{
    if (sent_count == SENT_MAX)
        abort();
    uint8_t *const copy = malloc(length);
    if (!copy)
        abort();
    memcpy(copy, apdu, length);
    sent[sent_count++] = (struct judge_sent){ .bytes = copy, .length = length };
}

/* It knows nothing of the card any more. */
static void forgets(struct client *client, bool told)
{
    *client = (struct client){ .resets = icc_resets(world.icc), .told = told };
}

static struct answer transmit(struct client *client, const uint8_t *apdu, size_t length)
{
    struct answer answer = { .code = SCARD_S_SUCCESS };
    remember(apdu, length);
    answer.code = pcscd_transmit((unsigned)(client - clients), apdu, length, answer.bytes, sizeof answer.bytes,
                                 &answer.length, &answer.was_sent);
    if (!answer.was_sent)
        free((void *)(uintptr_t)sent[--sent_count].bytes);
    if (answer.code != SCARD_S_SUCCESS) {
        if (answer.was_sent)
            sent[sent_count - 1].outcome = world.killed ? OUTCOME_UNKNOWN : OUTCOME_FAILED;
        forgets(client, true);
        return answer;
    }
    if (answer.length < 2) {
        world_wrong("an answer of %zu bytes", answer.length);
        return answer;
    }
    answer.length -= 2;
    answer.status_word = (unsigned)(answer.bytes[answer.length] << 8 | answer.bytes[answer.length + 1]);
    sent[sent_count - 1].outcome = OUTCOME_ANSWERED;
    sent[sent_count - 1].status_word = (uint16_t)answer.status_word;
    world_say("  %c %02X%02X%02X%02X: %04X, %zu bytes", name_of(client), apdu[0], apdu[1], apdu[2], apdu[3],
              answer.status_word, answer.length);
    if (icc_resets(world.icc) != client->resets && !world.killed)
        world_wrong("the card was reset, and %c was not told", name_of(client));
    return answer;
}

static bool succeeds(const struct answer *answer)
{
    return answer->code == SCARD_S_SUCCESS && answer->status_word == 0x9000;
}

static bool connect_anew(struct client *client, bool exclusive)
{
    const unsigned handle = (unsigned)(client - clients);
    if (pcscd_is_connected(handle))
        (void)pcscd_disconnect(handle, SCARD_LEAVE_CARD);
    const LONG code = world.killed ? SCARD_F_COMM_ERROR : pcscd_connect(handle, exclusive);
    forgets(client, code != SCARD_S_SUCCESS);
    world_say("  %c connects: %08lX", name_of(client), (unsigned long)code & 0xffffffff);
    return code == SCARD_S_SUCCESS;
}

/* As OpenSC does after an error; and as scdaemon, if that does not help. */
static bool is_connected(struct client *client)
{
    const unsigned handle = (unsigned)(client - clients);
    if (!pcscd_is_connected(handle))
        return connect_anew(client, false);
    if (!client->told)
        return true;
    const LONG code = pcscd_reconnect(handle, SCARD_LEAVE_CARD);
    world_say("  %c reconnects: %08lX", name_of(client), (unsigned long)code & 0xffffffff);
    forgets(client, code != SCARD_S_SUCCESS);
    return code == SCARD_S_SUCCESS || (!world.killed && connect_anew(client, false));
}

/* ---- what must come before ---- */

static bool select_application(struct client *client)
{
    static const uint8_t apdu[] = { 0x00, 0xa4, 0x04, 0x00, 0x06, 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 };
    losses[USER]++;
    losses[ADMIN]++;
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    if (succeeds(&answer))
        client->application = selections;
    return succeeds(&answer);
}

static bool has_application(struct client *client)
{
    return is_connected(client) && (client->application == selections || select_application(client));
}

static bool verify(struct client *client, enum pin pin)
{
    static const uint8_t apdus[PINS][13] = {
        { 0x00, 0x20, 0x00, 0x81, 0x06, '1', '2', '3', '4', '5', '6' },
        { 0x00, 0x20, 0x00, 0x83, 0x08, '1', '2', '3', '4', '5', '6', '7', '8' },
    };
    const struct answer answer = transmit(client, apdus[pin], pin == USER ? 11 : 13);
    if (succeeds(&answer))
        client->verified[pin] = losses[pin];
    return succeeds(&answer);
}

static bool has_pin(struct client *client, enum pin pin)
{
    return has_application(client) && (client->verified[pin] == losses[pin] || verify(client, pin));
}

/* The status word of a command that needed it. */
static void check_pin(struct client *client, enum pin pin, const struct answer *answer)
{
    if (answer->code != SCARD_S_SUCCESS || answer->status_word != 0x6982)
        return;
    world_wrong("the PIN that %c has verified is forgotten, and nobody was told", name_of(client));
    client->verified[pin] = 0;
}

/* ---- objects ---- */

/* Any two contents differ soon, and never in length alone. */
static uint8_t content_byte(unsigned number, size_t i)
{
    return (uint8_t)(i < 2 ? number >> 8 * i : number * 31 + i * 7);
}

static bool is_content(const struct content *content, const uint8_t *bytes, size_t length)
{
    bool same = length == content->length;
    for (size_t i = 0; i < length && same; i++)
        same = bytes[i] == content_byte(content->number, i);
    return same;
}

static void may_be(struct object *object, struct content content)
{
    if (object->count == CONTENTS_MAX)
        memmove(object->may_be, object->may_be + 1, --object->count * sizeof content);
    object->may_be[object->count++] = content;
}

static size_t write_header(uint8_t *apdu, uint8_t cla, const struct object *object, size_t length)
{
    const uint8_t header[] = { cla, 0xda, object->tag[0], object->tag[1] };
    memcpy(apdu, header, 4);
    if (length <= SHORT_MAX) {
        apdu[4] = (uint8_t)length;
        return 5;
    }
    apdu[4] = 0;
    apdu[5] = (uint8_t)(length >> 8);
    apdu[6] = (uint8_t)length;
    return 7;
}

static struct answer write_part(struct client *client, struct object *object, struct content content, size_t from,
                                size_t to)
{
    uint8_t apdu[APDU_MAX];
    size_t at = write_header(apdu, to < content.length ? 0x10 : 0x00, object, to - from);
    for (size_t i = from; i < to; i++)
        apdu[at++] = content_byte(content.number, i);
    return transmit(client, apdu, at);
}

static void is_stored(struct object *object, struct content content, const struct answer *answer)
{
    if (!succeeds(answer))
        return;
    object->may_be[0] = content;
    object->count = 1;
}

/* At once, without a look at the card. */
static void write_again(struct client *client, struct object *object, size_t length)
{
    const struct content content = { ++numbers, length };
    may_be(object, content);
    const struct answer answer = write_part(client, object, content, 0, length);
    is_stored(object, content, &answer);
}

/* chained: by the client itself, in two short parts. */
static void write_object(struct client *client, struct object *object, size_t length, bool chained)
{
    const struct content content = { ++numbers, length };
    if (!has_pin(client, ADMIN))
        return;
    may_be(object, content);
    struct answer answer = { .status_word = 0x9000 };
    if (chained)
        answer = write_part(client, object, content, 0, SHORT_MAX);
    if (succeeds(&answer))
        answer = write_part(client, object, content, chained ? SHORT_MAX : 0, length);
    check_pin(client, ADMIN, &answer);
    is_stored(object, content, &answer);
    if (!chained && answer.code == SCARD_E_NOT_TRANSACTED && !world.killed && content.number % 2)
        write_again(client, object, length / 2);
}

static bool read_object(struct client *client, struct object *object)
{
    const uint8_t extended[] = { 0x00, 0xca, object->tag[0], object->tag[1], 0x00, 0x00, 0x00 };
    if (!has_application(client))
        return false;
    const struct answer answer = transmit(client, extended, object == &login ? 5 : sizeof extended);
    if (!succeeds(&answer))
        return false;
    for (size_t i = object->count; i-- > 0;)
        if (is_content(&object->may_be[i], answer.bytes, answer.length)) {
            object->may_be[0] = object->may_be[i];
            object->count = 1;
            return true;
        }
    world_wrong("%c reads a %s of %zu bytes that nobody has written", name_of(client), object->name, answer.length);
    return false;
}

/* ---- the rest of their work ---- */

static bool ask_aid(struct client *client)
{
    static const uint8_t apdu[] = { 0x00, 0xca, 0x00, 0x4f, 0x00 }, aid[] = { 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 };
    if (!has_application(client))
        return false;
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    const bool right = answer.length == 16 && memcmp(answer.bytes, aid, sizeof aid) == 0;
    if (succeeds(&answer) && !right)
        world_wrong("%c is told another application's name", name_of(client));
    return succeeds(&answer) && right;
}

static void ask_tries(struct client *client)
{
    static const uint8_t apdu[] = { 0x00, 0xca, 0x00, 0xc4, 0x00 };
    if (!has_application(client))
        return;
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    const struct icc_counters left = icc_counters(world.icc);
    if (succeeds(&answer) && (answer.length != 7 || answer.bytes[4] != left.pw1 || answer.bytes[6] != left.pw3))
        world_wrong("%c is told of other PIN tries", name_of(client));
}

static void verify_wrong(struct client *client)
{
    static const uint8_t apdu[] = { 0x00, 0x20, 0x00, 0x81, 0x06, '9', '9', '9', '9', '9', '9' };
    if (!has_application(client))
        return;
    losses[USER]++;
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    if (succeeds(&answer))
        world_wrong("a wrong PIN of %c was right", name_of(client));
}

static void generate(struct client *client, long work_ms, long sign_of_life_ms)
{
    static const uint8_t apdu[] = { 0x00, 0x47, 0x80, 0x00, 0x00, 0x00, 0x02, 0xb6, 0x00, 0x00, 0x00 };
    const struct icc_timing timing = { .work_us = work_ms * MS, .wtx_every_us = sign_of_life_ms * MS,
                                       .wtx_multiplier = 10 };
    if (!has_pin(client, ADMIN))
        return;
    icc_set_generate(world.icc, &timing, 1);
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    losses[USER]++; /* a Gnuk's PINs belong to its keys */
    losses[ADMIN]++;
    if (succeeds(&answer) && (answer.length < 256 || answer.bytes[0] != 0x7f || answer.bytes[1] != 0x49))
        world_wrong("%c gets no public key", name_of(client));
    check_pin(client, ADMIN, &answer);
}

static void sign(struct client *client)
{
    static const uint8_t head[] = { 0x00, 0x2a, 0x9e, 0x9a, 0x00, 0x00, 0x33, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09,
                                    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
    uint8_t apdu[sizeof head + 32 + 2];
    memcpy(apdu, head, sizeof head);
    numbers++;
    for (size_t i = 0; i < 32; i++)
        apdu[sizeof head + i] = content_byte(numbers, i);
    apdu[sizeof apdu - 2] = apdu[sizeof apdu - 1] = 0;
    if (!has_pin(client, USER))
        return;
    const struct answer answer = transmit(client, apdu, sizeof apdu);
    if (!touch_is_wanted) /* one that was not touched in time says the same */
        check_pin(client, USER, &answer);
    losses[USER]++; /* which is good for one signature */
    if (succeeds(&answer) && answer.length != 256)
        world_wrong("%c gets a signature of %zu bytes", name_of(client), answer.length);
}

static void want_touch(struct client *client, bool wanted)
{
    const uint8_t apdu[] = { 0x00, 0xda, 0x00, 0xd6, 0x02, wanted, 0x20 };
    if (strcmp(world.identity->firmware, "gnuk-2010") == 0 || !has_pin(client, ADMIN))
        return; /* the oldest has no button, and would wait for one for ever */
    touch_is_wanted = touch_is_wanted || wanted;
    (void)transmit(client, apdu, sizeof apdu);
}

static void use_piv(struct client *client)
{
    static const uint8_t piv[] = { 0x00, 0xa4, 0x04, 0x00, 0x0b, 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00,
                                   0x01, 0x00 };
    static const uint8_t discovery[] = { 0x00, 0xcb, 0x3f, 0xff, 0x03, 0x5c, 0x01, 0x7e, 0x00 };
    if (!is_connected(client))
        return;
    selections++;
    const struct answer answer = transmit(client, piv, sizeof piv);
    if (succeeds(&answer))
        (void)transmit(client, discovery, sizeof discovery);
    if (pcscd_is_connected((unsigned)(client - clients)) && !client->told)
        (void)select_application(client);
}

static void leave(struct client *client, DWORD disposition)
{
    const unsigned handle = (unsigned)(client - clients);
    if (pcscd_is_connected(handle))
        (void)pcscd_disconnect(handle, disposition);
    forgets(client, false);
}

static void reconnect(struct client *client, DWORD initialization)
{
    const unsigned handle = (unsigned)(client - clients);
    const LONG code = pcscd_is_connected(handle) ? pcscd_reconnect(handle, initialization) : SCARD_E_INVALID_HANDLE;
    forgets(client, code != SCARD_S_SUCCESS);
}

void clients_step(const struct step *step)
{
    struct client *const client = &clients[step->client];
    switch ((int)step->kind) {
    case STEP_CONNECT: (void)connect_anew(client, false); break;
    case STEP_EXCLUSIVE: (void)connect_anew(client, true); break;
    case STEP_RECONNECT: reconnect(client, (DWORD)step->a); break;
    case STEP_DISCONNECT: leave(client, (DWORD)step->a); break;
    case STEP_AID: (void)ask_aid(client); break;
    case STEP_TRIES: ask_tries(client); break;
    case STEP_READ: (void)read_object(client, &certificate); break;
    case STEP_READ_LOGIN: (void)read_object(client, &login); break;
    case STEP_WRITE: write_object(client, &certificate, (size_t)step->a, false); break;
    case STEP_WRITE_LOGIN: write_object(client, &login, (size_t)step->a, false); break;
    case STEP_CHAIN: write_object(client, &certificate, (size_t)step->a, true); break;
    case STEP_PIN: (void)(has_application(client) && verify(client, USER)); break;
    case STEP_ADMIN: (void)(has_application(client) && verify(client, ADMIN)); break;
    case STEP_WRONG_PIN: verify_wrong(client); break;
    case STEP_SIGN: sign(client); break;
    case STEP_GENERATE: generate(client, step->a, step->b); break;
    case STEP_WANT_TOUCH: want_touch(client, step->a); break;
    case STEP_PIV: use_piv(client); break;
    case STEP_ATTRIBUTE: pcscd_ask_reader(step->client); break;
    default: break;
    }
}

void clients_lose_pcscd(void)
{
    for (size_t i = 0; i <= STRANGER; i++)
        forgets(&clients[i], false);
}

void clients_prepare(void)
{
    struct client *const client = &clients[STRANGER];
    generate(client, 1000, 0);
    write_object(client, &certificate, 300, false);
    write_object(client, &login, 20, false);
    if (!read_object(client, &certificate) || !read_object(client, &login))
        world_wrong("the key cannot be prepared");
    leave(client, SCARD_LEAVE_CARD);
}

bool clients_are_served(void)
{
    struct client *const client = &clients[STRANGER];
    const bool served = connect_anew(client, false) && ask_aid(client) && read_object(client, &certificate) &&
                        read_object(client, &login) && read_object(client, &certificate);
    leave(client, SCARD_LEAVE_CARD);
    return served;
}

/* ---- what the key has done ---- */

static void judge_commands(void)
{
    const size_t count = icc_log_count(world.icc);
    struct judge_executed *const executed = calloc(count + 1, sizeof *executed);
    if (!executed)
        abort();
    for (size_t i = 0; i < count; i++) {
        const struct icc_apdu apdu = icc_log_get(world.icc, i);
        executed[i] = (struct judge_executed){ .bytes = apdu.command, .length = apdu.command_len,
                                               .status_word = apdu.status_word, .answer_length = apdu.answer_len,
                                               .resets = apdu.resets, .abandoned = apdu.abandoned };
    }
    char *const verdict = judge(&(struct judge_case){ .firmware = world.identity->firmware, .sent = sent,
                                                      .sent_count = sent_count, .executed = executed,
                                                      .executed_count = count });
    if (verdict)
        world_wrong("%s", verdict);
    free(verdict);
    free(executed);
}

/* A PIN loses a try by a wrong one that was sent, and by nothing else. */
static void judge_tries(void)
{
    unsigned left = 3;
    bool known = true;
    for (size_t i = 0; i < icc_log_count(world.icc); i++) {
        const struct icc_apdu apdu = icc_log_get(world.icc, i);
        if (apdu.command_len < 11 || apdu.command[1] != 0x20 || apdu.command[3] != 0x81)
            continue;
        known = known && !apdu.abandoned;
        if (apdu.status_word == 0x9000)
            left = 3;
        else if (apdu.command[5] == '9' && left > 0)
            left--;
    }
    const struct icc_counters counters = icc_counters(world.icc);
    if ((known && counters.pw1 != left) || counters.pw3 != 3)
        world_wrong("%u and %u PIN tries are left, and %u and 3 should be", counters.pw1, counters.pw3, left);
}

void clients_judge(void)
{
    judge_commands();
    if (world_key_is_free()) /* a command counts before it has ended */
        judge_tries();
}
