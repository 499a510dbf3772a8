/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usbfs_file.c - one open usbfs node: the ioctls. */
#include "usbfs_file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/ch9.h>
#include <linux/usbdevice_fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "usbfs_claims.h"
#include "usbfs_descriptors.h"
#include "usbfs_log.h"
#include "usbip_client.h"

#define BUS_ID "1-1"
#define REQUEST_TIMEOUT_MS 5000  /* the kernel's USB_CTRL_SET_TIMEOUT */
#define CONTROL_DATA_MAX 4096    /* of the CONTROL ioctl: a page */

/* USB/IP has no message for the reset of a port; to its servers this request to a hub, sent to a device, means it. */
#define HUB_PORT_RESET 4

struct usbfs_file {
    struct usbip_client *client;
    struct usbfs_descriptors descriptors;
    struct usbfs_claims claims;
    int node; /* a copy of the program's descriptor: of the same open file, which has the claims */
};

/* ---- claims ---- */

static int check_interface(const struct usbfs_file *file, unsigned interface)
{
    if (interface >= USBFS_INTERFACES_MAX)
        return -EINVAL;
    return usbfs_has_interface(&file->descriptors, interface) ? 0 : -ENOENT;
}

static int claim(struct usbfs_file *file, unsigned interface)
{
    const int error = check_interface(file, interface);
    if (error)
        return error;
    return usbfs_claims_take(&file->claims, interface) ? 0 : -EBUSY;
}

static int release(struct usbfs_file *file, unsigned interface)
{
    const int error = check_interface(file, interface);
    if (error)
        return error;
    if (!usbfs_claims_own(&file->claims, interface))
        return -EINVAL;
    usbip_cancel_endpoints(file->client, usbfs_interface_endpoints(&file->descriptors, interface));
    usbfs_claims_drop(&file->claims, interface);
    return 0;
}

static void release_all(struct usbfs_file *file)
{
    for (unsigned interface = 0; interface < USBFS_INTERFACES_MAX; interface++)
        (void)release(file, interface);
}

/* Who uses an interface without a claim gets it, or learns that another has it. */
static int want_interface(struct usbfs_file *file, unsigned interface)
{
    if (interface < USBFS_INTERFACES_MAX && usbfs_claims_own(&file->claims, interface))
        return 0;
    usbfs_log("interface %u is used without a claim", interface);
    return claim(file, interface);
}

/* ---- endpoints ---- */

static int want_endpoint(struct usbfs_file *file, unsigned address, struct usbfs_endpoint *endpoint)
{
    if (address & ~(unsigned)(USB_DIR_IN | USB_ENDPOINT_NUMBER_MASK))
        return -EINVAL;
    *endpoint = usbfs_find_endpoint(&file->descriptors, (uint8_t)address);
    return endpoint->interface < 0 ? -ENOENT : want_interface(file, (unsigned)endpoint->interface);
}

/* A request to an interface or to its endpoint needs its claim, unless it is a vendor's. */
static int want_recipient(struct usbfs_file *file, uint8_t type, unsigned index)
{
    struct usbfs_endpoint endpoint;
    const unsigned low = index & 0xff;
    if ((type & USB_TYPE_MASK) == USB_TYPE_VENDOR)
        return 0;
    switch (type & USB_RECIP_MASK) {
    case USB_RECIP_ENDPOINT:
        return (low & ~(unsigned)USB_DIR_IN) == 0 ? 0 : want_endpoint(file, low, &endpoint);
    case USB_RECIP_INTERFACE:
        return want_interface(file, low);
    default:
        return 0;
    }
}

/* ---- requests of the kernel to the device ---- */

static int request(struct usbfs_file *file, uint8_t type, uint8_t code, unsigned value, unsigned index)
{
    const uint8_t setup[8] = { type, code, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
                               (uint8_t)(index >> 8) };
    return usbip_control(file->client, setup, NULL, REQUEST_TIMEOUT_MS);
}

