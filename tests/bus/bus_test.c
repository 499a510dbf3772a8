/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus_test.c - checks that the test bus behaves as usbfs does, by ioctls and through libusb.
 *
 * Usage: LD_PRELOAD=usbfs_shim.so bus_test NODE CONTROL
 *   NODE     the usbfs node of a virtual Nitrokey, served with --shared
 *   CONTROL  its control socket
 * What must hold is what Linux does (Documentation/driver-api/usb/, drivers/usb/core/devio.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bus_check.h"
#include "bus_proxy.h"

#define BULK USBDEVFS_URB_TYPE_BULK
#define INTERRUPT USBDEVFS_URB_TYPE_INTERRUPT
#define CONTROL USBDEVFS_URB_TYPE_CONTROL
#define LIBUSB_LARGE 65556 /* what libccid reads */
#define SOON_MS 1000       /* what must not wait for the device ends by then, even on a busy machine */

/* ---- the node ---- */

static const char *descriptors_are_read_from_the_node(void)
{
    uint8_t bytes[18];
    struct libusb_device_descriptor device;
    libusb_device_handle *handle = open_handle(false);
    const int fd = open_node();
    MUST(handle && libusb_get_device_descriptor(libusb_get_device(handle), &device) == 0);
    MUST(read(fd, bytes, sizeof bytes) == sizeof bytes && bytes[0] == 18 && bytes[1] == 1);
    MUST(device.idVendor == (bytes[8] | bytes[9] << 8) && device.idProduct == (bytes[10] | bytes[11] << 8));
    return NULL;
}

static const char *a_node_open_for_reading_is_a_plain_file(void)
{
    uint32_t capabilities;
    const int fd = open(bus_node(), O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    const int error = usbfs(fd, USBDEVFS_GET_CAPABILITIES, &capabilities);
    close(fd);
    MUST(error == ENOTTY);
    return NULL;
}

static const char *speed_and_capabilities_are_those_of_the_bus(void)
{
    uint32_t capabilities = 0;
    libusb_device_handle *handle = open_handle(false);
    const int fd = open_node();
    MUST(handle && libusb_get_device_speed(libusb_get_device(handle)) == LIBUSB_SPEED_FULL);
    MUST(usbfs(fd, USBDEVFS_GET_CAPABILITIES, &capabilities) == 0);
    MUST(capabilities == (USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM
                          | USBDEVFS_CAP_REAP_AFTER_DISCONNECT));
    MUST(usbfs(fd, USBDEVFS_ALLOC_STREAMS, NULL) == ENOTTY);
    return NULL;
}

static const char *an_unconfigured_device_is_configured_when_it_is_opened(void)
{
    unsigned none = 0;
    uint8_t value = 0;
    struct usbdevfs_ctrltransfer get = { 0x80, 8, 0, 0, 1, SOON_MS, &value };
    const int fd = open_node(), another = open_node();
    MUST(usbfs(fd, USBDEVFS_SETCONFIGURATION, &none) == 0);
    MUST(ioctl(another, USBDEVFS_CONTROL, &get) == 1 && value == 0);
    const int third = open_node();
    MUST(ioctl(third, USBDEVFS_CONTROL, &get) == 1 && value == 1);
    MUST(exchange(third, 1));
    return NULL;
}

static const char *a_child_of_a_fork_has_a_plain_file_and_the_parent_keeps_the_device(void)
{
    int status = -1;
    const int fd = open_node();
    MUST(claim(fd, ccid.interface) == 0);
    const pid_t child = fork();
    if (child == 0)
        _exit(claim(fd, ccid.interface) == ENOTTY && close(fd) == 0 ? 0 : 1);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(exchange(fd, 1));
    return NULL;
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static const char *closing_leaves_nothing_open(void)
{
    const int before = count_descriptors();
    const int fd = open_node();
    MUST(fd >= 0 && count_descriptors() > before);
    close_node(fd);
    MUST(count_descriptors() == before);
    return NULL;
}

/* ---- transfers ---- */

static const char *commands_are_answered(void)
{
    libusb_device_handle *handle = open_handle(true);
    MUST(handle);
    for (int i = 1; i < 20; i++)
        MUST(libusb_exchange(handle, (uint8_t)i));
    return NULL;
}

static const char *a_request_the_device_does_not_know_is_a_pipe_error(void)
{
    uint8_t bytes[8];
    struct usbdevfs_ctrltransfer request = { 0xc0, 0x77, 0, 0, sizeof bytes, SOON_MS, bytes };
    libusb_device_handle *handle = open_handle(false);
    MUST(handle);
    MUST(libusb_control_transfer(handle, 0xc0, 0x77, 0, 0, bytes, sizeof bytes, SOON_MS) == LIBUSB_ERROR_PIPE);
    MUST(usbfs(open_node(), USBDEVFS_CONTROL, &request) == EPIPE);
    return NULL;
}

static const char *a_read_as_large_as_libccid_s_is_one_urb(void)
{
    static uint8_t command[] = GET_SLOT_STATUS(7), answer[LIBUSB_LARGE];
    struct usbdevfs_urb out, in, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1)); /* takes what the endpoint has kept */
    MUST(submit(fd, &in, BULK, ccid.bulk_in, answer, sizeof answer) == 0);
    MUST(submit(fd, &out, BULK, ccid.bulk_out, command, sizeof command) == 0);
    MUST(reap(fd, &ended) == 0 && ended == &out && out.status == 0 && out.actual_length == 10);
    MUST(reap(fd, &ended) == 0 && ended == &in && in.status == 0 && in.actual_length == 10 && answer[6] == 7);
    return NULL;
}

static const char *urbs_that_make_no_sense_are_einval(void)
{
    uint8_t setup[8] = { 0x80, 6, 0, 1, 0, 0, 18, 0 }; /* promises 18 bytes, and has no room for them */
    struct usbdevfs_urb urb;
    const int fd = open_node();
    MUST(submit(fd, &urb, CONTROL, 0, setup, sizeof setup) == EINVAL);
    MUST(submit(fd, &urb, CONTROL, 0, setup, 7) == EINVAL);
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, NULL, 1) == EINVAL);
    MUST(submit(fd, &urb, INTERRUPT, ccid.bulk_in, setup, 8) == EINVAL);
    MUST(submit(fd, &urb, BULK, 0x8f, setup, 8) == ENOENT);
    MUST(submit(fd, &urb, USBDEVFS_URB_TYPE_ISO, ccid.bulk_in, setup, 8) == EINVAL);
    MUST(reap_now(fd, &(struct usbdevfs_urb *){ NULL }) == EAGAIN);
    return NULL;
}

