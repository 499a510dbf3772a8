/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge.c - whether what a key has executed is what its clients have sent.
 *
 * Both lists are first brought into one form: chains are put together. Then the executed list must be made of the sent
 * one by leaving commands out. The same command may occur often, so which one was left out is not known until the end:
 * reachable[e] says whether the commands sent so far can account for the first e executed ones.
 */
#include "judge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLA_CHAIN 0x10
#define INS_GET_RESPONSE 0xc0
#define HEADER 4
#define SHORT_NE_MAX 256
#define SHOWN 24 /* bytes of a command */

/* A command as the card puts it together. */
struct whole {
    const uint8_t *bytes; /* as it was sent; of a chain, the last part */
    size_t length;
    uint8_t *data;
    size_t data_length, expected;
    bool extended, of_parts;
    enum judge_outcome outcome;
    uint16_t status_word;
    size_t answer_length, resets;
    bool abandoned;
};

struct list {
    struct whole *at;
    size_t count;
};

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static bool takes_short_apdus(const char *firmware)
{
    return strcmp(firmware, "gnuk") == 0 || strcmp(firmware, "gnuk-1.0") == 0;
}

/* ---- one form ---- */

/* ISO 7816-4 §5.1; what is no APDU has no data. */
static void take_apart(struct whole *whole)
{
    const uint8_t *const b = whole->bytes;
    const size_t n = whole->length;
    size_t at = 5, lc = n > at ? b[4] : 0;
    whole->extended = n >= 7 && b[4] == 0;
    if (whole->extended) {
        at = 7;
        lc = n > at ? (size_t)(b[5] << 8 | b[6]) : 0;
    }
    if (n == at && whole->extended)
        whole->expected = SHORT_NE_MAX; /* 7 bytes are a header and Le */
    else if (n == 5)
        whole->expected = b[4] ? b[4] : SHORT_NE_MAX;
    if (lc == 0 || n < at + lc)
        return;
    whole->data = must(malloc(lc));
    whole->data_length = lc;
    memcpy(whole->data, b + at, lc);
    const size_t left = n - at - lc;
    if (left == 1)
        whole->expected = b[n - 1] ? b[n - 1] : SHORT_NE_MAX;
    else if (left == 2)
        whole->expected = b[n - 2] == 0 && b[n - 1] ? b[n - 1] : SHORT_NE_MAX;
}

static bool is_part(const struct whole *whole)
{
    return whole->length >= HEADER && whole->bytes[0] & CLA_CHAIN;
}

static bool is_get_response(const struct whole *whole)
{
    static const uint8_t header[HEADER] = { 0x00, INS_GET_RESPONSE, 0x00, 0x00 };
    return whole->length <= HEADER + 1 && whole->length >= HEADER && memcmp(whole->bytes, header, HEADER) == 0;
}

static bool same_header(const struct whole *a, const struct whole *b)
{
    return a->length >= HEADER && b->length >= HEADER && ((a->bytes[0] ^ b->bytes[0]) & ~CLA_CHAIN) == 0 &&
           memcmp(a->bytes + 1, b->bytes + 1, HEADER - 1) == 0;
}

static void prepend(const struct whole *before, struct whole *whole)
{
    whole->data = must(realloc(whole->data, before->data_length + whole->data_length + 1));
    memmove(whole->data + before->data_length, whole->data, whole->data_length);
    if (before->data_length > 0)
        memcpy(whole->data, before->data, before->data_length);
    whole->data_length += before->data_length;
    whole->of_parts = true;
}

/* The last parts of the list that make one chain with this command: they become part of it. What a client was told to
 * have failed is none of it; what the card has kept is, as long as it has its power. */
static void join(struct list *list, struct whole *whole)
{
    while (list->count > 0) {
        struct whole *const before = &list->at[list->count - 1];
        if (!is_part(before) || !same_header(before, whole) || before->outcome == OUTCOME_FAILED ||
            before->resets != whole->resets)
            return;
        prepend(before, whole);
        free(before->data);
        list->count--;
    }
}

