/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sequence.c - sequences of steps: made from a seed, written, read. */
#include "sequence.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "identity.h"

#define CHOICES 8
#define STEPS_LEAST 8
#define TROUBLE_EVERY 4 /* about one step of so many is one that goes wrong */

enum sort { WORK, COURSE, TROUBLE }; /* of a client; what happens anyway; what goes wrong */

/* $ and @ stand for a and b, times are milliseconds. */
static const struct {
    const char *name, *words;
    enum sort sort;
    unsigned weight;
    long a[CHOICES], b[CHOICES]; /* what chance may choose; {0}: nothing is to be chosen */
} KINDS[STEP_KINDS] = {
    [STEP_CONNECT] = { "connect", "connects", WORK, .weight = 4 },
    [STEP_EXCLUSIVE] = { "exclusive", "connects, for itself alone", WORK, .weight = 1 },
    [STEP_RECONNECT] = { "reconnect", "reconnects (0 leave, 1 reset, 2 unpower: $)", WORK, .weight = 1, .a = { 1, 1, 2 } },
    [STEP_DISCONNECT] = { "disconnect", "disconnects (0 leave, 1 reset, 2 unpower: $)", WORK, .weight = 6,
        .a = { 0, 0, 1, 2 } },
    [STEP_AID] = { "aid", "asks which card it is", WORK, .weight = 5 },
    [STEP_TRIES] = { "tries", "asks how many PIN tries are left", WORK, .weight = 3 },
    [STEP_READ] = { "read", "reads the certificate", WORK, .weight = 6 },
    [STEP_READ_LOGIN] = { "read-login", "reads the login", WORK, .weight = 4 },
    [STEP_WRITE] = { "put", "writes a certificate of $ bytes", WORK, .weight = 10,
        .a = { 30, 116, 254, 260, 300, 400, 500, 526 } },
    [STEP_WRITE_LOGIN] = { "put-login", "writes a login of $ bytes", WORK, .weight = 4,
        .a = { 4, 43, 44, 52, 53, 107, 116, 200 } },
    [STEP_CHAIN] = { "chain", "writes a certificate of $ bytes in two parts", WORK, .weight = 2, .a = { 260, 400, 510 } },
    [STEP_PIN] = { "pin", "verifies the user PIN", WORK, .weight = 3 },
    [STEP_ADMIN] = { "admin", "verifies the admin PIN", WORK, .weight = 3 },
    [STEP_WRONG_PIN] = { "wrong-pin", "verifies a wrong user PIN", WORK, .weight = 1 },
    [STEP_SIGN] = { "sign", "signs", WORK, .weight = 6 },
    [STEP_GENERATE] = { "generate", "generates a key in $ ms, with a sign of life each @ ms", WORK, .weight = 5,
        .a = { 1000, 4000, 9000, 20000, 45000, 100000, 200000, 600000 }, .b = { 1000, 1000, 5000, 10000, 10000, 600000 } },
    [STEP_PIV] = { "piv", "uses the PIV application", WORK, .weight = 1 },
    [STEP_ATTRIBUTE] = { "attribute", "asks the reader for its serial number and features", WORK, .weight = 2 },
    [STEP_POLL] = { "poll", "pcscd's polling thread: $ ms", COURSE, .weight = 6,
        .a = { 100, 400, 1000, 2500, 5000, 5000, 12000, 60000 } },
    [STEP_WAIT] = { "wait", "$ ms pass", COURSE, .weight = 7, .a = { 1, 50, 500, 1500, 2500, 4000, 9000, 240000 } },
    [STEP_START] = { "start", "pcscd is started, if it does not run", COURSE, .weight = 1 },
    [STEP_KILL] = { "kill", "pcscd is killed in $ ms", TROUBLE, .weight = 8,
        .a = { 1, 15, 100, 700, 1500, 2500, 5000, 30000 } },
    [STEP_KILL_OUT] = { "kill-out", "pcscd is killed before the ${th} packet to the key", TROUBLE, .weight = 8,
        .a = { 1, 2, 3, 4, 6, 8 } },
    [STEP_KILL_IN] = { "kill-in", "pcscd is killed before the ${th} packet from the key", TROUBLE, .weight = 6,
        .a = { 1, 2, 3, 4, 6, 8 } },
    [STEP_UNPLUG] = { "unplug", "the key is unplugged in $ ms", TROUBLE, .weight = 4,
        .a = { 1, 15, 100, 700, 2000, 10000 } },
    [STEP_PLUG] = { "plug", "the key is unplugged and plugged in again, at another address (1): $", COURSE, .weight = 1,
        .a = { 0, 1 } },
    [STEP_FREEZE] = { "freeze", "the key is deaf and dumb in $ ms, for @ ms", TROUBLE, .weight = 4,
        .a = { 1, 10, 500, 3000 }, .b = { 100, 500, 1500, 4000, 40000, 100000 } },
    [STEP_TOUCH] = { "touch", "the key is touched in $ ms", COURSE, .weight = 3, .a = { 1, 1000, 5000, 12000 } },
    [STEP_WANT_TOUCH] = { "want-touch", "wants a touch for each signature (1), or none: $", WORK, .weight = 2,
        .a = { 0, 1, 1 } },
    [STEP_OCCUPY] = { "occupy", "another program wants the key, for $ ms", TROUBLE, .weight = 2,
        .a = { 500, 3000, 20000, 200000 } },
    [STEP_RESET_PORT] = { "reset-port", "the port is reset in $ ms", TROUBLE, .weight = 1, .a = { 1, 15, 700, 3000 } },
    [STEP_MISHEAR] = { "mishear", "the chip mishears $ blocks", TROUBLE, .weight = 2, .a = { 1, 2 } },
    [STEP_BAD_BLOCK] = { "bad-block", "a block of the chip is corrupt ($)", TROUBLE, .weight = 2, .a = { 0, 3, 4 } },
    [STEP_LOST_OUT] = { "lost-out", "the ${th} packet to the key is lost", TROUBLE, .weight = 9,
        .a = { 1, 2, 3, 4, 5, 8 } },
    [STEP_LOST_IN] = { "lost-in", "the ${th} packet from the key is lost", TROUBLE, .weight = 6, .a = { 1, 2, 3, 5, 8 } },
    [STEP_TAKEN_OUT] = { "taken-out", "the ${th} packet to the key arrives, which is not confirmed", TROUBLE,
        .weight = 7, .a = { 1, 2, 3, 4, 5, 8 } },
    [STEP_GIVEN_IN] = { "given-in", "the ${th} packet from the key is gone", TROUBLE, .weight = 6,
        .a = { 1, 2, 3, 5, 8 } },
    [STEP_BABBLE_IN] = { "babble-in", "the ${th} packet from the key is too long", TROUBLE, .weight = 5,
        .a = { 1, 2, 3, 5, 8 } },
    [STEP_HALT_OUT] = { "halt-out", "at the ${th} packet to the key the endpoint is halted", TROUBLE, .weight = 5,
        .a = { 1, 2, 3, 5, 8 } },
    [STEP_HALT_IN] = { "halt-in", "at the ${th} packet from the key the endpoint is halted", TROUBLE, .weight = 5,
        .a = { 1, 2, 3, 5, 8 } },
    [STEP_NO_ZLP] = { "no-zlp", "the ${th} empty packet is left out", TROUBLE, .weight = 4, .a = { 1, 2 } },
    [STEP_NAK_OUT] = { "nak-out", "the ${th} packet to the key waits for @ ms", TROUBLE, .weight = 4,
        .a = { 1, 2, 3, 4 }, .b = { 100, 1000, 3000 } },
    [STEP_NAK_IN] = { "nak-in", "the ${th} packet from the key waits for @ ms", TROUBLE, .weight = 4,
        .a = { 1, 2, 3, 5 }, .b = { 100, 1000, 3000 } },
    [STEP_CANCEL_OUT] = { "cancel-out", "the ${th} packet to the key waits for 100 s, and who gives up is told nothing",
        TROUBLE, .weight = 3, .a = { 2, 3, 4 } },
    [STEP_CANCEL_IN] = { "cancel-in", "the ${th} packet from the key waits for 100 s, and who gives up is told nothing",
        TROUBLE, .weight = 3, .a = { 2, 3, 4 } },
    [STEP_LOST_CONTROL] = { "lost-control", "the ${th} control request fails", TROUBLE, .weight = 2, .a = { 1, 2 } },
    [STEP_HALT_CONTROL] = { "halt-control", "the ${th} control request is refused", TROUBLE, .weight = 1, .a = { 1, 2 } },
};

