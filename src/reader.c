/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader.c - one plugged-in key: open, close, its card; and the table of Luns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"
#include "place.h"
#include "reader_inner.h"

#define OPEN_LIMIT_MS 4500      /* open to the end of the first power on: everything pcscd serves waits for it */
#define OPEN_SYNC_LIMIT_MS 1500 /* of it, at open; and as long as the firmware needs to start, or to be heard */
#define POWER_LEAST_MS 1500     /* opening leaves more of it for the power on, if that follows at once */
#define START_GRACE_MS 200      /* the times of a firmware are not exact */
#define MAX_MESSAGE 65546       /* the longest XfrBlock there can be: an extended APDU and its header */
#define SMALLEST_PART 64        /* one packet at full speed: what the oldest keys mean */

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
    pthread_mutex_lock(&table_lock);
    enum err err = find(reader->lun) ? ERR_LUN_TAKEN : ERR_NO_MEMORY;
    for (size_t i = 0; i < READER_MAX && err == ERR_NO_MEMORY; i++)
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

/* ---- open and close ---- */

static struct patience_table wanted_patience(void)
{
    static bool complained;
    struct patience_table result = patience_defaults;
    const char *wish = secure_getenv("IFD_NITROKEY_PATIENCE");
    const char *mistake;
    if (wish && *wish && !patience_parse(wish, &result, &mistake) &&
        !__atomic_exchange_n(&complained, true, __ATOMIC_RELAXED))
        log_error(NULL, "IFD_NITROKEY_PATIENCE is ignored, because this is not understood: \"%.60s\". It should look "
                  "like \"generate=45m,ordinary=30s/10m\"", mistake);
    return result;
}

static void free_reader(struct reader *reader)
{
    if (reader->port) {
        usb_close(reader->port);
        exchange_close(&reader->exchange, presence_now(&reader->presence) == READER_GONE);
        trace_end(&reader->trace);
    }
    presence_destroy(&reader->presence);
    pthread_mutex_destroy(&reader->lock);
    explicit_bzero(reader, sizeof *reader);
    free(reader);
}

static struct reader *new_reader(unsigned long lun, const struct usb_place *place)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    if (!presence_init(&reader->presence)) {
        free(reader);
        return NULL;
    }
    reader->lun = lun;
    reader->place = *place;
    reader->opening = true;
    reader->patience = wanted_patience();
    pthread_mutex_init(&reader->lock, NULL);
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
    if (!reader->model || reader->class.level == CCID_CHARACTER) {
        log_error(NULL, "%04x:%04x (%03u/%03u) is a reader that this driver does not know", identity->vendor_id,
                  identity->product_id, identity->bus, identity->address);
        return ERR_NOT_CCID;
    }
    snprintf(reader->name, sizeof reader->name, "%s (%03u/%03u)", reader->model->name, identity->bus, identity->address);
    return ERR_NONE;
}

/* CCID 1.1 §5.1 wants 271 bytes at least. At extended APDU level a device may mean less, since messages have parts. */
static size_t message_size(const struct ccid_class *class)
{
    const size_t least = class->level == CCID_EXTENDED_APDU ? SMALLEST_PART : CCID_MINIMUM_MESSAGE;
    if (class->max_message < least)
        return CCID_MINIMUM_MESSAGE;
    return class->max_message < MAX_MESSAGE ? class->max_message : MAX_MESSAGE;
}

/* A key that is still at work for a driver that is gone does not answer now; it is asked again at power on, or read by the
 * poller, and has no card until then. One that has just been plugged in may not answer yet, and is not at work. */
