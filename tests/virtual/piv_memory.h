/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* piv_memory.h - all that a PIV application keeps when the power is off. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "tlv.h"

#define PIV_PIN_LENGTH 8 /* with what it is padded by */
#define PIV_PIN_TRIES 3
#define PIV_PUK_TRIES 5
#define PIV_MANAGEMENT_MAX 32
#define PIV_KEYS 256 /* by their references: 9A, 9C, 9D, 9E and the retired ones, 82 ... 95 */

#define PIV_TAG_DISCOVERY 0x7e
#define PIV_TAG_BIOMETRIC_GROUP 0x7f61
#define PIV_TAG_KEY_HISTORY 0x5fc10c
#define PIV_TAG_FIRST_RETIRED 0x5fc10d
#define PIV_TAG_LAST_RETIRED 0x5fc120
#define PIV_OBJECTS 36 /* SP 800-73-4 part 1, table 3 */

struct piv_pin {
    uint8_t value[PIV_PIN_LENGTH];
    unsigned tries, most;
};

struct piv_object {
    uint32_t tag;
    uint8_t *bytes; /* NULL: there is none */
    size_t length; /* without tag 53 */
};

struct piv_memory {
    struct piv_pin pin, puk;
    uint8_t management_algorithm; /* one of piv_cipher() */
    uint8_t management[PIV_MANAGEMENT_MAX];
    EVP_PKEY *key[PIV_KEYS];
    struct piv_object object[PIV_OBJECTS];
};

/* As it leaves the factory. The memory must be empty, or all zero. false: out of memory. */
bool piv_memory_format(struct piv_memory *memory);
void piv_memory_clear(struct piv_memory *memory);

/* NULL: SP 800-73-4 has no such object. */
struct piv_object *piv_memory_object(struct piv_memory *memory, uint32_t tag);
bool piv_memory_store(struct piv_object *object, struct tlv_view value);

/* Whether there may be a key pair with this reference. */
bool piv_is_key(unsigned reference);
/* Takes the key over, which may be NULL. */
void piv_memory_set_key(struct piv_memory *memory, uint8_t reference, EVP_PKEY *key);

/* The number of a key's algorithm (SP 800-78-4 table 6-2): 07 RSA 2048, 11 P-256; 0: neither. */
uint8_t piv_key_algorithm(const EVP_PKEY *key);

/* Block cipher of a management key; NULL: no algorithm for it. */
const EVP_CIPHER *piv_cipher(unsigned algorithm);

void piv_pin_set(struct piv_pin *pin, const uint8_t value[PIV_PIN_LENGTH]);
/* Compares and counts; false: wrong, or blocked. */
bool piv_pin_try(struct piv_pin *pin, const uint8_t value[PIV_PIN_LENGTH]);
