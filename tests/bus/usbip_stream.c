/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbip_stream.c - the connection to a USB/IP server. */
#include "usbip_stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER_TIMEOUT_S 3 /* for the import, and to take what is sent */

bool usbip_stream_read(int fd, void *bytes, size_t length)
{
    size_t have = 0;
    while (have < length) {
        const ssize_t n = recv(fd, (uint8_t *)bytes + have, length - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

/* One call for a message: the server need not wake up twice. */
bool usbip_stream_write(int fd, const struct usbip_header *header, const void *data, size_t length)
{
    struct iovec parts[2] = { { (void *)(uintptr_t)header, sizeof *header }, { (void *)(uintptr_t)data, length } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    size_t left = sizeof *header + length;
    while (left > 0) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        left -= (size_t)n;
        for (size_t i = 0; i < 2; i++) {
            const size_t part = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;
            parts[i].iov_base = (uint8_t *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    return true;
}

static int close_with(int fd, int error)
{
    close(fd);
    errno = error;
    return -1;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return close_with(fd, errno);
    return fd;
}

static bool set_timeout(int fd, int option, int seconds)
{
    const struct timeval limit = { .tv_sec = seconds };
    return setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit) == 0;
}

static bool import(int fd, const char *bus_id, struct usbip_device *device)
{
    struct { struct usbip_op op; char bus_id[USBIP_BUS_ID]; } question = {
        .op = { htons(USBIP_VERSION), htons(OP_REQ_IMPORT), 0 } };
    struct usbip_op op;
    memcpy(question.bus_id, bus_id, strnlen(bus_id, USBIP_BUS_ID - 1));
    return send(fd, &question, sizeof question, MSG_NOSIGNAL) == (ssize_t)sizeof question
           && usbip_stream_read(fd, &op, sizeof op) && ntohs(op.code) == OP_REP_IMPORT && op.status == 0
           && usbip_stream_read(fd, device, sizeof *device);
}

/* A server that is frozen takes no bytes, and must not stop us for ever. To answer, a key may take any time. */
int usbip_stream_open(const char *socket_path, const char *bus_id, struct usbip_device *device)
{
    const int fd = connect_to(socket_path);
    if (fd >= 0 && set_timeout(fd, SO_RCVTIMEO, SERVER_TIMEOUT_S) && set_timeout(fd, SO_SNDTIMEO, SERVER_TIMEOUT_S)
        && import(fd, bus_id, device) && set_timeout(fd, SO_RCVTIMEO, 0))
        return fd;
    return fd < 0 ? fd : close_with(fd, ENODEV);
}
