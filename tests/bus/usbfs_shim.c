/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbfs_shim.c - LD_PRELOAD library: Linux's usbfs on top of USB/IP, for a machine whose kernel has no USB device.
 *
 * What it wants from whoever plays the kernel's part (fakeusb.py):
 *   /dev/bus/usb/BBB/DDD         a regular, writable file (mode 0666) with what reading a usbfs node gives: the device
 *                                descriptor and all configuration descriptors, the bytes of sysfs' "descriptors"
 *   $USBFS_SHIM_DIR/BBB-DDD      the AF_UNIX socket of the device's USB/IP server, or a symbolic link to it;
 *                                the server exports the device as bus id "1-1".  USBFS_SHIM_DIR is /run/usbfs if unset.
 * A node without such a socket, and every other file, passes through untouched; unplugged means that the node is gone.
 *
 * A program's file descriptor is the node's own, so that reading, seeking, fstat and inotify are those of a file; what
 * usbfs does differently is done here:
 *   open for writing             imports the device, and configures it if nobody has; a plain file otherwise
 *   ioctl, close                 usbfs_file.h
 *   poll                         POLLOUT = a URB can be reaped, POLLERR|POLLHUP = unplugged
 * After a fork the child has plain files. Not there: select and epoll, copies made by dup().
 * USBFS_SHIM_LOG=FILE appends what happens to FILE.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "usbfs_file.h"
#include "usbfs_log.h"

#define FILES_MAX 1024 /* descriptors above are refused */

/* Our functions have names of their own in C, because the headers may redirect or wrap those of the C library. */
#define REPLACES(name) __asm__(name) __attribute__((visibility("default")))

/* ---- the C library behind us ---- */

static struct {
    int (*openat)(int directory, const char *path, int flags, ...);
    int (*close)(int fd);
    int (*ioctl)(int fd, unsigned long request, ...);
    int (*poll)(struct pollfd *fds, nfds_t count, int timeout_ms);
    int (*ppoll)(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
} real;

/* ---- the open nodes ---- */

struct opened {
    struct usbfs_file *file;
    unsigned references; /* one is the table's; a call in another thread may last longer than its descriptor */
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct opened *_Atomic table[FILES_MAX]; /* by descriptor; written under the lock */

static void lock_table(void)
{
    pthread_mutex_lock(&table_lock);
}

static void unlock_table(void)
{
    pthread_mutex_unlock(&table_lock);
}

/* In the child of a fork: it has neither the threads nor, sensibly, the device. */
static void forget_table(void)
{
    for (size_t fd = 0; fd < FILES_MAX; fd++)
        table[fd] = NULL;
    unlock_table();
}

static bool is_ours(int fd)
{
    return fd >= 0 && fd < FILES_MAX && table[fd];
}

/* NULL: not ours. To be given back by put(). */
static struct opened *get(int fd)
{
    if (!is_ours(fd)) /* without the lock: most descriptors are not */
        return NULL;
    lock_table();
    struct opened *opened = table[fd];
    if (opened)
        opened->references++;
    unlock_table();
    return opened;
}

static void put(struct opened *opened)
{
    if (!opened)
        return;
    lock_table();
    const bool last = --opened->references == 0;
    unlock_table();
    if (!last)
        return;
    usbfs_file_close(opened->file);
    free(opened);
}

/* ---- start ---- */

/* Fills in a pointer to a function, which ISO C does not let us convert from dlsym()'s result. */
static void find_next(const char *name, void *pointer)
{
    void *const function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort(); /* no C library that we know */
    memcpy(pointer, &function, sizeof function);
}

static void start(void)
{
    find_next("openat64", &real.openat);
    find_next("close", &real.close);
    find_next("ioctl", &real.ioctl);
    find_next("poll", &real.poll);
    find_next("ppoll", &real.ppoll);
    usbfs_log_open();
    pthread_atfork(lock_table, unlock_table, forget_table);
}

/* Other libraries may start before this one, so every function asks for it. */
static void ensure_started(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

/* ---- open and close ---- */

/* The socket of the server behind a node. false: the path is no node, or its device is not ours. */
static bool find_socket(const char *path, char *socket_path, size_t size)
{
    unsigned bus, device;
    int end = 0;
    if (sscanf(path, "/dev/bus/usb/%3u/%3u%n", &bus, &device, &end) != 2 || path[end])
        return false;
    const char *directory = secure_getenv("USBFS_SHIM_DIR");
    const int n = snprintf(socket_path, size, "%s/%03u-%03u", directory ? directory : "/run/usbfs", bus, device);
    return n > 0 && (size_t)n < size && access(socket_path, F_OK) == 0;
}

static bool attach(int fd, const char *socket_path)
{
    struct opened *opened = fd < FILES_MAX ? calloc(1, sizeof *opened) : NULL;
    if (!opened) {
        errno = EMFILE;
        return false;
    }
    opened->references = 1;
    opened->file = usbfs_file_open(fd, socket_path);
    if (!opened->file) {
        free(opened);
        return false;
    }
    lock_table();
    table[fd] = opened;
    unlock_table();
    return true;
}

static int open_path(int directory, const char *path, int flags, mode_t mode)
{
    char socket_path[256];
    ensure_started();
    const int fd = real.openat(directory, path, flags, mode);
    if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY || !find_socket(path, socket_path, sizeof socket_path))
        return fd;
    const bool attached = attach(fd, socket_path);
    const int error = errno;
    usbfs_log("open %s: %s", path, attached ? "ok" : strerror(error));
    if (attached)
        return fd;
    real.close(fd);
    errno = error;
    return -1;
}

/* The mode is only there when a file may be made. */
#define MODE_ARGUMENT(mode, flags)                                                                                    \
    mode_t mode = 0;                                                                                                  \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                    \
        va_list arguments;                                                                                            \
        va_start(arguments, flags);                                                                                   \
        mode = va_arg(arguments, mode_t);                                                                             \
        va_end(arguments);                                                                                            \
    }

int shim_open(const char *path, int flags, ...) REPLACES("open");
int shim_open(const char *path, int flags, ...)
{
    MODE_ARGUMENT(mode, flags)
    return open_path(AT_FDCWD, path, flags, mode);
}

int shim_open64(const char *path, int flags, ...) REPLACES("open64");
int shim_open64(const char *path, int flags, ...)
{
    MODE_ARGUMENT(mode, flags)
    return open_path(AT_FDCWD, path, flags, mode);
}

int shim_openat(int directory, const char *path, int flags, ...) REPLACES("openat");
int shim_openat(int directory, const char *path, int flags, ...)
{
    MODE_ARGUMENT(mode, flags)
    return open_path(directory, path, flags, mode);
}

int shim_openat64(int directory, const char *path, int flags, ...) REPLACES("openat64");
int shim_openat64(int directory, const char *path, int flags, ...)
{
    MODE_ARGUMENT(mode, flags)
    return open_path(directory, path, flags, mode);
}

/* What open() without a mode becomes in programs built with _FORTIFY_SOURCE, as Debian's libusb is. */
int shim_open_2(const char *path, int flags) REPLACES("__open_2");
int shim_open_2(const char *path, int flags)
{
    return open_path(AT_FDCWD, path, flags, 0);
}

int shim_open64_2(const char *path, int flags) REPLACES("__open64_2");
int shim_open64_2(const char *path, int flags)
{
    return open_path(AT_FDCWD, path, flags, 0);
}

int shim_close(int fd) REPLACES("close");
int shim_close(int fd)
{
    struct opened *opened = NULL;
    ensure_started();
    if (is_ours(fd)) {
        lock_table();
        opened = table[fd];
        table[fd] = NULL;
        unlock_table();
        usbfs_log("close descriptor %d", fd);
    }
    const int result = real.close(fd);
    put(opened);
    return result;
}

/* ---- ioctl ---- */

int shim_ioctl(int fd, unsigned long request, ...) REPLACES("ioctl");
int shim_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    ensure_started();
    struct opened *opened = get(fd);
    if (!opened)
        return real.ioctl(fd, request, argument);
    const int result = usbfs_file_ioctl(opened->file, request, argument);
    put(opened);
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

/* ---- poll ---- */

static bool has_ours(const struct pollfd *fds, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++)
        if (is_ours(fds[i].fd))
            return true;
    return false;
}

