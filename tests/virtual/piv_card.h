/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_card.h - what the files of the PIV application share: the card, and one function a command. Each takes a command,
 * appends the data of the answer to card->answer.data and returns the status word. */
#pragma once
#include "answer_chain.h"
#include "card_key.h"
#include "command.h"
#include "piv.h"
#include "piv_memory.h"
#include "tlv.h"

#define SW_OK 0x9000
#define SW_VERIFICATION_FAILED 0x6300
#define SW_WRONG_LENGTH 0x6700
#define SW_SECURITY_STATUS 0x6982
#define SW_BLOCKED 0x6983
#define SW_CONDITIONS 0x6985
#define SW_WRONG_DATA 0x6a80
#define SW_NOT_SUPPORTED 0x6a81
#define SW_NO_FILE 0x6a82
#define SW_NO_MEMORY 0x6a84
#define SW_WRONG_P1_P2 0x6a86
#define SW_NO_REFERENCE 0x6a88
#define SW_NO_CLASS 0x6e00
#define SW_LATER 0 /* a job was started; its result decides */

/* What the card has asked the administrator; the next GENERAL AUTHENTICATE must know it. */
enum piv_challenge { PIV_NONE, PIV_WITNESS, PIV_CHALLENGE };

struct piv {
    struct piv_memory memory;
    char *state_path;
    bool pin_verified, just_verified; /* just: no other command has come since */
    bool administrator;
    enum piv_challenge challenge;
    uint8_t challenge_value[16];
    struct card_job *job; /* of the command under way */
    bool generates;
    uint8_t reference; /* of its key */
    uint16_t status_word;
    struct answer_chain answer;
    struct command_chain chain;
};

/* Writes the state file, if there is one. */
void piv_save(struct piv *card);
/* Nobody is verified any more. */
void piv_forget_security(struct piv *card);

/* piv_data.c */
uint16_t piv_get_data(struct piv *card, const struct command *command);
uint16_t piv_put_data(struct piv *card, const struct command *command);

/* piv_pins.c */
uint16_t piv_verify(struct piv *card, const struct command *command);
uint16_t piv_change(struct piv *card, const struct command *command);
uint16_t piv_reset_retry(struct piv *card, const struct command *command);

/* piv_management.c: the administrator, and how it becomes another one. */
uint16_t piv_authenticate_administrator(struct piv *card, const struct command *command, struct tlv_view template);
uint16_t piv_set_management_key(struct piv *card, const struct command *command);

/* piv_keys.c */
uint16_t piv_generate(struct piv *card, const struct command *command);
uint16_t piv_authenticate(struct piv *card, const struct command *command);
/* The job is done: stores what it made, appends it to the answer. */
uint16_t piv_end_job(struct piv *card);
