/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* card_kdf.c - the KDF object F9: how clients derive what they send as a PIN (OpenPGP card 3.4 §4.3.2). */
#include "card_kdf.h"

enum { NONE = 0x00, ITERATED_SALTED = 0x03, SHA256 = 0x08, SHA512 = 0x0a };

static bool has(struct tlv_view object, uint16_t tag, size_t length)
{
    struct tlv_view value;
    return tlv_find(object, tag, &value) && value.length == length;
}

bool card_kdf_parse(struct tlv_view object, struct card_kdf *kdf)
{
    struct tlv_view method, hash;
    *kdf = (struct card_kdf){ 0 };
    if (object.length == 0)
        return true;
    if (!tlv_find(object, 0x81, &method) || method.length != 1)
        return false;
    if (method.bytes[0] == NONE)
        return true;
    if (method.bytes[0] != ITERATED_SALTED || !tlv_find(object, 0x82, &hash) || hash.length != 1 ||
        (hash.bytes[0] != SHA256 && hash.bytes[0] != SHA512) || !has(object, 0x83, 4) || !has(object, 0x84, 8))
        return false;
    kdf->on = true;
    const size_t length = hash.bytes[0] == SHA256 ? 32 : 64;
    return tlv_find(object, 0x87, &kdf->user) && kdf->user.length == length &&
           tlv_find(object, 0x88, &kdf->admin) && kdf->admin.length == length;
}