/* A kernel configures a device that is plugged in. Here nobody may have done it. */
static int configure(struct usbfs_file *file)
{
    const uint8_t get[8] = { USB_DIR_IN, USB_REQ_GET_CONFIGURATION, 0, 0, 0, 0, 1 };
    uint8_t value = 0;
    const int result = usbip_control(file->client, get, &value, REQUEST_TIMEOUT_MS);
    if (result < 0 || value != 0)
        return result < 0 ? result : 0;
    return request(file, 0, USB_REQ_SET_CONFIGURATION, usbfs_configuration_value(&file->descriptors), 0);
}

/* ---- ioctls: transfers ---- */

/* The transfer of a URB's own endpoint. */
static int data_transfer(struct usbfs_file *file, const struct usbdevfs_urb *urb, struct usbip_transfer *transfer)
{
    struct usbfs_endpoint endpoint;
    const int error = want_endpoint(file, urb->endpoint, &endpoint);
    if (error)
        return error;
    const unsigned type = endpoint.attributes & USB_ENDPOINT_XFERTYPE_MASK;
    if (type != USB_ENDPOINT_XFER_INT && (type != USB_ENDPOINT_XFER_BULK || urb->type != USBDEVFS_URB_TYPE_BULK))
        return -EINVAL; /* "bulk" to an interrupt endpoint is allowed */
    transfer->endpoint = urb->endpoint;
    transfer->out = urb->buffer;
    transfer->length = (size_t)urb->buffer_length;
    transfer->zero_packet = (urb->flags & USBDEVFS_URB_ZERO_PACKET) && !(urb->endpoint & USB_DIR_IN);
    return 0;
}

/* The buffer begins with the setup packet; the length that counts is the one in there. */
static int control_transfer(struct usbfs_file *file, const struct usbdevfs_urb *urb, struct usbip_transfer *transfer)
{
    const uint8_t *setup = urb->buffer;
    if (urb->endpoint & USB_ENDPOINT_NUMBER_MASK || urb->buffer_length < 8)
        return -EINVAL;
    transfer->length = (size_t)(setup[6] | setup[7] << 8);
    if (transfer->length > (size_t)urb->buffer_length - 8)
        return -EINVAL;
    transfer->endpoint = transfer->length > 0 ? setup[0] & USB_DIR_IN : 0;
    transfer->out = setup + 8;
    memcpy(transfer->setup, setup, sizeof transfer->setup);
    return want_recipient(file, setup[0], (unsigned)(setup[4] | setup[5] << 8));
}

static int submit_urb(struct usbfs_file *file, void *argument)
{
    struct usbdevfs_urb *urb = argument;
    struct usbip_transfer transfer = { .owner = urb };
    if (urb->flags & ~(unsigned)USBDEVFS_URB_ZERO_PACKET || urb->buffer_length < 0
        || (urb->buffer_length > 0 && !urb->buffer))
        return -EINVAL;
    if ((size_t)urb->buffer_length > USBIP_TRANSFER_MAX)
        return -ENOMEM;
    int error = -EINVAL;
    if (urb->type == USBDEVFS_URB_TYPE_CONTROL)
        error = control_transfer(file, urb, &transfer);
    else if (urb->type == USBDEVFS_URB_TYPE_BULK || urb->type == USBDEVFS_URB_TYPE_INTERRUPT)
        error = data_transfer(file, urb, &transfer);
    return error ? error : usbip_submit(file->client, &transfer);
}

static int discard_urb(struct usbfs_file *file, void *argument)
{
    return usbip_cancel(file->client, argument);
}

/* Only now is the program's memory written: until then it may free the buffer of a file that it closes. */
static int reap_urb_now(struct usbfs_file *file, void *argument)
{
    struct usbip_request *ended = usbip_take_ended(file->client);
    if (!ended)
        return usbip_gone(file->client) ? -ENODEV : -EAGAIN;
    struct usbdevfs_urb *urb = ended->owner;
    uint8_t *data = (uint8_t *)urb->buffer + (urb->type == USBDEVFS_URB_TYPE_CONTROL ? 8 : 0);
    urb->status = ended->status;
    urb->actual_length = (int)ended->actual;
    if (ended->in && ended->actual > 0)
        memcpy(data, ended->data, ended->actual);
    *(struct usbdevfs_urb **)argument = urb;
    free(ended);
    return 0;
}

