/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus_check.c - what the checks of the test bus are made of. */
#include "bus_check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 8
#define CCID_CLASS 0x0b
#define ATTEMPTS 8 /* to read an answer: older ones may come first */
#define LIMIT_MS 2000

struct ccid ccid;
libusb_context *context;

static const char *node_path, *control_path;
static int fds[FILES_MAX];
static libusb_device_handle *handles[FILES_MAX]; /* of the descriptor at the same place */
static pid_t server;

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *bus_node(void)
{
    return node_path;
}

/* ---- the virtual key ---- */

static int connect_control(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, control_path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool tell(const char *command)
{
    char line[128], answer[128] = "";
    const int fd = connect_control();
    if (fd < 0)
        return false;
    const int length = snprintf(line, sizeof line, "%s\n", command);
    const bool sent = write(fd, line, (size_t)length) == length;
    const bool obeyed = sent && read(fd, answer, sizeof answer - 1) > 0 && strncmp(answer, "ok", 2) == 0;
    close(fd);
    return obeyed;
}

static pid_t find_server(void)
{
    struct ucred peer = { 0 };
    socklen_t size = sizeof peer;
    const int fd = connect_control();
    if (fd < 0)
        return 0;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    close(fd);
    return peer.pid;
}

void stop_server(bool stop)
{
    kill(server, stop ? SIGSTOP : SIGCONT);
}

/* ---- opening ---- */

int open_path(const char *path)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (fds[i] < 0)
            return fds[i] = open(path, O_RDWR | O_CLOEXEC);
    errno = EMFILE;
    return -1;
}

int open_node(void)
{
    return open_path(node_path);
}

void close_node(int fd)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (fd < 0 || fds[i] != fd)
            continue;
        if (handles[i])
            libusb_close(handles[i]);
        handles[i] = NULL;
        fds[i] = -1;
        close(fd);
    }
}

libusb_device_handle *open_handle(bool take)
{
    libusb_device_handle *handle = NULL;
    const int fd = open_node();
    if (fd < 0 || libusb_wrap_sys_device(context, fd, &handle) != 0)
        return NULL;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (fds[i] == fd)
            handles[i] = handle;
    return !take || libusb_claim_interface(handle, (int)ccid.interface) == 0 ? handle : NULL;
}

/* ---- ioctls ---- */

int usbfs(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument) < 0 ? errno : 0;
}

int submit(int fd, struct usbdevfs_urb *urb, unsigned char type, unsigned endpoint, void *bytes, int length)
{
    *urb = (struct usbdevfs_urb){ .type = type, .endpoint = (unsigned char)endpoint, .buffer = bytes,
                                  .buffer_length = length, .status = 1 };
    return usbfs(fd, USBDEVFS_SUBMITURB, urb);
}

int reap(int fd, struct usbdevfs_urb **urb)
{
    return usbfs(fd, USBDEVFS_REAPURB, urb);
}

int reap_now(int fd, struct usbdevfs_urb **urb)
{
    return usbfs(fd, USBDEVFS_REAPURBNDELAY, urb);
}

int claim(int fd, unsigned interface)
{
    return usbfs(fd, USBDEVFS_CLAIMINTERFACE, &interface);
}

int release(int fd, unsigned interface)
{
    return usbfs(fd, USBDEVFS_RELEASEINTERFACE, &interface);
}

int poll_node(int fd, int timeout_ms)
{
    struct pollfd node = { .fd = fd, .events = POLLOUT };
    return poll(&node, 1, timeout_ms) >= 0 ? node.revents : -1;
}

/* ---- exchanges ---- */

static bool move(int fd, unsigned endpoint, uint8_t *bytes, int length)
{
    struct usbdevfs_urb urb, *ended = NULL;
    return submit(fd, &urb, USBDEVFS_URB_TYPE_BULK, endpoint, bytes, length) == 0
           && poll_node(fd, LIMIT_MS) == POLLOUT && reap_now(fd, &ended) == 0 && ended == &urb && urb.status == 0;
}

bool exchange(int fd, uint8_t sequence)
{
    uint8_t command[] = GET_SLOT_STATUS(sequence), answer[64] = { 0 };
    bool ok = move(fd, ccid.bulk_out, command, sizeof command);
    for (int i = 0; ok && i < ATTEMPTS; i++) {
        ok = move(fd, ccid.bulk_in, answer, sizeof answer);
        if (ok && answer[0] == 0x81 && answer[6] == sequence)
            return true;
    }
    return false;
}

bool libusb_exchange(libusb_device_handle *handle, uint8_t sequence)
{
    uint8_t command[] = GET_SLOT_STATUS(sequence), answer[64] = { 0 };
    int n;
    bool ok = libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, LIMIT_MS) == 0;
    for (int i = 0; ok && i < ATTEMPTS; i++) {
        ok = libusb_bulk_transfer(handle, ccid.bulk_in, answer, sizeof answer, &n, LIMIT_MS) == 0;
        if (ok && n == 10 && answer[0] == 0x81 && answer[6] == sequence)
            return true;
    }
    return false;
}

/* ---- before and after ---- */

static void take_endpoint(const struct libusb_endpoint_descriptor *endpoint)
{
    const uint8_t address = endpoint->bEndpointAddress;
    if ((endpoint->bmAttributes & 3) == LIBUSB_TRANSFER_TYPE_INTERRUPT)
        ccid.interrupt_in = address;
    else if (address & LIBUSB_ENDPOINT_IN)
        ccid.bulk_in = address;
    else
        ccid.bulk_out = address;
}

static bool find_ccid(libusb_device_handle *handle)
{
    struct libusb_config_descriptor *configuration;
    bool found = false;
    if (!handle || libusb_get_active_config_descriptor(libusb_get_device(handle), &configuration) != 0)
        return false;
    for (int i = 0; i < configuration->bNumInterfaces; i++) {
        const struct libusb_interface_descriptor *interface = configuration->interface[i].altsetting;
        if (interface->bInterfaceClass != CCID_CLASS)
            continue;
        found = true;
        ccid.interface = interface->bInterfaceNumber;
        for (int j = 0; j < interface->bNumEndpoints; j++)
            take_endpoint(&interface->endpoint[j]);
    }
    libusb_free_config_descriptor(configuration);
    return found;
}

void bus_restore(void)
{
    stop_server(false);
    for (size_t i = 0; i < FILES_MAX; i++)
        close_node(fds[i]);
    (void)tell("freeze off");
    (void)tell("packet none");
    (void)tell("packet cancels reported");
    (void)tell("unplug"); /* an answer that nobody has read is lost with the power */
    (void)tell("plug");
}

bool bus_init(const char *node, const char *control)
{
    node_path = node;
    control_path = control;
    for (size_t i = 0; i < FILES_MAX; i++)
        fds[i] = -1;
    server = find_server();
    if (server <= 0) {
        fprintf(stderr, "%s: nobody answers\n", control);
        return false;
    }
    if (libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY) != 0 || libusb_init(&context) != 0
        || !find_ccid(open_handle(false))) {
        fprintf(stderr, "%s: no CCID device\n", node);
        return false;
    }
    bus_restore();
    return true;
}

void bus_exit(void)
{
    libusb_exit(context);
}
