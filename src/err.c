/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* err.c - the errors of the driver's core, and of CCID, in words, for the log. */
#include "err.h"
#include <stddef.h>
#include <stdio.h>

const char *err_in_words(enum err err)
{
    switch (err) {
    case ERR_NONE: return "nothing is wrong";
    case ERR_NOT_CCID: return "this is no CCID interface that the driver can use";
    case ERR_NO_DEVICE: return "there is no such device";
    case ERR_ACCESS: return "pcscd has no permission to open it";
    case ERR_BUSY: return "another program has it";
    case ERR_GONE: return "it has been unplugged";
    case ERR_CANCELLED: return "pcscd has closed it";
    case ERR_INTERRUPTED: return "another command has come";
    case ERR_DEAD: return "it serves no command any more, unplug it";
    case ERR_HELD: return "it may be at work for a program that has ended";
    case ERR_TIMEOUT: return "there was no answer in time";
    case ERR_IO: return "a USB transfer has failed";
    case ERR_PROTOCOL: return "the key's answers break the rules";
    case ERR_CARD: return "the card has refused, or is mute";
    case ERR_CARD_RESET: return "the card has to be reset to be usable again; programs must verify the PIN anew";
    case ERR_NOT_POWERED: return "the card is not powered";
    case ERR_TOO_LONG: return "a command or an answer is too long";
    case ERR_UNSUPPORTED: return "the key or this driver cannot do that";
    case ERR_NO_MEMORY: return "there is no memory";
    case ERR_LUN_TAKEN: return "pcscd has given its Lun to another reader";
    }
    return "an error that this driver does not know";
}

const char *ccid_error_in_words(uint8_t error, char text[CCID_ERROR_SIZE])
{
    static const struct {
        uint8_t error;
        const char *words;
    } ERRORS[] = {
        { 0xff, "aborted" },          { 0xfe, "the card is mute" },       { 0xfd, "parity error" },
        { 0xfc, "overrun" },          { 0xfb, "hardware error" },         { 0xf8, "bad ATR" },
        { 0xf7, "bad ATR checksum" }, { 0xf6, "protocol not supported" }, { 0xf2, "busy" },
        { 0xe0, "slot busy" },        { 0x00, "not supported" },
    };
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++)
        if (ERRORS[i].error == error)
            return ERRORS[i].words;
    if (error < 0x80)
        snprintf(text, CCID_ERROR_SIZE, "byte %u of the message is not accepted", error);
    else
        snprintf(text, CCID_ERROR_SIZE, "an error of the firmware's own, %02X", error);
    return text;
}
