/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* listener.h - listening and connected stream sockets by address: "unix:PATH" or "tcp:HOST:PORT". */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Listens; non-blocking, closed on exec. A socket that is left at the path of a dead server is replaced. -1 after a
 * message on stderr. */
int listener_open(const char *address);

/* Where it listens, with the port that the system chose for port 0. */
void listener_name(int fd, char *text, size_t size);

/* Closes it and removes the path of an AF_UNIX one. */
void listener_close(int fd);

/* Takes a connection: non-blocking, closed on exec, nothing held back to fill a TCP segment. -1: there is none. */
int listener_accept(int fd);

/* Connects to the AF_UNIX path, blocking. -1 with errno. */
int listener_connect(const char *path);
