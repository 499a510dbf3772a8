/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_on.c - the ATR of a key that no driver of pcscd serves. */
#include "power_on.h"
#include <stdio.h>
#include <string.h>
#include "../ccid.h"
#include "../usb.h"

#define PATIENCE_MS 5000
#define SLOT 0
#define ATR_MAX 33

/* One command and its answer, CCID 1.1 §6. */
static enum err ask(struct usb_port *port, size_t packet_size, uint8_t sequence, enum ccid_type type,
                    uint8_t buffer[1024], struct ccid_answer *answer)
{
    uint8_t message[CCID_HEADER];
    const struct ccid_command command = { .type = type };
    const struct ccid_expectation expected = { .type = ccid_answer_type(type), .slot = SLOT, .sequence = sequence };
    const int64_t deadline = usb_now_ms(port) + PATIENCE_MS;
    const size_t length = ccid_write(message, sizeof message, SLOT, sequence, &command);
    enum err error = usb_post_out(port, message, length, NULL);
    while (error == ERR_NONE) {
        error = usb_post_in(port, buffer, 1024 - 1024 % packet_size);
        const struct usb_news news = error == ERR_NONE ? usb_wait(port, deadline) : (struct usb_news){ USB_FAILED_OUT, 0 };
        if (news.event != USB_RECEIVED)
            error = news.event == USB_TIMEOUT ? ERR_TIMEOUT : ERR_IO;
        else if (ccid_find_answer(buffer, news.length, packet_size, &expected, answer) &&
                 answer->status != CCID_TIME_EXTENSION)
            return answer->status == CCID_OK ? ERR_NONE : ERR_IO;
    }
    (void)usb_take_back_in(port);
    (void)usb_take_back_out(port, deadline);
    return error;
}

enum err power_on(const struct key *key, uint8_t atr[ATR_MAX], size_t *length)
{
    struct usb_place place = { .vendor_id = key->vendor_id, .product_id = key->product_id,
                               .interface_number = (uint8_t)key->ccid_interface };
    struct usb_identity identity;
    struct usb_port *port;
    struct ccid_answer answer = { .length = 0 };
    uint8_t buffer[1024];
    snprintf(place.node, sizeof place.node, "%s", key->node);
    *length = 0;
    enum err error = usb_open(&port, &place, &identity);
    if (error != ERR_NONE)
        return error;
    error = identity.bulk_in && identity.bulk_out ? usb_claim(port) : ERR_NOT_CCID;
    if (error == ERR_NONE)
        error = ask(port, identity.packet_size, 1, CCID_ICC_POWER_ON, buffer, &answer);
    *length = error == ERR_NONE && answer.length <= ATR_MAX ? answer.length : 0;
    if (*length > 0) {
        memcpy(atr, answer.data, *length);
        (void)ask(port, identity.packet_size, 2, CCID_ICC_POWER_OFF, buffer, &answer);
    }
    usb_close(port);
    return error;
}
