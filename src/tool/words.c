/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words.c - commands and status words in words. */
#include "words.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ANY 0x10000 /* P1 P2 */

/* The first that fits counts. %04X in the words: P1 P2. */
static const struct {
    uint8_t ins;
    int p1_p2;
    const char *words;
} COMMANDS[] = {
    { 0x20, 0x0081, "VERIFY user PIN (81)" }, /* of an OpenPGP card: for signing */
    { 0x20, 0x0082, "VERIFY user PIN (82)" },
    { 0x20, 0x0083, "VERIFY admin PIN" },
    { 0x20, 0x0088, "VERIFY SO-PIN" },
    { 0x20, ANY, "VERIFY %04X" },
    { 0x21, ANY, "VERIFY %04X" },
    { 0x22, ANY, "MANAGE SECURITY ENVIRONMENT %04X" },
    { 0x24, 0x0081, "CHANGE user PIN" },
    { 0x24, 0x0083, "CHANGE admin PIN" },
    { 0x24, 0x0088, "CHANGE SO-PIN" },
    { 0x24, ANY, "CHANGE REFERENCE DATA %04X" },
    { 0x2a, 0x9e9a, "SIGN" },
    { 0x2a, 0x8086, "DECIPHER" },
    { 0x2a, 0x8680, "ENCIPHER" },
    { 0x2a, ANY, "PERFORM SECURITY OPERATION %04X" },
    { 0x2c, ANY, "RESET RETRY COUNTER %04X" },
    { 0x44, ANY, "ACTIVATE: begin anew" },
    { 0x46, ANY, "GENERATE KEY PAIR %04X" },
    { 0x47, 0x8000, "GENERATE KEY PAIR" },
    { 0x47, 0x8100, "READ PUBLIC KEY" },
    { 0x47, ANY, "GENERATE KEY PAIR %04X" },
    { 0x50, ANY, "INITIALIZE DEVICE" },
    { 0x52, ANY, "IMPORT DKEK SHARE" },
    { 0x62, ANY, "DECIPHER with key %04X" },
    { 0x68, ANY, "SIGN with key %04X" },
    { 0x72, ANY, "WRAP KEY %04X" },
    { 0x74, ANY, "UNWRAP KEY %04X" },
    { 0x84, ANY, "GET CHALLENGE" },
    { 0x86, ANY, "GENERAL AUTHENTICATE %04X" },
    { 0x87, ANY, "GENERAL AUTHENTICATE %04X" },
    { 0x88, ANY, "AUTHENTICATE" },
    { 0xa4, ANY, "SELECT %04X" },
    { 0xa5, ANY, "SELECT DATA %04X" },
    { 0xb0, ANY, "READ BINARY %04X" },
    { 0xb1, ANY, "READ BINARY %04X" },
    { 0xc0, ANY, "GET RESPONSE" },
    { 0xca, 0x004f, "GET DATA: application identifier" },
    { 0xca, 0x005e, "GET DATA: login" },
    { 0xca, 0x0065, "GET DATA: cardholder" },
    { 0xca, 0x006e, "GET DATA: application" },
    { 0xca, 0x007a, "GET DATA: signature counter" },
    { 0xca, 0x00c4, "GET DATA: PIN status" },
    { 0xca, 0x00f9, "GET DATA: key derivation" },
    { 0xca, 0x00fa, "GET DATA: algorithms" },
    { 0xca, 0x5f50, "GET DATA: URL" },
    { 0xca, 0x5f52, "GET DATA: historical bytes" },
    { 0xca, 0x7f21, "GET DATA: certificate" },
    { 0xca, 0x7f66, "GET DATA: longest APDUs" },
    { 0xca, ANY, "GET DATA %04X" },
    { 0xcb, ANY, "GET DATA %04X" },
    { 0xcc, ANY, "GET NEXT DATA %04X" },
    { 0xd6, ANY, "UPDATE BINARY %04X" },
    { 0xd7, ANY, "UPDATE BINARY %04X" },
    { 0xda, 0x00d3, "PUT DATA: resetting code" },
    { 0xda, 0x7f21, "PUT DATA: certificate" },
    { 0xda, 0x00c1, "PUT DATA: algorithm for signing" },
    { 0xda, 0x00c2, "PUT DATA: algorithm for deciphering" },
    { 0xda, 0x00c3, "PUT DATA: algorithm for authentication" },
    { 0xda, ANY, "PUT DATA %04X" },
    { 0xdb, 0x3fff, "IMPORT KEY" },
    { 0xdb, ANY, "PUT DATA %04X" },
    { 0xe4, ANY, "DELETE FILE %04X" },
    { 0xe6, ANY, "TERMINATE" },
};

static const struct {
    uint8_t length, aid[9];
    const char *name;
} APPLICATIONS[] = {
    { 6, { 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 }, "OpenPGP" },
    { 5, { 0xa0, 0x00, 0x00, 0x03, 0x08 }, "PIV" },
    { 7, { 0xe8, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81 }, "SmartCard-HSM" },
    { 7, { 0xa0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01 }, "secrets" },
    { 9, { 0xa0, 0x00, 0x00, 0x08, 0x47, 0x00, 0x00, 0x00, 0x01 }, "admin" },
};

