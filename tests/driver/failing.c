/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* failing.c - calls of the C library that fail when libusb_virtual_fail() says so; to be linked with --wrap. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libusb_virtual.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_eventfd(unsigned count, int flags);
int __real_fchmod(int file, mode_t mode);
ssize_t __real_getrandom(void *bytes, size_t size, unsigned flags);
int __real_openat64(int directory, const char *path, int flags, ...);
int __real_renameat(int old_directory, const char *old_name, int new_directory, const char *new_name);
ssize_t __real_write(int file, const void *bytes, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_fchmod(int file, mode_t mode);
ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...);
int __wrap_renameat(int old_directory, const char *old_name, int new_directory, const char *new_name);
ssize_t __wrap_write(int file, const void *bytes, size_t size);

static bool fails(const char *function, int error)
{
    const bool result = libusb_virtual_fails(function);
    if (result)
        errno = error;
    return result;
}

void *__wrap_malloc(size_t size)
{
    return fails("malloc", ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails("calloc", ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails("realloc", ENOMEM) ? NULL : __real_realloc(memory, size);
}

int __wrap_eventfd(unsigned count, int flags)
{
    return fails("eventfd", EMFILE) ? -1 : __real_eventfd(count, flags);
}

int __wrap_fchmod(int file, mode_t mode)
{
    return fails("fchmod", EPERM) ? -1 : __real_fchmod(file, mode);
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    return fails("getrandom", EAGAIN) ? -1 : __real_getrandom(bytes, size, flags);
}

int __wrap_openat64(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails("openat", EACCES) ? -1 : __real_openat64(directory, path, flags, mode);
}

int __wrap_openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return __wrap_openat64(directory, path, flags, mode);
}

int __wrap_renameat(int old_directory, const char *old_name, int new_directory, const char *new_name)
{
    return fails("renameat", ENOSPC) ? -1 : __real_renameat(old_directory, old_name, new_directory, new_name);
}

ssize_t __wrap_write(int file, const void *bytes, size_t size)
{
    return fails("write", ENOSPC) ? -1 : __real_write(file, bytes, size);
}
