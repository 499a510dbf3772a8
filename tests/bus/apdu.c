/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apdu.c - a PC/SC client for scenarios: connects, sends APDUs and tells what came of each; see USAGE. */
#include <ctype.h>
#include <reader.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>
#include "scard_text.h"

#define APDU_MAX 65544 /* an extended APDU of case 4: 4 + 3 + 65535 + 2 */
#define WORD_MAX (2 * APDU_MAX + 1)
#define COUNT(table) (sizeof (table) / sizeof *(table))

static const char USAGE[] =
    "Usage: apdu [OPTION...] STEP...\n"
    "Connects to a reader and takes the steps in their order. Each prints a line\n"
    "  SECONDS CODE STEP RESULT      0.012 SCARD_S_SUCCESS 00CA004F00 D27600...9000\n"
    "\n"
    "  --reader PREFIX               the first reader whose name begins so (the first one)\n"
    "  --share shared|exclusive|direct   (shared)\n"
    "  --protocol T0|T1|any          (any)\n"
    "  --transaction                 one transaction from the connection to the end\n"
    "  --keep-going                  a step that fails does not end it\n"
    "  --reconnect                   connects anew after a step that failed, and goes on\n"
    "\n"
    "Steps:\n"
    "  HEX                           sends an APDU; the result is its answer\n"
    "  --control HEX                 SCardControl with this code and no data; its answer\n"
    "  --status                      SCardStatus: state, protocol and ATR\n"
    "  --attributes                  SCardGetAttrib of what libccid documents, a line each\n"
    "  --reset | --unpower           SCardReconnect that resets the card, or switches it off and on\n"
    "  -                             takes the further steps from standard input, as they come\n"
    "\n"
    "Exit status: 0 all succeeded (whatever the card says); 1 a call failed; 2 wrong usage.\n";

/* ---- words: options and steps, from the command line or from standard input ---- */

struct words {
    char *const *next;
    bool from_input;
    char buffer[WORD_MAX + 1];
};

/* NULL: there are no more. The word is good until the next call. */
static const char *next_word(struct words *words)
{
    static const char format[] = "%131089s"; /* WORD_MAX */
    _Static_assert(WORD_MAX == 131089, "as in the format");
    if (!words->from_input && *words->next) {
        if (strcmp(*words->next, "-") != 0)
            return *words->next++;
        words->from_input = true;
    }
    return words->from_input && scanf(format, words->buffer) == 1 ? words->buffer : NULL;
}

/* The bytes of a text in hex, for the caller to free; NULL: it is none. */
static BYTE *parse_hex(const char *text, DWORD *length)
{
    const size_t digits = strlen(text);
    if (digits == 0 || digits % 2 || digits > 2 * APDU_MAX || strspn(text, "0123456789abcdefABCDEF") != digits)
        return NULL;
    BYTE *bytes = malloc(digits / 2);
    for (size_t i = 0; bytes && i < digits / 2; i++)
        (void)sscanf(text + 2 * i, "%2hhx", &bytes[i]);
    *length = digits / 2;
    return bytes;
}

/* ---- the session ---- */

