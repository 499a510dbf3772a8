/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identity.h - who a virtual key says it is: descriptors, strings and ATR, generated from readers/. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct identity {
    const char *firmware;          /* see firmwares.c */
    const char *name;              /* the name of the file in readers/: "nitrokey-pro-2" */
    bool high_speed;               /* 480 Mbit/s; otherwise full speed, 12 Mbit/s */
    const uint8_t *device;         /* device descriptor, 18 bytes */
    const uint8_t *configuration;  /* configuration descriptor with all that follows it */
    size_t configuration_len;
    const char *strings[8];        /* by string index; [0] is unused; NULL = none */
    uint8_t string_lengths[4];     /* by string index: bLength, if it is more than the text; the rest is NUL */
    uint8_t ccid_interface;        /* bInterfaceNumber */
    uint8_t bulk_out, bulk_in, interrupt_in; /* endpoint addresses of the CCID interface; 0 = none */
    const uint8_t *atr;
    size_t atr_len;
    const char *application;       /* what the card runs, see application.h */
};

extern const struct identity identities[];
extern const size_t identity_count;

/* NULL: there is no such file in readers/. */
static inline const struct identity *identity_find(const char *name)
{
    for (size_t i = 0; i < identity_count; i++)
        if (strcmp(identities[i].name, name) == 0)
            return &identities[i];
    return NULL;
}