static enum err first_contact(struct reader *reader)
{
    const uint32_t starting_ms = reader->model->startup_ms > 0 ? reader->model->startup_ms + START_GRACE_MS : 0;
    const uint32_t listening_ms = reader->exchange.sign_of_life_ms + START_GRACE_MS;
    const uint32_t least_ms = starting_ms > listening_ms ? starting_ms : listening_ms;
    const uint32_t limit_ms = least_ms > OPEN_SYNC_LIMIT_MS ? least_ms : OPEN_SYNC_LIMIT_MS;
    struct vigil whole = vigil_begin(&reader->patience, PATIENCE_POWER, reader->opened_ms);
    struct vigil vigil = vigil_within(&whole, limit_ms, reader->opened_ms);
    const enum err err = exchange_first_contact(&reader->exchange, &vigil);
    if (err == ERR_HELD || err == ERR_DEAD)
        return ERR_NONE; /* see reader_tell_state() */
    if (err != ERR_TIMEOUT)
        return err;
    reader->busy_at_open = reader_must_be_read(reader);
    log_info(reader->name, "it is busy with a command from before, and will be usable when that has ended");
    return ERR_NONE;
}

static enum err take_key(struct reader *reader)
{
    const enum err err = reader_claim(reader);
    if (err == ERR_NONE)
        return first_contact(reader);
    if (err != ERR_BUSY)
        return err;
    reader->opening = false; /* nothing waits for the first power on, whenever that is */
    log_error(reader->name, "it is held by another program, so it is shown without a card. If that is GnuPG's scdaemon, "
              "write the line disable-ccid into ~/.gnupg/scdaemon.conf and run: gpgconf --kill scdaemon");
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
    reader->exchange.name = reader->name;
    trace_begin(&reader->trace, reader->name, &reader->identity, reader->class.level, reader->opened_ms);
    reader->exchange.trace = &reader->trace;
    exchange_set_model(&reader->exchange, reader->model, reader->class.level);
    reader->exchange.status = reader->patience.of[PATIENCE_STATUS];
    for (size_t i = 0; i < PATIENCE_CLASSES; i++)
        reader->exchange.longest[i] = reader->patience.of[i].total_ms;
    card_init(&reader->card, &reader->exchange, reader->model, &reader->class, &reader->patience);
    progress_init(&reader->progress, reader->model, reader->identity.bus, reader->identity.address);
    reader->card.progress = &reader->progress;
    reader->card.power_off_first = reader->identity.bcd_device < reader->model->power_on_resets_from;
    return take_key(reader);
}

enum err reader_open(unsigned long lun, const char *device_name)
{
    struct usb_place place;
    if (!place_parse(device_name, &place)) {
        log_info(NULL, "the device name \"%.80s\" is not understood", device_name);
        return ERR_NO_DEVICE;
    }
    struct reader *reader = new_reader(lun, &place);
    if (!reader)
        return ERR_NO_MEMORY;
    enum err err = open_key(reader);
    const uint8_t bus = reader->identity.bus, address = reader->identity.address;
    if (err == ERR_NONE)
        err = enter(reader);
    if (err != ERR_NONE) {
        free_reader(reader);
        return err;
    }
    reader_file_write(bus, address, lun, READER_SERVED, 0);
    reader_tell_state(reader);
    return ERR_NONE;
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
    presence_wake(&reader->presence);
    pthread_mutex_lock(&table_lock);
    while (reader->references > 0)
        pthread_cond_wait(&table_changed, &table_lock);
    pthread_mutex_unlock(&table_lock);
    reader_file_remove(reader->identity.bus, reader->identity.address);
    free_reader(reader);
    return ERR_NONE;
}

/* ---- the card ---- */

static bool is_the_keys(enum err err)
{
    return err == ERR_TIMEOUT || err == ERR_IO || err == ERR_PROTOCOL || err == ERR_CARD || err == ERR_CARD_RESET;
}

/* Whoever looks for the fault later shall find in the log what led to it; not once more if it happens again. */
static void explain(struct reader *reader, enum patience_class class, enum err err)
{
    enum err *const before = &reader->failures[class == PATIENCE_POWER];
    if (is_the_keys(err) && err != ERR_CARD) /* that has been said, with its reason */
        log_error(reader->name, "a command of class \"%s\" has failed: %s", patience_name(class), err_in_words(err));
    if (is_the_keys(err) && err != *before)
        trace_tell_last(&reader->trace, usb_now_ms(reader->port));
    if (is_the_keys(err) || err == ERR_NONE)
        *before = err;
}

