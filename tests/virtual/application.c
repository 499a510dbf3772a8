/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* application.c - the applications by their names in readers/. */
#include "application.h"
#include <stdio.h>
#include <string.h>
#include "nk3_applications.h"
#include "openpgp.h"
#include "openpgp_profile.h"
#include "schsm.h"
#include "schsm_profile.h"

#define NK3 "opcard+piv"

bool application_exists(const char *name)
{
    return strcmp(name, NK3) == 0 || openpgp_profile_find(name) || schsm_profile_find(name);
}

struct application application_new(const char *name, const char *state_path)
{
    const struct openpgp_profile *const openpgp = openpgp_profile_find(name);
    if (openpgp)
        return (struct application){ &openpgp_application, openpgp_new_profile(state_path, openpgp) };
    const struct schsm_profile *const schsm = schsm_profile_find(name);
    if (schsm)
        return (struct application){ &schsm_application, schsm_new(state_path, schsm) };
    if (strcmp(name, NK3) == 0)
        return (struct application){ &nk3_applications, nk3_applications_new(state_path) };
    fprintf(stderr, "there is no application %s\n", name);
    return (struct application){ 0 };
}
