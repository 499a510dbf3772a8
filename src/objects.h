/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects.h - which data objects of an OpenPGP card anybody may see, byte by byte. Pure: no I/O, no allocation.
 *
 * Objects and lengths are those of the OpenPGP card application 3.4.1, §4.4. What is not in the table, or not as the
 * table says, is not seen.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct object;

/* One answer to GET DATA, as it passes in pieces. All fields belong to objects.c; zero is a gate that is shut. */
struct gate {
    enum { GATE_SHUT, GATE_PLAIN, GATE_TAG, GATE_TAG_ENDS, GATE_LENGTH, GATE_LENGTH_ENDS, GATE_VALUE } state;
    bool names; /* also what tells whose card it is */
    const struct object *object;
    unsigned tag, length_bytes;
    size_t length, at; /* of the object's value */
};

/* The answer to GET DATA for this tag is about to come. false: it is not public, and the gate stays shut. names: serial
 * numbers, fingerprints, and what the holder has written may be seen, too. */
bool gate_open(struct gate *gate, unsigned tag, bool names);

/* Copies what may be seen of the next piece to the same places in shown, and touches no other byte there. whole: the
 * piece is the whole answer. The status word must not be in it. */
void gate_pass(struct gate *gate, const uint8_t *bytes, size_t length, bool whole, uint8_t *shown);

/* Nothing passes any more. */
void gate_shut(struct gate *gate);

/* Whether the AID is that of the OpenPGP application, whatever follows its RID and PIX. */
bool is_openpgp_aid(const uint8_t *aid, size_t length);

/* Where the serial number is in a full AID of it. */
#define AID_LENGTH 16
#define AID_SERIAL 10
#define AID_SERIAL_LENGTH 4
