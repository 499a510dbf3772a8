/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pcsc_client.c - what programs do with PC/SC beyond sending APDUs, on the first reader, whose card is an OpenPGP card,
 * but where nothing more than an answer is asked of it; see USAGE. */
#include <pthread.h>
#include <reader.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>
#include "scard_text.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define THREADS 100

static const char USAGE[] =
    "Usage: pcsc_client transactions|sharing|reconnects|unpower|direct|cancel|attributes|threads\n"
    "Exit status: 0 all was as it must be; 1 it was not, the last line says what; 2 wrong usage.\n";

/* Ends the program with the place and what was found, unless it is what must be. */
static void expect_at(int line, const char *what, LONG found, LONG expected)
{
    if (found == expected)
        return;
    printf("line %d: %s is %s instead of %s\n", line, what, scard_error_name(found), scard_error_name(expected));
    exit(EXIT_FAILURE);
}
#define expect(call, expected) expect_at(__LINE__, #call, call, expected)

static void require_at(int line, const char *what, bool found)
{
    if (found)
        return;
    printf("line %d: it is not so that %s\n", line, what);
    exit(EXIT_FAILURE);
}
#define require(condition) require_at(__LINE__, #condition, condition)

/* ---- one program with a connection ---- */

struct client {
    SCARDCONTEXT context;
    SCARDHANDLE card;
    DWORD protocol;
    char reader[MAX_READERNAME];
};

static void establish(struct client *client)
{
    DWORD size = sizeof client->reader;
    expect(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &client->context), SCARD_S_SUCCESS);
    expect(SCardListReaders(client->context, NULL, client->reader, &size), SCARD_S_SUCCESS);
}

static LONG join_card(struct client *client, DWORD share)
{
    const DWORD protocols = share == SCARD_SHARE_DIRECT ? 0 : SCARD_PROTOCOL_T1;
    return SCardConnect(client->context, client->reader, share, protocols, &client->card, &client->protocol);
}

static void leave(struct client *client)
{
    expect(SCardDisconnect(client->card, SCARD_LEAVE_CARD), SCARD_S_SUCCESS);
}

static void release(struct client *client)
{
    expect(SCardReleaseContext(client->context), SCARD_S_SUCCESS);
}

static LONG transmit(const struct client *client, const BYTE *apdu, DWORD length, BYTE *answer, DWORD *size)
{
    return SCardTransmit(client->card, SCARD_PCI_T1, apdu, length, NULL, answer, size);
}

/* Selects the application and asks for its name, which no other command has for an answer. */
static LONG ask_name(const struct client *client, bool *right)
{
    static const BYTE SELECT[] = { 0x00, 0xa4, 0x04, 0x00, 6, 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 };
    static const BYTE GET_NAME[] = { 0x00, 0xca, 0x00, 0x4f, 0x00 };
    BYTE answer[MAX_BUFFER_SIZE];
    DWORD size = sizeof answer;
    LONG code = transmit(client, SELECT, sizeof SELECT, answer, &size);
    *right = code == SCARD_S_SUCCESS && size == 2 && answer[0] == 0x90;
    if (!*right)
        return code;
    size = sizeof answer;
    code = transmit(client, GET_NAME, sizeof GET_NAME, answer, &size);
    *right = code == SCARD_S_SUCCESS && size == 18 && memcmp(answer, SELECT + 5, 6) == 0;
    return code;
}

static void served(const struct client *client)
{
    bool right = false;
    expect(ask_name(client, &right), SCARD_S_SUCCESS);
    require(right);
}

