/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libusb_virtual.c - libusb-1.0 on virtual slots: contexts, devices, handles, control requests. */
#include "libusb_objects.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "usb_clock.h"

#define DEVICES_MAX 64
#define NODES_MAX 1024
#define KERNEL_CONTROL_MS 5000 /* the kernel's own limit of its requests */
#define STRING_MS 1000         /* libusb's */

/* ---- contexts ---- */

static atomic_size_t contexts;
static struct libusb_context *all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

static void enter(struct libusb_context *context)
{
    atomic_store(&context->handled, virtual_comings_and_goings());
    pthread_mutex_lock(&all_lock);
    context->next = all;
    all = context;
    pthread_mutex_unlock(&all_lock);
}

static void leave(struct libusb_context *context)
{
    pthread_mutex_lock(&all_lock);
    for (struct libusb_context **at = &all; *at; at = &(*at)->next)
        if (*at == context) {
            *at = context->next;
            break;
        }
    pthread_mutex_unlock(&all_lock);
}

size_t libusb_virtual_unhandled(void)
{
    unsigned most = 0;
    pthread_mutex_lock(&all_lock);
    for (const struct libusb_context *at = all; at; at = at->next) {
        const unsigned unhandled = virtual_comings_and_goings() - atomic_load(&at->handled);
        most = unhandled > most ? unhandled : most;
    }
    pthread_mutex_unlock(&all_lock);
    return most;
}

int LIBUSB_CALL libusb_init(libusb_context **context)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    if (!context) /* the process's own one: no driver should use it */
        return LIBUSB_ERROR_NOT_SUPPORTED;
    *context = calloc(1, sizeof **context);
    if (!*context)
        return LIBUSB_ERROR_NO_MEM;
    atomic_fetch_add(&contexts, 1);
    enter(*context);
    libusb_count(1);
    return 0;
}

#if LIBUSB_API_VERSION >= 0x0100010A
int LIBUSB_CALL libusb_init_context(libusb_context **context, const struct libusb_init_option options[], int count)
{
    (void)options;
    (void)count;
    return libusb_init(context);
}
#endif

void LIBUSB_CALL libusb_exit(libusb_context *context)
{
    if (!context)
        return;
    atomic_fetch_sub(&contexts, 1);
    leave(context);
    libusb_count(-1);
    free(context);
}

size_t virtual_open_ports(void)
{
    const size_t open = atomic_load(&contexts);
    return open > 0 ? open : libusb_virtual_held();
}

int64_t usb_clock_ms(struct libusb_context *context)
{
    return context->slot ? virtual_now_us(context->slot) / 1000 : 0;
}

/* ---- nodes: the driver opens them itself ---- */

static struct virtual_slot *nodes[NODES_MAX]; /* by file descriptor */

int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);   /* what glibc's _FORTIFY_SOURCE makes of them */
int __wrap___open64_2(const char *path, int flags); /* where no mode is given; for clang from glibc 2.39 on */
int __real_open64(const char *path, int flags, ...);

static int open_node(struct virtual_slot *slot)
{
    virtual_lock(slot);
    const bool plugged = host_plugged(slot->host);
    const int denied = slot->denied;
    const int node = plugged && !denied ? fcntl(slot->node, F_DUPFD_CLOEXEC, 0) : -1;
    virtual_unlock(slot);
    if (!plugged || denied) {
        errno = denied ? denied : ENOENT;
        return -1;
    }
    if (node >= 0 && node < NODES_MAX)
        nodes[node] = slot;
    return node;
}

int __wrap_open64(const char *path, int flags, ...)
{
    uint8_t bus, address;
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (libusb_virtual_fails("open")) {
        errno = EMFILE;
        return -1;
    }
    if (!virtual_parse_node(path, &bus, &address))
        return __real_open64(path, flags, mode);
    struct virtual_slot *const slot = virtual_slot_at(bus, address);
    if (slot)
        return open_node(slot);
    errno = ENOENT;
    return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return __wrap_open64(path, flags, mode);
}

int __wrap___open_2(const char *path, int flags)
{
    return __wrap_open64(path, flags);
}

int __wrap___open64_2(const char *path, int flags)
{
    return __wrap_open64(path, flags);
}

/* ---- devices ---- */

static libusb_device *new_device(libusb_context *context, struct virtual_slot *slot)
{
    libusb_device *const device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    *device = (struct libusb_device){ .context = context, .slot = slot, .references = 1 };
    libusb_count(1);
    return device;
}