static const char *poll_says_pollout_exactly_while_something_can_be_reaped(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3);
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(poll_node(fd, 0) == 0 && reap_now(fd, &ended) == EAGAIN);
    MUST(submit(fd, &urb, BULK, ccid.bulk_out, command, sizeof command) == 0);
    MUST(poll_node(fd, SOON_MS) == POLLOUT && poll_node(fd, 0) == POLLOUT);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb);
    MUST(poll_node(fd, 0) == 0 && reap_now(fd, &ended) == EAGAIN);
    return NULL;
}

static const char *ppoll_and_other_descriptors_beside_the_node_work(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3);
    int pipe_ends[2];
    struct usbdevfs_urb urb;
    const struct timespec soon = { .tv_sec = SOON_MS / 1000 };
    MUST(pipe(pipe_ends) == 0);
    struct pollfd both[2] = { { pipe_ends[0], POLLIN, 0 }, { open_node(), POLLOUT, 0 } };
    MUST(write(pipe_ends[1], "", 1) == 1 && ppoll(both, 2, &soon, NULL) == 1);
    MUST(both[0].revents == POLLIN && both[1].revents == 0);
    MUST(submit(both[1].fd, &urb, BULK, ccid.bulk_out, command, sizeof command) == 0);
    MUST(poll_node(both[1].fd, SOON_MS) == POLLOUT && ppoll(both, 2, &soon, NULL) == 2);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return NULL;
}

/* ---- cancelling ---- */

static const char *a_discarded_urb_is_reaped_with_enoent(void)
{
    uint8_t bytes[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1));
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == 0 && poll_node(fd, 20) == 0);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT && urb.actual_length == 0);
    return NULL;
}

static const char *discarding_a_urb_that_has_ended_is_einval(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3);
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(submit(fd, &urb, BULK, ccid.bulk_out, command, sizeof command) == 0 && poll_node(fd, SOON_MS) == POLLOUT);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == EINVAL);
    MUST(reap_now(fd, &ended) == 0 && urb.status == 0);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == EINVAL);
    return NULL;
}

/* The first packet is a command, which is answered as it is; the second one waits until that has been read. */
static const char *a_cancelled_write_says_how_much_of_it_has_moved(void)
{
    uint8_t message[128] = { 0x63, 54, 0, 0, 0, 0, 9 }; /* IccPowerOff */
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1));
    MUST(submit(fd, &urb, BULK, ccid.bulk_out, message, sizeof message) == 0 && poll_node(fd, 50) == 0);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT && urb.actual_length == 64);
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, message, 64) == 0 && reap(fd, &ended) == 0 && message[6] == 9);
    MUST(exchange(fd, 2));
    return NULL;
}

