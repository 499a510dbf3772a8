/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part10.h - PC/SC part 10 features and TLV properties, and the attributes that clients ask for. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "err.h"
#include "reader.h"

/*
 * Answers a control code: the list of features (values big-endian, PC/SC part 10 §2.2) and the TLV properties (values
 * little-endian, §2.6.14). Nothing else: no escape, no PIN pad. *length bytes of at most size are written.
 * ERR_UNSUPPORTED for every other code, ERR_TOO_LONG when the buffer is too small.
 */
enum err part10_control(struct reader *reader, uint32_t code, uint8_t *answer, size_t size, size_t *length);

/* Reads an attribute (SCARD_ATTR_..., or TAG_IFD_ATR). *length: in the size of value, out the length of the
 * attribute. ERR_UNSUPPORTED for an attribute that is not known, ERR_TOO_LONG when value is too small. */
enum err part10_attribute(struct reader *reader, uint32_t tag, uint8_t *value, size_t *length);
