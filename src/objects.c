/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* objects.c - which data objects of an OpenPGP card anybody may see, byte by byte. */
#include "objects.h"
#include <string.h>

enum kind {
    KIND_PUBLIC,
    KIND_NAME,     /* tells whose card it is: a name, a fingerprint, a date */
    KIND_AID,      /* public but for the serial number; also alone */
    KIND_TRIES,    /* public; also alone */
    KIND_TEMPLATE, /* holds other objects */
};

struct object {
    uint16_t tag;
    enum kind kind;
    uint8_t least, most; /* of its value, in bytes; not of a template's */
};

static const struct object OBJECTS[] = {
    { 0x4f, KIND_AID, AID_LENGTH, AID_LENGTH }, /* application identifier */
    { 0x5f52, KIND_PUBLIC, 1, 15 },             /* historical bytes */
    { 0x6e, KIND_TEMPLATE, 0, 0 },              /* application related data */
    { 0x73, KIND_TEMPLATE, 0, 0 },              /* discretionary data objects */
    { 0x7f66, KIND_TEMPLATE, 0, 0 },            /* extended length information: how long APDUs may be */
    { 0x02, KIND_PUBLIC, 2, 2 },                /*   in it */
    { 0x7f74, KIND_TEMPLATE, 0, 0 },            /* general feature management */
    { 0x81, KIND_PUBLIC, 1, 1 },                /*   in it */
    { 0x7a, KIND_TEMPLATE, 0, 0 },              /* security support template */
    { 0x93, KIND_PUBLIC, 3, 3 },                /*   in it: signature counter */
    { 0xfa, KIND_TEMPLATE, 0, 0 },              /* algorithm information */
    { 0xc0, KIND_PUBLIC, 7, 10 },               /* extended capabilities */
    { 0xc1, KIND_PUBLIC, 1, 16 },               /* algorithm attributes */
    { 0xc2, KIND_PUBLIC, 1, 16 },
    { 0xc3, KIND_PUBLIC, 1, 16 },
    { 0xda, KIND_PUBLIC, 1, 16 },
    { 0xc4, KIND_TRIES, 7, 7 },                 /* PIN status */
    { 0xd6, KIND_PUBLIC, 2, 2 },                /* user interaction flags */
    { 0xd7, KIND_PUBLIC, 2, 2 },
    { 0xd8, KIND_PUBLIC, 2, 2 },
    { 0xd9, KIND_PUBLIC, 2, 2 },
    { 0xde, KIND_PUBLIC, 2, 10 },               /* key information: which key is there */
    { 0xc5, KIND_NAME, 60, 80 },                /* fingerprints */
    { 0xc6, KIND_NAME, 60, 80 },                /* of certification authorities */
    { 0xcd, KIND_NAME, 12, 16 },                /* dates of the keys' generation */
    { 0x65, KIND_TEMPLATE, 0, 0 },              /* cardholder related data */
    { 0x5b, KIND_NAME, 0, 39 },                 /* name */
    { 0x5f2d, KIND_NAME, 0, 8 },                /* language */
    { 0x5f35, KIND_NAME, 0, 1 },                /* salutation */
    { 0x5e, KIND_NAME, 0, 254 },                /* login */
    { 0x5f50, KIND_NAME, 0, 254 },              /* URL */
};

static const uint8_t OPENPGP[] = { 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 }; /* RID and PIX of the application */

bool is_openpgp_aid(const uint8_t *aid, size_t length)
{
    return length >= sizeof OPENPGP && memcmp(aid, OPENPGP, sizeof OPENPGP) == 0;
}

static const struct object *find(unsigned tag)
{
    for (size_t i = 0; i < sizeof OBJECTS / sizeof OBJECTS[0]; i++)
        if (OBJECTS[i].tag == tag)
            return &OBJECTS[i];
    return NULL;
}

static bool fits(const struct object *object, size_t length)
{
    return object->kind == KIND_TEMPLATE || (length >= object->least && length <= object->most);
}