static const char *memory_of_a_closed_file_s_urb_is_not_written(void)
{
    uint8_t command[] = GET_SLOT_STATUS(5), answer[64];
    struct usbdevfs_urb in, out, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1));
    memset(answer, 0xee, sizeof answer);
    MUST(submit(fd, &in, BULK, ccid.bulk_in, answer, sizeof answer) == 0);
    MUST(submit(fd, &out, BULK, ccid.bulk_out, command, sizeof command) == 0);
    MUST(reap(fd, &ended) == 0 && ended == &out && poll_node(fd, SOON_MS) == POLLOUT);
    close_node(fd);
    MUST(answer[0] == 0xee && in.status == 1);
    return NULL;
}

static const char *a_read_without_data_times_out_in_time(void)
{
    static uint8_t answer[LIBUSB_LARGE];
    int n = -1;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_exchange(handle, 1));
    const int64_t start = now_ms();
    MUST(libusb_bulk_transfer(handle, ccid.bulk_in, answer, sizeof answer, &n, 200) == LIBUSB_ERROR_TIMEOUT);
    MUST(n == 0 && now_ms() - start >= 200 && now_ms() - start < 200 + SOON_MS);
    MUST(libusb_exchange(handle, 2));
    return NULL;
}

static const char *a_write_to_a_frozen_device_times_out_in_time(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3);
    int n;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_exchange(handle, 1) && tell("freeze on"));
    const int64_t start = now_ms();
    MUST(libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, 200) == LIBUSB_ERROR_TIMEOUT);
    MUST(n == 0 && now_ms() - start < 200 + SOON_MS);
    MUST(tell("freeze off") && libusb_exchange(handle, 2));
    return NULL;
}

/* What it had been asked is answered when it goes on; nothing of that may be taken for something else. */
static const char *a_stopped_server_holds_up_no_time_out_and_the_stream_stays_in_step(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3), descriptor[18];
    int n;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_exchange(handle, 1));
    stop_server(true);
    const int64_t start = now_ms();
    MUST(libusb_control_transfer(handle, 0x80, 6, 0x0100, 0, descriptor, 18, 100) == LIBUSB_ERROR_TIMEOUT);
    MUST(libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, 100) == LIBUSB_ERROR_TIMEOUT);
    MUST(now_ms() - start < 200 + SOON_MS);
    stop_server(false);
    MUST(libusb_control_transfer(handle, 0x80, 6, 0x0100, 0, descriptor, 18, SOON_MS) == 18 && descriptor[1] == 1);
    for (int i = 4; i < 20; i++)
        MUST(libusb_exchange(handle, (uint8_t)i));
    return NULL;
}

static const char *a_synchronous_request_to_a_stopped_server_times_out(void)
{
    uint8_t value = 0;
    struct usbdevfs_ctrltransfer get = { 0x80, 8, 0, 0, 1, 100, &value };
    const int fd = open_node();
    stop_server(true);
    const int64_t start = now_ms();
    MUST(usbfs(fd, USBDEVFS_CONTROL, &get) == ETIMEDOUT && now_ms() - start < 100 + SOON_MS);
    stop_server(false);
    MUST(ioctl(fd, USBDEVFS_CONTROL, &get) == 1 && value == 1);
    return NULL;
}

/* ---- transfers at the same time ---- */

static void LIBUSB_CALL on_end(struct libusb_transfer *transfer)
{
    *(int *)transfer->user_data = 1;
}

static struct libusb_transfer *start_interrupt(libusb_device_handle *handle, uint8_t *bytes, int length, int *ended)
{
    struct libusb_transfer *transfer = libusb_alloc_transfer(0);
    *ended = 0;
    libusb_fill_interrupt_transfer(transfer, handle, ccid.interrupt_in, bytes, length, on_end, ended, 0);
    if (libusb_submit_transfer(transfer) == 0)
        return transfer;
    libusb_free_transfer(transfer);
    return NULL;
}

/* The status the transfer has ended with; -1: it has not. Frees it. */
static int wait_for_transfer(struct libusb_transfer *transfer, int *ended)
{
    struct timeval limit = { .tv_sec = SOON_MS / 1000 };
    const int64_t end = now_ms() + SOON_MS;
    while (!*ended && now_ms() < end)
        (void)libusb_handle_events_timeout_completed(context, &limit, ended);
    if (!*ended)
        return -1;
    const int status = (int)transfer->status;
    libusb_free_transfer(transfer);
    return status;
}

static void drain_interrupts(libusb_device_handle *handle)
{
    uint8_t bytes[8];
    int n;
    while (libusb_interrupt_transfer(handle, ccid.interrupt_in, bytes, sizeof bytes, &n, 30) == 0)
        ;
}

