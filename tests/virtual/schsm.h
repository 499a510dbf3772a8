/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * schsm.h - the application on the chip of a Nitrokey HSM: a SmartCard-HSM with real keys, as OpenSC drives it.
 *
 * No secure messaging, no authentication by public keys, no key domains but the first, no symmetric keys.
 */
#pragma once
#include "application.h"

struct schsm_profile; /* schsm_profile.h */

extern const struct application_class schsm_application;

/* For application_new(); NULL with a message on stderr on failure. */
void *schsm_new(const char *state_path, const struct schsm_profile *profile);
