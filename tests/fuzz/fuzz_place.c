/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_place.c - a device name is understood whole or not at all. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct usb_place place;
    char *name = malloc(size + 1);
    if (!name)
        return 0;
    memcpy(name, data, size);
    name[size] = '\0';
    if (place_parse(name, &place)) {
        assert(strncmp(name, "usb:", 4) == 0);
        assert(memchr(place.node, '\0', sizeof place.node));
        assert(place.node[0] == '/' || place.node[0] == '\0');
    }
    free(name);
    return 0;
}
