/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_kdf.h - the KDF object F9: how clients derive what they send as a PIN (OpenPGP card 3.4 §4.3.2). */
#pragma once
#include <stdbool.h>
#include "tlv.h"

struct card_kdf {
    bool on;                     /* false: PINs come as they are */
    struct tlv_view user, admin; /* on: what PW1 and PW3 are from now on, hashes of the factory's */
};

/* false: this is no KDF object. An empty one means off. */
bool card_kdf_parse(struct tlv_view object, struct card_kdf *kdf);