static const char *a_pending_interrupt_transfer_lets_others_pass_and_is_cancelled_at_once(void)
{
    uint8_t bytes[8];
    int ended;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle);
    drain_interrupts(handle);
    struct libusb_transfer *transfer = start_interrupt(handle, bytes, sizeof bytes, &ended);
    MUST(transfer && libusb_exchange(handle, 1) && !ended);
    const int64_t start = now_ms();
    MUST(libusb_cancel_transfer(transfer) == 0);
    MUST(wait_for_transfer(transfer, &ended) == LIBUSB_TRANSFER_CANCELLED && now_ms() - start < SOON_MS);
    return NULL;
}

struct control_loop {
    libusb_device_handle *handle;
    atomic_bool stop;
    int rounds; /* -1: one has failed */
};

static void *run_control_loop(void *context_of_loop)
{
    struct control_loop *loop = context_of_loop;
    uint8_t descriptor[18];
    while (!loop->stop && loop->rounds >= 0) {
        const bool ok = libusb_control_transfer(loop->handle, 0x80, 6, 0x0100, 0, descriptor, 18, SOON_MS) == 18
                        && libusb_clear_halt(loop->handle, ccid.interrupt_in) == 0;
        loop->rounds = ok ? loop->rounds + 1 : -1;
    }
    return NULL;
}

static const char *threads_do_not_lose_each_other_s_wake_ups(void)
{
    pthread_t thread;
    struct control_loop loop = { .handle = open_handle(true) };
    int good = 0;
    MUST(loop.handle && pthread_create(&thread, NULL, run_control_loop, &loop) == 0);
    const int64_t start = now_ms();
    for (int i = 0; i < 300; i++)
        good += libusb_exchange(loop.handle, (uint8_t)i);
    const int64_t took_ms = now_ms() - start;
    loop.stop = true;
    pthread_join(thread, NULL);
    MUST(good == 300 && loop.rounds > 0);
    MUST(took_ms < 300 * 20); /* a lost one costs a second */
    return NULL;
}

static void *open_and_close(void *result)
{
    for (int i = 0; i < 50; i++) {
        const int fd = open(bus_node(), O_RDWR | O_CLOEXEC);
        uint8_t value = 0;
        struct usbdevfs_ctrltransfer get = { 0x80, 8, 0, 0, 1, SOON_MS, &value };
        if (fd < 0 || ioctl(fd, USBDEVFS_CONTROL, &get) != 1 || value != 1 || close(fd) != 0)
            *(int *)result = 1;
    }
    return NULL;
}

