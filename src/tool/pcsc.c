/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcsc.c - the readers as pcscd shows them to its clients. */
#include "pcsc.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>
#include "status.h"
#include "text.h"

#define PATIENCE_S 10 /* pcscd answers after it has powered all cards, which takes seconds at most */

/* ---- the question, in a thread that may be left behind ---- */

static void note_reader(struct pcsc_reader *reader, const SCARD_READERSTATE *state)
{
    const DWORD present = SCARD_STATE_PRESENT, mute = SCARD_STATE_MUTE;
    text_clean(reader->name, sizeof reader->name, state->szReader);
    reader->in_use = (state->dwEventState & (SCARD_STATE_INUSE | SCARD_STATE_EXCLUSIVE)) != 0;
    reader->atr_length = state->cbAtr < sizeof reader->atr ? state->cbAtr : 0;
    reader->has_card = (state->dwEventState & present) && !(state->dwEventState & mute) && reader->atr_length > 0;
    memcpy(reader->atr, state->rgbAtr, reader->atr_length);
}

static LONG ask_for_readers(SCARDCONTEXT context, struct pcsc *pcsc)
{
    SCARD_READERSTATE states[PCSC_READERS_MAX] = { { .szReader = NULL } };
    DWORD size = SCARD_AUTOALLOCATE, count = 0;
    char *names = NULL;
    LONG code = SCardListReaders(context, NULL, (LPSTR)&names, &size);
    if (code != SCARD_S_SUCCESS)
        return code == SCARD_E_NO_READERS_AVAILABLE ? SCARD_S_SUCCESS : code;
    for (const char *name = names; *name && count < PCSC_READERS_MAX; name += strlen(name) + 1)
        states[count++].szReader = name;
    code = SCardGetStatusChange(context, 0, states, count);
    if (code == SCARD_E_TIMEOUT || code == SCARD_E_UNKNOWN_READER) /* a reader may go between the two questions */
        code = SCARD_S_SUCCESS;
    for (DWORD i = 0; code == SCARD_S_SUCCESS && i < count; i++)
        note_reader(&pcsc->readers[pcsc->count++], &states[i]);
    (void)SCardFreeMemory(context, names);
    return code;
}

static void *ask(void *argument)
{
    struct pcsc *const pcsc = argument;
    SCARDCONTEXT context;
    LONG code = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context);
    if (code == SCARD_S_SUCCESS) {
        code = ask_for_readers(context, pcsc);
        (void)SCardReleaseContext(context);
    }
    pcsc->answers = code == SCARD_S_SUCCESS;
    pcsc->why = pcsc_stringify_error(code);
    return NULL;
}

void pcsc_ask(struct pcsc *pcsc)
{
    static char why[80];
    struct timespec end;
    pthread_t thread;
    struct pcsc *const answer = calloc(1, sizeof *answer); /* stays when the thread does */
    *pcsc = (struct pcsc){ .silent = true, .why = "it does not answer" };
    if (!answer || pthread_create(&thread, NULL, ask, answer) != 0) {
        free(answer);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    if (pthread_timedjoin_np(thread, NULL, &end) != 0)
        return;
    *pcsc = *answer;
    text_clean(why, sizeof why, answer->why ? answer->why : "");
    pcsc->why = why;
    free(answer);
}

/* ---- whose reader ---- */

/* The number, if the name is PREFIX and two numbers of two digits, else -1. */
static long number_of(const struct pcsc_reader *reader, const char *prefix)
{
    unsigned number, slot;
    int end = 0;
    const size_t length = strlen(prefix);
    const bool is_named = strncmp(reader->name, prefix, length) == 0 &&
                          sscanf(reader->name + length, " %2x %2x%n", &number, &slot, &end) == 2 && end > 0 &&
                          reader->name[length + (size_t)end] == '\0';
    return is_named ? (long)number : -1;
}

/* Of several of that name, the one of which the driver says that it is this key's. */
static const struct pcsc_reader *named(const struct pcsc *pcsc, const char *prefix, const struct key *key, bool *sure)
{
    const struct pcsc_reader *found = NULL;
    struct status_reader told;
    int count = 0;
    (void)status_reader(RUN_DIRECTORY, key->bus, key->address, &told);
    for (int i = 0; i < pcsc->count; i++) {
        const long number = number_of(&pcsc->readers[i], prefix);
        if (number >= 0 && (!found || number == told.number))
            found = &pcsc->readers[i];
        count += number >= 0;
    }
    *sure = count == 1 || (found && number_of(found, prefix) == told.number);
    return found;
}

/* pcscd leaves out the interface or the serial number when it is told to. */
const struct pcsc_reader *pcsc_reader_of(const struct pcsc *pcsc, const struct key *key, bool *sure)
{
    char interface[80] = "", serial[80] = "", prefix[512];
    *sure = false;
    if (!key->model)
        return NULL;
    if (key->interface_name[0])
        snprintf(interface, sizeof interface, " [%s]", key->interface_name);
    if (key->serial[0])
        snprintf(serial, sizeof serial, " (%s)", key->serial);
    const char *const ways[][2] = { { interface, serial }, { "", serial }, { interface, "" }, { "", "" } };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        snprintf(prefix, sizeof prefix, "%s%s%s", key->model->name, ways[i][0], ways[i][1]);
        const struct pcsc_reader *const reader = named(pcsc, prefix, key, sure);
        if (reader)
            return reader;
    }
    return NULL;
}
