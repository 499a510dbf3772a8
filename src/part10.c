/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part10.c - PC/SC part 10 features and TLV properties, and the attributes that clients ask for. */
#include "part10.h"
#include <string.h>
#include <winscard.h>
#include <ifdhandler.h>
#include <reader.h>

#define IOCTL_GET_TLV_PROPERTIES SCARD_CTL_CODE(FEATURE_GET_TLV_PROPERTIES)
#define GET_FEATURE_REQUEST_WINDOWS 0x313520 /* the same request as Windows clients number it, through RDP */

/* Extended APDUs of any length go through T=1 chaining, so the limit is what PC/SC can say. */
#define MAX_APDU_DATA_SIZE 0x10000

#define ATTR_MAX 264 /* the longest attribute pcscd's protocol can carry */

static enum err give(const void *from, size_t from_length, uint8_t *to, size_t *length)
{
    if (from_length > *length)
        return ERR_TOO_LONG;
    memcpy(to, from, from_length);
    *length = from_length;
    return ERR_NONE;
}

/* ---- control codes ---- */

static size_t tlv_properties(const struct reader_facts *facts, uint8_t *out)
{
    const uint8_t properties[] = {
        PCSCv2_PART10_PROPERTY_wLcdLayout, 2, 0, 0,
        PCSCv2_PART10_PROPERTY_bTimeOut2, 1, 0,
        PCSCv2_PART10_PROPERTY_bPPDUSupport, 1, 0,
        PCSCv2_PART10_PROPERTY_dwMaxAPDUDataSize, 4,
        MAX_APDU_DATA_SIZE & 0xff, MAX_APDU_DATA_SIZE >> 8 & 0xff, MAX_APDU_DATA_SIZE >> 16, 0,
        PCSCv2_PART10_PROPERTY_wIdVendor, 2, (uint8_t)facts->vendor_id, (uint8_t)(facts->vendor_id >> 8),
        PCSCv2_PART10_PROPERTY_wIdProduct, 2, (uint8_t)facts->product_id, (uint8_t)(facts->product_id >> 8),
    };
    memcpy(out, properties, sizeof properties);
    return sizeof properties;
}

enum err part10_control(struct reader *reader, uint32_t code, uint8_t *answer, size_t size, size_t *length)
{
    static const uint8_t feature_list[] = {
        FEATURE_GET_TLV_PROPERTIES, 4,
        IOCTL_GET_TLV_PROPERTIES >> 24 & 0xff, IOCTL_GET_TLV_PROPERTIES >> 16 & 0xff,
        IOCTL_GET_TLV_PROPERTIES >> 8 & 0xff, IOCTL_GET_TLV_PROPERTIES & 0xff,
    };
    *length = size;
    if (code == CM_IOCTL_GET_FEATURE_REQUEST || code == GET_FEATURE_REQUEST_WINDOWS)
        return give(feature_list, sizeof feature_list, answer, length);
    if (code == IOCTL_GET_TLV_PROPERTIES) {
        const struct reader_facts facts = reader_facts(reader);
        uint8_t properties[64];
        const size_t properties_length = tlv_properties(&facts, properties);
        return give(properties, properties_length, answer, length);
    }
    *length = 0;
    return ERR_UNSUPPORTED;
}

/* ---- attributes ---- */

static enum err give_number(uint32_t number, uint8_t *value, size_t *length)
{
    return give(&number, sizeof number, value, length);
}

static enum err give_atr(struct reader *reader, uint8_t *value, size_t *length)
{
    struct atr atr;
    if (!reader_atr(reader, &atr))
        return ERR_NOT_POWERED;
    return give(atr.bytes, atr.length, value, length);
}

static enum err give_string(struct reader *reader, enum usb_string which, uint8_t *value, size_t *length)
{
    char text[ATTR_MAX];
    const size_t text_length = reader_string(reader, which, text, sizeof text);
    if (text_length == 0)
        return ERR_UNSUPPORTED;
    return give(text, text_length + 1, value, length); /* the NUL counts */
}

enum err part10_attribute(struct reader *reader, uint32_t tag, uint8_t *value, size_t *length)
{
    const struct reader_facts facts = reader_facts(reader);
    struct atr atr;
    switch (tag) {
    case TAG_IFD_ATR:
    case SCARD_ATTR_ATR_STRING:
        return give_atr(reader, value, length);
    case SCARD_ATTR_ICC_PRESENCE: /* 0 absent, 2 present */
        return give(reader_presence(reader) == READER_PRESENT ? "\2" : "\0", 1, value, length);
    case SCARD_ATTR_ICC_INTERFACE_STATUS: /* contact active */
        return give(reader_atr(reader, &atr) ? "\1" : "\0", 1, value, length);
    case SCARD_ATTR_VENDOR_NAME:
        return give_string(reader, USB_STRING_MANUFACTURER, value, length);
    case SCARD_ATTR_VENDOR_IFD_SERIAL_NO:
        return give_string(reader, USB_STRING_SERIAL, value, length);
    case SCARD_ATTR_VENDOR_IFD_VERSION: /* 0xMMmmbbbb */
        return give_number((uint32_t)facts.bcd_device << 16, value, length);
    case SCARD_ATTR_MAXINPUT:
        return give_number(facts.class.max_message > CCID_HEADER ? facts.class.max_message - CCID_HEADER : 0, value,
                           length);
    case SCARD_ATTR_CHANNEL_ID: /* 0xDDDDCCCC, 0020h is USB */
        return give_number(0x00200000u | (uint32_t)facts.bus << 8 | facts.address, value, length);
    default:
        return ERR_UNSUPPORTED;
    }
}
