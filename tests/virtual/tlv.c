/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tlv.c - BER-TLV data objects (ISO 7816-4 §5.2.2) as a smart card reads and writes them. */
#include "tlv.h"
#include <string.h>

void tlv_append(struct tlv_writer *writer, const uint8_t *bytes, size_t length)
{
    if (length > writer->size - writer->length) {
        writer->overflow = true;
        return;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void tlv_put(struct tlv_writer *writer, uint16_t tag, const uint8_t *value, size_t length)
{
    const uint8_t t[] = { (uint8_t)(tag >> 8), (uint8_t)tag };
    const uint8_t l[] = { 0x82, (uint8_t)(length >> 8), (uint8_t)length };
    const uint8_t l1[] = { 0x81, (uint8_t)length };
    tlv_append(writer, tag > 0xff ? t : t + 1, tag > 0xff ? 2 : 1);
    if (length < 0x80)
        tlv_append(writer, l1 + 1, 1);
    else if (length < 0x100)
        tlv_append(writer, l1, 2);
    else
        tlv_append(writer, l, 3);
    tlv_append(writer, value, length);
}

static bool take(struct tlv_view *rest, uint8_t *byte)
{
    if (rest->length == 0)
        return false;
    *byte = *rest->bytes++;
    rest->length--;
    return true;
}

bool tlv_next_header(struct tlv_view *rest, uint16_t *tag, size_t *length)
{
    uint8_t byte;
    if (!take(rest, &byte))
        return false;
    *tag = byte;
    if ((byte & 0x1f) == 0x1f) {
        if (!take(rest, &byte))
            return false;
        *tag = (uint16_t)(*tag << 8 | byte);
    }
    if (!take(rest, &byte))
        return false;
    *length = byte;
    if (byte < 0x80)
        return true;
    if (byte > 0x82)
        return false;
    *length = 0;
    for (int n = byte & 0x0f; n > 0; n--) {
        if (!take(rest, &byte))
            return false;
        *length = *length << 8 | byte;
    }
    return true;
}

bool tlv_next(struct tlv_view *rest, uint16_t *tag, struct tlv_view *value)
{
    if (!tlv_next_header(rest, tag, &value->length) || value->length > rest->length)
        return false;
    value->bytes = rest->bytes;
    rest->bytes += value->length;
    rest->length -= value->length;
    return true;
}

bool tlv_find(struct tlv_view objects, uint16_t tag, struct tlv_view *value)
{
    uint16_t found;
    while (tlv_next(&objects, &found, value))
        if (found == tag)
            return true;
    return false;
}
