/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbip_client.c - the client's side of USB/IP.
 *
 * Theory of operation
 *
 *   submit --CMD_SUBMIT--> pending --RET_SUBMIT, or RET_UNLINK that says "cancelled", or end of stream--> ended
 *
 * One thread, the receiver, reads the stream; only it removes a request from the pending ones, so it may fill a
 * request's buffer without holding the lock. What happens to a request that ended is its disposal:
 *
 *   QUEUED     somebody will take it; until then the ready pipe is readable
 *   AWAITED    a thread sleeps until it is no longer pending, and frees it
 *   ABANDONED  nobody wants it any more, but the stream still has its answer: an answer says neither its direction
 *              nor, by that, whether bytes follow it; without the record the stream would go out of step
 *
 * The ready pipe is readable while a request is queued; its other end is closed when the device is gone.
 */
#include "usbip_client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "usbfs_log.h"
#include "usbip_stream.h"

#define UNLINK_TIMEOUT_MS 250 /* a host controller needs a millisecond */

struct usbip_client {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t ended; /* a request is no longer pending */
    pthread_t receiver;
    int socket, ready[2]; /* ready[1] -1: the device is gone */
    bool readable, gone;
    uint32_t device, speed, last_sequence;
    struct usbip_request *pending, *queued;
};

/* ---- lists ---- */

static void append(struct usbip_request **list, struct usbip_request *request)
{
    while (*list)
        list = &(*list)->next;
    request->next = NULL;
    *list = request;
}

static void remove_from(struct usbip_request **list, const struct usbip_request *request)
{
    while (*list != request)
        list = &(*list)->next;
    *list = request->next;
}

static void free_all(struct usbip_request *list)
{
    while (list) {
        struct usbip_request *next = list->next;
        free(list);
        list = next;
    }
}

static struct usbip_request *find_sequence(const struct usbip_client *client, uint32_t sequence)
{
    struct usbip_request *request = client->pending;
    while (request && request->sequence != sequence)
        request = request->next;
    return request;
}

static struct usbip_request *find_unlink(const struct usbip_client *client, uint32_t sequence)
{
    struct usbip_request *request = client->pending;
    while (request && (request->unlink_sequence == 0 || request->unlink_sequence != sequence))
        request = request->next;
    return request;
}

static struct usbip_request *find_owner(const struct usbip_client *client, const void *owner)
{
    struct usbip_request *request = client->pending;
    while (request && (request->disposal != USBIP_QUEUED || request->owner != owner))
        request = request->next;
    return request;
}

static struct usbip_request *find_endpoint(const struct usbip_client *client, uint32_t endpoints)
{
    struct usbip_request *request = client->pending;
    while (request && (request->disposal != USBIP_QUEUED || !(USBIP_ENDPOINT_BIT(request->endpoint) & endpoints)))
        request = request->next;
    return request;
}

/* ---- the end of a request ---- */

static void show_readable(struct usbip_client *client)
{
    const bool readable = client->queued != NULL;
    char byte = 0;
    if (readable == client->readable)
        return;
    client->readable = readable;
    /* An empty pipe has room for one byte, and a byte that was written can be read. */
    if (readable ? write(client->ready[1], &byte, 1) != 1 : read(client->ready[0], &byte, 1) != 1)
        usbfs_log("the ready pipe is out of step");
}

static void queue(struct usbip_client *client, struct usbip_request *request)
{
    append(&client->queued, request);
    show_readable(client);
}

static void end_request(struct usbip_client *client, struct usbip_request *request, int status, size_t actual)
{
    remove_from(&client->pending, request);
    /* USB/IP says -ECONNRESET of a cancelled transfer, usbfs -ENOENT; libusb takes the first for an error. */
    request->status = status == -ECONNRESET ? -ENOENT : status;
    request->actual = actual;
    switch (request->disposal) {
    case USBIP_QUEUED:
        queue(client, request);
        break;
    case USBIP_AWAITED:
        break;
    case USBIP_ABANDONED:
        if (request->in && actual > 0)
            usbfs_log("%zu bytes from endpoint %02x came after the transfer was given up", actual, request->endpoint);
        free(request);
        break;
    }
    pthread_cond_broadcast(&client->ended);
}

/* Whoever asked for it sees it cancelled now; the record of its number stays. */
static int abandon(struct usbip_client *client, struct usbip_request *request)
{
    struct usbip_request *ended = calloc(1, sizeof *ended);
    if (!ended)
        return -ENOMEM;
    usbfs_log("request %u on endpoint %02x given up: the server does not answer", request->sequence, request->endpoint);
    ended->owner = request->owner;
    ended->status = -ENOENT;
    request->disposal = USBIP_ABANDONED;
    queue(client, ended);
    return 0;
}

static void unplugged(struct usbip_client *client)
{
    usbfs_log("the connection to the device has ended");
    while (client->pending)
        end_request(client, client->pending, -ESHUTDOWN, 0);
    client->gone = true;
    close(client->ready[1]);
    client->ready[1] = -1;
}

/* ---- receiving ---- */

