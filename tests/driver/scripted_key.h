/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scripted_key.h - a key that says what a test wants, byte by byte, and has no firmware of its own to keep it honest.
 *
 * It has the descriptors of a model, which a test may change before it is plugged in, and knows enough of an honest key
 * and of T=1 to serve a client who asks for nothing in particular: every APDU is answered 9000.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <winscard.h>
#include <ifdhandler.h>
#include "device.h"
#include "usb_virtual.h"

#define SCRIPTED_MAX (2 * 65536)

#define SCRIPTED_ENDLESS 1000

/* bMessageType, CCID 1.1 tables 6.1-1 and 6.2-1 */
enum { POWER_ON = 0x62, POWER_OFF = 0x63, SLOT_STATUS = 0x65, XFR_BLOCK = 0x6f };

struct scripted_key;

/* What the key says to a command (a whole CCID message): writes it and returns its length. 0: nothing. */
typedef size_t scripted_answer(struct scripted_key *key, const uint8_t *command, size_t length, uint8_t *answer);

struct scripted_key {
    struct device device; /* first: the firmware gets it */
    struct identity identity;
    uint8_t configuration[DEVICE_CONFIGURATION_MAX];
    struct virtual_slot *slot;
    scripted_answer *answer; /* may be changed at any time */
    uint8_t atr[33];
    size_t atr_length;
    int64_t delay_us;        /* how long its answers take; 1 ms */
    bool empty_packet;       /* before the next answer comes a packet without a byte */
    bool endless;            /* its answer comes again and again, as fast as it is read */
    enum handshake fails_in; /* in place of each packet of an answer; HANDSHAKE_ACK: not */
    unsigned spent;          /* so often it was endless or has failed; after SCRIPTED_ENDLESS times it is silent */
    unsigned configurations; /* SET_CONFIGURATION got */
    unsigned commands;       /* whole messages got */
    unsigned class_requests; /* control requests other than the standard ones */
    unsigned interrupts;     /* packets taken from the interrupt endpoint */
    uint8_t out[SCRIPTED_MAX], in[SCRIPTED_MAX];
    size_t out_length, in_length, in_at;
    bool in_ready;
    int64_t answer_at_us; /* when in_ready is to be set */
    uint8_t block[260]; /* T=1: the last block of the honest card */
    size_t block_length;
    bool ns; /* N(S) of its next I-block */
};

/* A key with the descriptors and ATR of a model, not yet plugged in. It answers honestly. */
struct scripted_key *scripted_new(const char *model);
/* Plugs it in at bench.h's node. */
void scripted_plug(struct scripted_key *key);
/* Opens it by the name that pcscd gives it there. Returns what IFDHCreateChannelByName() returned. */
RESPONSECODE scripted_open(const struct scripted_key *key);
void scripted_free(struct scripted_key *key);

/* The CCID class descriptor within the configuration, 54 bytes. */
uint8_t *scripted_class(struct scripted_key *key);

/* The honest answer. */
scripted_answer scripted_honest;

/* Frames an answer to the command: type, slot, number and dwLength are right, the status is 0. Returns its length. */
size_t scripted_frame(const uint8_t *command, const uint8_t *data, size_t length, uint8_t *answer);
/* Frames a T=1 block with an LRC, and that in an answer. length: of the INF; LEN says said. */
size_t scripted_block(const uint8_t *command, uint8_t pcb, uint8_t said, const uint8_t *inf, size_t length,
                      uint8_t *answer);
