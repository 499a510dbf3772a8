/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* story.h - what a trace tells, packet by packet: messages, commands and status words. Pure: no I/O, no allocation. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../atr.h"
#include "../ccid.h"
#include "capture.h"
#include "words.h"

#define STORY_TEXT 48

/* One key's traffic. All fields belong to story.c; zero is the beginning. */
struct story {
    enum ccid_level level;
    bool known; /* the descriptors have been read */
    char command[WORDS_SIZE];
    bool running;     /* a command has begun and not ended */
    bool powering;    /* that is to power the card on */
    int64_t begun_us; /* that one */
    bool block_sent, block_chained;
    unsigned ns;
    uint16_t vendor_id, product_id;
};

/* A packet in words. Every text is printable ASCII without quotation marks; empty: nothing to say. */
struct event {
    int64_t time_us;
    bool received;
    int sequence;             /* bSeq; -1: it is no CCID message */
    char message[STORY_TEXT]; /* CCID message */
    char block[STORY_TEXT];   /* T=1 block, or which part of a chain */
    size_t length;            /* of the CCID message */
    char command[WORDS_SIZE]; /* that begins, or of which this is the end */
    char status[STORY_TEXT];  /* in hexadecimal */
    char meaning[WORDS_SIZE];
    bool ends;                /* the command has ended, and took took_us */
    int64_t took_us;
};

/* false: the packet is nobody's business, or the first half of one. */
bool story_tell(struct story *story, const struct packet *packet, struct event *event);