/* An OUT transfer's answer has a length, but no bytes. */
static bool take_submitted(struct usbip_client *client, const struct usbip_header *header)
{
    const size_t actual = ntohl(header->submitted.actual);
    pthread_mutex_lock(&client->lock);
    struct usbip_request *request = find_sequence(client, ntohl(header->sequence));
    pthread_mutex_unlock(&client->lock);
    if (!request || actual > request->length)
        return false;
    if (request->in && !usbip_stream_read(client->socket, request->data, actual))
        return false;
    pthread_mutex_lock(&client->lock);
    end_request(client, request, (int)ntohl(header->submitted.status), actual);
    pthread_mutex_unlock(&client->lock);
    return true;
}

/* Status 0 means that the request had ended before: its own answer was sent, or is on its way. */
static bool take_unlinked(struct usbip_client *client, const struct usbip_header *header)
{
    pthread_mutex_lock(&client->lock);
    struct usbip_request *request = find_unlink(client, ntohl(header->sequence));
    if (request && header->unlinked.status != 0)
        end_request(client, request, -ENOENT, 0);
    pthread_mutex_unlock(&client->lock);
    return true;
}

static bool take_answer(struct usbip_client *client, const struct usbip_header *header)
{
    switch (ntohl(header->command)) {
    case USBIP_RET_SUBMIT:
        return take_submitted(client, header);
    case USBIP_RET_UNLINK:
        return take_unlinked(client, header);
    default:
        return false;
    }
}

