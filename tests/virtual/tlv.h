/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tlv.h - BER-TLV data objects (ISO 7816-4 §5.2.2) as a smart card reads and writes them. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A buffer that grows up to its size; what does not fit sets overflow and is left out. */
struct tlv_writer {
    uint8_t *bytes;
    size_t size, length;
    bool overflow;
};

void tlv_append(struct tlv_writer *writer, const uint8_t *bytes, size_t length);

/* Tag (one or two bytes, as its number says), length, value. */
void tlv_put(struct tlv_writer *writer, uint16_t tag, const uint8_t *value, size_t length);

/* A view of bytes that belong to somebody else. */
struct tlv_view {
    const uint8_t *bytes;
    size_t length;
};

/* Takes the next object off the front of *rest. false: there is none, or it is longer than what is left. */
bool tlv_next(struct tlv_view *rest, uint16_t *tag, struct tlv_view *value);

/* As tlv_next(), for the list of tags and lengths without values of a key template (OpenPGP card 3.4 §4.4.3.12). */
bool tlv_next_header(struct tlv_view *rest, uint16_t *tag, size_t *length);

/* The value of the first object with this tag; false: there is none. */
bool tlv_find(struct tlv_view objects, uint16_t tag, struct tlv_view *value);