static int reap_urb(struct usbfs_file *file, void *argument)
{
    struct pollfd ready = { .fd = usbip_ready_fd(file->client), .events = POLLIN };
    int result;
    while ((result = reap_urb_now(file, argument)) == -EAGAIN)
        if (poll(&ready, 1, -1) < 0)
            return -errno;
    return result;
}

static int control(struct usbfs_file *file, void *argument)
{
    const struct usbdevfs_ctrltransfer *c = argument;
    const uint8_t setup[8] = { c->bRequestType, c->bRequest, (uint8_t)c->wValue, (uint8_t)(c->wValue >> 8),
                               (uint8_t)c->wIndex, (uint8_t)(c->wIndex >> 8), (uint8_t)c->wLength,
                               (uint8_t)(c->wLength >> 8) };
    const int error = c->wLength > CONTROL_DATA_MAX ? -EINVAL : want_recipient(file, c->bRequestType, c->wIndex);
    return error ? error : usbip_control(file->client, setup, c->data, c->timeout);
}

/* ---- ioctls: interfaces ---- */

static int claim_interface(struct usbfs_file *file, void *argument)
{
    return claim(file, *(const unsigned *)argument);
}

static int release_interface(struct usbfs_file *file, void *argument)
{
    return release(file, *(const unsigned *)argument);
}

/* The only driver that an interface can have here is usbfs. */
static bool has_driver(struct usbfs_file *file, unsigned interface)
{
    return interface < USBFS_INTERFACES_MAX && usbfs_claims_any(&file->claims, interface);
}

static int disconnect_claim(struct usbfs_file *file, void *argument)
{
    const struct usbdevfs_disconnect_claim *wanted = argument;
    return has_driver(file, wanted->interface) ? -EBUSY : claim(file, wanted->interface);
}

static int get_driver(struct usbfs_file *file, void *argument)
{
    struct usbdevfs_getdriver *answer = argument;
    if (!has_driver(file, answer->interface))
        return -ENODATA;
    strcpy(answer->driver, "usbfs");
    return 0;
}

/* As the kernel: a device with one setting may refuse. */
static int set_interface(struct usbfs_file *file, void *argument)
{
    const struct usbdevfs_setinterface *wanted = argument;
    const int error = want_interface(file, wanted->interface);
    if (error)
        return error;
    usbip_cancel_endpoints(file->client, usbfs_interface_endpoints(&file->descriptors, wanted->interface));
    const int result = request(file, USB_RECIP_INTERFACE, USB_REQ_SET_INTERFACE, wanted->altsetting,
                               wanted->interface);
    return result == -EPIPE && wanted->altsetting == 0 ? 0 : result;
}

static int clear_halt(struct usbfs_file *file, void *argument)
{
    const unsigned address = *(const unsigned *)argument;
    struct usbfs_endpoint endpoint;
    const int error = want_endpoint(file, address, &endpoint);
    return error ? error : request(file, USB_RECIP_ENDPOINT, USB_REQ_CLEAR_FEATURE, USB_ENDPOINT_HALT, address);
}

/* ---- ioctls: the device ---- */

static int set_configuration(struct usbfs_file *file, void *argument)
{
    const unsigned value = *(const unsigned *)argument;
    for (unsigned interface = 0; interface < USBFS_INTERFACES_MAX; interface++)
        if (has_driver(file, interface))
            return -EBUSY;
    if (value != 0 && value != usbfs_configuration_value(&file->descriptors))
        return -EINVAL;
    return request(file, 0, USB_REQ_SET_CONFIGURATION, value, 0);
}

