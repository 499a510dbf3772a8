/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader.c - one plugged-in key: open, close, lock, presence; and the table of Luns.
 *
 * A reset of the card is never silent. How every client learns of one that the driver needed:
 *
 *   NOTICE_NONE --card lost--> NOTICE_DUE --the polling thread was told "absent"--> NOTICE_SEEN
 *        ^                                                                              |
 *        +----------------------- the polling function is entered again ----------------+
 *
 * While it is not NONE presence says "absent" and the polling function returns at once. Only pcscd's event thread
 * counts, the one that polls: it tells all clients (SCARD_W_REMOVED_CARD) and powers the card on again.
 */
#include "reader.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include "card.h"
#include "exchange.h"
#include "log.h"
#include "patience.h"
#include "place.h"

#define OPEN_LIMIT_MS 4500      /* open to the end of the first power on: everything pcscd serves waits for it */
#define OPEN_SYNC_LIMIT_MS 1500 /* of it, at open */
#define MAX_MESSAGE 65546       /* the longest XfrBlock there can be: an extended APDU and its header */

enum notice { NOTICE_NONE, NOTICE_DUE, NOTICE_SEEN };

struct reader {
    unsigned long lun;
    unsigned references; /* under table_lock */
    struct usb_place place;
    struct usb_identity identity;
    struct ccid_class class;
    const struct model *model;
    struct patience_table patience;

    pthread_mutex_t lock; /* port, exchange and card: one call at a time */
    struct usb_port *port;
    struct exchange exchange;
    struct card card;
    int64_t opened_ms;
    bool opening; /* until the first power on has ended */

    pthread_mutex_t state_lock; /* what follows; never held while waiting */
    bool claimed, gone;
    enum notice notice;
    bool poller_known;
    pthread_t poller;
    int wake;  /* eventfd, a semaphore: each count ends one poll */
    int watch; /* inotify on the node while another program holds the interface, else -1 */
};

/* ---- the table of Luns ---- */

static struct reader *table[READER_MAX];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t table_changed = PTHREAD_COND_INITIALIZER;

static struct reader **find(unsigned long lun)
{
    for (size_t i = 0; i < READER_MAX; i++)
        if (table[i] && table[i]->lun == lun)
            return &table[i];
    return NULL;
}

static enum err enter(struct reader *reader)
{
    enum err err = ERR_NO_MEMORY;
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; i < READER_MAX && !find(reader->lun); i++)
        if (!table[i]) {
            table[i] = reader;
            err = ERR_NONE;
        }
    pthread_mutex_unlock(&table_lock);
    return err;
}

struct reader *reader_acquire(unsigned long lun)
{
    pthread_mutex_lock(&table_lock);
    struct reader **entry = find(lun);
    struct reader *reader = entry ? *entry : NULL;
    if (reader)
        reader->references++;
    pthread_mutex_unlock(&table_lock);
    return reader;
}

void reader_release(struct reader *reader)
{
    pthread_mutex_lock(&table_lock);
    reader->references--;
    pthread_cond_broadcast(&table_changed);
    pthread_mutex_unlock(&table_lock);
}

/* ---- state ---- */

static void wake_poller(struct reader *reader)
{
    const uint64_t one = 1;
    if (write(reader->wake, &one, sizeof one) < 0) {
        /* The counter is full: the poller is awake for a long time to come. */
    }
}

/* Draws the consequences of an error for everybody else who looks at the reader. */
static enum err note(struct reader *reader, enum err err)
{
    if (err != ERR_GONE && err != ERR_CARD_RESET)
        return err;
    pthread_mutex_lock(&reader->state_lock);
    if (err == ERR_GONE)
        reader->gone = true;
    else if (reader->notice != NOTICE_DUE)
        reader->notice = NOTICE_DUE;
    pthread_mutex_unlock(&reader->state_lock);
    wake_poller(reader);
    return err;
}

enum presence reader_presence(struct reader *reader)
{
    enum presence presence = READER_PRESENT;
    pthread_mutex_lock(&reader->state_lock);
    if (reader->gone)
        presence = READER_GONE;
    else if (!reader->claimed || reader->notice != NOTICE_NONE)
        presence = READER_ABSENT;
    if (reader->notice == NOTICE_DUE && reader->poller_known && pthread_equal(reader->poller, pthread_self()))
        reader->notice = NOTICE_SEEN;
    pthread_mutex_unlock(&reader->state_lock);
    return presence;
}

