/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_card.h - what the files of the SmartCard-HSM share: the card, and one function a command. Each takes a command,
 * appends the data of the answer to card->data and returns the status word. */
#pragma once
#include "card_key.h"
#include "command.h"
#include "schsm.h"
#include "schsm_memory.h"
#include "schsm_profile.h"
#include "tlv.h"

#define SW_OK 0x9000
#define SW_END_OF_FILE 0x6282
#define SW_WRONG_LENGTH 0x6700
#define SW_SECURITY_STATUS 0x6982
#define SW_BLOCKED 0x6983
#define SW_NOT_USABLE 0x6984
#define SW_CONDITIONS 0x6985
#define SW_NO_CURRENT_FILE 0x6986
#define SW_WRONG_DATA 0x6a80
#define SW_NOT_SUPPORTED 0x6a81
#define SW_NO_FILE 0x6a82
#define SW_NO_MEMORY 0x6a84
#define SW_WRONG_P1_P2 0x6a86
#define SW_NO_REFERENCE 0x6a88
#define SW_EXISTS 0x6a89
#define SW_WRONG_OFFSET 0x6b00
#define SW_NO_INSTRUCTION 0x6d00
#define SW_NO_CLASS 0x6e00
#define SW_LATER 0 /* the answer takes its time: finish_later() says it */

#define SCHSM_OPTION_SO_PIN_RESETS 0x01
#define SCHSM_OPTION_TRANSPORT_PIN 0x02

#define SCHSM_HOLDER_MAX 20

/* INITIALIZE DEVICE: what it will set when it is done. */
struct schsm_initialization {
    uint8_t options;
    uint8_t user[SCHSM_PIN_MAX], so[SCHSM_SO_PIN_LENGTH];
    size_t user_length;
    unsigned tries;
    int dkek_shares;
};

struct schsm {
    const struct schsm_profile *profile;
    struct schsm_memory memory;
    char *state_path;
    bool selected, user_verified, so_verified;
    uint16_t current; /* the file that was selected; 0: none */
    /* the command under way */
    enum application_effort effort;
    uint16_t (*finish_later)(struct schsm *card); /* what is to be done when a slow one is done; NULL: nothing */
    struct card_job *job;
    struct schsm_initialization initialization;
    uint8_t key_id; /* of the key that is generated */
    uint8_t holder[SCHSM_HOLDER_MAX], authority[SCHSM_HOLDER_MAX];
    size_t holder_length, authority_length;
    uint16_t status_word;
    size_t expected;
    struct tlv_writer data; /* of the answer */
    uint8_t data_bytes[APPLICATION_ANSWER_MAX];
};

/* Writes the state file, if there is one. */
void schsm_save(struct schsm *card);
/* Whether it was initialised and the user's PIN is verified. */
bool schsm_may_use(const struct schsm *card);

/* schsm_initialize.c */
uint16_t schsm_initialize(struct schsm *card, const struct command *command);

/* schsm_pins.c */
uint16_t schsm_verify(struct schsm *card, const struct command *command);
uint16_t schsm_change(struct schsm *card, const struct command *command);
uint16_t schsm_reset_retry(struct schsm *card, const struct command *command);

/* schsm_files.c */
uint16_t schsm_select_file(struct schsm *card, const struct command *command);
uint16_t schsm_read(struct schsm *card, const struct command *command);
uint16_t schsm_update(struct schsm *card, const struct command *command);
uint16_t schsm_delete(struct schsm *card, const struct command *command);
uint16_t schsm_enumerate(struct schsm *card, const struct command *command);

/* schsm_keys.c */
uint16_t schsm_generate(struct schsm *card, const struct command *command);
uint16_t schsm_sign(struct schsm *card, const struct command *command);
uint16_t schsm_decipher(struct schsm *card, const struct command *command);

/* schsm_dkek.c */
uint16_t schsm_import_dkek(struct schsm *card, const struct command *command);
uint16_t schsm_wrap(struct schsm *card, const struct command *command);
uint16_t schsm_unwrap(struct schsm *card, const struct command *command);
