/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_card.h - what the files of the OpenPGP application share: the card, and one function a group of commands.
 * Each takes a command, appends the data of the answer to card->answer.data and returns the status word. */
#pragma once
#include "answer_chain.h"
#include "card_key.h"
#include "card_memory.h"
#include "command.h"
#include "openpgp.h"
#include "openpgp_profile.h"
#include "tlv.h"

#define SW_OK 0x9000
#define SW_TERMINATED 0x6285
#define SW_WRONG_LENGTH 0x6700
#define SW_SECURITY_STATUS 0x6982
#define SW_CONDITIONS 0x6985
#define SW_WRONG_DATA 0x6a80
#define SW_NO_FILE 0x6a82
#define SW_NO_MEMORY 0x6a84
#define SW_MEMORY_FAILURE 0x6581
#define SW_WRONG_P1_P2 0x6b00
#define SW_NO_REFERENCE 0x6a88
#define SW_NO_INSTRUCTION 0x6d00
#define SW_NO_CLASS 0x6e00
#define SW_LATER 0 /* a job was started; its result decides */

enum openpgp_verified { VERIFIED_81, VERIFIED_82, VERIFIED_83, VERIFIED_COUNT };

struct openpgp {
    const struct openpgp_profile *profile;
    struct card_memory memory;
    char *state_path;
    bool verified[VERIFIED_COUNT];
    bool selected; /* only Gnuk asks */
    bool is_task;  /* who talks to the host joins chains and cuts answers */
    struct card_job *job; /* of the command under way */
    bool waits_for_touch; /* before that begins */
    enum card_job_kind job_kind;
    enum card_key_id job_key;
    unsigned certificate; /* occurrence of 7F21 that SELECT DATA chose */
    uint16_t status_word;
    struct answer_chain answer;
    struct command_chain chain;
};

/* Writes the state file, if there is one. */
void openpgp_save(struct openpgp *card);
bool openpgp_allowed(const struct openpgp *card, enum card_access access);

/* openpgp_data.c */
uint16_t openpgp_select_data(struct openpgp *card, const struct command *command);
uint16_t openpgp_get_data(struct openpgp *card, const struct command *command);
uint16_t openpgp_put_data(struct openpgp *card, const struct command *command);

/* openpgp_import.c */
uint16_t openpgp_import(struct openpgp *card, const struct command *command);

/* openpgp_pins.c */
uint16_t openpgp_verify(struct openpgp *card, const struct command *command);
uint16_t openpgp_change(struct openpgp *card, const struct command *command);
uint16_t openpgp_reset_retry(struct openpgp *card, const struct command *command);

/* openpgp_gnuk.c: a command of Gnuk's application, whole. */
uint16_t openpgp_gnuk_execute(struct openpgp *card, const struct command *command);

/* openpgp_keys.c */
uint16_t openpgp_generate(struct openpgp *card, const struct command *command);
uint16_t openpgp_security_operation(struct openpgp *card, const struct command *command);
uint16_t openpgp_authenticate(struct openpgp *card, const struct command *command);
/* The job is done: stores what it made, appends it to the answer. */
uint16_t openpgp_end_job(struct openpgp *card);