static const char *threads_may_open_and_close_at_the_same_time(void)
{
    pthread_t threads[4];
    int failed[4] = { 0 };
    for (int i = 0; i < 4; i++)
        MUST(pthread_create(&threads[i], NULL, open_and_close, &failed[i]) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    MUST(!failed[0] && !failed[1] && !failed[2] && !failed[3]);
    return NULL;
}

/* ---- claims ---- */

static const char *a_claim_keeps_others_from_claiming_but_not_from_opening(void)
{
    uint8_t text[64];
    libusb_device_handle *one = open_handle(true), *two = open_handle(false);
    MUST(one && two && libusb_claim_interface(two, (int)ccid.interface) == LIBUSB_ERROR_BUSY);
    MUST(libusb_get_string_descriptor_ascii(two, 1, text, sizeof text) > 0);
    MUST(libusb_release_interface(one, (int)ccid.interface) == 0);
    MUST(libusb_claim_interface(two, (int)ccid.interface) == 0 && libusb_exchange(two, 1));
    MUST(libusb_claim_interface(one, (int)ccid.interface) == LIBUSB_ERROR_BUSY);
    return NULL;
}

static const char *closing_ends_a_claim(void)
{
    const int one = open_node(), two = open_node();
    MUST(claim(one, ccid.interface) == 0 && claim(one, ccid.interface) == 0);
    MUST(claim(two, ccid.interface) == EBUSY);
    close_node(one);
    MUST(claim(two, ccid.interface) == 0);
    return NULL;
}

static const char *an_endpoint_that_another_has_claimed_is_busy(void)
{
    uint8_t bytes[64], setup[8] = { 0x21, 1, 0, 0, (uint8_t)ccid.interface };
    unsigned endpoint = ccid.bulk_in;
    struct usbdevfs_urb urb;
    const int one = open_node(), two = open_node();
    MUST(claim(one, ccid.interface) == 0);
    MUST(submit(two, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == EBUSY);
    MUST(submit(two, &urb, CONTROL, 0, setup, sizeof setup) == EBUSY);
    MUST(usbfs(two, USBDEVFS_CLEAR_HALT, &endpoint) == EBUSY);
    return NULL;
}

static const char *use_without_a_claim_claims(void)
{
    const int one = open_node(), two = open_node();
    MUST(exchange(one, 1));
    MUST(claim(two, ccid.interface) == EBUSY);
    return NULL;
}

static const char *what_does_not_exist_cannot_be_claimed_or_released(void)
{
    unsigned endpoint = 0x8f;
    const int fd = open_node();
    MUST(claim(fd, 17) == ENOENT && release(fd, 17) == ENOENT && claim(fd, 1000) == EINVAL);
    MUST(release(fd, ccid.interface) == EINVAL);
    MUST(usbfs(fd, USBDEVFS_CLEAR_HALT, &endpoint) == ENOENT);
    return NULL;
}

static const char *releasing_cancels_what_is_pending(void)
{
    uint8_t bytes[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1) && submit(fd, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == 0);
    MUST(release(fd, ccid.interface) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT);
    return NULL;
}

static const char *the_only_kernel_driver_is_usbfs(void)
{
    struct usbdevfs_getdriver driver = { .interface = ccid.interface };
    libusb_device_handle *one = open_handle(false), *two = open_handle(false);
    const int fd = open_node();
    MUST(one && two && libusb_kernel_driver_active(one, (int)ccid.interface) == 0);
    MUST(usbfs(fd, USBDEVFS_GETDRIVER, &driver) == ENODATA);
    MUST(libusb_set_auto_detach_kernel_driver(one, 1) == 0 && libusb_set_auto_detach_kernel_driver(two, 1) == 0);
    MUST(libusb_claim_interface(one, (int)ccid.interface) == 0);
    MUST(libusb_claim_interface(two, (int)ccid.interface) == LIBUSB_ERROR_BUSY);
    MUST(usbfs(fd, USBDEVFS_GETDRIVER, &driver) == 0 && strcmp(driver.driver, "usbfs") == 0);
    MUST(libusb_release_interface(one, (int)ccid.interface) == 0);
    return NULL;
}

/* ---- state of the device ---- */

static const char *a_halted_endpoint_is_a_pipe_error_until_it_is_cleared(void)
{
    uint8_t answer[64];
    int n;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_exchange(handle, 1) && tell("stall in"));
    MUST(libusb_bulk_transfer(handle, ccid.bulk_in, answer, sizeof answer, &n, SOON_MS) == LIBUSB_ERROR_PIPE);
    MUST(libusb_clear_halt(handle, ccid.bulk_in) == 0 && libusb_exchange(handle, 2));
    return NULL;
}

/* Sends GetSlotStatus and reads; returns by what the transfers have ended. */
static bool transfers_end(int fd, int out_status, int in_status)
{
    uint8_t command[] = GET_SLOT_STATUS(3), answer[64];
    struct usbdevfs_urb out, in, *ended;
    if (submit(fd, &out, BULK, ccid.bulk_out, command, sizeof command) != 0 || reap(fd, &ended) != 0)
        return false;
    if (submit(fd, &in, BULK, ccid.bulk_in, answer, sizeof answer) != 0 || reap(fd, &ended) != 0)
        return false;
    return out.status == out_status && in.status == in_status && (in_status == 0 || in.actual_length == 0);
}

static const char *packets_that_fail_have_the_errors_of_usbfs(void)
{
    unsigned in = ccid.bulk_in;
    uint8_t answer[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1));
    MUST(tell("packet unacknowledged out") && transfers_end(fd, -EPROTO, 0));
    MUST(tell("packet unacknowledged in") && transfers_end(fd, 0, -EPROTO));
    MUST(tell("packet babble in") && transfers_end(fd, 0, -EOVERFLOW));
    MUST(tell("packet halt in") && transfers_end(fd, 0, -EPIPE) && usbfs(fd, USBDEVFS_CLEAR_HALT, &in) == 0);
    MUST(tell("packet lost in") && transfers_end(fd, 0, -EPROTO));
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, answer, sizeof answer) == 0 && reap(fd, &ended) == 0);
    MUST(urb.status == 0 && urb.actual_length == 10); /* the device has kept it */
    MUST(exchange(fd, 2));
    return NULL;
}

static const char *libusb_tells_packets_that_fail_apart(void)
{
    uint8_t command[] = GET_SLOT_STATUS(3), answer[64];
    int n;
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_exchange(handle, 1));
    MUST(tell("packet lost out"));
    MUST(libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, SOON_MS) == LIBUSB_ERROR_IO);
    MUST(tell("packet halt out"));
    MUST(libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, SOON_MS) == LIBUSB_ERROR_PIPE);
    MUST(libusb_clear_halt(handle, ccid.bulk_out) == 0 && tell("packet babble in"));
    MUST(libusb_bulk_transfer(handle, ccid.bulk_out, command, sizeof command, &n, SOON_MS) == 0);
    MUST(libusb_bulk_transfer(handle, ccid.bulk_in, answer, sizeof answer, &n, SOON_MS) == LIBUSB_ERROR_OVERFLOW);
    MUST(libusb_exchange(handle, 2));
    return NULL;
}

