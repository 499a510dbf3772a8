/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* firmwares.c - the firmware that belongs to an identity. */
#include "firmwares.h"
#include <string.h>
#include "gnuk.h"
#include "gnuk_2010.h"
#include "nk3.h"
#include "pro.h"
#include "storage.h"

static struct device *new_pro(const struct identity *identity, struct icc *icc, const struct firmware_options *options)
{
    struct pro_options pro = pro_defaults;
    if (options->first_byte_limit_us > 0)
        pro.first_byte_limit_us = options->first_byte_limit_us;
    pro.line_rate = options->line_rate;
    pro.stale_packet = !options->no_stale_packet;
    return pro_new(identity, icc, &pro);
}

static struct device *new_storage(const struct identity *identity, struct icc *icc,
                                  const struct firmware_options *options)
{
    struct storage_options storage = storage_defaults;
    if (strcmp(identity->firmware, "storage-0.29") == 0)
        storage.version = STORAGE_0_29;
    else if (strcmp(identity->firmware, "storage-0.43") == 0)
        storage.version = STORAGE_0_43;
    if (options->first_byte_limit_us > 0)
        storage.first_byte_limit_us = options->first_byte_limit_us;
    return storage_new(identity, icc, &storage);
}

static struct device *new_gnuk(const struct identity *identity, struct icc *icc, const struct firmware_options *options)
{
    const struct gnuk_options gnuk = { .extension_at_once = strcmp(identity->firmware, "gnuk") == 0 };
    (void)options; /* it does not give up, and nothing old is in its endpoint */
    return gnuk_new(identity, icc, &gnuk);
}

static struct device *new_gnuk_2010(const struct identity *identity, struct icc *icc,
                                    const struct firmware_options *options)
{
    (void)options;
    return gnuk_2010_new(identity, icc);
}

static struct device *new_nk3(const struct identity *identity, struct icc *icc, const struct firmware_options *options)
{
    (void)options; /* bcdDevice says which it is */
    return nk3_new(identity, icc);
}

static const struct {
    const char *name;
    struct device *(*make)(const struct identity *identity, struct icc *icc, const struct firmware_options *options);
} FIRMWARES[] = {
    { "gnuk", new_gnuk },
    { "gnuk-1.0", new_gnuk },
    { "gnuk-2010", new_gnuk_2010 },
    { "nk3", new_nk3 },
    { "pro", new_pro },
    { "storage", new_storage },
    { "storage-0.29", new_storage },
    { "storage-0.43", new_storage },
};

struct device *firmware_new(const struct identity *identity, struct icc *icc, const struct firmware_options *options)
{
    for (size_t i = 0; i < sizeof FIRMWARES / sizeof FIRMWARES[0]; i++)
        if (strcmp(FIRMWARES[i].name, identity->firmware) == 0)
            return FIRMWARES[i].make(identity, icc, options);
    return NULL;
}
