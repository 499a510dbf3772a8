/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_memory.h - all that a SmartCard-HSM keeps when the power is off. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "tlv.h"

#define SCHSM_KEYS 256
#define SCHSM_FILES_MAX 128
#define SCHSM_FILE_MAX 4096
#define SCHSM_DKEK_LENGTH 32
#define SCHSM_PIN_MIN 6
#define SCHSM_PIN_MAX 16
#define SCHSM_SO_PIN_LENGTH 8
#define SCHSM_SO_PIN_TRIES 15
#define SCHSM_NO_DKEK (-1)

/* The first byte of a file's identifier says what it is for. */
enum schsm_prefix {
    SCHSM_PRKD = 0xc4,
    SCHSM_CD = 0xc8,
    SCHSM_DCOD = 0xc9,
    SCHSM_CA_CERTIFICATE = 0xca,
    SCHSM_KEY = 0xcc,
    SCHSM_PROTECTED_DATA = 0xcd,
    SCHSM_CERTIFICATE = 0xce,
    SCHSM_DATA = 0xcf,
};
#define SCHSM_DEVICE_CERTIFICATE 0x2f02 /* EF.C_DevAut: its own and its issuer's */
#define SCHSM_TOKEN_INFO 0x2f03
#define SCHSM_WRAPPED_KEY 0x2f10 /* what UNWRAP KEY takes that comes without data, as OpenSC sends it from 0.24 on */

struct schsm_pin {
    uint8_t value[SCHSM_PIN_MAX];
    size_t length; /* 0: there is none, the device was never initialised */
    unsigned tries, most;
};

struct schsm_file {
    uint16_t id;
    uint8_t *bytes;
    size_t length;
};

struct schsm_memory {
    struct schsm_pin user, so;
    uint8_t options; /* the second byte of tag 80: 01 the SO-PIN resets the user PIN, 02 transport PIN */
    int dkek_shares; /* SCHSM_NO_DKEK: it was initialised without; 0: it has made the DKEK itself */
    unsigned dkek_outstanding;
    uint8_t dkek[SCHSM_DKEK_LENGTH];
    EVP_PKEY *key[SCHSM_KEYS]; /* key 0 authenticates the device */
    struct schsm_file file[SCHSM_FILES_MAX];
    size_t files;
};

/* As it leaves the factory: a key and certificates that say which device it is, nothing else. The memory must be empty,
 * or all zero. false: out of memory. */
bool schsm_memory_format(struct schsm_memory *memory);
void schsm_memory_clear(struct schsm_memory *memory);
/* Removes what INITIALIZE DEVICE removes: all but the device's own key and certificates. */
void schsm_memory_wipe(struct schsm_memory *memory);

/* NULL: there is no such file. */
struct schsm_file *schsm_memory_file(struct schsm_memory *memory, uint16_t id);
/* Makes an empty file, or empties the one that there is. NULL: there is no room. */
struct schsm_file *schsm_memory_create(struct schsm_memory *memory, uint16_t id);
/* Writes from offset on; false: a gap before it, or too long. */
bool schsm_memory_write(struct schsm_file *file, size_t offset, struct tlv_view data);
void schsm_memory_delete(struct schsm_memory *memory, struct schsm_file *file);

/* Takes the key over, which may be NULL. */
void schsm_memory_set_key(struct schsm_memory *memory, uint8_t id, EVP_PKEY *key);

void schsm_pin_set(struct schsm_pin *pin, struct tlv_view value);
/* Compares and counts: 9000, 63Cx with the tries left, 6983 blocked. */
uint16_t schsm_pin_try(struct schsm_pin *pin, struct tlv_view value);
