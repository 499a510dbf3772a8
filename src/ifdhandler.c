/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ifdhandler.c - the entry points that pcscd calls (IFDHandler 3.0): check arguments, find the reader, translate.
 *
 * No protocol and no USB here. The functions' meaning is documented in pcsc-lite's ifdhandler.h; what pcscd makes of
 * each return code decided the table in translate().
 */
#include <string.h>
#include <winscard.h>
#include <ifdhandler.h>
#include "part10.h"
#include "log.h"
#include "reader.h"

#define EXPORT __attribute__((visibility("default")))

/*
 * 616 is never returned by Transmit: pcscd would then show the card as absent for as long as presence says
 * "present". 617 comes only from CreateChannel: elsewhere it makes pcscd sleep for a second.
 */
static RESPONSECODE translate(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return IFD_SUCCESS;
    case ERR_UNSUPPORTED:
        return IFD_ERROR_NOT_SUPPORTED;
    case ERR_TOO_LONG:
        return IFD_ERROR_INSUFFICIENT_BUFFER;
    case ERR_TIMEOUT:
        return IFD_RESPONSE_TIMEOUT;
    case ERR_NOT_CCID:
    case ERR_NO_DEVICE:
    case ERR_ACCESS:
    case ERR_BUSY:
    case ERR_GONE:
    case ERR_CANCELLED:
    case ERR_INTERRUPTED:
    case ERR_DEAD:
    case ERR_HELD:
    case ERR_IO:
    case ERR_PROTOCOL:
    case ERR_CARD:
    case ERR_CARD_RESET:
    case ERR_NOT_POWERED:
    case ERR_NO_MEMORY:
    case ERR_LUN_TAKEN:
        break;
    }
    return IFD_COMMUNICATION_ERROR;
}

/* ---- channels ---- */

EXPORT RESPONSECODE IFDHCreateChannelByName(DWORD Lun, LPSTR DeviceName)
{
    if (!DeviceName)
        return IFD_COMMUNICATION_ERROR;
    const enum err err = reader_open(Lun, DeviceName);
    if (err == ERR_NOT_CCID) {
        log_debug(NULL, "%s is not a CCID interface", DeviceName);
        return IFD_NO_SUCH_DEVICE; /* pcscd offers every interface of a composite device; it shall forget this one */
    }
    if (err == ERR_ACCESS)
        log_error(NULL, "%s may not be opened by pcscd. Its udev rules give permission when the key is plugged in: install "
                  "them, run: udevadm control --reload, and plug the key in again", DeviceName);
    else if (err != ERR_NONE)
        log_error(NULL, "%s cannot be used: %s", DeviceName, err_in_words(err));
    return translate(err);
}

EXPORT RESPONSECODE IFDHCreateChannel(DWORD Lun, DWORD Channel)
{
    (void)Lun;
    (void)Channel;
    return IFD_COMMUNICATION_ERROR; /* serial ports: none of the keys has one */
}

EXPORT RESPONSECODE IFDHCloseChannel(DWORD Lun)
{
    return translate(reader_close(Lun));
}

/* ---- capabilities ---- */