/* Parts in front of another command are of no effect, and remain for themselves. */
static void add(struct list *list, struct whole whole, bool joins)
{
    if (joins)
        take_apart(&whole);
    if (joins && !is_part(&whole))
        join(list, &whole);
    list->at[list->count++] = whole;
}

static void drop(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i].data);
    free(list->at);
}

static struct list sent_list(const struct judge_case *facts)
{
    struct list list = { .at = must(calloc(facts->sent_count + 1, sizeof(struct whole))) };
    for (size_t i = 0; i < facts->sent_count; i++) {
        const struct judge_sent *const s = &facts->sent[i];
        add(&list, (struct whole){ .bytes = s->bytes, .length = s->length, .outcome = s->outcome,
                                   .status_word = s->status_word }, takes_short_apdus(facts->firmware));
    }
    return list;
}

static struct list executed_list(const struct judge_case *facts)
{
    struct list list = { .at = must(calloc(facts->executed_count + 1, sizeof(struct whole))) };
    for (size_t i = 0; i < facts->executed_count; i++) {
        const struct judge_executed *const e = &facts->executed[i];
        add(&list, (struct whole){ .bytes = e->bytes, .length = e->length, .status_word = e->status_word,
                                   .answer_length = e->answer_length, .resets = e->resets,
                                   .abandoned = e->abandoned }, takes_short_apdus(facts->firmware));
    }
    return list;
}

/* ---- comparing ---- */

static bool equal(const struct whole *sent, const struct whole *executed)
{
    if (sent->length == executed->length && memcmp(sent->bytes, executed->bytes, sent->length) == 0)
        return sent->of_parts == executed->of_parts;
    return sent->data && executed->data ? same_header(sent, executed) && sent->expected == executed->expected &&
                                              sent->data_length == executed->data_length &&
                                              memcmp(sent->data, executed->data, sent->data_length) == 0
                                        : sent->extended && same_header(sent, executed) && !sent->data &&
                                              !executed->data && sent->expected == executed->expected;
}

/* A part that nothing has followed changes nothing, and neither does a GET RESPONSE that gets an error. */
static bool is_harmless(const struct judge_case *facts, const struct whole *executed)
{
    if (facts->of_others && executed->length == facts->of_others_length &&
        memcmp(executed->bytes, facts->of_others, executed->length) == 0)
        return true;
    const bool refused = executed->status_word >= 0x6400 && executed->status_word < 0x9000;
    if (is_get_response(executed) && takes_short_apdus(facts->firmware)) /* which ends a chain that was cut */
        return executed->abandoned || (refused && executed->answer_length == 0);
    return is_part(executed) && takes_short_apdus(facts->firmware);
}

/* How many executed commands from the e-th on account for the one sent; 0: they do not. *status_word: their answer. */
static size_t accounted(const struct whole *sent, const struct list *executed, size_t e, uint16_t *status_word)
{
    const struct whole *const first = &executed->at[e];
    if (!equal(sent, first))
        return 0;
    *status_word = first->status_word;
    size_t count = 1;
    while (sent->extended && *status_word >> 8 == 0x61 && e + count < executed->count &&
           is_get_response(&executed->at[e + count]))
        *status_word = executed->at[e + count++].status_word;
    return count;
}

/* The client was told that the card has done it. */
static bool must_have_run(const struct judge_case *facts, const struct whole *sent)
{
    const unsigned kind = sent->status_word >> 8;
    const bool done = sent->status_word == 0x9000 || (kind >= 0x61 && kind <= 0x63);
    return sent->outcome == OUTCOME_ANSWERED && done && !(takes_short_apdus(facts->firmware) && is_part(sent));
}

static bool answer_is_right(const struct whole *sent, const struct whole *executed, uint16_t status_word)
{
    return sent->outcome != OUTCOME_ANSWERED || (!executed->abandoned && sent->status_word == status_word);
}

static void show(FILE *text, const struct whole *whole)
{
    for (size_t i = 0; i < whole->length && i < SHOWN; i++)
        fprintf(text, "%02X", whole->bytes[i]);
    fprintf(text, "%s, %zu bytes with %zu of data, status %04X", whole->length > SHOWN ? "..." : "", whole->length,
            whole->data_length, whole->status_word);
}