/* The claims go, as with a kernel, which takes usbfs from the interfaces because it cannot restore their state. */
static int reset(struct usbfs_file *file, void *argument)
{
    (void)argument;
    usbip_cancel_endpoints(file->client, USBIP_ALL_ENDPOINTS);
    release_all(file);
    const int result = request(file, USB_TYPE_CLASS | USB_RECIP_OTHER, USB_REQ_SET_FEATURE, HUB_PORT_RESET, 0);
    return result < 0 ? result : configure(file);
}

/* Not BULK_CONTINUATION: libusb would cut transfers into URBs, and rely on a host controller that stops the others
 * when one is short. */
static int get_capabilities(struct usbfs_file *file, void *argument)
{
    (void)file;
    *(uint32_t *)argument = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM
                            | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
    return 0;
}

static int get_speed(struct usbfs_file *file, void *argument)
{
    (void)argument;
    return (int)usbip_speed(file->client);
}

/* ---- the table ---- */

static const struct {
    unsigned long request;
    int (*run)(struct usbfs_file *file, void *argument);
    bool when_gone; /* what has ended can be reaped after the unplug; nothing else can be done then */
} IOCTLS[] = {
    { USBDEVFS_SUBMITURB, submit_urb, false },
    { (unsigned long)USBDEVFS_DISCARDURB, discard_urb, false },
    { USBDEVFS_REAPURB, reap_urb, true },
    { USBDEVFS_REAPURBNDELAY, reap_urb_now, true },
    { USBDEVFS_CONTROL, control, false },
    { USBDEVFS_CLAIMINTERFACE, claim_interface, false },
    { USBDEVFS_RELEASEINTERFACE, release_interface, false },
    { USBDEVFS_DISCONNECT_CLAIM, disconnect_claim, false },
    { USBDEVFS_GETDRIVER, get_driver, false },
    { USBDEVFS_SETINTERFACE, set_interface, false },
    { USBDEVFS_CLEAR_HALT, clear_halt, false },
    { USBDEVFS_SETCONFIGURATION, set_configuration, false },
    { (unsigned long)USBDEVFS_RESET, reset, false },
    { USBDEVFS_GET_CAPABILITIES, get_capabilities, false },
    { USBDEVFS_GET_SPEED, get_speed, false },
};

int usbfs_file_ioctl(struct usbfs_file *file, unsigned long request_code, void *argument)
{
    for (size_t i = 0; i < sizeof IOCTLS / sizeof IOCTLS[0]; i++) {
        if (IOCTLS[i].request != request_code)
            continue;
        return !IOCTLS[i].when_gone && usbip_gone(file->client) ? -ENODEV : IOCTLS[i].run(file, argument);
    }
    usbfs_log("ioctl %#lx is not supported", request_code);
    return -ENOTTY;
}

/* ---- open and close ---- */

int usbfs_file_ready_fd(const struct usbfs_file *file)
{
    return usbip_ready_fd(file->client);
}

void usbfs_file_close(struct usbfs_file *file)
{
    usbip_detach(file->client);
    if (file->node >= 0)
        close(file->node);
    free(file);
}

static bool attach(struct usbfs_file *file, int node, const char *socket_path)
{
    errno = ENODEV;
    if (!usbfs_descriptors_read(&file->descriptors, node))
        return false;
    file->node = fcntl(node, F_DUPFD_CLOEXEC, 0);
    usbfs_claims_init(&file->claims, file->node);
    file->client = file->node >= 0 ? usbip_attach(socket_path, BUS_ID) : NULL;
    if (!file->client)
        return false;
    const int result = configure(file);
    errno = -result;
    return result >= 0;
}

struct usbfs_file *usbfs_file_open(int node, const char *socket_path)
{
    struct usbfs_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->node = -1;
    if (attach(file, node, socket_path))
        return file;
    const int error = errno;
    usbfs_log("%s: cannot attach: %s", socket_path, strerror(error));
    usbfs_file_close(file);
    errno = error;
    return NULL;
}
