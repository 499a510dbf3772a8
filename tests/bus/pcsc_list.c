/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcsc_list.c - lists the readers as a PC/SC client sees them; see USAGE. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winscard.h>
#include "scard_text.h"

#define READERS_MAX 16 /* as many as pcscd can have */
#define NEW_READERS "\\\\?PnP?\\Notification"

static const char USAGE[] =
    "Usage: pcsc_list [--wait]\n"
    "A line for each reader: its name, its state and the ATR of its card, with tabs in between.\n"
    "\n"
    "  --wait   goes on: a line \"event\", then the list, whenever something has changed, until killed\n"
    "\n"
    "Exit status: 0, also when there is no reader; 1 pcscd does not answer; 2 wrong usage.\n";

struct list {
    char *names; /* SCardListReaders' */
    SCARD_READERSTATE states[READERS_MAX + 1]; /* the last one is for readers that come and go */
    DWORD count;
};

static LONG get_names(SCARDCONTEXT context, char **names)
{
    DWORD size = SCARD_AUTOALLOCATE;
    *names = NULL;
    const LONG code = SCardListReaders(context, NULL, (LPSTR)names, &size);
    return code == SCARD_E_NO_READERS_AVAILABLE ? SCARD_S_SUCCESS : code;
}

static void free_list(SCARDCONTEXT context, struct list *list)
{
    if (list->names)
        (void)SCardFreeMemory(context, list->names);
    *list = (struct list){ 0 };
}

/* A reader may go between its name and its state: then its state is "UNKNOWN". */
static LONG get_list(SCARDCONTEXT context, struct list *list)
{
    *list = (struct list){ 0 };
    LONG code = get_names(context, &list->names);
    if (code != SCARD_S_SUCCESS)
        return code;
    for (const char *name = list->names; name && *name && list->count < READERS_MAX; name += strlen(name) + 1)
        list->states[list->count++].szReader = name;
    if (list->count > 0)
        code = SCardGetStatusChange(context, 0, list->states, list->count);
    return code == SCARD_E_TIMEOUT || code == SCARD_E_UNKNOWN_READER ? SCARD_S_SUCCESS : code;
}

static void print_list(const struct list *list)
{
    for (DWORD i = 0; i < list->count; i++) {
        const SCARD_READERSTATE *state = &list->states[i];
        char text[SCARD_STATE_TEXT_SIZE], atr[SCARD_HEX_SIZE(MAX_ATR_SIZE)];
        printf("%s\t%s\t%s\n", state->szReader, scard_state_text(state->dwEventState, text),
               scard_hex(state->rgbAtr, state->cbAtr, atr));
    }
    (void)fflush(stdout);
}

static LONG wait_for_change(SCARDCONTEXT context, struct list *list)
{
    for (DWORD i = 0; i < list->count; i++)
        list->states[i].dwCurrentState = list->states[i].dwEventState;
    list->states[list->count] = (SCARD_READERSTATE){ .szReader = NEW_READERS, .dwCurrentState = list->count << 16 };
    const LONG code = SCardGetStatusChange(context, INFINITE, list->states, list->count + 1);
    return code == SCARD_E_UNKNOWN_READER ? SCARD_S_SUCCESS : code;
}

static LONG run(SCARDCONTEXT context, bool wait)
{
    struct list list;
    LONG code = get_list(context, &list);
    if (code == SCARD_S_SUCCESS)
        print_list(&list);
    while (wait && code == SCARD_S_SUCCESS) {
        code = wait_for_change(context, &list);
        free_list(context, &list);
        if (code == SCARD_S_SUCCESS)
            code = get_list(context, &list);
        if (code == SCARD_S_SUCCESS) {
            puts("event");
            print_list(&list);
        }
    }
    free_list(context, &list);
    return code;
}

int main(int argc, char *argv[])
{
    SCARDCONTEXT context;
    const bool wait = argc == 2 && strcmp(argv[1], "--wait") == 0;
    if (argc > 2 || (argc == 2 && !wait)) {
        fputs(USAGE, stderr);
        return 2;
    }
    LONG code = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context);
    if (code == SCARD_S_SUCCESS) {
        code = run(context, wait);
        (void)SCardReleaseContext(context);
    }
    if (code != SCARD_S_SUCCESS)
        fprintf(stderr, "pcsc_list: %s\n", scard_error_name(code));
    return code == SCARD_S_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