/* ---- the claim ---- */

static void forget_watch(struct reader *reader)
{
    if (reader->watch >= 0)
        close(reader->watch);
    reader->watch = -1;
}

static void watch_node(struct reader *reader)
{
    if (reader->watch >= 0 || !reader->place.node[0])
        return;
    reader->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (reader->watch >= 0 && inotify_add_watch(reader->watch, reader->place.node, IN_CLOSE) < 0)
        forget_watch(reader);
}

/* ERR_NONE, ERR_BUSY, or why the key is of no use. */
static enum err claim(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    const enum err err = usb_claim(reader->port);
    pthread_mutex_unlock(&reader->lock);
    pthread_mutex_lock(&reader->state_lock);
    reader->claimed = err == ERR_NONE;
    pthread_mutex_unlock(&reader->state_lock);
    return err;
}

/* The watch is set before the claim is tried, so that no close is missed between the two. */
static enum err claim_or_watch(struct reader *reader)
{
    watch_node(reader);
    const enum err err = claim(reader);
    if (err != ERR_BUSY)
        forget_watch(reader);
    return err;
}

/* ---- polling ---- */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Enters the polling function: what it has to return at once, or false to go to sleep. */
static bool has_news(struct reader *reader, enum err *err)
{
    pthread_mutex_lock(&reader->state_lock);
    reader->poller = pthread_self();
    reader->poller_known = true;
    const bool news = reader->gone || reader->notice != NOTICE_NONE;
    if (reader->notice == NOTICE_SEEN)
        reader->notice = NOTICE_NONE;
    *err = reader->gone ? ERR_GONE : ERR_NONE;
    pthread_mutex_unlock(&reader->state_lock);
    return news;
}

static bool is_claimed(struct reader *reader)
{
    pthread_mutex_lock(&reader->state_lock);
    const bool claimed = reader->claimed;
    pthread_mutex_unlock(&reader->state_lock);
    return claimed;
}

/* true: woken for good; false: the watched node was closed by somebody, or the sleep was interrupted */
static bool sleep_until(struct reader *reader, int64_t deadline_ms)
{
    struct pollfd fds[2] = { { .fd = reader->wake, .events = POLLIN }, { .fd = reader->watch, .events = POLLIN } };
    const int64_t left = deadline_ms - monotonic_ms();
    const int ready = left > 0 ? poll(fds, 2, left > INT32_MAX ? INT32_MAX : (int)left) : 0;
    if (ready == 0)
        return true;
    if (ready > 0 && fds[0].revents) {
        uint64_t count;
        return read(reader->wake, &count, sizeof count) == (ssize_t)sizeof count;
    }
    if (ready > 0 && fds[1].revents) {
        char events[sizeof(struct inotify_event) + 256];
        while (read(reader->watch, events, sizeof events) > 0)
            ;
    }
    return false;
}

enum err reader_poll(struct reader *reader, int timeout_ms)
{
    const int64_t deadline = monotonic_ms() + (timeout_ms > 0 ? timeout_ms : 0);
    enum err err;
    if (has_news(reader, &err))
        return err;
    do {
        if (!is_claimed(reader) && claim_or_watch(reader) == ERR_NONE) {
            log_info("the other program has let go of the key: taking it");
            return ERR_NONE;
        }
    } while (!sleep_until(reader, deadline));
    pthread_mutex_lock(&reader->state_lock);
    err = reader->gone ? ERR_GONE : ERR_NONE;
    pthread_mutex_unlock(&reader->state_lock);
    return err;
}

void reader_stop_poll(struct reader *reader)
{
    wake_poller(reader);
}

/* ---- open and close ---- */

