/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* listener.c - stream sockets by address. */
#include "listener.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int complain(int fd, const char *address, const char *why)
{
    fprintf(stderr, "%s: %s\n", address, why);
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool unix_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, length);
    return true;
}

int listener_connect(const char *path)
{
    struct sockaddr_un address;
    if (!unix_address(path, &address))
        return -1;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* Removes the socket of a server that has died; never another kind of file, never one that somebody serves. */
static void remove_leftover(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    const int fd = listener_connect(path);
    if (fd >= 0)
        close(fd);
    else if (errno == ECONNREFUSED)
        (void)unlink(path);
}

static int open_unix(const char *path)
{
    struct sockaddr_un address;
    if (!unix_address(path, &address))
        return complain(-1, path, "an AF_UNIX path has 1 to 107 characters");
    remove_leftover(path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        return complain(fd, path, strerror(errno));
    return fd;
}

/* "HOST:PORT", the host in brackets when it has colons itself. */
static struct addrinfo *resolve(const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    char *end;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    /* The resolver would take 99999 for another port. */
    if (!colon || colon[1] < '0' || colon[1] > '9' || strtoul(colon + 1, &end, 10) > UINT16_MAX || *end)
        return NULL;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof host)
        return NULL;
    memcpy(host, text, length);
    host[length] = 0;
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static int open_tcp(const char *text)
{
    struct addrinfo *address = resolve(text);
    if (!address)
        return complain(-1, text, "is no HOST:PORT");
    const int one = 1;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0
                    && bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    const int error = errno;
    freeaddrinfo(address);
    return ok ? fd : complain(fd, text, strerror(error));
}

int listener_open(const char *address)
{
    if (strncmp(address, "unix:", 5) == 0)
        return open_unix(address + 5);
    if (strncmp(address, "tcp:", 4) == 0)
        return open_tcp(address + 4);
    return complain(-1, address, "must be unix:PATH or tcp:HOST:PORT");
}

union any_address {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

void listener_name(int fd, char *text, size_t size)
{
    union any_address address = { 0 };
    socklen_t length = sizeof address;
    char host[128], port[16];
    if (getsockname(fd, &address.any, &length) != 0)
        snprintf(text, size, "?");
    else if (address.any.sa_family == AF_UNIX)
        snprintf(text, size, "unix:%s", address.un.sun_path);
    else if (getnameinfo(&address.any, length, host, sizeof host, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, size, strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
    else
        snprintf(text, size, "tcp:?");
}

void listener_close(int fd)
{
    union any_address address = { 0 };
    socklen_t length = sizeof address;
    if (fd < 0)
        return;
    if (getsockname(fd, &address.any, &length) == 0 && address.any.sa_family == AF_UNIX && address.un.sun_path[0])
        (void)unlink(address.un.sun_path);
    close(fd);
}

int listener_accept(int fd)
{
    const int one = 1;
    const int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) /* fails on AF_UNIX, which does not hold back */
        (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connection;
}
