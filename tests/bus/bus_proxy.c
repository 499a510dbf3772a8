/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus_proxy.c - a second way to the virtual key, on which the stream of USB/IP can be hurt. */
#include "bus_proxy.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "bus_check.h"

#define LOOK_MS 5 /* how often the mode is looked at */

static int unix_socket(const char *path, bool serve)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *name = (const struct sockaddr *)&address;
    if (serve ? bind(fd, name, sizeof address) == 0 && listen(fd, 1) == 0 : connect(fd, name, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* false: one of them is closed */
static bool carry(int from, int to, size_t most)
{
    char bytes[4096];
    const ssize_t n = recv(from, bytes, most, 0);
    return n > 0 && send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *run(void *context_of_thread)
{
    struct bus_proxy *proxy = context_of_thread;
    bool open = (proxy->client = accept(proxy->listener, NULL, NULL)) >= 0;
    while (open && proxy->mode != PROXY_CUT) {
        const bool hold = proxy->mode == PROXY_HOLD;
        struct pollfd ends[2] = { { proxy->client, POLLIN, 0 }, { hold ? -1 : proxy->server, POLLIN, 0 } };
        (void)poll(ends, 2, LOOK_MS);
        if (ends[0].revents)
            open = carry(proxy->client, proxy->server, 4096);
        if (open && ends[1].revents)
            open = carry(proxy->server, proxy->client, 1);
    }
    if (proxy->client >= 0)
        close(proxy->client);
    close(proxy->server);
    return NULL;
}

static bool copy_file(const char *from, const char *to)
{
    char bytes[4096];
    const int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    const ssize_t n = in >= 0 && out >= 0 ? read(in, bytes, sizeof bytes) : -1;
    const bool ok = n > 0 && write(out, bytes, (size_t)n) == n;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok;
}

static void clean_up(struct bus_proxy *proxy)
{
    if (proxy->listener >= 0)
        close(proxy->listener);
    unlink(proxy->socket);
    unlink(proxy->node);
}

bool bus_proxy_start(struct bus_proxy *proxy, enum bus_proxy_mode mode)
{
    const char *directory = getenv("USBFS_SHIM_DIR");
    char server[128];
    unsigned bus, device;
    *proxy = (struct bus_proxy){ .listener = -1, .client = -1, .server = -1, .mode = mode };
    if (sscanf(bus_node(), "/dev/bus/usb/%3u/%3u", &bus, &device) != 2)
        return false;
    directory = directory ? directory : "/run/usbfs";
    snprintf(proxy->node, sizeof proxy->node, "/dev/bus/usb/%03u/099", bus);
    snprintf(proxy->socket, sizeof proxy->socket, "%s/%03u-099", directory, bus);
    snprintf(server, sizeof server, "%s/%03u-%03u", directory, bus, device);
    if (copy_file(bus_node(), proxy->node) && (proxy->listener = unix_socket(proxy->socket, true)) >= 0
        && (proxy->server = unix_socket(server, false)) >= 0 && pthread_create(&proxy->thread, NULL, run, proxy) == 0)
        return true;
    if (proxy->server >= 0)
        close(proxy->server);
    clean_up(proxy);
    return false;
}

void bus_proxy_stop(struct bus_proxy *proxy)
{
    proxy->mode = PROXY_CUT;
    shutdown(proxy->listener, SHUT_RDWR); /* also wakes accept() */
    pthread_join(proxy->thread, NULL);
    clean_up(proxy);
}
