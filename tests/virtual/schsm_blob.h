/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_blob.h - a key of the SmartCard-HSM wrapped under a DKEK, the device key encryption key. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "schsm_memory.h"
#include "tlv.h"

#define SCHSM_CHECK_LENGTH 8

/* The check value of a DKEK: by it one knows under which one a key was wrapped. */
bool schsm_check_value(const uint8_t dkek[SCHSM_DKEK_LENGTH], uint8_t value[SCHSM_CHECK_LENGTH]);

/* false: no key of a kind that can be wrapped, or out of memory. */
bool schsm_blob_wrap(struct tlv_writer *writer, EVP_PKEY *key, const uint8_t dkek[SCHSM_DKEK_LENGTH]);

/* NULL: it was wrapped under another DKEK, changed since, or has a key that the card cannot use. most: bytes of the
 * prime field of a curve. */
EVP_PKEY *schsm_blob_unwrap(struct tlv_view blob, const uint8_t dkek[SCHSM_DKEK_LENGTH], size_t most);