struct session {
    const char *prefix;
    DWORD share, protocols;
    bool transaction, keep_going, reconnect;
    SCARDCONTEXT context;
    SCARDHANDLE card;
    bool connected, failed;
    DWORD protocol;
    char reader[MAX_READERNAME];
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(double begin_s, LONG code, const char *step, const char *result)
{
    printf("%.3f %s ", now_s() - begin_s, scard_error_name(code));
    for (const char *at = step; *at; at++)
        (void)putchar(step[0] == '-' ? *at : toupper((unsigned char)*at));
    printf(" %s\n", result && *result ? result : "-");
    (void)fflush(stdout);
}

static void report_bytes(double begin_s, LONG code, const char *step, const BYTE *bytes, DWORD length)
{
    static char text[SCARD_HEX_SIZE(MAX_BUFFER_SIZE_EXTENDED)];
    const bool ok = code == SCARD_S_SUCCESS;
    report(begin_s, code, step, ok ? scard_hex(bytes, length, text) : NULL);
}

static LONG find_reader(struct session *session)
{
    char *names = NULL;
    DWORD size = SCARD_AUTOALLOCATE;
    const LONG code = SCardListReaders(session->context, NULL, (LPSTR)&names, &size);
    if (code != SCARD_S_SUCCESS)
        return code;
    const char *name = names;
    while (*name && strncmp(name, session->prefix, strlen(session->prefix)) != 0)
        name += strlen(name) + 1;
    const bool found = *name && strlen(name) < sizeof session->reader;
    if (found)
        strcpy(session->reader, name);
    (void)SCardFreeMemory(session->context, names);
    return found ? SCARD_S_SUCCESS : SCARD_E_UNKNOWN_READER;
}

static LONG connect_card(struct session *session)
{
    const double begin_s = now_s();
    char result[sizeof session->reader + 8];
    session->reader[0] = '\0';
    LONG code = find_reader(session);
    if (code == SCARD_S_SUCCESS)
        code = SCardConnect(session->context, session->reader, session->share, session->protocols, &session->card,
                            &session->protocol);
    session->connected = code == SCARD_S_SUCCESS;
    if (session->connected && session->transaction)
        code = SCardBeginTransaction(session->card);
    const char *protocol = session->protocol == SCARD_PROTOCOL_T1 ? "T1" : "T0";
    (void)snprintf(result, sizeof result, "%s %s", session->connected && session->protocol ? protocol : "-",
                   session->reader);
    report(begin_s, code, "--connect", result);
    return code;
}

static void disconnect_card(struct session *session)
{
    if (!session->connected)
        return;
    if (session->transaction)
        (void)SCardEndTransaction(session->card, SCARD_LEAVE_CARD);
    (void)SCardDisconnect(session->card, SCARD_LEAVE_CARD);
    session->connected = false;
}

/* ---- steps ---- */

typedef LONG take(struct session *session, const char *step, const char *argument);

static LONG transmit(struct session *session, const char *step, const BYTE *apdu, DWORD length)
{
    static BYTE answer[MAX_BUFFER_SIZE_EXTENDED];
    DWORD size = sizeof answer;
    const SCARD_IO_REQUEST *pci = session->protocol == SCARD_PROTOCOL_T1 ? SCARD_PCI_T1 : SCARD_PCI_T0;
    const double begin_s = now_s();
    const LONG code = SCardTransmit(session->card, pci, apdu, length, NULL, answer, &size);
    report_bytes(begin_s, code, step, answer, size);
    return code;
}

static LONG control(struct session *session, const char *step, const char *argument)
{
    BYTE answer[MAX_BUFFER_SIZE];
    DWORD size = 0;
    char name[64];
    const DWORD control_code = strtoul(argument, NULL, 16);
    const double begin_s = now_s();
    (void)snprintf(name, sizeof name, "%s=%08lX", step, control_code);
    const LONG code = SCardControl(session->card, control_code, NULL, 0, answer, sizeof answer, &size);
    report_bytes(begin_s, code, name, answer, size);
    return code;
}

static LONG status(struct session *session, const char *step, const char *argument)
{
    (void)argument;
    DWORD name_size = sizeof session->reader, state = 0, protocol = 0, atr_size = MAX_ATR_SIZE;
    BYTE atr[MAX_ATR_SIZE];
    char hex[SCARD_HEX_SIZE(MAX_ATR_SIZE)], result[sizeof hex + 64];
    const double begin_s = now_s();
    const LONG code = SCardStatus(session->card, session->reader, &name_size, &state, &protocol, atr, &atr_size);
    if (code == SCARD_S_SUCCESS)
        (void)snprintf(result, sizeof result, "%04lX %s %s", state & 0xffff,
                       protocol == SCARD_PROTOCOL_T1 ? "T1" : "-", scard_hex(atr, atr_size, hex));
    report(begin_s, code, step, code == SCARD_S_SUCCESS ? result : NULL);
    return code;
}

static LONG attributes(struct session *session, const char *step, const char *argument)
{
    (void)argument;
    static const DWORD list[] = {
        SCARD_ATTR_ATR_STRING, SCARD_ATTR_ICC_INTERFACE_STATUS, SCARD_ATTR_ICC_PRESENCE, SCARD_ATTR_VENDOR_NAME,
        SCARD_ATTR_VENDOR_IFD_VERSION, SCARD_ATTR_VENDOR_IFD_SERIAL_NO, SCARD_ATTR_MAXINPUT, SCARD_ATTR_CHANNEL_ID,
        SCARD_ATTR_DEVICE_FRIENDLY_NAME, SCARD_ATTR_DEVICE_SYSTEM_NAME,
    };
    for (size_t i = 0; i < COUNT(list); i++) {
        BYTE value[MAX_BUFFER_SIZE];
        DWORD size = sizeof value;
        char name[64];
        const double begin_s = now_s();
        const LONG code = SCardGetAttrib(session->card, list[i], value, &size);
        (void)snprintf(name, sizeof name, "%s=%08lX", step, list[i]);
        report_bytes(begin_s, code, name, value, size);
    }
    return SCARD_S_SUCCESS; /* what there is depends on the driver */
}

static LONG reconnect(struct session *session, const char *step, DWORD what)
{
    const double begin_s = now_s();
    const LONG code = SCardReconnect(session->card, session->share, session->protocols, what, &session->protocol);
    report(begin_s, code, step, NULL);
    return code;
}

static LONG reset(struct session *session, const char *step, const char *argument)
{
    (void)argument;
    return reconnect(session, step, SCARD_RESET_CARD);
}

static LONG unpower(struct session *session, const char *step, const char *argument)
{
    (void)argument;
    return reconnect(session, step, SCARD_UNPOWER_CARD);
}

static const struct step {
    const char *name;
    take *take;
    bool has_argument;
} steps[] = {
    { "--control", control, true }, { "--status", status, false },   { "--attributes", attributes, false },
    { "--reset", reset, false },    { "--unpower", unpower, false },
};

static const struct step *find_step(const char *word)
{
    for (size_t i = 0; i < COUNT(steps); i++)
        if (strcmp(word, steps[i].name) == 0)
            return &steps[i];
    return NULL;
}

/* false: it is no step */
static bool take_step(struct session *session, struct words *words, const char *word, LONG *code)
{
    DWORD length = 0;
    BYTE *apdu = parse_hex(word, &length);
    if (apdu) {
        *code = transmit(session, word, apdu, length);
        free(apdu);
        return true;
    }
    const struct step *step = find_step(word);
    const char *argument = step && step->has_argument ? next_word(words) : "";
    if (!step || !argument)
        return false;
    *code = step->take(session, step->name, argument);
    return true;
}

/* ---- options ---- */

static bool set_share(struct session *session, const char *value)
{
    if (strcmp(value, "shared") == 0)
        session->share = SCARD_SHARE_SHARED;
    else if (strcmp(value, "exclusive") == 0)
        session->share = SCARD_SHARE_EXCLUSIVE;
    else if (strcmp(value, "direct") == 0)
        session->share = SCARD_SHARE_DIRECT;
    else
        return false;
    return true;
}

static bool set_protocol(struct session *session, const char *value)
{
    if (strcmp(value, "T0") == 0)
        session->protocols = SCARD_PROTOCOL_T0;
    else if (strcmp(value, "T1") == 0)
        session->protocols = SCARD_PROTOCOL_T1;
    else if (strcmp(value, "any") == 0)
        session->protocols = SCARD_PROTOCOL_ANY;
    else
        return false;
    return true;
}

/* Whether the option is one that has a value, and the value is one of its own. */
static bool set_value(struct session *session, const char *option, const char *value)
{
    if (strcmp(option, "--reader") == 0)
        session->prefix = value;
    else if (strcmp(option, "--share") == 0)
        return set_share(session, value);
    else if (strcmp(option, "--protocol") == 0)
        return set_protocol(session, value);
    else
        return false;
    return true;
}

static bool set_switch(struct session *session, const char *option)
{
    if (strcmp(option, "--transaction") == 0)
        session->transaction = true;
    else if (strcmp(option, "--keep-going") == 0)
        session->keep_going = true;
    else if (strcmp(option, "--reconnect") == 0)
        session->reconnect = true;
    else
        return false;
    return true;
}

/* Takes the options from the command line, up to the first step. false: one of them is none. */
static bool take_options(struct session *session, char *const **words)
{
    for (; **words && strncmp(**words, "--", 2) == 0 && !find_step(**words); ++*words) {
        if (set_switch(session, **words))
            continue;
        const char *option = *(*words)++;
        if (!**words || !set_value(session, option, **words))
            return false;
    }
    return true;
}

/* ---- all together ---- */

/* false: a word is no step */
static bool take_steps(struct session *session, struct words *words)
{
    const char *word;
    while ((word = next_word(words))) {
        LONG code = SCARD_S_SUCCESS;
        if (!take_step(session, words, word, &code)) {
            fprintf(stderr, "apdu: there is a word that is no step (see --help)\n");
            return false;
        }
        if (code == SCARD_S_SUCCESS)
            continue;
        session->failed = true;
        if (session->reconnect) {
            disconnect_card(session);
            (void)connect_card(session);
        } else if (!session->keep_going) {
            break;
        }
    }
    return true;
}

static int run(struct session *session, struct words *words)
{
    const double begin_s = now_s();
    const LONG code = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &session->context);
    if (code != SCARD_S_SUCCESS) {
        report(begin_s, code, "--connect", NULL);
        return EXIT_FAILURE;
    }
    session->failed = connect_card(session) != SCARD_S_SUCCESS;
    const bool usable = !session->failed || session->reconnect;
    const bool understood = !usable || take_steps(session, words);
    disconnect_card(session);
    (void)SCardReleaseContext(session->context);
    if (!understood)
        return 2;
    return session->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
    static struct words words;
    struct session session = { .prefix = "", .share = SCARD_SHARE_SHARED, .protocols = SCARD_PROTOCOL_ANY };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return EXIT_SUCCESS;
    }
    words.next = argv + (argc > 0);
    if (!take_options(&session, &words.next)) {
        fputs(USAGE, stderr);
        return 2;
    }
    return run(&session, &words);
}
