/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openpgp_profile.c - in what the OpenPGP applications of the Nitrokeys differ. */
#include "openpgp_profile.h"
#include <string.h>

#define RID 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01
#define SERIAL 0x12, 0x34, 0x56, 0x78, 0x00, 0x00
#define CURVE(name) (1u << CURVE_##name)
#define CURVES_25519 (CURVE(ED25519) | CURVE(X25519))
#define CURVES_NIST (CURVE(P256) | CURVE(P384) | CURVE(P521))
#define CURVES_BRAINPOOL (CURVE(BRAINPOOL256) | CURVE(BRAINPOOL384) | CURVE(BRAINPOOL512))

/* C0 begins with GET CHALLENGE 40, key import 20, PW status changeable 10, private objects 08, algorithm attributes
 * changeable 04, KDF 01. There is no secure messaging. Then come lengths of challenge and certificate; version 3:
 * length of other objects, no PIN block 2, no MSE; version 2: lengths of commands and answers. */

const struct openpgp_profile openpgp_card_3_4 = {
    .aid = { RID, 0x03, 0x04, 0x00, 0x05, SERIAL },
    .historical_bytes = { 0x00, 0x31, 0xf5, 0x73, 0xc0, 0x01, 0x60, 0x05, 0x90, 0x00 },
    .capabilities = { 0x7c, 0x00, 0x00, 0xff, 0x06, 0x00, 0x06, 0x00, 0x00, 0x00 },
    .extended_length = 2048,
    .command_max = 4096,
    .object_max = 1536,
    .certificate_max = 1536,
    .rsa = { 2048, 3072, 4096 },
    .curves = CURVES_NIST | CURVES_BRAINPOOL,
};

const struct openpgp_profile openpgp_card_2_1 = {
    .aid = { RID, 0x02, 0x01, 0x00, 0x05, SERIAL },
    .historical_bytes = { 0x00, 0x31, 0xc5, 0x73, 0xc0, 0x01, 0x40, 0x05, 0x90, 0x00 },
    .capabilities = { 0x7c, 0x00, 0x00, 0xff, 0x08, 0x00, 0x08, 0x00, 0x08, 0x00 },
    .command_max = 2048,
    .object_max = 254,
    .certificate_max = 2048,
    .rsa = { 2048, 3072, 4096 },
};

/* Its AID has vendor FFFE, a serial number made of the chip's own, as long as nobody gave it another. */
const struct openpgp_profile openpgp_gnuk = {
    .aid = { RID, 0x02, 0x00, 0xff, 0xfe, SERIAL },
    .historical_bytes = { 0x00, 0x31, 0x84, 0x73, 0x80, 0x01, 0x80, 0x05, 0x90, 0x00 },
    .capabilities = { 0x75, 0x00, 0x00, 0x20, 0x08, 0x00, 0x00, 0xff, 0x01, 0x00 },
    .command_max = 540,
    .object_max = 255,
    .certificate_max = 526,
    .rsa = { 2048 },
    .curves = CURVES_25519 | CURVE(P256) | CURVE(SECP256K1),
    .button = true,
    .untouched = 0x6600,
    .gnuk = true,
};

const struct openpgp_profile openpgp_opcard = {
    .aid = { RID, 0x03, 0x04, 0x00, 0x0f, SERIAL },
    .historical_bytes = { 0x00, 0x31, 0xf5, 0x73, 0xc0, 0x01, 0x60, 0x05, 0x90, 0x00 },
    .capabilities = { 0x7d, 0x00, 0x00, 0xff, 0x10, 0x00, 0x10, 0x00, 0x00, 0x00 },
    .extended_length = 7609,
    .command_max = 7609,
    .object_max = 4096,
    .certificate_max = 4096,
    .rsa = { 2048, 3072, 4096 },
    .curves = CURVES_25519 | CURVES_NIST | CURVES_BRAINPOOL,
    .button = true,
    .untouched = 0x6982,
};

/* Its memory is as valid as any, but nobody gets at it. */
const struct openpgp_profile openpgp_none = { .no_application = true, .command_max = 7609, .rsa = { 2048 } };

bool openpgp_algorithm(const struct openpgp_profile *profile, size_t number, struct card_algorithm *algorithm)
{
    for (size_t i = 0; i < sizeof profile->rsa / sizeof profile->rsa[0]; i++)
        if (profile->rsa[i] != 0 && number-- == 0) {
            *algorithm = (struct card_algorithm){ .bits = profile->rsa[i] };
            return true;
        }
    for (size_t i = 0; i < CURVE_COUNT; i++)
        if ((profile->curves >> i & 1) && number-- == 0) {
            *algorithm = (struct card_algorithm){ .curve = &card_curves[i] };
            return true;
        }
    return false;
}

bool openpgp_offers(const struct openpgp_profile *profile, const struct card_algorithm *algorithm)
{
    struct card_algorithm offered;
    for (size_t i = 0; openpgp_algorithm(profile, i, &offered); i++)
        if (offered.curve == algorithm->curve && offered.bits == algorithm->bits)
            return true;
    return false;
}

const struct openpgp_profile *openpgp_profile_find(const char *name)
{
    static const struct {
        const char *name;
        const struct openpgp_profile *profile;
    } PROFILES[] = {
        { "openpgp-card-3.4", &openpgp_card_3_4 }, { "openpgp-card-2.1", &openpgp_card_2_1 },
        { "gnuk", &openpgp_gnuk },                 { "opcard", &openpgp_opcard },
        { "none", &openpgp_none },
    };
    for (size_t i = 0; i < sizeof PROFILES / sizeof PROFILES[0]; i++)
        if (strcmp(PROFILES[i].name, name) == 0)
            return PROFILES[i].profile;
    return NULL;
}
