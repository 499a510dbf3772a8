/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * piv.h - a PIV card application (NIST SP 800-73-4) with real keys, as it is in the firmware of the Nitrokey 3.
 *
 * RSA 2048 and P-256, a management key of 3DES or AES-256; of what Yubico has added: version, serial number, reset, and
 * another management key. No secure messaging, no contactless rules, no import of keys.
 */
#pragma once
#include "application.h"

extern const struct application_class piv_application;

/* For application_new(); NULL with a message on stderr on failure. */
void *piv_new(const char *state_path);
