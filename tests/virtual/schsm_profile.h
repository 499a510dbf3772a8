/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* schsm_profile.h - in what the generations of the SmartCard-HSM differ. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct schsm_profile {
    const char *name;
    uint8_t major, minor; /* of the application, as SELECT tells them */
    unsigned rsa_max; /* bits of the longest modulus */
    size_t curve_max; /* bytes of the longest prime field */
    size_t command_max; /* its buffer: data of a command */
};

/* By its name in readers/: "smartcard-hsm-2.6" on JCOP 2.4 (Nitrokey HSM), "smartcard-hsm-3.4" on JCOP 3 (Nitrokey HSM
 * 2), "smartcard-hsm-4.0" on JCOP 4; NULL: there is no such one. */
const struct schsm_profile *schsm_profile_find(const char *name);