bool gate_open(struct gate *gate, unsigned tag, bool names)
{
    const struct object *const object = find(tag);
    *gate = (struct gate){ .state = GATE_SHUT, .names = names, .object = object };
    if (!object || object->kind == KIND_PUBLIC || (object->kind == KIND_NAME && !names))
        return false;
    gate->state = object->kind == KIND_TEMPLATE ? GATE_TAG : GATE_PLAIN;
    return true;
}

void gate_shut(struct gate *gate)
{
    *gate = (struct gate){ .state = GATE_SHUT };
}

/* ---- one byte: may it be seen? Shuts the gate at the first that is not as it should be ---- */

static bool shut(struct gate *gate)
{
    gate_shut(gate);
    return false;
}

static bool tag_is_complete(struct gate *gate)
{
    gate->object = find(gate->tag);
    if (!gate->object)
        return shut(gate);
    gate->state = GATE_LENGTH;
    return true;
}

static bool pass_tag(struct gate *gate, uint8_t byte)
{
    gate->tag = byte;
    if ((byte & 0x1f) != 0x1f)
        return tag_is_complete(gate);
    if (byte != 0x5f && byte != 0x7f)
        return shut(gate);
    gate->state = GATE_TAG_ENDS;
    return true;
}

static bool length_is_complete(struct gate *gate, size_t length)
{
    if (!fits(gate->object, length))
        return shut(gate);
    gate->length = length;
    gate->at = 0;
    gate->state = gate->object->kind == KIND_TEMPLATE || length == 0 ? GATE_TAG : GATE_VALUE;
    return true;
}

static bool pass_length(struct gate *gate, uint8_t byte)
{
    if (byte < 0x80)
        return length_is_complete(gate, byte);
    if (byte != 0x81 && byte != 0x82)
        return shut(gate);
    gate->length_bytes = byte & 3u;
    gate->length = 0;
    gate->state = GATE_LENGTH_ENDS;
    return true;
}

static bool pass_length_end(struct gate *gate, uint8_t byte)
{
    gate->length = gate->length << 8 | byte;
    return --gate->length_bytes > 0 || length_is_complete(gate, gate->length);
}

static bool pass_value(struct gate *gate, uint8_t byte)
{
    const struct object *const object = gate->object;
    const size_t at = gate->at++;
    if (gate->at == gate->length)
        gate->state = GATE_TAG;
    if (object->kind == KIND_NAME)
        return gate->names;
    if (object->kind != KIND_AID)
        return true;
    if (at < sizeof OPENPGP && byte != OPENPGP[at])
        return shut(gate);
    return gate->names || at < AID_SERIAL || at >= AID_SERIAL + AID_SERIAL_LENGTH;
}

static bool pass(struct gate *gate, uint8_t byte)
{
    switch (gate->state) {
    case GATE_SHUT:
    case GATE_PLAIN:
        return false;
    case GATE_TAG:
        return pass_tag(gate, byte);
    case GATE_TAG_ENDS:
        gate->tag = gate->tag << 8 | byte;
        return tag_is_complete(gate);
    case GATE_LENGTH:
        return pass_length(gate, byte);
    case GATE_LENGTH_ENDS:
        return pass_length_end(gate, byte);
    case GATE_VALUE:
        return pass_value(gate, byte);
    }
    return false;
}

/* A value alone has nothing before it that would tell what it is, so it has to look like one. */
static bool looks_right(const struct object *object, const uint8_t *value, size_t length)
{
    if (!fits(object, length))
        return false;
    if (object->kind == KIND_TRIES) /* a flag; of each of three PINs its greatest length; of each its tries */
        return value[0] <= 1 && value[4] <= 15 && value[5] <= 15 && value[6] <= 15;
    return object->kind == KIND_NAME || is_openpgp_aid(value, length);
}

void gate_pass(struct gate *gate, const uint8_t *bytes, size_t length, bool whole, uint8_t *shown)
{
    if (length == 0)
        return;
    const bool plain = gate->state == GATE_PLAIN; /* the answer is the value, and tells its length by its end */
    if (plain && (!whole || !looks_right(gate->object, bytes, length) || !length_is_complete(gate, length)))
        gate_shut(gate);
    for (size_t i = 0; i < length && gate->state != GATE_SHUT; i++)
        if (pass(gate, bytes[i]))
            shown[i] = bytes[i];
    if (plain)
        gate_shut(gate);
}