static struct patience_table wanted_patience(void)
{
    static bool complained;
    struct patience_table result = patience_defaults;
    const char *wish = secure_getenv("IFD_NITROKEY_PATIENCE");
    const char *mistake;
    if (wish && *wish && !patience_parse(wish, &result, &mistake) &&
        !__atomic_exchange_n(&complained, true, __ATOMIC_RELAXED))
        log_error("IFD_NITROKEY_PATIENCE is ignored, because this is not understood: \"%.60s\". It should look like "
                  "\"generate=45m,ordinary=30s/10m\"", mistake);
    return result;
}

static void free_reader(struct reader *reader)
{
    if (reader->port) {
        usb_close(reader->port);
        exchange_close(&reader->exchange);
    }
    forget_watch(reader);
    if (reader->wake >= 0)
        close(reader->wake);
    pthread_mutex_destroy(&reader->lock);
    pthread_mutex_destroy(&reader->state_lock);
    explicit_bzero(reader, sizeof *reader);
    free(reader);
}

static struct reader *new_reader(unsigned long lun, const struct usb_place *place)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->lun = lun;
    reader->place = *place;
    reader->watch = -1;
    reader->opening = true;
    reader->patience = wanted_patience();
    pthread_mutex_init(&reader->lock, NULL);
    pthread_mutex_init(&reader->state_lock, NULL);
    reader->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (reader->wake < 0) {
        free_reader(reader);
        return NULL;
    }
    return reader;
}

/* Whether the driver knows how to speak to what the descriptors describe. */
static enum err check_identity(struct reader *reader)
{
    const struct usb_identity *identity = &reader->identity;
    if (identity->interface_class != CCID_INTERFACE_CLASS || !identity->bulk_in || !identity->bulk_out ||
        ccid_parse_class(identity->class_descriptor, identity->class_descriptor_len, &reader->class) != ERR_NONE)
        return ERR_NOT_CCID;
    reader->model = model_find(identity->vendor_id, identity->product_id);
    if (!reader->model || reader->class.level != CCID_TPDU) {
        log_error("%04x:%04x is a reader that this driver does not know", identity->vendor_id, identity->product_id);
        return ERR_NOT_CCID;
    }
    return ERR_NONE;
}

static size_t message_size(const struct ccid_class *class)
{
    if (class->max_message < CCID_MINIMUM_MESSAGE)
        return CCID_MINIMUM_MESSAGE;
    return class->max_message < MAX_MESSAGE ? class->max_message : MAX_MESSAGE;
}

/* A key that is still at work for a driver that is gone does not answer now; it is asked again at power on. */
static enum err first_contact(struct reader *reader)
{
    struct vigil whole = vigil_begin(&reader->patience, PATIENCE_POWER, reader->opened_ms);
    struct vigil vigil = vigil_within(&whole, OPEN_SYNC_LIMIT_MS, reader->opened_ms);
    const enum err err = exchange_synchronise(&reader->exchange, &vigil);
    if (err != ERR_TIMEOUT)
        return err;
    log_info("%s is busy with a command from before; it will be usable when that has ended", reader->model->name);
    return ERR_NONE;
}

static enum err take_key(struct reader *reader)
{
    const enum err err = claim_or_watch(reader);
    if (err == ERR_NONE)
        return first_contact(reader);
    if (err != ERR_BUSY)
        return err;
    log_error("%s is held by another program, so it is shown without a card. If that is GnuPG's scdaemon, write the "
              "line disable-ccid into ~/.gnupg/scdaemon.conf and run: gpgconf --kill scdaemon", reader->model->name);
    return ERR_NONE;
}

static enum err open_key(struct reader *reader)
{
    enum err err = usb_open(&reader->port, &reader->place, &reader->identity);
    if (err != ERR_NONE)
        return err;
    reader->opened_ms = usb_now_ms(reader->port);
    err = check_identity(reader);
    if (err == ERR_NONE)
        err = exchange_open(&reader->exchange, reader->port, &reader->identity, message_size(&reader->class));
    if (err != ERR_NONE)
        return err;
    card_init(&reader->card, &reader->exchange, reader->model, &reader->class, &reader->patience);
    return take_key(reader);
}

enum err reader_open(unsigned long lun, const char *device_name)
{
    struct usb_place place;
    if (!place_parse(device_name, &place)) {
        log_error("the device name \"%.80s\" is not understood", device_name);
        return ERR_NO_DEVICE;
    }
    struct reader *reader = new_reader(lun, &place);
    if (!reader)
        return ERR_NO_MEMORY;
    enum err err = open_key(reader);
    if (err == ERR_NONE)
        err = enter(reader);
    if (err != ERR_NONE)
        free_reader(reader);
    return err;
}