static struct vigil power_vigil(struct reader *reader)
{
    const int64_t now = usb_now_ms(reader->port);
    struct vigil vigil = vigil_begin(&reader->patience, PATIENCE_POWER, now);
    const int64_t left = reader->opened_ms + OPEN_LIMIT_MS - now;
    const bool first = reader->opening && left > POWER_LEAST_MS; /* or it is long since it was opened, and nobody waits */
    reader->opening = false;
    return first ? vigil_within(&vigil, (uint32_t)left, now) : vigil;
}

/*
 * After a power on that has failed, pcscd tries again only when the card comes anew, or at an SCardConnect while nobody
 * has the card in use. So a card that fails in use comes anew, or nobody would get it until all programs have left.
 * Only once: a program that connects whenever a card comes must not go round in circles with a mute one. Of a key that
 * does not answer the card comes when it does: see reader_poll.c.
 */
static enum err note_power(struct reader *reader, bool was_usable, enum err err)
{
    if (err != ERR_NONE && err != ERR_TIMEOUT && was_usable)
        presence_set_card_lost(&reader->presence);
    return reader_note(reader, err);
}

/* cold: power off first. */
static enum err power_on(struct reader *reader, bool cold, struct atr *atr)
{
    if (!presence_is_claimed(&reader->presence))
        return ERR_BUSY;
    reader_take(reader);
    struct vigil vigil = power_vigil(reader);
    const bool was_usable = reader->usable;
    enum err err = cold ? card_power_off(&reader->card, &vigil) : ERR_NONE;
    if (err == ERR_NONE)
        err = card_power_on(&reader->card, &vigil);
    reader->usable = err == ERR_NONE;
    reader->silent = err == ERR_TIMEOUT || (reader->silent && err != ERR_NONE);
    if (err == ERR_NONE)
        *atr = *card_atr(&reader->card);
    explain(reader, PATIENCE_POWER, err);
    reader_give(reader);
    return note_power(reader, was_usable, err);
}

enum err reader_power_on(struct reader *reader, struct atr *atr)
{
    return power_on(reader, false, atr);
}

enum err reader_reset(struct reader *reader, struct atr *atr)
{
    return power_on(reader, true, atr);
}

enum err reader_power_off(struct reader *reader)
{
    if (!presence_is_claimed(&reader->presence))
        return ERR_BUSY;
    reader_take(reader);
    enum err err = ERR_NONE;
    /* pcscd holds up every SCardConnect meanwhile; to such a key power off is nothing */
    if (exchange_owes(&reader->exchange) && reader_must_be_read(reader) && reader_presence(reader) == READER_PRESENT) {
        card_lose_power(&reader->card);
    } else {
        struct vigil vigil = power_vigil(reader);
        err = card_power_off(&reader->card, &vigil);
    }
    reader_give(reader);
    return reader_note(reader, err);
}

enum err reader_transmit(struct reader *reader, const uint8_t *apdu, size_t apdu_length, uint8_t *answer, size_t size,
                         size_t *length)
{
    *length = 0;
    if (!presence_is_claimed(&reader->presence))
        return ERR_BUSY;
    reader_take(reader);
    const bool was_powered = card_atr(&reader->card) != NULL;
    const enum err err = card_transmit(&reader->card, apdu, apdu_length, answer, size, length);
    explain(reader, err == ERR_NONE ? PATIENCE_ORDINARY : patience_classify(apdu, apdu_length), err);
    const bool lost = was_powered && !card_atr(&reader->card);
    reader_give(reader);
    if (lost)
        presence_set_card_lost(&reader->presence);
    return reader_note(reader, err);
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
    if (reader_presence(reader) != READER_PRESENT)
        return false;
    reader_take(reader);
    const struct atr *present = card_atr(&reader->card);
    if (present)
        *atr = *present;
    reader_give(reader);
    return present != NULL;
}

size_t reader_string(struct reader *reader, enum usb_string which, char *text, size_t size)
{
    reader_take(reader);
    const size_t length = exchange_at_rest(&reader->exchange) ? usb_string(reader->port, which, text, size) : 0;
    reader_give(reader);
    return length;
}