static RESPONSECODE poll_presence(DWORD lun, int timeout_ms)
{
    struct reader *reader = reader_acquire(lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    const enum err err = reader_poll(reader, timeout_ms);
    reader_release(reader);
    return translate(err);
}

static RESPONSECODE stop_polling(DWORD lun)
{
    struct reader *reader = reader_acquire(lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    reader_stop_poll(reader);
    reader_release(reader);
    return IFD_SUCCESS;
}

static RESPONSECODE give(const void *from, size_t size, PDWORD Length, PUCHAR Value)
{
    if (*Length < size)
        return IFD_ERROR_INSUFFICIENT_BUFFER;
    memcpy(Value, from, size);
    *Length = size;
    return IFD_SUCCESS;
}

static RESPONSECODE give_byte(UCHAR byte, PDWORD Length, PUCHAR Value)
{
    return give(&byte, 1, Length, Value);
}

/* pcscd asks for it at once when it has opened the reader; whoever asks later is a client, who would learn by it where in
 * memory the driver is. */
static RESPONSECODE give_poll_once(DWORD Lun, PDWORD Length, PUCHAR Value)
{
    RESPONSECODE (*const poll)(DWORD, int) = poll_presence;
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    const bool first = *Length < sizeof poll || reader_first_asked_for_poll(reader);
    reader_release(reader);
    return first ? give(&poll, sizeof poll, Length, Value) : IFD_ERROR_TAG;
}

static RESPONSECODE attribute(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    size_t length = *Length;
    const enum err err = Tag > UINT32_MAX ? ERR_UNSUPPORTED : part10_attribute(reader, (uint32_t)Tag, Value, &length);
    reader_release(reader);
    if (err == ERR_NONE) /* or it stays: pcscd answers some attributes itself, into what room is left */
        *Length = length;
    return err == ERR_UNSUPPORTED ? IFD_ERROR_TAG : translate(err);
}

EXPORT RESPONSECODE IFDHGetCapabilities(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
    RESPONSECODE (*const stop)(DWORD) = stop_polling;
    if (!Length || !Value)
        return IFD_COMMUNICATION_ERROR;
    switch (Tag) {
    case TAG_IFD_SIMULTANEOUS_ACCESS:
        return give_byte(READER_MAX, Length, Value);
    case TAG_IFD_THREAD_SAFE:
    case TAG_IFD_SLOTS_NUMBER:
        return give_byte(1, Length, Value);
    case TAG_IFD_SLOT_THREAD_SAFE:
    case TAG_IFD_POLLING_THREAD_KILLABLE: /* it holds a reference */
    case TAG_IFD_DEVICE_REMOVED: /* an unplug is noticed on the wire; any client could claim one by this tag */
        return give_byte(0, Length, Value);
    case TAG_IFD_POLLING_THREAD_WITH_TIMEOUT:
        return give_poll_once(Lun, Length, Value);
    case TAG_IFD_STOP_POLLING_THREAD: /* pcscd asks for it at each SCardDisconnect, as a client could */
        return give(&stop, sizeof stop, Length, Value);
    default:
        return attribute(Lun, Tag, Length, Value);
    }
}

EXPORT RESPONSECODE IFDHSetCapabilities(DWORD Lun, DWORD Tag, DWORD Length, PUCHAR Value)
{
    (void)Lun;
    (void)Tag;
    (void)Length;
    (void)Value;
    return IFD_ERROR_TAG; /* any local client may call this, at any time: there is nothing to set */
}

EXPORT RESPONSECODE IFDHSetProtocolParameters(DWORD Lun, DWORD Protocol, UCHAR Flags, UCHAR PTS1, UCHAR PTS2,
                                               UCHAR PTS3)
{
    (void)Flags;
    (void)PTS1; /* the firmware has done the PPS already */
    (void)PTS2;
    (void)PTS3;
    if (Protocol != SCARD_PROTOCOL_T1)
        return IFD_PROTOCOL_NOT_SUPPORTED;
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    struct atr atr;
    const bool powered = reader_atr(reader, &atr);
    reader_release(reader);
    /* After a success pcscd counts the card as in use, and nobody else can make it power the card on. */
    return powered ? IFD_SUCCESS : IFD_COMMUNICATION_ERROR;
}

/* ---- the card ---- */

EXPORT RESPONSECODE IFDHPowerICC(DWORD Lun, DWORD Action, PUCHAR Atr, PDWORD AtrLength)
{
    const DWORD size = AtrLength ? *AtrLength : 0;
    if (AtrLength)
        *AtrLength = 0;
    if (Action != IFD_POWER_UP && Action != IFD_POWER_DOWN && Action != IFD_RESET)
        return IFD_NOT_SUPPORTED;
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    struct atr atr = { .length = 0 };
    enum err err;
    if (Action == IFD_POWER_DOWN)
        err = reader_power_off(reader);
    else
        err = Action == IFD_RESET ? reader_reset(reader, &atr) : reader_power_on(reader, &atr);
    reader_release(reader);
    if (err == ERR_CARD || err == ERR_PROTOCOL)
        return IFD_ERROR_POWER_ACTION;
    if (err != ERR_NONE)
        return IFD_COMMUNICATION_ERROR;
    if (atr.length == 0)
        return IFD_SUCCESS;
    if (atr.length > size || !Atr)
        return IFD_ERROR_INSUFFICIENT_BUFFER;
    memcpy(Atr, atr.bytes, atr.length);
    *AtrLength = atr.length;
    return IFD_SUCCESS;
}

EXPORT RESPONSECODE IFDHTransmitToICC(DWORD Lun, SCARD_IO_HEADER SendPci, PUCHAR TxBuffer, DWORD TxLength,
                                      PUCHAR RxBuffer, PDWORD RxLength, PSCARD_IO_HEADER RecvPci)
{
    if (!TxBuffer || !RxBuffer || !RxLength)
        return IFD_COMMUNICATION_ERROR;
    const size_t size = *RxLength;
    *RxLength = 0;
    if (SendPci.Protocol != 1)
        return IFD_PROTOCOL_NOT_SUPPORTED;
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    size_t length;
    const enum err err = reader_transmit(reader, TxBuffer, TxLength, RxBuffer, size, &length);
    reader_release(reader);
    *RxLength = length;
    if (RecvPci)
        RecvPci->Protocol = 1;
    return translate(err);
}

EXPORT RESPONSECODE IFDHICCPresence(DWORD Lun)
{
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    const enum presence presence = reader_presence(reader);
    reader_release(reader);
    switch (presence) {
    case READER_PRESENT:
        return IFD_ICC_PRESENT;
    case READER_ABSENT:
        return IFD_ICC_NOT_PRESENT;
    case READER_GONE:
        break;
    }
    return IFD_COMMUNICATION_ERROR;
}

EXPORT RESPONSECODE IFDHControl(DWORD Lun, DWORD dwControlCode, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer,
                                DWORD RxLength, LPDWORD pdwBytesReturned)
{
    (void)TxBuffer;
    (void)TxLength;
    if (!pdwBytesReturned)
        return IFD_COMMUNICATION_ERROR;
    *pdwBytesReturned = 0;
    struct reader *reader = reader_acquire(Lun);
    if (!reader)
        return IFD_COMMUNICATION_ERROR;
    size_t length = 0;
    enum err err = ERR_UNSUPPORTED;
    if (reader_presence(reader) == READER_GONE)
        err = ERR_GONE;
    else if (dwControlCode <= UINT32_MAX)
        err = part10_control(reader, (uint32_t)dwControlCode, RxBuffer, RxBuffer ? RxLength : 0, &length);
    reader_release(reader);
    *pdwBytesReturned = err == ERR_NONE ? length : 0;
    return translate(err);
}