void LIBUSB_CALL libusb_unref_device(libusb_device *device)
{
    if (--device->references > 0)
        return;
    libusb_count(-1);
    free(device);
}

ssize_t LIBUSB_CALL libusb_get_device_list(libusb_context *context, libusb_device ***list)
{
    struct virtual_slot *slots[DEVICES_MAX];
    const int error = libusb_fault(__func__);
    const size_t most = virtual_slots(slots, DEVICES_MAX);
    libusb_device **const devices = error ? NULL : calloc(most + 1, sizeof *devices);
    size_t count = 0;
    if (!devices)
        return error ? error : LIBUSB_ERROR_NO_MEM;
    libusb_count(1);
    for (size_t i = 0; i < most; i++) {
        virtual_lock(slots[i]);
        if (host_plugged(slots[i]->host) && (devices[count] = new_device(context, slots[i])) != NULL)
            count++;
        virtual_unlock(slots[i]);
    }
    *list = devices;
    return (ssize_t)count;
}

void LIBUSB_CALL libusb_free_device_list(libusb_device **list, int unref)
{
    if (!list)
        return;
    for (size_t i = 0; unref && list[i]; i++)
        libusb_unref_device(list[i]);
    libusb_count(-1);
    free(list);
}

uint8_t LIBUSB_CALL libusb_get_bus_number(libusb_device *device)
{
    return device->slot->bus;
}

uint8_t LIBUSB_CALL libusb_get_device_address(libusb_device *device)
{
    return device->slot->address;
}

libusb_device *LIBUSB_CALL libusb_get_device(libusb_device_handle *handle)
{
    return handle->device;
}

/* ---- handles ---- */

/* Takes over the reference to the device. */
static int new_handle(libusb_device *device, libusb_device_handle **handle)
{
    *handle = calloc(1, sizeof **handle);
    if (!*handle) {
        libusb_unref_device(device);
        return LIBUSB_ERROR_NO_MEM;
    }
    device->context->slot = device->slot;
    **handle = (struct libusb_device_handle){ .device = device, .plugged = device->slot->plugged };
    libusb_count(1);
    return 0;
}

int LIBUSB_CALL libusb_open(libusb_device *device, libusb_device_handle **handle)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    if (!host_plugged(device->slot->host))
        return LIBUSB_ERROR_NO_DEVICE;
    if (device->slot->denied)
        return LIBUSB_ERROR_ACCESS;
    device->references++;
    return new_handle(device, handle);
}

int LIBUSB_CALL libusb_wrap_sys_device(libusb_context *context, intptr_t node, libusb_device_handle **handle)
{
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    struct virtual_slot *const slot = node >= 0 && node < NODES_MAX ? nodes[node] : NULL;
    if (!slot || !host_plugged(slot->host))
        return LIBUSB_ERROR_NO_DEVICE;
    libusb_device *const device = new_device(context, slot);
    return device ? new_handle(device, handle) : LIBUSB_ERROR_NO_MEM;
}

void LIBUSB_CALL libusb_close(libusb_device_handle *handle)
{
    if (!handle)
        return;
    struct virtual_slot *const slot = handle->device->slot;
    virtual_lock(slot);
    libusb_drop(handle->device->context);
    for (size_t i = 0; i < 256; i++)
        if (slot->claims[i] == handle)
            slot->claims[i] = NULL;
    virtual_unlock(slot);
    libusb_unref_device(handle->device);
    libusb_count(-1);
    free(handle);
}

static int claim(libusb_device_handle *handle, int number)
{
    struct virtual_slot *const slot = handle->device->slot;
    if (number < 0 || number >= 256)
        return LIBUSB_ERROR_INVALID_PARAM;
    if (slot->occupied[number] || (slot->claims[number] && slot->claims[number] != handle))
        return LIBUSB_ERROR_BUSY;
    slot->claims[number] = handle;
    return 0;
}

int LIBUSB_CALL libusb_claim_interface(libusb_device_handle *handle, int number)
{
    int error = libusb_fault(__func__);
    if (error)
        return error;
    error = libusb_enter(handle) ? claim(handle, number) : LIBUSB_ERROR_NO_DEVICE;
    libusb_leave(handle);
    return error;
}

/* No kernel driver binds to a CCID interface. */
int LIBUSB_CALL libusb_kernel_driver_active(libusb_device_handle *handle, int number)
{
    (void)number;
    int error = libusb_fault(__func__);
    if (error)
        return error;
    error = libusb_enter(handle) ? 0 : LIBUSB_ERROR_NO_DEVICE;
    libusb_leave(handle);
    return error;
}