static void *receive(void *context)
{
    struct usbip_client *client = context;
    struct usbip_header header;
    while (usbip_stream_read(client->socket, &header, sizeof header))
        if (!take_answer(client, &header)) {
            usbfs_log("the server breaks the protocol, or dies in the middle of a message");
            break;
        }
    pthread_mutex_lock(&client->lock);
    unplugged(client);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

/* ---- sending ---- */

/* After a failure the stream is at an unknown place and of no further use; the receiver will see its end. */
static bool send_message(struct usbip_client *client, const struct usbip_header *header, const void *data,
                         size_t length)
{
    if (usbip_stream_write(client->socket, header, data, length))
        return true;
    shutdown(client->socket, SHUT_RDWR);
    return false;
}

static struct usbip_request *new_request(const struct usbip_transfer *transfer, enum usbip_disposal disposal)
{
    const bool in = transfer->endpoint & 0x80;
    struct usbip_request *request = malloc(sizeof *request + (in ? transfer->length : 0));
    if (request)
        *request = (struct usbip_request){ .owner = transfer->owner, .disposal = disposal, .in = in,
                                           .endpoint = transfer->endpoint, .length = transfer->length };
    return request;
}

static int send_submit(struct usbip_client *client, struct usbip_request *request,
                       const struct usbip_transfer *transfer)
{
    struct usbip_header header = {
        .command = htonl(USBIP_CMD_SUBMIT), .device = htonl(client->device),
        .direction = htonl(request->in ? USBIP_DIRECTION_IN : USBIP_DIRECTION_OUT),
        .endpoint = htonl(request->endpoint & 0x0f),
        .submit = { .flags = htonl(transfer->zero_packet ? USBIP_FLAG_ZERO_PACKET : 0),
                    .length = htonl((uint32_t)request->length), .packets = htonl(USBIP_NOT_ISOCHRONOUS) },
    };
    if (client->gone)
        return -ENODEV;
    request->sequence = ++client->last_sequence;
    header.sequence = htonl(request->sequence);
    memcpy(header.submit.setup, transfer->setup, sizeof transfer->setup);
    if (!send_message(client, &header, transfer->out, request->in ? 0 : request->length))
        return -ENODEV;
    append(&client->pending, request);
    return 0;
}

/* On failure the caller keeps nothing: the request is freed. */
static int submit(struct usbip_client *client, struct usbip_request *request, const struct usbip_transfer *transfer)
{
    const int error = request ? send_submit(client, request, transfer) : -ENOMEM;
    if (error)
        free(request);
    return error;
}

static void send_unlink(struct usbip_client *client, struct usbip_request *request)
{
    if (request->unlink_sequence != 0)
        return;
    request->unlink_sequence = ++client->last_sequence;
    const struct usbip_header header = {
        .command = htonl(USBIP_CMD_UNLINK), .device = htonl(client->device),
        .sequence = htonl(request->unlink_sequence), .unlink = { .sequence = htonl(request->sequence) },
    };
    (void)send_message(client, &header, NULL, 0);
}

/* ---- waiting ---- */

/* false: it is still pending. The lock is held, but not while waiting. timeout_ms 0: no limit. */
static bool wait_for_end(struct usbip_client *client, uint32_t sequence, unsigned timeout_ms)
{
    struct timespec end;
    int error = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(timeout_ms / 1000);
    end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (find_sequence(client, sequence) && error != ETIMEDOUT)
        error = timeout_ms ? pthread_cond_timedwait(&client->ended, &client->lock, &end)
                           : pthread_cond_wait(&client->ended, &client->lock);
    return !find_sequence(client, sequence);
}

/* The request is the caller's no more. */
static int wait_for_control(struct usbip_client *client, struct usbip_request *request, void *data,
                            unsigned timeout_ms)
{
    const uint32_t sequence = request->sequence;
    bool ended = wait_for_end(client, sequence, timeout_ms);
    const bool late = !ended;
    if (late) {
        send_unlink(client, request);
        ended = wait_for_end(client, sequence, UNLINK_TIMEOUT_MS);
    }
    if (!ended) {
        request->disposal = USBIP_ABANDONED;
        return -ETIMEDOUT;
    }
    const int result = request->status == 0 ? (int)request->actual
                       : late && request->status == -ENOENT ? -ETIMEDOUT : request->status;
    if (request->in && result > 0)
        memcpy(data, request->data, request->actual);
    free(request);
    return result;
}

static int cancel(struct usbip_client *client, struct usbip_request *request)
{
    const uint32_t sequence = request->sequence;
    send_unlink(client, request);
    if (wait_for_end(client, sequence, UNLINK_TIMEOUT_MS) || request->disposal == USBIP_ABANDONED)
        return 0;
    return abandon(client, request);
}

/* ---- for the users ---- */

uint32_t usbip_speed(const struct usbip_client *client)
{
    return client->speed;
}

int usbip_ready_fd(const struct usbip_client *client)
{
    return client->ready[0];
}

bool usbip_gone(struct usbip_client *client)
{
    pthread_mutex_lock(&client->lock);
    const bool gone = client->gone;
    pthread_mutex_unlock(&client->lock);
    return gone;
}

int usbip_submit(struct usbip_client *client, const struct usbip_transfer *transfer)
{
    if (transfer->length > USBIP_TRANSFER_MAX)
        return -EINVAL;
    struct usbip_request *request = new_request(transfer, USBIP_QUEUED);
    pthread_mutex_lock(&client->lock);
    const int error = submit(client, request, transfer);
    pthread_mutex_unlock(&client->lock);
    return error;
}

struct usbip_request *usbip_take_ended(struct usbip_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct usbip_request *request = client->queued;
    if (request) {
        client->queued = request->next;
        show_readable(client);
    }
    pthread_mutex_unlock(&client->lock);
    return request;
}

int usbip_cancel(struct usbip_client *client, const void *owner)
{
    pthread_mutex_lock(&client->lock);
    struct usbip_request *request = find_owner(client, owner);
    const int error = request ? cancel(client, request) : client->gone ? -ENODEV : -EINVAL;
    pthread_mutex_unlock(&client->lock);
    return error;
}

void usbip_cancel_endpoints(struct usbip_client *client, uint32_t endpoints)
{
    struct usbip_request *request;
    pthread_mutex_lock(&client->lock);
    while ((request = find_endpoint(client, endpoints)) != NULL && cancel(client, request) == 0)
        ;
    pthread_mutex_unlock(&client->lock);
}

int usbip_control(struct usbip_client *client, const uint8_t setup[8], void *data, unsigned timeout_ms)
{
    const size_t length = (size_t)(setup[6] | setup[7] << 8);
    struct usbip_transfer transfer = { .endpoint = length > 0 ? setup[0] & 0x80 : 0, .out = data, .length = length };
    memcpy(transfer.setup, setup, sizeof transfer.setup);
    struct usbip_request *request = new_request(&transfer, USBIP_AWAITED);
    pthread_mutex_lock(&client->lock);
    const int error = submit(client, request, &transfer);
    const int result = error ? error : wait_for_control(client, request, data, timeout_ms);
    pthread_mutex_unlock(&client->lock);
    return result;
}

/* ---- attaching ---- */

/* A guest in somebody's process: its signals are not for this thread. */
static bool start_receiver(struct usbip_client *client)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    const bool started = pthread_create(&client->receiver, NULL, receive, client) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void init_locks(struct usbip_client *client)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&client->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void free_client(struct usbip_client *client)
{
    const int fds[] = { client->socket, client->ready[0], client->ready[1] };
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free_all(client->pending);
    free_all(client->queued);
    pthread_cond_destroy(&client->ended);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

struct usbip_client *usbip_attach(const char *socket_path, const char *bus_id)
{
    struct usbip_device device;
    struct usbip_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    init_locks(client);
    client->ready[0] = client->ready[1] = -1;
    client->socket = usbip_stream_open(socket_path, bus_id, &device);
    if (client->socket >= 0) {
        client->device = ntohl(device.bus) << 16 | ntohl(device.address);
        client->speed = ntohl(device.speed);
    }
    if (client->socket >= 0 && pipe2(client->ready, O_CLOEXEC | O_NONBLOCK) == 0 && start_receiver(client))
        return client;
    const int error = errno;
    free_client(client);
    errno = error;
    return NULL;
}

void usbip_detach(struct usbip_client *client)
{
    if (!client)
        return;
    shutdown(client->socket, SHUT_RDWR);
    pthread_join(client->receiver, NULL);
    free_client(client);
}
