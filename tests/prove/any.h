/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* any.h - what the analysed programs are made of: values of which nothing is known but their bounds. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "__fc_builtin.h"

/* So that its bounds are checked: the analyser knows nothing of it. */
#define explicit_bzero(bytes, length) memset(bytes, 0, length)

static inline size_t any_size(size_t least, size_t most)
{
    return Frama_C_size_t_interval(least, most);
}

static inline uint8_t any_byte(void)
{
    return Frama_C_unsigned_char_interval(0, 255);
}

static inline bool any_choice(void)
{
    return Frama_C_interval(0, 1);
}

static inline void any_bytes(uint8_t *bytes, size_t length)
{
    Frama_C_make_unknown((char *)bytes, length);
}
