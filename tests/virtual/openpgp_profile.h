/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_profile.h - in what the OpenPGP applications of the Nitrokeys differ. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "card_algorithm.h"

#define OPENPGP_AID_LENGTH 16

struct openpgp_profile {
    bool no_application;          /* every command is answered 6A82 */
    uint8_t aid[OPENPGP_AID_LENGTH];
    uint8_t historical_bytes[10]; /* 5F52; number 7, the life cycle, is the card's own */
    uint8_t capabilities[10];     /* C0 */
    uint16_t extended_length;     /* what 7F66 says of commands and answers; 0: there is no 7F66 */
    size_t command_max;           /* data of a command, put together from its chain */
    uint16_t object_max, certificate_max; /* both fit into an answer */
    unsigned rsa[3];              /* bits of the moduli it can do, 0: no more */
    unsigned curves;              /* bit n: number n of enum card_curve_id */
    bool button;                  /* it has one: D6 ... D8 can be set */
    uint16_t untouched;           /* status word when nobody touched it in time */
    bool gnuk;                    /* what openpgp_gnuk.c says */
};

extern const struct openpgp_profile
    openpgp_card_3_4, /* Nitrokey Pro 2, Storage 2 */
    openpgp_card_2_1, /* Crypto Stick, Nitrokey Pro, Storage */
    openpgp_gnuk,     /* Nitrokey Start */
    openpgp_opcard,   /* Nitrokey 3 */
    openpgp_none;     /* Nitrokey Passkey */

/* By its name in readers/: "openpgp-card-3.4", "openpgp-card-2.1", "gnuk", "opcard", "none"; NULL: there is no such one. */
const struct openpgp_profile *openpgp_profile_find(const char *name);

/* What follows from AID and C0. */
static inline bool openpgp_is_version_3(const struct openpgp_profile *profile) { return profile->aid[6] >= 3; }
static inline bool openpgp_has_private_objects(const struct openpgp_profile *profile)
{
    return profile->capabilities[0] & 0x08;
}
static inline bool openpgp_has_kdf(const struct openpgp_profile *profile) { return profile->capabilities[0] & 0x01; }

bool openpgp_offers(const struct openpgp_profile *profile, const struct card_algorithm *algorithm);

/* The number-th algorithm that a profile offers; false: there are not so many. */
bool openpgp_algorithm(const struct openpgp_profile *profile, size_t number, struct card_algorithm *algorithm);