int LIBUSB_CALL libusb_release_interface(libusb_device_handle *handle, int number)
{
    int error = libusb_fault(__func__);
    if (error)
        return error;
    struct virtual_slot *const slot = handle->device->slot;
    if (!libusb_enter(handle))
        error = LIBUSB_ERROR_NO_DEVICE;
    else if (number < 0 || number >= 256 || slot->claims[number] != handle)
        error = LIBUSB_ERROR_NOT_FOUND;
    else
        slot->claims[number] = NULL;
    libusb_leave(handle);
    return error;
}

/* ---- control requests ---- */

static int request(libusb_device_handle *handle, const struct setup *setup, uint8_t *data, unsigned timeout_ms)
{
    const int result = libusb_enter(handle) ? libusb_control(handle->device->slot, setup, data, timeout_ms)
                                            : LIBUSB_ERROR_NO_DEVICE;
    libusb_leave(handle);
    return result;
}

int LIBUSB_CALL libusb_control_transfer(libusb_device_handle *handle, uint8_t request_type, uint8_t code,
                                        uint16_t value, uint16_t index, unsigned char *data, uint16_t length,
                                        unsigned timeout)
{
    const struct setup setup = { request_type, code, value, index, length };
    const int error = libusb_fault(__func__);
    return error ? error : request(handle, &setup, data, timeout);
}

int LIBUSB_CALL libusb_clear_halt(libusb_device_handle *handle, unsigned char endpoint)
{
    const struct setup setup = { .request_type = 0x02, .request = LIBUSB_REQUEST_CLEAR_FEATURE, .index = endpoint };
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    const int result = request(handle, &setup, NULL, KERNEL_CONTROL_MS);
    return result < 0 ? result : 0;
}

int LIBUSB_CALL libusb_get_configuration(libusb_device_handle *handle, int *configuration)
{
    int error = libusb_fault(__func__);
    if (error)
        return error;
    error = libusb_enter(handle) ? 0 : LIBUSB_ERROR_NO_DEVICE;
    *configuration = handle->device->slot->device->configuration; /* as the kernel remembers it */
    libusb_leave(handle);
    return error;
}

int LIBUSB_CALL libusb_set_configuration(libusb_device_handle *handle, int configuration)
{
    const struct setup setup = { .request = LIBUSB_REQUEST_SET_CONFIGURATION, .value = (uint16_t)configuration };
    const int error = libusb_fault(__func__);
    if (error)
        return error;
    for (size_t i = 0; i < 256; i++)
        if (handle->device->slot->claims[i])
            return LIBUSB_ERROR_BUSY;
    const int result = request(handle, &setup, NULL, KERNEL_CONTROL_MS);
    return result < 0 ? result : 0;
}

static int read_string(libusb_device_handle *handle, uint8_t index, uint16_t language, uint8_t bytes[255])
{
    const struct setup setup = { .request_type = 0x80, .request = LIBUSB_REQUEST_GET_DESCRIPTOR,
                                 .value = (uint16_t)(LIBUSB_DT_STRING << 8 | index), .index = language, .length = 255 };
    const int length = request(handle, &setup, bytes, STRING_MS);
    if (length < 0)
        return length;
    return length >= 2 && bytes[1] == LIBUSB_DT_STRING && bytes[0] <= length ? bytes[0] : LIBUSB_ERROR_IO;
}

int LIBUSB_CALL libusb_get_string_descriptor_ascii(libusb_device_handle *handle, uint8_t index, unsigned char *text,
                                                   int size)
{
    uint8_t bytes[255] = { 0 };
    const int error = libusb_fault(__func__);
    if (error || index == 0)
        return error ? error : LIBUSB_ERROR_INVALID_PARAM;
    int length = read_string(handle, 0, 0, bytes);
    if (length < 4)
        return length < 0 ? length : LIBUSB_ERROR_IO;
    length = read_string(handle, index, (uint16_t)(bytes[2] | bytes[3] << 8), bytes);
    if (length < 0)
        return length;
    int count = 0;
    for (int at = 2; at + 1 < length && count < size - 1; at += 2)
        text[count++] = bytes[at + 1] || bytes[at] & 0x80 ? '?' : bytes[at];
    text[count] = '\0';
    return count;
}

const char *LIBUSB_CALL libusb_error_name(int error)
{
    return error == LIBUSB_ERROR_TIMEOUT ? "LIBUSB_ERROR_TIMEOUT" : "LIBUSB_ERROR";
}