/* ---- chance ---- */

uint64_t chance_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(uint64_t *state, unsigned limit)
{
    return (unsigned)(chance_next(state) % limit);
}

static long choose(uint64_t *state, const long choices[CHOICES])
{
    unsigned count = CHOICES;
    while (count > 1 && choices[count - 1] == 0)
        count--;
    return choices[below(state, count)];
}

/* Of so many sorts, and as often as its weight says. */
static enum step_kind choose_kind(uint64_t *state, enum sort from, enum sort to)
{
    unsigned total = 0, kind = 0;
    for (unsigned i = 0; i < STEP_KINDS; i++)
        total += KINDS[i].sort >= from && KINDS[i].sort <= to ? KINDS[i].weight : 0;
    for (unsigned left = below(state, total); kind < STEP_KINDS; kind++) {
        const unsigned weight = KINDS[kind].sort >= from && KINDS[kind].sort <= to ? KINDS[kind].weight : 0;
        if (left < weight)
            break;
        left -= weight;
    }
    return (enum step_kind)kind;
}

struct sequence sequence_of(uint64_t seed, const char *model)
{
    uint64_t state = seed;
    struct sequence sequence = { .chance = chance_next(&state) % 1000000 };
    const char *const own = identities[chance_next(&state) % identity_count].name;
    snprintf(sequence.model, sizeof sequence.model, "%s", model ? model : own);
    sequence.count = STEPS_LEAST + below(&state, SEQUENCE_STEPS_MAX / 2 - STEPS_LEAST);
    bool in_trouble = false; /* then somebody goes on working */
    for (size_t i = 0; i < sequence.count; i++) {
        struct step *const step = &sequence.step[i];
        const bool trouble = below(&state, TROUBLE_EVERY) == 0;
        step->kind = choose_kind(&state, trouble ? TROUBLE : WORK, trouble ? TROUBLE : in_trouble ? WORK : COURSE);
        in_trouble = trouble;
        step->client = below(&state, SEQUENCE_CLIENTS);
        step->a = choose(&state, KINDS[step->kind].a);
        step->b = choose(&state, KINDS[step->kind].b);
    }
    return sequence;
}

