/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* model.h - what readers/ says about a model: the generated table and its look-up. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What ends a message of which a part has not arrived. */
enum model_cut {
    CUT_SHORT_PACKET, /* any packet that is not full; never exactly the bytes that are missing */
    CUT_OVERSHOOT,    /* more bytes than it says: it is refused */
    CUT_ABORT,        /* the Abort pair (CCID 1.1 §5.3.1) */
};

struct model {
    uint16_t vendor_id, product_id;
    const char *name;        /* as Info.plist names the reader */
    uint8_t ifsd;            /* T=1: the INF size to ask the card for by S(IFS request); 32 = do not ask */
    uint8_t mute_answer[4];  /* what the firmware returns, as a success, for a card that stayed silent */
    uint8_t mute_answer_len; /* 0 with has_mute_answer: it returns an empty block */
    bool has_mute_answer;
    enum model_cut cut_message;
    uint16_t sign_of_life_ms;        /* a key at work is heard at least this often; 0: it may be silent */
    uint16_t extended_sign_of_life_ms; /* ... in its first releases, at extended APDU level; 0: there are none */
    bool dies_when_disturbed; /* an XfrBlock or an Abort while it is at work ends its service until it is unplugged */
    uint16_t abort_from, abort_cut_from; /* from these bcdDevices on the Abort pair ends a chain, and a cut message */
    uint16_t dead_from, dead_to;     /* the bcdDevices whose silence was seen to mean that they are dead */
    uint16_t watchdog_s, watchdog_from; /* no command lasts longer, from this bcdDevice on; 0: unknown */
    uint16_t max_command;    /* the longest command APDU the firmware takes, in bytes; 0 = no limit is known */
    uint16_t generation_s[2]; /* how long the generation of one key usually takes: from, to; seconds */
    uint16_t reset_s[2];      /* ... and a factory reset; 0, 0: not known */
    bool set_configuration;  /* SET_CONFIGURATION ends a command, when nothing else does */
    bool one_packet_ends;    /* a message that fills one packet is not ended by a zero-length one */
    bool one_packet_requests; /* of a request of more than one packet it executes the first, and zeros for the rest */
    uint16_t power_on_resets_from; /* before this bcdDevice IccPowerOn does not reset a card that has power */
    uint16_t startup_ms;      /* after it was plugged in it answers nothing for so long */
};

/* NULL when there is no such model. */
const struct model *model_find(uint16_t vendor_id, uint16_t product_id);

/* The vendor id of most models: another device that has it is a relative of theirs. */
uint16_t model_main_vendor(void);

/* Whether an answer is the firmware's word for "the card said nothing until I gave up". */
bool model_is_mute_answer(const struct model *model, const uint8_t *data, size_t length);
