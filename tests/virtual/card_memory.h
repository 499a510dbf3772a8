/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_memory.h - all that an OpenPGP card keeps when the power is off. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "card_algorithm.h"
#include "card_pin.h"
#include "openpgp_profile.h"

enum card_pin_id { PIN_PW1, PIN_RC, PIN_PW3, PIN_COUNT };
enum card_key_origin { KEY_NONE, KEY_GENERATED, KEY_IMPORTED }; /* as data object DE says it */
enum card_access { ACCESS_NEVER, ACCESS_ALWAYS, ACCESS_PW1, ACCESS_PW3 }; /* PW1: with number 82 */

/* What is true of a data object, whatever is in it. */
struct card_object_rule {
    uint16_t tag;
    uint16_t least, most; /* bytes */
    enum card_access read, write;
};

struct card_object {
    struct card_object_rule rule;
    uint8_t *bytes; /* NULL: empty */
    size_t length;
};

#define CARD_SIGNATURES_MAX 0xffffff /* what object 93 can tell */
#define CARD_OBJECTS 28
#define CARD_INTERACTION_FOREVER 0x02 /* first byte of D6 ... D8: on, and never off again */

struct card_memory {
    const struct openpgp_profile *profile;
    struct card_pin pin[PIN_COUNT];
    bool pin_lasts; /* C4: PW1 81 stays verified after a signature */
    bool terminated;
    uint32_t signatures;
    struct card_object object[CARD_OBJECTS];
    size_t objects; /* that this model has */
    EVP_PKEY *key[KEY_COUNT];
    enum card_key_origin origin[KEY_COUNT];
};

/* As it leaves the factory; false: out of memory. The memory must be empty, or all zero. */
bool card_memory_format(struct card_memory *memory, const struct openpgp_profile *profile);
void card_memory_clear(struct card_memory *memory);

/* NULL: there is no such object to be stored. */
struct card_object *card_memory_object(struct card_memory *memory, uint16_t tag);
/* The same for objects of which there may be several: 7F21, 0 ... 2. */
struct card_object *card_memory_occurrence(struct card_memory *memory, uint16_t tag, unsigned occurrence);
/* Whether an object may hold these bytes: their length, and the values of algorithm attributes (of an algorithm that
 * the profile offers), of D6 ... D8 (is there a button?) and of the KDF object. */
bool card_memory_acceptable(const struct card_memory *memory, const struct card_object *object, const uint8_t *bytes,
                            size_t length);
/* Copies; false: out of memory, or not acceptable. */
bool card_memory_store(const struct card_memory *memory, struct card_object *object, const uint8_t *bytes,
                       size_t length);

/* PW1 and PW3 as the KDF object wants them, or the factory's; no resetting code. */
/* Whether the admin PIN is that of the factory, or that of the KDF object. */
bool card_memory_has_first_admin_pin(struct card_memory *memory);
void card_memory_reset_pins(struct card_memory *memory);

/* Takes the key over, which may be NULL. */
void card_memory_set_key(struct card_memory *memory, enum card_key_id id, EVP_PKEY *key, enum card_key_origin origin);
/* What the algorithm attributes C1 ... C3 say. */
struct card_algorithm card_memory_algorithm(struct card_memory *memory, enum card_key_id id);
/* Whether a key waits for a touch before it computes: D6 ... D8. */
bool card_memory_wants_touch(struct card_memory *memory, enum card_key_id id);
