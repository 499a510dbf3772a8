/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.h - the whole driver on a virtual key with a virtual clock, called as pcscd calls it.
 *
 * Only the entry points of ifdhandler.h are used. bench_free() checks what must hold after everything: the card has
 * executed what was sent, whole, each APDU at most once and in order, and nothing else (judge.h), its retry counters
 * equal the wrong PINs sent, the driver has closed all it opened, and a Storage's disk was left alone. No command resets
 * the card.
 */
#pragma once
#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <winscard.h>
#include <ifdhandler.h>
#include "icc.h"
#include "firmwares.h"
#include "usb_virtual.h"

#define LUN 0
#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)

#define BENCH_NODE "/dev/bus/usb/001/002"
#define BENCH_NAME "usb:20a0/4108:libudev:1:" BENCH_NODE
#define BENCH_NAME_HID "usb:20a0/4108:libudev:0:" BENCH_NODE

/* APDUs of the OpenPGP card */
#define SELECT "00A4040006D27600012401"
#define VERIFY_USER "00200081 06 313233343536"
#define VERIFY_USER_WRONG "00200081 06 393939393939"
#define VERIFY_ADMIN "00200083 08 3132333435363738"
#define GET_AID "00CA004F 00"
#define GET_PIN_STATUS "00CA00C4 00"
#define GENERATE_SIGNATURE_KEY "00478000 000002 B600 0000"
#define GENERATE_DECRYPTION_KEY "00478000 000002 B800 0000"
#define READ_SIGNATURE_KEY "00478100 000002 B600 0000"
#define SIGN "002A9E9A 000033 3031300D060960864801650304020105000420" \
    "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F 0000"

/* The model that is plugged in from now on: the name of a file in readers/ as the program's argument, or the Pro 2. */
void bench_choose(int argc, char *argv[]);

struct bench {
    struct icc *icc;
    struct device *device;
    struct virtual_slot *slot;
    bool beside; /* HID has used the card: its commands are in the card's log */
    unsigned admin_tries; /* that must be left at the end: 3, if nobody says otherwise */
};

/* Whether the driver speaks T=1 with the card. Otherwise the firmware asks for time itself and is never silent. */
bool bench_speaks_t1(void);

/* What runs on the card of the model, and what is its firmware. */
const char *bench_application(void);
const char *bench_firmware(void);

/* One answer of IFDHTransmitToICC. */
struct answer {
    RESPONSECODE code;
    uint8_t bytes[8192];
    size_t length;
    unsigned status_word; /* 0 when there is none */
    int64_t took_us;      /* of the virtual clock */
    bool card_was_reset;  /* meanwhile */
};

/* A key in its port. generate: how the on-card generations go, may be NULL. */
struct bench *bench_new(const struct icc_timing *generate);
/* ... with more said about the card; atr is filled in. */
struct bench *bench_new_with(struct icc_options card);
void bench_free(struct bench *bench);
void bench_free_unchecked(struct bench *bench);

/* What the key has executed and a client has not sent, or was told wrongly (judge.h), which the caller frees; NULL: all
 * is well. */
char *bench_verdict(const struct bench *bench);

/* Opens the reader and powers the card on, as pcscd does at plugging in; asserts that it works. */
void bench_start(struct bench *bench);
void bench_stop(struct bench *bench);

RESPONSECODE bench_open(void);
RESPONSECODE bench_power(DWORD action);

/* Sends an APDU in hexadecimal; spaces are ignored. */
struct answer bench_try(struct bench *bench, const char *apdu);
/* ... and asserts that the answer makes sense. */
struct answer bench_transmit(struct bench *bench, const char *apdu);
/* ... and asserts success and the status word. */
struct answer bench_expect(struct bench *bench, const char *apdu, unsigned status_word);

/* Sends an APDU and, when it has run for so long, closes the channel from another thread: the end of pcscd. Returns what
 * Transmit returned. */
RESPONSECODE bench_close_while(struct bench *bench, const char *apdu, int64_t after_us);

/* A Storage's HID interface has so many commands for the card: each is GET DATA of the PIN status. */
void bench_hid(struct bench *bench, unsigned commands);

/* The key hears and says nothing, or does again; from now on, or after so long. */
void bench_freeze(struct bench *bench, bool frozen);
void bench_freeze_after(struct bench *bench, int64_t after_us);

/* The key is pulled out after so long. */
void bench_unplug_after(struct bench *bench, int64_t after_us);

/* The card will execute an APDU that was not sent through the driver. */
void bench_will_execute(const char *apdu);

/* The polling function of the driver, which says once after each opening where it is. */
RESPONSECODE bench_poll(int timeout_ms);

/* What pcscd's event thread does between two sleeps: polls without waiting, looks, powers the card on when it is back.
 * Returns what presence said. */
RESPONSECODE bench_event_thread(void);
/* It tells every program that the card is away, and then powers it on. */
void bench_card_comes_anew(void);

/* Returns when the thread of this number sleeps; as long as it is 0, the thread has not begun. */
void bench_await_sleep(const atomic_int *thread);

/* The key serves: SELECT, and the answer to GET DATA of the AID is the AID. */
void bench_works(struct bench *bench);
