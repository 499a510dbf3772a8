/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_profile.c - in what the generations of the SmartCard-HSM differ. */
#include "schsm_profile.h"
#include <string.h>

static const struct schsm_profile PROFILES[] = {
    { "smartcard-hsm-2.6", 2, 6, 2048, 40, 1454 },
    { "smartcard-hsm-3.4", 3, 4, 4096, 66, 1232 },
    { "smartcard-hsm-4.0", 4, 0, 4096, 66, 1454 },
};

const struct schsm_profile *schsm_profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof PROFILES / sizeof PROFILES[0]; i++)
        if (strcmp(PROFILES[i].name, name) == 0)
            return &PROFILES[i];
    return NULL;
}