/* ---- text ---- */

bool step_is_of_a_client(const struct step *step)
{
    return KINDS[step->kind].sort == WORK;
}

const char *step_kind_name(enum step_kind kind)
{
    return KINDS[kind].name;
}

static bool is_chosen(const long choices[CHOICES])
{
    long all = 0;
    for (size_t i = 0; i < CHOICES; i++)
        all |= choices[i];
    return all != 0;
}

void step_name(const struct step *step, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    if (step_is_of_a_client(step))
        at += (size_t)snprintf(text, size, "%c.", 'A' + (int)step->client);
    at += (size_t)snprintf(text + at, size - at, "%s", KINDS[step->kind].name);
    if (is_chosen(KINDS[step->kind].a))
        at += (size_t)snprintf(text + at, size - at, ":%ld", step->a);
    if (is_chosen(KINDS[step->kind].b))
        snprintf(text + at, size - at, ":%ld", step->b);
}

static const char *ordinal(long number)
{
    return number == 1 ? "st" : number == 2 ? "nd" : number == 3 ? "rd" : "th";
}

void step_tell(const struct step *step, char *text, size_t size)
{
    FILE *const out = fmemopen(text, size, "w");
    if (!out)
        abort();
    if (step_is_of_a_client(step))
        fprintf(out, "%c ", 'A' + (int)step->client);
    for (const char *at = KINDS[step->kind].words; *at; at++) {
        if (strncmp(at, "${th}", 5) == 0) {
            fprintf(out, "%ld%s", step->a, ordinal(step->a));
            at += 4;
        } else if (*at == '$' || *at == '@') {
            fprintf(out, "%ld", *at == '$' ? step->a : step->b);
        } else {
            fputc(*at, out);
        }
    }
    fclose(out);
}

void sequence_print(const struct sequence *sequence, char text[SEQUENCE_TEXT_MAX])
{
    size_t at = (size_t)snprintf(text, SEQUENCE_TEXT_MAX, "%s %llu:", sequence->model,
                                 (unsigned long long)sequence->chance);
    for (size_t i = 0; i < sequence->count; i++) {
        char name[48];
        step_name(&sequence->step[i], name, sizeof name);
        at += (size_t)snprintf(text + at, SEQUENCE_TEXT_MAX - at, " %s", name);
    }
}

static bool parse_step(const char *word, struct step *step)
{
    char name[32];
    int length = 0;
    *step = (struct step){ .kind = STEP_CONNECT };
    if (word[0] >= 'A' && word[0] < 'A' + SEQUENCE_CLIENTS && word[1] == '.') {
        step->client = (unsigned)(word[0] - 'A');
        word += 2;
    }
    if (sscanf(word, "%31[a-z-]%n:%ld:%ld", name, &length, &step->a, &step->b) < 1)
        return false;
    for (unsigned kind = 0; kind < STEP_KINDS; kind++)
        if (strcmp(KINDS[kind].name, name) == 0) {
            step->kind = (enum step_kind)kind;
            return true;
        }
    return false;
}

bool sequence_parse(const char *text, struct sequence *sequence)
{
    unsigned long long chance;
    int at = 0, length;
    char word[64];
    *sequence = (struct sequence){ .count = 0 };
    if (sscanf(text, "%31s %llu:%n", sequence->model, &chance, &at) < 2 || at == 0)
        return false;
    sequence->chance = chance;
    for (; sscanf(text + at, "%63s%n", word, &length) == 1; at += length)
        if (sequence->count == SEQUENCE_STEPS_MAX || !parse_step(word, &sequence->step[sequence->count++]))
            return false;
    return true;
}