static const char *a_cancelled_write_may_keep_to_itself_how_much_of_it_has_moved(void)
{
    uint8_t message[128] = { 0x63, 54, 0, 0, 0, 0, 9 }; /* IccPowerOff */
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1) && tell("packet cancels unreported") && tell("packet nak out 2 60"));
    MUST(submit(fd, &urb, BULK, ccid.bulk_out, message, sizeof message) == 0 && poll_node(fd, 50) == 0);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT && urb.actual_length == 0);
    MUST(tell("packet cancels reported") && tell("packet none"));
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, message, 64) == 0 && reap(fd, &ended) == 0 && message[6] == 9);
    return NULL;
}

/* The process is killed there: what it had not yet sent never comes, what it has not read is for the next one. */
static const char *a_process_may_end_between_two_packets(void)
{
    uint8_t command[] = GET_SLOT_STATUS(5), answer[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1) && tell("packet pause in"));
    MUST(submit(fd, &urb, BULK, ccid.bulk_in, answer, sizeof answer) == 0);
    MUST(submit(fd, &urb, BULK, ccid.bulk_out, command, sizeof command) == 0 && poll_node(fd, SOON_MS) == POLLOUT);
    close_node(fd);
    MUST(tell("packet go"));
    const int next = open_node();
    MUST(submit(next, &urb, BULK, ccid.bulk_in, answer, sizeof answer) == 0);
    MUST(reap(next, &ended) == 0 && urb.status == 0 && answer[6] == 5);
    return NULL;
}

static const char *the_only_setting_of_an_interface_can_be_set(void)
{
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_set_interface_alt_setting(handle, (int)ccid.interface, 0) == 0);
    MUST(libusb_exchange(handle, 1));
    return NULL;
}

static const char *a_configuration_is_busy_while_an_interface_is_claimed(void)
{
    unsigned one = 1, two = 2;
    libusb_device_handle *handle = open_handle(true);
    const int fd = open_node();
    MUST(handle && usbfs(fd, USBDEVFS_SETCONFIGURATION, &one) == EBUSY);
    MUST(libusb_release_interface(handle, (int)ccid.interface) == 0);
    MUST(usbfs(fd, USBDEVFS_SETCONFIGURATION, &one) == 0 && usbfs(fd, USBDEVFS_SETCONFIGURATION, &two) == EINVAL);
    MUST(libusb_claim_interface(handle, (int)ccid.interface) == 0 && libusb_exchange(handle, 1));
    return NULL;
}

static const char *a_reset_cancels_and_takes_the_claims_and_the_device_goes_on(void)
{
    uint8_t bytes[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1) && submit(fd, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == 0);
    MUST(usbfs(fd, USBDEVFS_RESET, NULL) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT);
    MUST(release(fd, ccid.interface) == EINVAL && exchange(fd, 2));
    return NULL;
}

static const char *libusb_s_reset_keeps_the_handle_and_its_claim(void)
{
    libusb_device_handle *handle = open_handle(true);
    MUST(handle && libusb_reset_device(handle) == 0 && libusb_exchange(handle, 1));
    MUST(claim(open_node(), ccid.interface) == EBUSY);
    return NULL;
}

/* ---- unplugging ---- */

static const char *an_unplug_ends_urbs_with_eshutdown_and_everything_else_with_enodev(void)
{
    uint8_t bytes[2][64];
    struct usbdevfs_urb read_urb, notify_urb, *ended;
    const int fd = open_node();
    MUST(exchange(fd, 1) && tell("freeze on"));
    MUST(submit(fd, &read_urb, BULK, ccid.bulk_in, bytes[0], 64) == 0);
    MUST(submit(fd, &notify_urb, INTERRUPT, ccid.interrupt_in, bytes[1], 64) == 0 && tell("unplug"));
    MUST(reap(fd, &ended) == 0 && ended->status == -ESHUTDOWN && reap(fd, &ended) == 0 && ended->status == -ESHUTDOWN);
    MUST(reap(fd, &ended) == ENODEV && reap_now(fd, &ended) == ENODEV);
    MUST(claim(fd, ccid.interface) == ENODEV && release(fd, ccid.interface) == ENODEV);
    MUST(submit(fd, &read_urb, BULK, ccid.bulk_in, bytes[0], 64) == ENODEV);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &read_urb) == ENODEV && usbfs(fd, USBDEVFS_RESET, NULL) == ENODEV);
    return NULL;
}

