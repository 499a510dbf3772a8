/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usb.c - one CCID interface of one USB device, by libusb-1.0.
 *
 * Each port has a libusb context of its own: no other reader's events are ever handled here, and no option of the
 * process's default context, which other drivers use, is touched. Transfers carry no time-out of their own; the wait
 * has one deadline, so no timer is armed for them.
 */
#include "usb.h"
#include <errno.h>
#include <fcntl.h>
#include <libusb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"
#include "usb_clock.h"

#define CANCEL_LIMIT_MS 2000 /* the kernel completes a cancelled transfer at once; never hang if it does not */
#define CLASS_DESCRIPTOR_TYPE 0x21
#define CONFIGURATION_MAX 1024
#define REQUEST_ABORT 1 /* CCID 1.1 §5.3.1 */
#define CONTROL_LIMIT_MS 1000

/* One transfer, used again and again. */
struct pipe {
    enum { PIPE_IDLE, PIPE_POSTED, PIPE_ENDED } state;
    struct libusb_transfer *transfer;
    struct usb_port *port;
};

struct usb_port {
    libusb_context *context;
    libusb_device_handle *handle;
    int node; /* our own descriptor of the device node, -1 when libusb has opened it */
    uint8_t interface_number;
    uint8_t strings[3]; /* indexes, by enum usb_string */
    bool claimed, gone;
    struct pipe in, out;
    const uint8_t *out_data;
    size_t out_length, out_moved;
    uint32_t *moved; /* the caller's, or NULL */
    int news; /* libusb stops handling events when it is set */
    atomic_bool cancelled, interrupted;
};

int64_t usb_now_ms(const struct usb_port *port)
{
    return usb_clock_ms(port->context);
}

/* ---- open: find the device ---- */