static struct pollfd to_ready(struct pollfd wanted, const struct opened *opened)
{
    if (!opened)
        return wanted;
    return (struct pollfd){ .fd = usbfs_file_ready_fd(opened->file), .events = wanted.events & POLLOUT ? POLLIN : 0 };
}

static short from_ready(short revents)
{
    return (short)((revents & POLLIN ? POLLOUT : 0) | (revents & POLLHUP ? POLLHUP | POLLERR : 0));
}

/* An entry that is ours reports something exactly when what stands for it does, so the count stays right. */
static int poll_ready(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    struct pollfd *ready = calloc(count, sizeof *ready);
    struct opened **opened = calloc(count, sizeof *opened);
    int result = -1;
    if (ready && opened) {
        for (nfds_t i = 0; i < count; i++)
            ready[i] = to_ready(fds[i], opened[i] = get(fds[i].fd));
        result = real.ppoll(ready, count, timeout, mask);
    }
    const int error = errno;
    for (nfds_t i = 0; ready && opened && i < count; i++) {
        if (result >= 0)
            fds[i].revents = opened[i] ? from_ready(ready[i].revents) : ready[i].revents;
        put(opened[i]);
    }
    free(ready);
    free(opened);
    errno = error;
    return result;
}

int shim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
    REPLACES("ppoll");
int shim_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    ensure_started();
    return has_ours(fds, count) ? poll_ready(fds, count, timeout, mask) : real.ppoll(fds, count, timeout, mask);
}

int shim_poll(struct pollfd *fds, nfds_t count, int timeout_ms) REPLACES("poll");
int shim_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    const struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
    ensure_started();
    if (!has_ours(fds, count))
        return real.poll(fds, count, timeout_ms);
    return poll_ready(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

int shim_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size) REPLACES("__poll_chk");
int shim_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t size)
{
    if (size / sizeof *fds < count)
        abort(); /* as the C library */
    return shim_poll(fds, count, timeout_ms);
}

int shim_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
    REPLACES("__ppoll_chk");
int shim_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
    if (size / sizeof *fds < count)
        abort();
    return shim_ppoll(fds, count, timeout, mask);
}
