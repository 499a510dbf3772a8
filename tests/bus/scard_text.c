/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scard_text.c - PC/SC's numbers as the names that programs are written with. */
#include "scard_text.h"
#include <stdio.h>
#include <string.h>

#define NAMED(code) { code, #code }
#define COUNT(table) (sizeof (table) / sizeof *(table))

static const struct {
    LONG code;
    const char *name;
} errors[] = {
    NAMED(SCARD_S_SUCCESS),           NAMED(SCARD_F_INTERNAL_ERROR),     NAMED(SCARD_E_CANCELLED),
    NAMED(SCARD_E_INVALID_HANDLE),    NAMED(SCARD_E_INVALID_PARAMETER),  NAMED(SCARD_E_INVALID_TARGET),
    NAMED(SCARD_E_NO_MEMORY),         NAMED(SCARD_F_WAITED_TOO_LONG),    NAMED(SCARD_E_INSUFFICIENT_BUFFER),
    NAMED(SCARD_E_UNKNOWN_READER),    NAMED(SCARD_E_TIMEOUT),            NAMED(SCARD_E_SHARING_VIOLATION),
    NAMED(SCARD_E_NO_SMARTCARD),      NAMED(SCARD_E_UNKNOWN_CARD),       NAMED(SCARD_E_CANT_DISPOSE),
    NAMED(SCARD_E_PROTO_MISMATCH),    NAMED(SCARD_E_NOT_READY),          NAMED(SCARD_E_INVALID_VALUE),
    NAMED(SCARD_E_SYSTEM_CANCELLED),  NAMED(SCARD_F_COMM_ERROR),         NAMED(SCARD_F_UNKNOWN_ERROR),
    NAMED(SCARD_E_INVALID_ATR),       NAMED(SCARD_E_NOT_TRANSACTED),     NAMED(SCARD_E_READER_UNAVAILABLE),
    NAMED(SCARD_P_SHUTDOWN),          NAMED(SCARD_E_PCI_TOO_SMALL),      NAMED(SCARD_E_READER_UNSUPPORTED),
    NAMED(SCARD_E_DUPLICATE_READER),  NAMED(SCARD_E_CARD_UNSUPPORTED),   NAMED(SCARD_E_NO_SERVICE),
    NAMED(SCARD_E_SERVICE_STOPPED),   NAMED(SCARD_E_UNSUPPORTED_FEATURE), NAMED(SCARD_E_NO_READERS_AVAILABLE),
    NAMED(SCARD_W_UNSUPPORTED_CARD),  NAMED(SCARD_W_UNRESPONSIVE_CARD),  NAMED(SCARD_W_UNPOWERED_CARD),
    NAMED(SCARD_W_RESET_CARD),        NAMED(SCARD_W_REMOVED_CARD),       NAMED(SCARD_W_SECURITY_VIOLATION),
};

const char *scard_error_name(LONG code)
{
    static char number[2 + 2 * sizeof(LONG) + 1];
    for (size_t i = 0; i < COUNT(errors); i++)
        if (errors[i].code == code)
            return errors[i].name;
    (void)snprintf(number, sizeof number, "0x%08lX", (unsigned long)code);
    return number;
}

const char *scard_state_text(DWORD state, char text[SCARD_STATE_TEXT_SIZE])
{
    static const struct {
        DWORD flag;
        const char *name;
    } flags[] = {
        { SCARD_STATE_UNKNOWN, "UNKNOWN" }, { SCARD_STATE_UNAVAILABLE, "UNAVAILABLE" },
        { SCARD_STATE_EMPTY, "EMPTY" },     { SCARD_STATE_PRESENT, "PRESENT" },
        { SCARD_STATE_EXCLUSIVE, "EXCLUSIVE" }, { SCARD_STATE_INUSE, "INUSE" },
        { SCARD_STATE_MUTE, "MUTE" },       { SCARD_STATE_UNPOWERED, "UNPOWERED" },
    };
    text[0] = '\0';
    for (size_t i = 0; i < COUNT(flags); i++) {
        if (!(state & flags[i].flag))
            continue;
        const size_t used = strlen(text);
        (void)snprintf(text + used, SCARD_STATE_TEXT_SIZE - used, "%s%s", used ? "," : "", flags[i].name);
    }
    if (!text[0])
        strcpy(text, "UNAWARE");
    return text;
}

const char *scard_hex(const BYTE *bytes, size_t length, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < length; i++)
        (void)snprintf(text + 2 * i, 3, "%02X", bytes[i]);
    return text;
}
