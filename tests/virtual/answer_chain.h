/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answer_chain.h - command chaining and GET RESPONSE as a card does them (ISO 7816-4 §5.3.3, §5.3.4). */
#pragma once
#include "application.h"
#include "command.h"
#include "tlv.h"

#define CLA_CHAIN 0x10

/* A command that comes in parts. All zero: none has come. */
struct command_chain {
    uint8_t bytes[APPLICATION_COMMAND_MAX];
    size_t length;
    uint8_t header[3]; /* INS P1 P2 that they have in common */
};

enum chain_state { CHAIN_GOES_ON, CHAIN_WHOLE, CHAIN_TOO_LONG };

/* Adds a part to what came before; the last one makes the command whole, with data that stay until the next call.
 * Another command in between ends the chain: its parts must not become data of that one. most: bytes of data. */
enum chain_state command_chain_join(struct command_chain *chain, struct command *command, size_t most);
void command_chain_forget(struct command_chain *chain);

/* An answer; what was not delivered yet stays for GET RESPONSE. */
struct answer_chain {
    struct tlv_writer data;
    size_t delivered, expected;
    uint8_t bytes[APPLICATION_ANSWER_MAX];
};

/* Makes it empty, and safe to be written to. */
void answer_chain_forget(struct answer_chain *chain);
/* What the next part may hold: Ne. A card that talks T=1 itself gives what there is, asked or not (unasked). */
void answer_chain_expect(struct answer_chain *chain, const struct command *command, bool unasked);
bool answer_chain_has_more(const struct answer_chain *chain);
/* The next part and its status word, or 61xx if there are more. capacity at least 2. */
size_t answer_chain_take(struct answer_chain *chain, uint16_t status_word, uint8_t *answer, size_t capacity);