static enum err translate(int libusb_error)
{
    switch (libusb_error) {
    case LIBUSB_SUCCESS:
        return ERR_NONE;
    case LIBUSB_ERROR_NO_DEVICE:
    case LIBUSB_ERROR_NOT_FOUND:
        return ERR_GONE;
    case LIBUSB_ERROR_ACCESS:
        return ERR_ACCESS;
    case LIBUSB_ERROR_BUSY:
        return ERR_BUSY;
    case LIBUSB_ERROR_NO_MEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

static int make_context(libusb_context **context, bool discover)
{
#if LIBUSB_API_VERSION >= 0x0100010A
    const struct libusb_init_option option = { .option = LIBUSB_OPTION_NO_DEVICE_DISCOVERY };
    return libusb_init_context(context, &option, discover ? 0 : 1);
#else
    (void)discover; /* this libusb scans the bus at every init: the option would reach everybody's contexts */
    return libusb_init(context);
#endif
}

static enum err open_node(struct usb_port *port, const char *node)
{
    port->node = open(node, O_RDWR | O_CLOEXEC);
    if (port->node < 0)
        return errno == EACCES || errno == EPERM ? ERR_ACCESS : ERR_NO_DEVICE;
    const enum err err = translate(libusb_wrap_sys_device(port->context, (intptr_t)port->node, &port->handle));
    return err == ERR_GONE ? ERR_NO_DEVICE : err;
}

static enum err open_address(struct usb_port *port, uint8_t bus, uint8_t address)
{
    libusb_device **list;
    enum err err = ERR_NO_DEVICE;
    const ssize_t count = libusb_get_device_list(port->context, &list);
    if (count < 0)
        return translate((int)count);
    for (ssize_t i = 0; i < count; i++)
        if (libusb_get_bus_number(list[i]) == bus && libusb_get_device_address(list[i]) == address)
            err = translate(libusb_open(list[i], &port->handle));
    libusb_free_device_list(list, 1);
    return err == ERR_GONE ? ERR_NO_DEVICE : err;
}

/* ---- open: what the descriptors say ---- */

/* Looks for the CCID class descriptor among what follows an interface or endpoint descriptor. The first counts. */
static void find_class_descriptor(struct usb_identity *identity, const uint8_t *extra, int extra_length)
{
    const size_t length = extra_length > 0 && !identity->class_descriptor_len ? (size_t)extra_length : 0;
    for (size_t at = 0; at + 2 <= length && extra[at] >= 2 && extra[at] <= length - at; at += extra[at])
        if (extra[at + 1] == CLASS_DESCRIPTOR_TYPE && extra[at] == sizeof identity->class_descriptor) {
            memcpy(identity->class_descriptor, extra + at, sizeof identity->class_descriptor);
            identity->class_descriptor_len = sizeof identity->class_descriptor;
            return;
        }
}

static void take_endpoint(struct usb_identity *identity, uint8_t address, uint8_t attributes, uint16_t packet_size)
{
    if ((attributes & 3) != LIBUSB_TRANSFER_TYPE_BULK)
        return;
    if (!(address & LIBUSB_ENDPOINT_IN)) {
        identity->bulk_out = address;
    } else if (packet_size >= 1 && packet_size <= 1024) {
        identity->bulk_in = address;
        identity->packet_size = packet_size;
    }
}

static void take_interface(struct usb_identity *identity, const struct libusb_interface_descriptor *interface)
{
    identity->interface_class = interface->bInterfaceClass;
    find_class_descriptor(identity, interface->extra, interface->extra_length);
    for (uint8_t i = 0; i < interface->bNumEndpoints; i++) {
        const struct libusb_endpoint_descriptor *endpoint = &interface->endpoint[i];
        find_class_descriptor(identity, endpoint->extra, endpoint->extra_length); /* some devices put it last */
        take_endpoint(identity, endpoint->bEndpointAddress, endpoint->bmAttributes, endpoint->wMaxPacketSize);
    }
}

static const struct libusb_interface_descriptor *find_interface(const struct libusb_config_descriptor *config,
                                                                uint8_t number)
{
    for (uint8_t i = 0; i < config->bNumInterfaces; i++)
        if (config->interface[i].num_altsetting > 0 && config->interface[i].altsetting[0].bInterfaceNumber == number)
            return &config->interface[i].altsetting[0];
    return NULL;
}

/* Descriptor by descriptor, as they come from the device. */
static enum err walk_configuration(struct usb_identity *identity, const uint8_t *bytes, size_t length)
{
    bool inside = false, found = false;
    for (size_t at = 0; at + 2 <= length && bytes[at] >= 2 && bytes[at] <= length - at; at += bytes[at]) {
        const uint8_t *const d = bytes + at;
        if (d[1] == LIBUSB_DT_INTERFACE && d[0] >= LIBUSB_DT_INTERFACE_SIZE) {
            inside = !found && d[2] == identity->interface_number && d[3] == 0;
            found = found || inside;
            if (inside)
                identity->interface_class = d[5];
        } else if (inside && d[1] == LIBUSB_DT_ENDPOINT && d[0] >= LIBUSB_DT_ENDPOINT_SIZE) {
            take_endpoint(identity, d[2], d[3], (uint16_t)(d[4] | d[5] << 8));
        } else if (inside) {
            find_class_descriptor(identity, d, d[0]);
        }
    }
    return found ? ERR_NONE : ERR_NOT_CCID;
}

/* libusb refuses a configuration that says it is longer than it is; there are keys with such a one. */
static enum err ask_configuration(libusb_device_handle *handle, struct usb_identity *identity)
{
    uint8_t bytes[CONFIGURATION_MAX];
    int length = libusb_get_descriptor(handle, LIBUSB_DT_CONFIG, 0, bytes, sizeof bytes);
    if (length == LIBUSB_ERROR_IO || length == LIBUSB_ERROR_PIPE) /* pcscd opens a key only once; to be asked is nothing */
        length = libusb_get_descriptor(handle, LIBUSB_DT_CONFIG, 0, bytes, sizeof bytes);
    if (length < 0)
        return translate(length);
    return walk_configuration(identity, bytes, (size_t)length);
}

static enum err read_configuration(libusb_device_handle *handle, struct usb_identity *identity)
{
    libusb_device *const device = libusb_get_device(handle);
    struct libusb_config_descriptor *config;
    if (libusb_get_active_config_descriptor(device, &config) != 0 &&
        libusb_get_config_descriptor(device, 0, &config) != 0)
        return ask_configuration(handle, identity);
    const struct libusb_interface_descriptor *interface = find_interface(config, identity->interface_number);
    if (interface)
        take_interface(identity, interface);
    libusb_free_config_descriptor(config);
    return interface ? ERR_NONE : ERR_NOT_CCID;
}

/* devtmpfs numbers its inodes upwards. Times will not do: they change with the permissions. */
static uint64_t inode(const struct usb_port *port)
{
    struct stat status;
    return port->node >= 0 && fstat(port->node, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static enum err identify(struct usb_port *port, const struct usb_place *place, struct usb_identity *identity)
{
    libusb_device *device = libusb_get_device(port->handle);
    struct libusb_device_descriptor descriptor;
    if (libusb_get_device_descriptor(device, &descriptor) != 0)
        return ERR_IO;
    if (descriptor.idVendor != place->vendor_id || descriptor.idProduct != place->product_id)
        return ERR_NOT_CCID; /* another device has got the address meanwhile */
    *identity = (struct usb_identity){
        .vendor_id = descriptor.idVendor, .product_id = descriptor.idProduct, .bcd_device = descriptor.bcdDevice,
        .bus = libusb_get_bus_number(device), .address = libusb_get_device_address(device),
        .interface_number = place->interface_number, .node = inode(port),
    };
    port->interface_number = place->interface_number;
    port->strings[USB_STRING_MANUFACTURER] = descriptor.iManufacturer;
    port->strings[USB_STRING_PRODUCT] = descriptor.iProduct;
    port->strings[USB_STRING_SERIAL] = descriptor.iSerialNumber;
    return read_configuration(port->handle, identity);
}

static void fill(struct usb_port *port, struct pipe *pipe, uint8_t endpoint);

static enum err open_port(struct usb_port *port, const struct usb_place *place, struct usb_identity *identity)
{
    if (make_context(&port->context, place->node[0] == '\0') != 0)
        return ERR_IO;
    enum err err = place->node[0] ? open_node(port, place->node) : open_address(port, place->bus, place->address);
    if (err == ERR_NONE)
        err = identify(port, place, identity);
    if (err != ERR_NONE)
        return err;
    port->in.transfer = libusb_alloc_transfer(0);
    port->out.transfer = libusb_alloc_transfer(0);
    if (!port->in.transfer || !port->out.transfer)
        return ERR_NO_MEMORY;
    fill(port, &port->in, identity->bulk_in);
    fill(port, &port->out, identity->bulk_out);
    return ERR_NONE;
}

enum err usb_open(struct usb_port **result, const struct usb_place *place, struct usb_identity *identity)
{
    struct usb_port *port = calloc(1, sizeof *port);
    *result = NULL;
    if (!port)
        return ERR_NO_MEMORY;
    port->node = -1;
    const enum err err = open_port(port, place, identity);
    if (err == ERR_NONE)
        *result = port;
    else
        usb_close(port);
    return err;
}

enum err usb_claim(struct usb_port *port)
{
    const enum err err = translate(libusb_claim_interface(port->handle, port->interface_number));
    port->claimed = err == ERR_NONE;
    return err;
}

void usb_close(struct usb_port *port)
{
    if (!port)
        return;
    usb_take_back_in(port);
    (void)usb_take_back_out(port, 0);
    if (port->claimed)
        libusb_release_interface(port->handle, port->interface_number);
    if (port->handle)
        libusb_close(port->handle);
    if (port->node >= 0)
        close(port->node); /* the kernel gives back what it has not given back yet: now they can be freed */
    libusb_free_transfer(port->in.transfer);
    libusb_free_transfer(port->out.transfer);
    if (port->context)
        libusb_exit(port->context);
    free(port);
}

/* ---- transfers ---- */

/* The kernel ends transfers as those of a lost device also when another program resets it, and then the device stays.
 * This asks the kernel alone, which says nothing until such a reset is over. */
static bool is_gone(const struct usb_port *port)
{
    return libusb_kernel_driver_active(port->handle, port->interface_number) == LIBUSB_ERROR_NO_DEVICE;
}

static void LIBUSB_CALL ended(struct libusb_transfer *transfer)
{
    struct pipe *pipe = transfer->user_data;
    struct usb_port *port = pipe->port;
    pipe->state = PIPE_ENDED;
    if (transfer->status == LIBUSB_TRANSFER_NO_DEVICE)
        port->gone = is_gone(port);
    if (pipe == &port->out)
        port->out_moved += transfer->actual_length > 0 ? (size_t)transfer->actual_length : 0;
    if (pipe == &port->out && port->moved)
        *port->moved = (uint32_t)port->out_moved;
    if (pipe == &port->in || transfer->status != LIBUSB_TRANSFER_COMPLETED)
        port->news = 1;
}

static void fill(struct usb_port *port, struct pipe *pipe, uint8_t endpoint)
{
    pipe->port = port;
    libusb_fill_bulk_transfer(pipe->transfer, port->handle, endpoint, NULL, 0, ended, pipe, 0);
}

static enum err submit(struct pipe *pipe, uint8_t *data, size_t length)
{
    pipe->transfer->buffer = data;
    pipe->transfer->length = (int)length;
    const enum err err = translate(libusb_submit_transfer(pipe->transfer));
    if (err == ERR_NONE)
        pipe->state = PIPE_POSTED;
    if (err == ERR_GONE)
        pipe->port->gone = true;
    return err;
}

enum err usb_post_in(struct usb_port *port, uint8_t *buffer, size_t size)
{
    if (port->gone)
        return ERR_GONE;
    return port->in.state == PIPE_IDLE ? submit(&port->in, buffer, size) : ERR_NONE;
}

enum err usb_post_out(struct usb_port *port, const uint8_t *data, size_t length, uint32_t *moved)
{
    if (port->out.state == PIPE_POSTED) /* the kernel has not given the last one back */
        return ERR_IO;
    port->out_data = data;
    port->out_length = length;
    port->out_moved = 0;
    port->moved = moved;
    return submit(&port->out, (uint8_t *)data, length);
}

/* ---- waiting ---- */

/* false: libusb cannot wait, and trying again at once would only keep the processor busy. */
static bool handle_events(struct usb_port *port, int64_t ms)
{
    struct timeval limit = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
    const int error = libusb_handle_events_timeout_completed(port->context, &limit, &port->news);
    return error == LIBUSB_SUCCESS || error == LIBUSB_ERROR_INTERRUPTED; /* by a signal */
}

static enum usb_event in_event(const struct usb_port *port)
{
    switch (port->in.transfer->status) {
    case LIBUSB_TRANSFER_COMPLETED:
        return USB_RECEIVED;
    case LIBUSB_TRANSFER_STALL:
        return USB_STALLED_IN;
    case LIBUSB_TRANSFER_OVERFLOW:
        return USB_OVERRUN;
    case LIBUSB_TRANSFER_NO_DEVICE: /* and yet it is there, or that would have been said before */
    case LIBUSB_TRANSFER_ERROR:
    case LIBUSB_TRANSFER_TIMED_OUT:
    case LIBUSB_TRANSFER_CANCELLED:
        break;
    }
    return USB_FAILED_IN;
}

static bool out_has_failed(const struct usb_port *port)
{
    return port->out.state == PIPE_ENDED && port->out.transfer->status != LIBUSB_TRANSFER_COMPLETED;
}

static bool has_received(const struct usb_port *port)
{
    return port->in.state == PIPE_ENDED && port->in.transfer->status == LIBUSB_TRANSFER_COMPLETED;
}

/* What has ended and not been told yet; false: nothing. When both have failed, nobody is to read once more for the answer
 * to what has not left: on a device that is about to go the kernel may never give such a transfer back (vhci_hcd). */
static bool next_news(struct usb_port *port, struct usb_news *news)
{
    *news = (struct usb_news){ .event = USB_FAILED_OUT };
    if (atomic_load(&port->cancelled)) {
        news->event = USB_CANCELLED;
    } else if (port->gone) {
        news->event = USB_GONE;
    } else if (out_has_failed(port) && !has_received(port)) {
        port->out.state = PIPE_IDLE;
        if (port->out.transfer->status == LIBUSB_TRANSFER_STALL)
            news->event = USB_STALLED_OUT;
    } else if (port->in.state == PIPE_ENDED) {
        port->in.state = PIPE_IDLE;
        news->event = in_event(port);
        news->length = (size_t)port->in.transfer->actual_length;
    } else if (atomic_exchange(&port->interrupted, false)) {
        news->event = USB_INTERRUPTED;
    } else {
        return false;
    }
    return true;
}

struct usb_news usb_wait(struct usb_port *port, int64_t deadline_ms)
{
    struct usb_news news;
    bool late = false;
    port->news = 0;
    while (!next_news(port, &news)) {
        const bool idle = port->in.state != PIPE_POSTED && port->out.state != PIPE_POSTED;
        if (late || idle)
            return (struct usb_news){ .event = USB_TIMEOUT };
        const int64_t left = deadline_ms - usb_now_ms(port);
        late = left <= 0; /* look once more at what is there already */
        if (!handle_events(port, late ? 0 : left))
            return (struct usb_news){ .event = USB_FAILED_OUT };
    }
    return news;
}

void usb_forget_others(struct usb_port *port)
{
    port->news = 0;
    (void)handle_events(port, 0);
}

void usb_cancel(struct usb_port *port)
{
    atomic_store(&port->cancelled, true);
    libusb_interrupt_event_handler(port->context);
}

void usb_interrupt(struct usb_port *port)
{
    atomic_store(&port->interrupted, true);
    libusb_interrupt_event_handler(port->context);
}

/* ---- taking back ---- */

static void take_back(struct pipe *pipe)
{
    struct usb_port *port = pipe->port;
    if (pipe->state == PIPE_POSTED)
        (void)libusb_cancel_transfer(pipe->transfer); /* if it has ended already, its end is still to be handled */
    const int64_t deadline = usb_now_ms(port) + CANCEL_LIMIT_MS;
    bool waiting = pipe->state == PIPE_POSTED;
    while (waiting) {
        port->news = 0;
        waiting = handle_events(port, 100) && pipe->state == PIPE_POSTED && usb_now_ms(port) < deadline;
    }
    if (pipe->state == PIPE_POSTED)
        log_error(NULL, "the kernel does not give a cancelled transfer of the key at %03u/%03u back",
                  libusb_get_bus_number(libusb_get_device(port->handle)),
                  libusb_get_device_address(libusb_get_device(port->handle)));
}

size_t usb_take_back_in(struct usb_port *port)
{
    if (port->in.state == PIPE_IDLE)
        return 0;
    take_back(&port->in);
    if (port->in.state != PIPE_ENDED)
        return 0;
    port->in.state = PIPE_IDLE;
    return port->in.transfer->actual_length > 0 ? (size_t)port->in.transfer->actual_length : 0;
}

/* Sends what is left of a transfer that was taken back half-way. */
static enum err send_rest(struct usb_port *port, int64_t deadline_ms)
{
    uint8_t *const rest = (uint8_t *)port->out_data + port->out_moved;
    const enum err err = submit(&port->out, rest, port->out_length - port->out_moved);
    bool waiting = err == ERR_NONE;
    while (waiting && port->out.state == PIPE_POSTED && usb_now_ms(port) < deadline_ms) {
        port->news = 0;
        waiting = handle_events(port, deadline_ms - usb_now_ms(port));
    }
    if (err == ERR_NONE)
        take_back(&port->out);
    return err;
}

size_t usb_take_back_out(struct usb_port *port, int64_t deadline_ms)
{
    if (port->out.state != PIPE_IDLE)
        take_back(&port->out);
    /* What has begun to move is completed: the device waits for the rest and would take anything else for it. */
    while (port->out.state == PIPE_ENDED && !port->gone && port->out_moved > 0 && port->out_moved < port->out_length &&
           usb_now_ms(port) < deadline_ms && send_rest(port, deadline_ms) == ERR_NONE)
        ;
    if (port->out.state == PIPE_ENDED)
        port->out.state = PIPE_IDLE;
    return port->out_moved;
}

/* ---- control ---- */

enum err usb_clear_halt(struct usb_port *port, uint8_t endpoint)
{
    const enum err err = translate(libusb_clear_halt(port->handle, endpoint));
    if (err == ERR_GONE)
        port->gone = true;
    return err;
}

enum err usb_abort(struct usb_port *port, uint8_t slot, uint8_t sequence)
{
    const uint8_t request_type =
        (uint8_t)LIBUSB_ENDPOINT_OUT | (uint8_t)LIBUSB_REQUEST_TYPE_CLASS | (uint8_t)LIBUSB_RECIPIENT_INTERFACE;
    const int result = libusb_control_transfer(port->handle, request_type, REQUEST_ABORT,
                                               (uint16_t)(sequence << 8 | slot), port->interface_number, NULL, 0,
                                               CONTROL_LIMIT_MS);
    const enum err err = result == LIBUSB_ERROR_PIPE ? ERR_UNSUPPORTED : translate(result < 0 ? result : 0);
    if (err == ERR_GONE)
        port->gone = true;
    return err;
}

enum err usb_set_configuration(struct usb_port *port)
{
    int configuration;
    (void)usb_take_back_in(port);
    (void)usb_take_back_out(port, usb_now_ms(port));
    libusb_release_interface(port->handle, port->interface_number);
    port->claimed = false;
    enum err err = translate(libusb_get_configuration(port->handle, &configuration));
    if (err == ERR_NONE)
        err = translate(libusb_set_configuration(port->handle, configuration));
    const enum err claimed = usb_claim(port);
    return err == ERR_NONE ? claimed : err;
}

size_t usb_string(struct usb_port *port, enum usb_string which, char *text, size_t size)
{
    if (size == 0)
        return 0;
    text[0] = '\0';
    if (!port->strings[which])
        return 0;
    const int length = libusb_get_string_descriptor_ascii(port->handle, port->strings[which], (unsigned char *)text,
                                                          size > 256 ? 256 : (int)size);
    text[length > 0 && (size_t)length < size ? (size_t)length : size - 1] = '\0';
    if (length <= 0)
        text[0] = '\0';
    return strlen(text);
}