/* Any card has a status word for this. */
static void answered(const struct client *client)
{
    bool right;
    expect(ask_name(client, &right), SCARD_S_SUCCESS);
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- transactions: who has one is not disturbed, who waits is served after it ---- */

struct waiting {
    struct client client;
    atomic_bool began, served;
};

static void *wait_for_the_card(void *context)
{
    struct waiting *const waiting = context;
    atomic_store(&waiting->began, true);
    served(&waiting->client);
    atomic_store(&waiting->served, true);
    return NULL;
}

static void transactions(void)
{
    struct client first;
    static struct waiting second;
    pthread_t thread;
    establish(&first);
    establish(&second.client);
    expect(join_card(&first, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(join_card(&second.client, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(SCardBeginTransaction(first.card), SCARD_S_SUCCESS);
    require(pthread_create(&thread, NULL, wait_for_the_card, &second) == 0);
    while (!atomic_load(&second.began))
        pause_ms(1);
    for (int i = 0; i < 20; i++) {
        served(&first);
        require(!atomic_load(&second.served));
    }
    expect(SCardEndTransaction(first.card, SCARD_LEAVE_CARD), SCARD_S_SUCCESS);
    require(pthread_join(thread, NULL) == 0);
    require(atomic_load(&second.served));
    expect(SCardEndTransaction(first.card, SCARD_LEAVE_CARD), SCARD_E_NOT_TRANSACTED);
    served(&first);
    leave(&first);
    leave(&second.client);
    release(&first);
    release(&second.client);
}

/* ---- sharing modes ---- */

static void sharing(void)
{
    struct client first, second;
    establish(&first);
    establish(&second);
    expect(join_card(&first, SCARD_SHARE_EXCLUSIVE), SCARD_S_SUCCESS);
    expect(join_card(&second, SCARD_SHARE_SHARED), SCARD_E_SHARING_VIOLATION);
    served(&first);
    leave(&first);
    expect(join_card(&second, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(join_card(&first, SCARD_SHARE_EXCLUSIVE), SCARD_E_SHARING_VIOLATION);
    expect(join_card(&first, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    served(&first);
    served(&second);
    leave(&second);
    expect(SCardReconnect(first.card, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD, &first.protocol),
           SCARD_S_SUCCESS);
    expect(join_card(&second, SCARD_SHARE_SHARED), SCARD_E_SHARING_VIOLATION);
    leave(&first);
    expect(join_card(&first, SCARD_SHARE_DIRECT), SCARD_S_SUCCESS);
    leave(&first);
    expect(SCardConnect(second.context, second.reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0, &second.card,
                        &second.protocol),
           SCARD_E_PROTO_MISMATCH);
    expect(join_card(&second, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    served(&second);
    leave(&second);
    release(&first);
    release(&second);
}

/* ---- reconnects: a reset is told to everybody ---- */

static void reset_by(struct client *who, struct client *other, DWORD how)
{
    bool right;
    expect(SCardReconnect(who->card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, how, &who->protocol), SCARD_S_SUCCESS);
    served(who);
    expect(ask_name(other, &right), SCARD_W_RESET_CARD);
    expect(SCardReconnect(other->card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD, &other->protocol),
           SCARD_S_SUCCESS);
    served(other);
}

static void reconnects(void)
{
    struct client first, second;
    establish(&first);
    establish(&second);
    expect(join_card(&first, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(join_card(&second, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    served(&second);
    reset_by(&first, &second, SCARD_RESET_CARD);
    reset_by(&second, &first, SCARD_UNPOWER_CARD);
    leave(&first);
    leave(&second);
    release(&first);
    release(&second);
}

/* ---- a card without power: who connects gets it powered on, though another program has a connection ---- */

static LONG reconnect(struct client *client)
{
    return SCardReconnect(client->card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, SCARD_LEAVE_CARD, &client->protocol);
}

static void everybody_is_served(struct client *holder, struct client *next)
{
    for (int i = 0; i < 3; i++) {
        expect(join_card(next, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
        answered(next);
        leave(next);
    }
    expect(reconnect(holder), SCARD_S_SUCCESS);
    answered(holder);
}

/* As pyscard disconnects, while ssh-agent, a browser or the like holds on to the card. */
static void unpower(void)
{
    struct client holder, other, next;
    bool right;
    establish(&holder);
    establish(&other);
    establish(&next);
    expect(join_card(&holder, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(join_card(&other, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    answered(&holder);
    expect(SCardDisconnect(other.card, SCARD_UNPOWER_CARD), SCARD_S_SUCCESS);
    expect(ask_name(&holder, &right), SCARD_W_RESET_CARD);
    expect(reconnect(&holder), SCARD_W_UNRESPONSIVE_CARD);
    everybody_is_served(&holder, &next);
    leave(&holder);
    release(&holder);
    release(&other);
    release(&next);
}

/* pcscd has taken the power of the card, since nobody used it. */
static void direct(void)
{
    struct client holder, next;
    establish(&holder);
    establish(&next);
    expect(join_card(&holder, SCARD_SHARE_DIRECT), SCARD_S_SUCCESS);
    expect(reconnect(&holder), SCARD_W_UNRESPONSIVE_CARD);
    everybody_is_served(&holder, &next);
    leave(&holder);
    release(&holder);
    release(&next);
}

/* ---- cancel: who waits for a card to go is called back ---- */

struct watcher {
    struct client client;
    LONG code;
    atomic_bool ended;
};

static void *watch(void *context)
{
    struct watcher *const watcher = context;
    SCARD_READERSTATE state = { .szReader = watcher->client.reader };
    expect(SCardGetStatusChange(watcher->client.context, 0, &state, 1), SCARD_S_SUCCESS);
    require(state.dwEventState & SCARD_STATE_PRESENT);
    state.dwCurrentState = state.dwEventState;
    watcher->code = SCardGetStatusChange(watcher->client.context, INFINITE, &state, 1);
    atomic_store(&watcher->ended, true);
    return NULL;
}

static void cancel(void)
{
    static struct watcher watcher;
    struct client other;
    pthread_t thread;
    establish(&watcher.client);
    establish(&other);
    require(pthread_create(&thread, NULL, watch, &watcher) == 0);
    while (!atomic_load(&watcher.ended)) { /* before the wait there is nothing to end, or pcscd does not know it yet */
        const LONG code = SCardCancel(watcher.client.context);
        require(code == SCARD_S_SUCCESS || code == SCARD_E_INVALID_HANDLE);
        pause_ms(20);
    }
    require(pthread_join(thread, NULL) == 0);
    expect(watcher.code, SCARD_E_CANCELLED);
    expect(join_card(&other, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    served(&other);
    leave(&other);
    release(&other);
    release(&watcher.client);
}

/* ---- attributes ---- */

static DWORD attribute(const struct client *client, DWORD which, BYTE *value, DWORD size)
{
    expect(SCardGetAttrib(client->card, which, value, &size), SCARD_S_SUCCESS);
    return size;
}

static void attributes(void)
{
    struct client client;
    BYTE atr[MAX_ATR_SIZE], value[MAX_BUFFER_SIZE], small[2];
    DWORD name_size = MAX_READERNAME, state, protocol, atr_size = sizeof atr, size = sizeof small;
    char name[MAX_READERNAME];
    establish(&client);
    expect(join_card(&client, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
    expect(SCardStatus(client.card, name, &name_size, &state, &protocol, atr, &atr_size), SCARD_S_SUCCESS);
    require(strcmp(name, client.reader) == 0 && protocol == SCARD_PROTOCOL_T1 && (state & SCARD_PRESENT));
    require(attribute(&client, SCARD_ATTR_ATR_STRING, value, sizeof value) == atr_size);
    require(memcmp(value, atr, atr_size) == 0);
    (void)attribute(&client, SCARD_ATTR_VENDOR_NAME, value, sizeof value);
    require(strcmp((const char *)value, "Nitrokey") == 0);
    (void)attribute(&client, SCARD_ATTR_DEVICE_FRIENDLY_NAME, value, sizeof value);
    require(strcmp((const char *)value, client.reader) == 0);
    require(attribute(&client, SCARD_ATTR_ICC_PRESENCE, value, sizeof value) == 1 && value[0] == 2);
    expect(SCardGetAttrib(client.card, SCARD_ATTR_ATR_STRING, small, &size), SCARD_E_INSUFFICIENT_BUFFER);
    size = sizeof value;
    require(SCardGetAttrib(client.card, SCARD_ATTR_POWER_MGMT_SUPPORT, value, &size) != SCARD_S_SUCCESS);
    served(&client);
    leave(&client);
    release(&client);
}

/* ---- 100 threads, each a program of its own ---- */

static void *be_a_program(void *context)
{
    struct client client;
    (void)context;
    establish(&client);
    for (int i = 0; i < 3; i++) {
        expect(join_card(&client, SCARD_SHARE_SHARED), SCARD_S_SUCCESS);
        expect(SCardBeginTransaction(client.card), SCARD_S_SUCCESS);
        served(&client);
        expect(SCardEndTransaction(client.card, SCARD_LEAVE_CARD), SCARD_S_SUCCESS);
        leave(&client);
    }
    release(&client);
    return NULL;
}

static void threads(void)
{
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        require(pthread_create(&thread[i], NULL, be_a_program, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        require(pthread_join(thread[i], NULL) == 0);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        void (*run)(void);
    } STORIES[] = {
        { "transactions", transactions }, { "sharing", sharing }, { "reconnects", reconnects },
        { "unpower", unpower },           { "direct", direct },   { "cancel", cancel },
        { "attributes", attributes },     { "threads", threads },
    };
    for (size_t i = 0; argc == 2 && i < COUNT(STORIES); i++)
        if (strcmp(argv[1], STORIES[i].name) == 0) {
            STORIES[i].run();
            return EXIT_SUCCESS;
        }
    fputs(USAGE, stderr);
    return 2;
}
