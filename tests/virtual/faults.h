/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* faults.h - what a test can make go wrong at the USB side of a virtual key, whatever its firmware. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wrong with an answer (a CCID message, CCID 1.1 §6.2) on its way to the host. */
enum answer_fault {
    ANSWER_RIGHT,
    ANSWER_WRONG_SEQUENCE, /* another bSeq */
    ANSWER_WRONG_SLOT,     /* another bSlot */
    ANSWER_WRONG_TYPE,     /* bMessageType of another kind of answer */
    ANSWER_TOO_LONG,       /* dwLength says 16 bytes more than there are */
    ANSWER_TOO_SHORT,      /* dwLength says one byte less than there are; an answer without data stays right */
    ANSWER_CUT,            /* half of the data is missing, or half of the header if there are none */
    ANSWER_SWALLOWED,      /* it is never sent; the firmware goes on as if it had been read */
    ANSWER_REPEATED,       /* the answer before this one is sent once more, then this one */
};

/* What is wrong with the configuration descriptor. */
enum descriptor_fault {
    DESCRIPTORS_RIGHT,
    DESCRIPTORS_CLASS_CUT,     /* the CCID class descriptor has lost its last 10 bytes; all else is consistent */
    DESCRIPTORS_CLASS_GARBAGE, /* all its values are FFh */
    DESCRIPTORS_TOTAL_LONG,    /* wTotalLength counts 25 bytes that do not come */
    DESCRIPTORS_TOTAL_SHORT,   /* wTotalLength ends within the last descriptor */
    DESCRIPTORS_NEVER_END,     /* the second descriptor says bLength 0 */
};

struct faults {
    enum answer_fault answer;
    unsigned answers;                  /* to so many of the next answers */
    enum descriptor_fault descriptors;
    bool frozen;                       /* every endpoint answers NAK; the card works on */
};

/* Takes one fault off the account: what is wrong with the answer that is now ready. */
enum answer_fault faults_next_answer(struct faults *faults);

/* Spoils the answer of length bytes (at least a header of 10); returns how many of them are sent. */
size_t faults_spoil_answer(enum answer_fault fault, uint8_t *message, size_t length);

/* Spoils a configuration descriptor in place; returns its new length. */
size_t faults_spoil_configuration(enum descriptor_fault fault, uint8_t *bytes, size_t length);
