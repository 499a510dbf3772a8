/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nk3_applications.h - what runs on a Nitrokey 3 from firmware 1.8 on: an OpenPGP card and a PIV card, of which SELECT
 * chooses one (the firmware's apdu-dispatch). */
#pragma once
#include "application.h"

extern const struct application_class nk3_applications;

/* For application_new(). The PIV card has a state file of its own: state_path with ".piv" behind it. NULL with a
 * message on stderr on failure. */
void *nk3_applications_new(const char *state_path);