/* What is wrong with one command, and what is there instead, if anything. */
static char *tell(const char *what, const struct whole *whole, const struct whole *instead)
{
    char *verdict = NULL;
    size_t size = 0;
    FILE *const text = must(open_memstream(&verdict, &size));
    fprintf(text, "%s: ", what);
    show(text, whole);
    if (instead) {
        fprintf(text, "; executed there: ");
        show(text, instead);
    }
    if (fclose(text) != 0)
        abort();
    return verdict;
}

/* ---- in order ---- */

static void skip_harmless(const struct judge_case *facts, const struct list *executed, bool *reachable)
{
    for (size_t e = 0; e < executed->count; e++)
        if (reachable[e] && is_harmless(facts, &executed->at[e]))
            reachable[e + 1] = true;
}

/* What can be accounted for with one command more. */
static void send_one(const struct judge_case *facts, const struct whole *sent, const struct list *executed,
                     bool *reachable)
{
    bool *const next = must(calloc(executed->count + 1, sizeof *next));
    for (size_t e = 0; e <= executed->count; e++) {
        uint16_t status_word = 0;
        if (!reachable[e])
            continue;
        if (!must_have_run(facts, sent))
            next[e] = true;
        const size_t count = e < executed->count ? accounted(sent, executed, e, &status_word) : 0;
        if (count > 0 && answer_is_right(sent, &executed->at[e], status_word))
            next[e + count] = true;
    }
    skip_harmless(facts, executed, next);
    memcpy(reachable, next, (executed->count + 1) * sizeof *next);
    free(next);
}

static bool any(const bool *reachable, size_t count, size_t *furthest)
{
    bool found = false;
    for (size_t e = 0; e <= count; e++)
        if (reachable[e]) {
            found = true;
            *furthest = e > *furthest ? e : *furthest;
        }
    return found;
}

static char *judge_in_order(const struct judge_case *facts, const struct list *sent, const struct list *executed)
{
    bool *const reachable = must(calloc(executed->count + 1, sizeof *reachable));
    size_t furthest = 0;
    char *verdict = NULL;
    reachable[0] = true;
    skip_harmless(facts, executed, reachable);
    for (size_t i = 0; i < sent->count && !verdict; i++) {
        send_one(facts, &sent->at[i], executed, reachable);
        if (!any(reachable, executed->count, &furthest))
            verdict = tell("answered, but not so executed", &sent->at[i],
                           furthest < executed->count ? &executed->at[furthest] : NULL);
    }
    if (!verdict && !reachable[executed->count])
        verdict = tell("executed, but not sent, not then, or not whole", &executed->at[furthest], NULL);
    free(reachable);
    return verdict;
}

/* ---- in any order ---- */

static size_t account_for(const struct list *sent, const struct list *executed, size_t e, bool *used)
{
    for (size_t i = 0; i < sent->count; i++) {
        uint16_t status_word;
        const size_t count = used[i] ? 0 : accounted(&sent->at[i], executed, e, &status_word);
        if (count > 0) {
            used[i] = true;
            return count;
        }
    }
    return 0;
}

static char *judge_as_a_set(const struct judge_case *facts, const struct list *sent, const struct list *executed)
{
    bool *const used = must(calloc(sent->count + 1, sizeof *used));
    char *verdict = NULL;
    for (size_t e = 0; e < executed->count && !verdict;) {
        size_t count = account_for(sent, executed, e, used);
        if (count == 0 && !is_harmless(facts, &executed->at[e]))
            verdict = tell("executed, but not sent, not so often, or not whole", &executed->at[e], NULL);
        e += count > 0 ? count : 1;
    }
    free(used);
    return verdict;
}

char *judge(const struct judge_case *facts)
{
    struct list sent = sent_list(facts), executed = executed_list(facts);
    char *const verdict = facts->any_order ? judge_as_a_set(facts, &sent, &executed)
                                           : judge_in_order(facts, &sent, &executed);
    drop(&sent);
    drop(&executed);
    return verdict;
}