enum err reader_close(unsigned long lun)
{
    pthread_mutex_lock(&table_lock);
    struct reader **entry = find(lun);
    struct reader *reader = entry ? *entry : NULL;
    if (entry)
        *entry = NULL;
    pthread_mutex_unlock(&table_lock);
    if (!reader)
        return ERR_NO_DEVICE;
    usb_cancel(reader->port);
    wake_poller(reader);
    pthread_mutex_lock(&table_lock);
    while (reader->references > 0)
        pthread_cond_wait(&table_changed, &table_lock);
    pthread_mutex_unlock(&table_lock);
    free_reader(reader);
    return ERR_NONE;
}

/* ---- the card ---- */

static struct vigil power_vigil(struct reader *reader)
{
    const int64_t now = usb_now_ms(reader->port);
    struct vigil vigil = vigil_begin(&reader->patience, PATIENCE_POWER, now);
    const int64_t left = reader->opened_ms + OPEN_LIMIT_MS - now;
    if (!reader->opening)
        return vigil;
    reader->opening = false;
    return vigil_within(&vigil, left > 500 ? (uint32_t)left : 500, now);
}

static enum err power_on(struct reader *reader, struct vigil *vigil, struct atr *atr)
{
    const enum err err = card_power_on(&reader->card, vigil);
    if (err == ERR_NONE)
        *atr = *card_atr(&reader->card);
    return err;
}

enum err reader_power_on(struct reader *reader, struct atr *atr)
{
    if (!is_claimed(reader))
        return ERR_BUSY;
    pthread_mutex_lock(&reader->lock);
    struct vigil vigil = power_vigil(reader);
    const enum err err = power_on(reader, &vigil, atr);
    pthread_mutex_unlock(&reader->lock);
    return note(reader, err);
}

enum err reader_reset(struct reader *reader, struct atr *atr)
{
    if (!is_claimed(reader))
        return ERR_BUSY;
    pthread_mutex_lock(&reader->lock);
    struct vigil vigil = power_vigil(reader);
    enum err err = card_power_off(&reader->card, &vigil);
    if (err == ERR_NONE)
        err = power_on(reader, &vigil, atr);
    pthread_mutex_unlock(&reader->lock);
    return note(reader, err);
}

enum err reader_power_off(struct reader *reader)
{
    if (!is_claimed(reader))
        return ERR_BUSY;
    pthread_mutex_lock(&reader->lock);
    struct vigil vigil = power_vigil(reader);
    const enum err err = card_power_off(&reader->card, &vigil);
    pthread_mutex_unlock(&reader->lock);
    return note(reader, err);
}

enum err reader_transmit(struct reader *reader, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                         size_t *length)
{
    *length = 0;
    if (!is_claimed(reader))
        return ERR_BUSY;
    pthread_mutex_lock(&reader->lock);
    const enum err err = card_transmit(&reader->card, apdu, apdu_length, answer, size, length);
    pthread_mutex_unlock(&reader->lock);
    return note(reader, err);
}

/* ---- facts ---- */

struct reader_facts reader_facts(const struct reader *reader)
{
    return (struct reader_facts){
        .vendor_id = reader->identity.vendor_id, .product_id = reader->identity.product_id,
        .bcd_device = reader->identity.bcd_device,
        .bus = reader->identity.bus, .address = reader->identity.address,
        .class = reader->class,
    };
}

bool reader_atr(struct reader *reader, struct atr *atr)
{
    pthread_mutex_lock(&reader->lock);
    const struct atr *present = card_atr(&reader->card);
    if (present)
        *atr = *present;
    pthread_mutex_unlock(&reader->lock);
    return present != NULL;
}

size_t reader_string(struct reader *reader, enum usb_string which, char *text, size_t size)
{
    pthread_mutex_lock(&reader->lock);
    const size_t length = usb_string(reader->port, which, text, size);
    pthread_mutex_unlock(&reader->lock);
    return length;
}
