/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h - tells a running virtual key what to do: a line is a command, a line is the answer.
 *
 * The answer begins with "ok" or "error". Commands:
 *   plug | unplug                      puts the key into its port, takes it out (it loses its power)
 *   generate SPEC...                   how long the next generations take (timing.h), the last for all later ones
 *   mute on|off                        the card answers nothing
 *   corrupt edc|length|sequence|truncated|noise N   the next N blocks of the card
 *   mishear N                          the next N blocks the card hears arrive damaged
 *   ask-ifs N | ask-abort | lie-about-wtx N         what the card asks for
 *   touch                              somebody touches the key; nothing happens if no command waits for it
 *   freeze on|off                      every endpoint answers NAK
 *   stall in|out                       halts a bulk endpoint
 *   answer sequence|slot|type|long|short|cut|swallow|repeat N   what is wrong with the next N answers
 *   stale N                            the same as answer sequence N
 *   packet lost|unacknowledged|babble|halt|no-zlp in|out|control [N]   what happens to the Nth packet from now on
 *   packet nak in|out|control N SECONDS
 *   packet pause in|out|control [N]    before that packet moves all stands still, until "packet go"
 *   packet cancels reported|unreported     whether a cancelled transfer tells what of it has moved
 *   packet none                        what has not happened yet will not
 *   packet                             ok none|waiting|struck|paused: how far it is (packet_words.h)
 *   descriptors right|cut|garbage|total-long|total-short|endless
 *   hid N                              the other interface has N commands for the card: GET DATA of the PIN status
 *   hid-reset                          the other interface resets the card
 *   counters                           ok pw1=N rc=N pw3=N [pin=N puk=N]
 *   busy                               ok busy|idle: a command runs or an answer is unread
 *   apdus                              ok N: executed or begun so far
 *   blocks                             ok N: T=1 blocks that the card has heard so far
 *   stats                              ok control=N out=N in=N interrupt=N pending=N: transfers submitted so far, and not ended
 *   quit
 */
#pragma once
#include <stddef.h>
#include "device.h"
#include "host_controller.h"
#include "icc.h"
#include "loop.h"
#include "usbip.h"

#define CONTROL_LINE_MAX 1024

/* What the commands act on; all of it stays the caller's. */
struct control_target {
    struct loop *loop;
    struct icc *icc;
    struct device *device;
    struct host_controller *host;
    struct usbip_server *server;
};

struct control;

/* Takes commands from a listening socket (listener.h), which it closes at the end. NULL: out of memory; the socket
 * is the caller's then. */
struct control *control_new(const struct control_target *target, int listener);
void control_free(struct control *control); /* NULL is allowed */

/* Carries out one line (which it takes to pieces) and writes the answer without a line end. */
void control_execute(const struct control_target *target, char *line, char *answer, size_t size);

/* The other end: sends the words as one command to the AF_UNIX path and prints the answer. Returns 0 for "ok", 1 for
 * "error", 2 (after a message on stderr) if nobody answers. */
int control_tell(const char *path, int count, char *const words[]);
