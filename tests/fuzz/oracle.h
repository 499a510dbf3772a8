/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * oracle.h - from what went over the bus: what answer a client may be given, and whether a command was sent twice.
 *
 * It knows CCID 1.1 and ISO 7816-3 on its own, and nothing of the driver. It listens to the virtual libusb.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the reader carries APDUs. */
enum oracle_level { ORACLE_TPDU, ORACLE_SHORT, ORACLE_EXTENDED };

extern bool oracle_verbose;

/* Forgets everything and listens from now on, to a reader with this wMaxPacketSize. */
void oracle_begin(size_t packet_size);
void oracle_end(void);

/* A command of the client begins. */
void oracle_command(void);

/* Whether these bytes are what the device sent as the answer to this very command of the client; why not: *why. */
bool oracle_answers(enum oracle_level level, const uint8_t *apdu, size_t apdu_length, const uint8_t *answer,
                    size_t length, const char **why);

/* How often this command has left since oracle_begin() although the card did not ask for it: 0 or 1 is right. */
unsigned oracle_departures(enum oracle_level level, const uint8_t *apdu, size_t apdu_length);

/* Messages seen since oracle_begin(). */
size_t oracle_messages(void);