static const char *poll_after_an_unplug_says_pollerr_and_pollhup(void)
{
    struct usbdevfs_urb urb, *ended;
    uint8_t bytes[64];
    const int fd = open_node();
    MUST(exchange(fd, 1) && submit(fd, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == 0 && tell("unplug"));
    MUST(poll_node(fd, SOON_MS) & POLLOUT);
    MUST(reap(fd, &ended) == 0 && reap(fd, &ended) == ENODEV);
    MUST(poll_node(fd, -1) == (POLLERR | POLLHUP));
    return NULL;
}

static int64_t cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000
           + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static const char *libusb_sees_no_device_after_an_unplug_and_does_not_spin(void)
{
    uint8_t bytes[8], answer[64];
    int ended, n;
    struct timeval while_idle = { .tv_usec = 300000 };
    libusb_device_handle *handle = open_handle(true);
    MUST(handle);
    drain_interrupts(handle);
    struct libusb_transfer *transfer = start_interrupt(handle, bytes, sizeof bytes, &ended);
    MUST(transfer && tell("unplug"));
    MUST(wait_for_transfer(transfer, &ended) == LIBUSB_TRANSFER_NO_DEVICE);
    const int64_t cpu = cpu_ms();
    (void)libusb_handle_events_timeout_completed(context, &while_idle, NULL);
    MUST(cpu_ms() - cpu < 100);
    MUST(libusb_bulk_transfer(handle, ccid.bulk_in, answer, sizeof answer, &n, SOON_MS) == LIBUSB_ERROR_NO_DEVICE);
    return NULL;
}

static const char *an_unplugged_device_cannot_be_opened_and_a_new_one_can(void)
{
    const int before = open_node();
    MUST(claim(before, ccid.interface) == 0 && tell("unplug"));
    MUST(open_node() == -1 && errno == ENODEV);
    close_node(before);
    MUST(tell("plug"));
    const int after = open_node();
    MUST(claim(after, ccid.interface) == 0 && exchange(after, 1));
    return NULL;
}

/* ---- the stream ---- */

static struct bus_proxy proxy;
static bool has_proxy;

static int open_proxy(enum bus_proxy_mode mode)
{
    has_proxy = bus_proxy_start(&proxy, mode);
    return has_proxy ? open_path(proxy.node) : -1;
}

static const char *answers_that_come_at_once_are_told_apart(void)
{
    uint8_t device[26] = { 0x80, 6, 0, 1, 0, 0, 18 }, configuration[17] = { 0x80, 6, 0, 2, 0, 0, 9 };
    struct usbdevfs_urb first, second, *ended;
    const int fd = open_node();
    stop_server(true);
    MUST(submit(fd, &first, CONTROL, 0, device, sizeof device) == 0);
    MUST(submit(fd, &second, CONTROL, 0, configuration, sizeof configuration) == 0);
    stop_server(false);
    MUST(reap(fd, &ended) == 0 && ended == &first && ended->actual_length == 18 && device[8 + 1] == 1);
    MUST(reap(fd, &ended) == 0 && ended == &second && ended->actual_length == 9 && configuration[8 + 1] == 2);
    return NULL;
}

static const char *bytes_that_come_one_by_one_become_answers(void)
{
    const int fd = open_proxy(PROXY_ONE_BY_ONE);
    MUST(fd >= 0);
    for (int i = 1; i < 10; i++)
        MUST(exchange(fd, (uint8_t)i));
    return NULL;
}

/* What is given up is answered in the end, with bytes: they belong to nobody, and to no later message. */
static const char *a_late_answer_to_what_was_given_up_leaves_the_stream_in_step(void)
{
    uint8_t given_up[26] = { 0x80, 6, 0, 1, 0, 0, 18 };
    struct usbdevfs_urb urb, *ended;
    const int fd = open_proxy(PROXY_ONE_BY_ONE);
    MUST(fd >= 0 && exchange(fd, 1));
    proxy.mode = PROXY_HOLD;
    MUST(submit(fd, &urb, CONTROL, 0, given_up, sizeof given_up) == 0 && poll_node(fd, 50) == 0);
    MUST(usbfs(fd, USBDEVFS_DISCARDURB, &urb) == 0);
    MUST(reap_now(fd, &ended) == 0 && ended == &urb && urb.status == -ENOENT);
    proxy.mode = PROXY_ONE_BY_ONE;
    for (int i = 2; i < 10; i++)
        MUST(exchange(fd, (uint8_t)i));
    MUST(given_up[8] == 0);
    return NULL;
}

static const char *the_death_of_the_server_is_an_unplug(void)
{
    uint8_t bytes[64];
    struct usbdevfs_urb urb, *ended;
    const int fd = open_proxy(PROXY_ONE_BY_ONE);
    MUST(fd >= 0 && exchange(fd, 1) && submit(fd, &urb, BULK, ccid.bulk_in, bytes, sizeof bytes) == 0);
    proxy.mode = PROXY_CUT;
    MUST(reap(fd, &ended) == 0 && ended == &urb && urb.status == -ESHUTDOWN && reap(fd, &ended) == ENODEV);
    MUST(poll_node(fd, -1) == (POLLERR | POLLHUP) && claim(fd, ccid.interface) == ENODEV);
    return NULL;
}

/* ---- the list ---- */

#define CHECK(name) { #name, name }

static const struct {
    const char *name;
    check_function *run;
} CHECKS[] = {
    CHECK(descriptors_are_read_from_the_node),
    CHECK(a_node_open_for_reading_is_a_plain_file),
    CHECK(speed_and_capabilities_are_those_of_the_bus),
    CHECK(an_unconfigured_device_is_configured_when_it_is_opened),
    CHECK(a_child_of_a_fork_has_a_plain_file_and_the_parent_keeps_the_device),
    CHECK(closing_leaves_nothing_open),
    CHECK(commands_are_answered),
    CHECK(a_request_the_device_does_not_know_is_a_pipe_error),
    CHECK(a_read_as_large_as_libccid_s_is_one_urb),
    CHECK(urbs_that_make_no_sense_are_einval),
    CHECK(poll_says_pollout_exactly_while_something_can_be_reaped),
    CHECK(ppoll_and_other_descriptors_beside_the_node_work),
    CHECK(a_discarded_urb_is_reaped_with_enoent),
    CHECK(discarding_a_urb_that_has_ended_is_einval),
    CHECK(a_cancelled_write_says_how_much_of_it_has_moved),
    CHECK(memory_of_a_closed_file_s_urb_is_not_written),
    CHECK(a_read_without_data_times_out_in_time),
    CHECK(a_write_to_a_frozen_device_times_out_in_time),
    CHECK(a_stopped_server_holds_up_no_time_out_and_the_stream_stays_in_step),
    CHECK(a_synchronous_request_to_a_stopped_server_times_out),
    CHECK(a_pending_interrupt_transfer_lets_others_pass_and_is_cancelled_at_once),
    CHECK(threads_do_not_lose_each_other_s_wake_ups),
    CHECK(threads_may_open_and_close_at_the_same_time),
    CHECK(a_claim_keeps_others_from_claiming_but_not_from_opening),
    CHECK(closing_ends_a_claim),
    CHECK(an_endpoint_that_another_has_claimed_is_busy),
    CHECK(use_without_a_claim_claims),
    CHECK(what_does_not_exist_cannot_be_claimed_or_released),
    CHECK(releasing_cancels_what_is_pending),
    CHECK(the_only_kernel_driver_is_usbfs),
    CHECK(a_halted_endpoint_is_a_pipe_error_until_it_is_cleared),
    CHECK(packets_that_fail_have_the_errors_of_usbfs),
    CHECK(libusb_tells_packets_that_fail_apart),
    CHECK(a_cancelled_write_may_keep_to_itself_how_much_of_it_has_moved),
    CHECK(a_process_may_end_between_two_packets),
    CHECK(the_only_setting_of_an_interface_can_be_set),
    CHECK(a_configuration_is_busy_while_an_interface_is_claimed),
    CHECK(a_reset_cancels_and_takes_the_claims_and_the_device_goes_on),
    CHECK(libusb_s_reset_keeps_the_handle_and_its_claim),
    CHECK(an_unplug_ends_urbs_with_eshutdown_and_everything_else_with_enodev),
    CHECK(poll_after_an_unplug_says_pollerr_and_pollhup),
    CHECK(libusb_sees_no_device_after_an_unplug_and_does_not_spin),
    CHECK(an_unplugged_device_cannot_be_opened_and_a_new_one_can),
    CHECK(answers_that_come_at_once_are_told_apart),
    CHECK(bytes_that_come_one_by_one_become_answers),
    CHECK(a_late_answer_to_what_was_given_up_leaves_the_stream_in_step),
    CHECK(the_death_of_the_server_is_an_unplug),
};

static void restore(void)
{
    bus_restore();
    if (has_proxy)
        bus_proxy_stop(&proxy);
    has_proxy = false;
}

int main(int argc, char *argv[])
{
    unsigned passed = 0, failed = 0;
    if (argc != 3 || !bus_init(argv[1], argv[2])) {
        fprintf(stderr, "Usage: bus_test NODE CONTROL\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++) {
        const char *why = CHECKS[i].run();
        if (why)
            printf("not ok %s: %s\n", CHECKS[i].name, why);
        else
            printf("ok %s\n", CHECKS[i].name);
        *(why ? &failed : &passed) += 1;
        restore();
    }
    bus_exit();
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
