/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus_check.h - what the checks of the test bus are made of: a key at the bus, its control socket, URBs. */
#pragma once
#include <libusb.h>
#include <linux/usbdevice_fs.h>
#include <stdbool.h>
#include <stdint.h>

/* A check returns NULL if all is well, else what is not. */
typedef const char *check_function(void);

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
/* Ends the check unless the condition holds. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return "line " TEXT_OF(__LINE__) ": " #condition;                                                          \
    } while (0)

/* The CCID interface and its endpoints, as the descriptors say. */
struct ccid {
    unsigned interface;
    uint8_t interrupt_in, bulk_out, bulk_in;
};
extern struct ccid ccid;
extern libusb_context *context;

/* node is the usbfs node, control the control socket of the virtual key behind it. false after a message. */
bool bus_init(const char *node, const char *control);

/* Puts everything back that a check may have left: files, handles, claims, the key's faults. */
void bus_restore(void);
void bus_exit(void);

const char *bus_node(void);

/* Sends a command to the virtual key. Whether it was obeyed. */
bool tell(const char *command);

/* Stops the virtual key's process, and lets it go on. */
void stop_server(bool stop);

/* Opens the node; closed by bus_restore() or close_node(). -1: errno says why. */
int open_node(void);
int open_path(const char *path); /* another node */
void close_node(int fd);

/* The same with libusb around it, the CCID interface claimed if asked for. NULL: no. */
libusb_device_handle *open_handle(bool claim);

/* Shorthands for the ioctls: 0 or an errno value. */
int usbfs(int fd, unsigned long request, void *argument);
int submit(int fd, struct usbdevfs_urb *urb, unsigned char type, unsigned endpoint, void *bytes, int length);
int reap(int fd, struct usbdevfs_urb **urb);     /* waits */
int reap_now(int fd, struct usbdevfs_urb **urb);
int claim(int fd, unsigned interface);
int release(int fd, unsigned interface);

/* The revents of poll() for POLLOUT on the descriptor. */
int poll_node(int fd, int timeout_ms);

/* PC_to_RDR_GetSlotStatus in 10 bytes. */
#define GET_SLOT_STATUS(sequence) { 0x65, 0, 0, 0, 0, 0, (sequence), 0, 0, 0 }

/* Sends GetSlotStatus and reads until its answer comes. Whether it did. */
bool exchange(int fd, uint8_t sequence);
bool libusb_exchange(libusb_device_handle *handle, uint8_t sequence);

int64_t now_ms(void);