/* The application that a SELECT by name names; 0 bytes were taken out of the trace. */
static bool select_in_words(const uint8_t *apdu, size_t length, char text[WORDS_SIZE])
{
    if (apdu[1] != 0xa4 || apdu[2] != 0x04 || length < 5 || apdu[4] > length - 5 || apdu[4] == 0)
        return false;
    for (size_t i = 0; i < sizeof APPLICATIONS / sizeof APPLICATIONS[0]; i++)
        if (apdu[4] >= APPLICATIONS[i].length && memcmp(apdu + 5, APPLICATIONS[i].aid, APPLICATIONS[i].length) == 0) {
            snprintf(text, WORDS_SIZE, "SELECT application %s", APPLICATIONS[i].name);
            return true;
        }
    size_t at = (size_t)snprintf(text, WORDS_SIZE, "SELECT application ");
    for (size_t i = 0; i < apdu[4] && i < 16; i++)
        at += (size_t)snprintf(text + at, WORDS_SIZE - at, "%02X", apdu[5 + i]);
    return true;
}

static void name(const uint8_t *apdu, char text[WORDS_SIZE])
{
    const int p1_p2 = apdu[2] << 8 | apdu[3];
    for (size_t i = 0; i < sizeof COMMANDS / sizeof COMMANDS[0]; i++)
        if (COMMANDS[i].ins == apdu[1] && (COMMANDS[i].p1_p2 == ANY || COMMANDS[i].p1_p2 == p1_p2)) {
            const char *const place = strstr(COMMANDS[i].words, "%04X");
            if (place)
                snprintf(text, WORDS_SIZE, "%.*s%04X", (int)(place - COMMANDS[i].words), COMMANDS[i].words, p1_p2);
            else
                snprintf(text, WORDS_SIZE, "%s", COMMANDS[i].words);
            return;
        }
    snprintf(text, WORDS_SIZE, "command %02X %02X %04X", apdu[0], apdu[1], p1_p2);
}

const char *command_in_words(const uint8_t *apdu, size_t length, char text[WORDS_SIZE])
{
    if (!select_in_words(apdu, length, text))
        name(apdu, text);
    const size_t at = strlen(text);
    if ((apdu[1] & 0xfe) == 0x20 && length == 4)
        snprintf(text + at, WORDS_SIZE - at, ": is it verified?");
    else if ((apdu[0] & 0x90) == 0x10)
        snprintf(text + at, WORDS_SIZE - at, ", part of a chain");
    return text;
}

/* ---- status words ---- */

static const struct {
    uint16_t status, mask;
    const char *words;
} STATUS[] = {
    { 0x9000, 0xffff, "success" },
    { 0x6100, 0xff00, "success, and there is more" },
    { 0x6285, 0xffff, "terminated" },
    { 0x63c0, 0xffff, "refused, no tries left" },
    { 0x63c1, 0xffff, "refused, 1 try left" },
    { 0x63c0, 0xfff0, "refused, %u tries left" },
    { 0x6581, 0xffff, "memory failure" },
    { 0x6700, 0xffff, "wrong length" },
    { 0x6881, 0xffff, "no such channel" },
    { 0x6882, 0xffff, "no secure messaging" },
    { 0x6883, 0xffff, "the last part of a chain was expected" },
    { 0x6884, 0xffff, "no chaining" },
    { 0x6982, 0xffff, "not permitted: a PIN must be verified, or it is wrong" },
    { 0x6983, 0xffff, "the PIN is blocked" },
    { 0x6985, 0xffff, "not now: conditions are not met" },
    { 0x6a80, 0xffff, "wrong data" },
    { 0x6a81, 0xffff, "no such function" },
    { 0x6a82, 0xffff, "not found" },
    { 0x6a84, 0xffff, "no room" },
    { 0x6a86, 0xffff, "wrong P1 P2" },
    { 0x6a88, 0xffff, "no such data" },
    { 0x6b00, 0xffff, "wrong P1 P2" },
    { 0x6c00, 0xff00, "wrong Le" },
    { 0x6d00, 0xffff, "no such command" },
    { 0x6e00, 0xffff, "no such class" },
    { 0x6f00, 0xff00, "error of the card" },
};

const char *status_in_words(uint8_t sw1, uint8_t sw2, char text[WORDS_SIZE])
{
    const unsigned status = (unsigned)sw1 << 8 | sw2;
    for (size_t i = 0; i < sizeof STATUS / sizeof STATUS[0]; i++)
        if ((status & STATUS[i].mask) == STATUS[i].status) {
            const char *const place = strstr(STATUS[i].words, "%u");
            if (place)
                snprintf(text, WORDS_SIZE, "%.*s%u%s", (int)(place - STATUS[i].words), STATUS[i].words, sw2 & 15u,
                         place + 2);
            else
                snprintf(text, WORDS_SIZE, "%s", STATUS[i].words);
            return text;
        }
    snprintf(text, WORDS_SIZE, "status word %04X", status);
    return text;
}
