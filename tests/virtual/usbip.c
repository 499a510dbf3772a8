/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usbip.c - a USB/IP server.
 *
 * Theory of operation
 *
 *   connection --> ASKING --OP_REQ_IMPORT--> ATTACHED --end of stream, error, unplug--> LEAVING --flushed--> closed
 *
 * A request is made by CMD_SUBMIT, lives in the host controller while it is pending, and is answered when it is
 * reaped: by RET_SUBMIT, or by RET_UNLINK if it was cancelled. Nothing else answers it, and nothing keeps one
 * unanswered. When a client leaves, its requests are cancelled and come back as orphans, which are freed.
 *
 * Everything a client sends is bounded before it is used; a client that breaks the protocol loses its connection.
 */
#include "usbip.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "listener.h"
#include "usbip_wire.h"

#define CLIENTS_MAX 32
#define REQUESTS_MAX 64               /* of one client */
#define TRANSFER_MAX (128 * 1024)     /* bytes; libccid asks for 65556 */
#define INPUT_SIZE (sizeof(struct usbip_header) + TRANSFER_MAX)
#define OUTPUT_MAX (4 * 1024 * 1024)  /* of a client that does not read */

struct request {
    struct urb urb; /* first: a reaped urb is cast to its request; urb.owner is the client, NULL for an orphan */
    struct request *next; /* of the same client */
    uint32_t sequence, unlink_sequence;
    bool in, unlinked;
    uint8_t data[];
};

enum phase { ASKING, ATTACHED, LEAVING };

struct client {
    struct usbip_server *server;
    struct client *next;
    int fd;
    enum phase phase;
    struct request *requests;
    size_t request_count;
    uint8_t *input, *output;
    size_t input_len, output_len, output_size;
};

struct usbip_server {
    struct loop *loop;
    struct host_controller *host;
    char bus_id[USBIP_BUS_ID];
    bool shared, in_port;
    int listener; /* -1: none */
    struct client *clients;
    size_t client_count;
};

/* ---- the life of a client ---- */

static void remove_request(struct client *client, const struct request *request)
{
    struct request **at = &client->requests;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    client->request_count--;
}

/* The last bytes still go out; its transfers end now, for they hold the endpoints. */
static void leave(struct client *client)
{
    const bool was_attached = client->phase == ATTACHED;
    if (client->phase == LEAVING)
        return;
    client->phase = LEAVING;
    while (client->requests) {
        struct request *request = client->requests;
        remove_request(client, request);
        request->urb.owner = NULL;
        (void)host_cancel(client->server->host, &request->urb);
    }
    if (was_attached && !client->server->shared)
        host_unplug(client->server->host, loop_now_us());
}

static void abandon(struct client *client)
{
    client->output_len = 0;
    leave(client);
}

static void free_client(struct client *client)
{
    struct client **at = &client->server->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    client->server->client_count--;
    loop_forget(client->server->loop, client->fd);
    close(client->fd);
    free(client->input);
    free(client->output);
    free(client);
}

/* ---- sending ---- */

static bool make_room(struct client *client, size_t length)
{
    const size_t needed = client->output_len + length;
    if (needed <= client->output_size)
        return true;
    uint8_t *larger = needed <= OUTPUT_MAX ? realloc(client->output, 2 * needed) : NULL;
    if (!larger)
        return false;
    client->output = larger;
    client->output_size = 2 * needed;
    return true;
}

static void send_bytes(struct client *client, const void *bytes, size_t length)
{
    if (client->phase == LEAVING || length == 0)
        return;
    if (!make_room(client, length)) {
        abandon(client);
        return;
    }
    memcpy(client->output + client->output_len, bytes, length);
    client->output_len += length;
}

static void flush(struct client *client)
{
    size_t sent = 0;
    while (sent < client->output_len) {
        const ssize_t n = send(client->fd, client->output + sent, client->output_len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            abandon(client);
            return;
        }
        sent += (size_t)n;
    }
    if (sent > 0)
        memmove(client->output, client->output + sent, client->output_len - sent);
    client->output_len -= sent;
    loop_want_write(client->server->loop, client->fd, client->output_len > 0);
}

/* ---- answers to transfers ---- */

static uint32_t linux_status(enum urb_status status)
{
    int error = 0;
    switch (status) {
    case URB_OK:
        break;
    case URB_STALL:
        error = -EPIPE;
        break;
    case URB_OVERFLOW:
        error = -EOVERFLOW;
        break;
    case URB_PENDING:
    case URB_NO_ANSWER:
        error = -EPROTO;
        break;
    case URB_CANCELLED:
        error = -ECONNRESET;
        break;
    case URB_GONE:
        error = -ESHUTDOWN;
        break;
    }
    return htonl((uint32_t)error);
}

static void return_submit(struct client *client, const struct request *request)
{
    const struct urb *urb = &request->urb;
    const struct usbip_header header = {
        .command = htonl(USBIP_RET_SUBMIT), .sequence = htonl(request->sequence),
        .submitted = { .status = linux_status(urb->status), .actual = htonl((uint32_t)urb->actual),
                       .packets = htonl(USBIP_NOT_ISOCHRONOUS) },
    };
    send_bytes(client, &header, sizeof header);
    if (request->in)
        send_bytes(client, request->data, urb->actual);
}

static void return_unlink(struct client *client, uint32_t sequence, uint32_t status)
{
    const struct usbip_header header = {
        .command = htonl(USBIP_RET_UNLINK), .sequence = htonl(sequence), .unlinked = { .status = status },
    };
    send_bytes(client, &header, sizeof header);
}

/* RET_UNLINK has no room for bytes. So a cancelled transfer of which a part has moved is returned as submitted, and
 * the unlink as one that came too late; a client that took it for lost would be out of step with the device. */
static void return_request(struct client *client, const struct request *request)
{
    const bool cancelled = request->urb.status == URB_CANCELLED;
    if (!cancelled || request->urb.actual > 0 || !request->unlinked)
        return_submit(client, request);
    if (request->unlinked)
        return_unlink(client, request->unlink_sequence,
                      cancelled && request->urb.actual == 0 ? linux_status(URB_CANCELLED) : 0);
}

static void reap(struct usbip_server *server)
{
    struct urb *urb;
    while ((urb = host_reap(server->host)) != NULL) {
        struct request *request = (struct request *)urb;
        struct client *client = urb->owner;
        if (client) {
            remove_request(client, request);
            return_request(client, request);
        }
        free(request);
    }
}

/* ---- commands of an attached client ---- */

static struct setup parse_setup(const uint8_t bytes[8])
{
    return (struct setup){
        .request_type = bytes[0], .request = bytes[1], .value = (uint16_t)(bytes[2] | bytes[3] << 8),
        .index = (uint16_t)(bytes[4] | bytes[5] << 8), .length = (uint16_t)(bytes[6] | bytes[7] << 8),
    };
}

/* USB/IP has no message for the reset of a port. As in Linux's server the request to a hub stands for it, sent to the
 * device, which is none: SET_FEATURE(PORT_RESET). */
static bool means_port_reset(const struct urb *urb)
{
    return urb->endpoint == 0 && urb->setup.request_type == 0x23 && urb->setup.request == 3 && urb->setup.value == 4;
}

static void submit(struct client *client, struct request *request)
{
    struct urb *urb = &request->urb;
    struct host_controller *host = client->server->host;
    if (means_port_reset(urb)) {
        host_reset_port(host, loop_now_us(), client->server->shared);
        urb->status = URB_OK;
        return_submit(client, request);
        free(request);
        return;
    }
    request->next = client->requests;
    client->requests = request;
    client->request_count++;
    host_submit(host, urb);
}

/* false: nonsense. The data of an OUT transfer follow the header. */
static bool command_submit(struct client *client, const struct usbip_header *header, const uint8_t *data)
{
    const uint32_t length = ntohl(header->submit.length), endpoint = ntohl(header->endpoint);
    const uint32_t packets = header->submit.packets;
    const bool in = ntohl(header->direction) == USBIP_DIRECTION_IN;
    const struct setup setup = parse_setup(header->submit.setup);
    if (endpoint > 15 || (packets != 0 && packets != USBIP_NOT_ISOCHRONOUS) || client->request_count == REQUESTS_MAX)
        return false;
    if (endpoint == 0 && (setup.length > length || (setup.length > 0 && in != ((setup.request_type & 0x80) != 0))))
        return false;
    struct request *request = calloc(1, sizeof *request + length);
    if (!request)
        return false;
    request->in = in;
    request->sequence = ntohl(header->sequence);
    request->urb = (struct urb){
        .endpoint = (uint8_t)(endpoint | (in && endpoint != 0 ? 0x80 : 0)), .setup = setup, .buffer = request->data,
        .length = length, .zero_packet = ntohl(header->submit.flags) & USBIP_FLAG_ZERO_PACKET, .owner = client,
    };
    if (!in)
        memcpy(request->data, data, length);
    submit(client, request);
    return true;
}

static void command_unlink(struct client *client, const struct usbip_header *header)
{
    const uint32_t wanted = ntohl(header->unlink.sequence);
    struct request *request = client->requests;
    while (request && request->sequence != wanted)
        request = request->next;
    if (!request) { /* answered already */
        return_unlink(client, ntohl(header->sequence), 0);
        return;
    }
    request->unlinked = true;
    request->unlink_sequence = ntohl(header->sequence);
    (void)host_cancel(client->server->host, &request->urb);
}

/* Takes one command from the input; returns its length, 0: it is not complete. */
static size_t take_command(struct client *client, const uint8_t *input, size_t input_len)
{
    struct usbip_header header;
    if (input_len < sizeof header)
        return 0;
    memcpy(&header, input, sizeof header);
    const uint32_t command = ntohl(header.command);
    if (command == USBIP_CMD_UNLINK) {
        command_unlink(client, &header);
        return sizeof header;
    }
    const uint32_t length = ntohl(header.submit.length), direction = ntohl(header.direction);
    if (command != USBIP_CMD_SUBMIT || length > TRANSFER_MAX || direction > USBIP_DIRECTION_IN) {
        abandon(client);
        return 0;
    }
    const size_t whole = sizeof header + (direction == USBIP_DIRECTION_OUT ? length : 0);
    if (input_len < whole)
        return 0;
    if (!command_submit(client, &header, input + sizeof header))
        abandon(client);
    return whole;
}

/* ---- questions of a client that is not attached ---- */

static size_t interface_list(const struct identity *identity, uint8_t list[][4], size_t most)
{
    size_t count = 0;
    const uint8_t *bytes = identity->configuration;
    for (size_t at = 0; at + 9 <= identity->configuration_len && count < most; at += bytes[at]) {
        if (bytes[at + 1] != 4)
            continue;
        memcpy(list[count], bytes + at + 5, 3);
        list[count++][3] = 0;
    }
    return count;
}

static struct usbip_device describe(const struct usbip_server *server)
{
    const struct identity *identity = host_identity(server->host);
    const uint8_t *d = identity->device;
    struct usbip_device device = {
        .path = "/sys/devices/virtual/usbip/", .bus = htonl(1), .address = htonl(2),
        .speed = htonl(identity->high_speed ? USBIP_SPEED_HIGH : USBIP_SPEED_FULL),
        .vendor_id = htons((uint16_t)(d[8] | d[9] << 8)), .product_id = htons((uint16_t)(d[10] | d[11] << 8)),
        .bcd_device = htons((uint16_t)(d[12] | d[13] << 8)), .device_class = d[4], .subclass = d[5], .protocol = d[6],
        .configuration = identity->configuration[5], .configurations = d[17],
        .interfaces = identity->configuration[4],
    };
    memcpy(device.path + strlen(device.path), server->bus_id, sizeof server->bus_id);
    memcpy(device.bus_id, server->bus_id, sizeof server->bus_id);
    return device;
}

static void send_op(struct client *client, uint16_t code, uint32_t status)
{
    const struct usbip_op op = { htons(USBIP_VERSION), htons(code), htonl(status) };
    send_bytes(client, &op, sizeof op);
}

static void list_devices(struct client *client)
{
    const struct usbip_server *server = client->server;
    const struct usbip_device device = describe(server);
    const uint32_t count = htonl(server->in_port);
    uint8_t interfaces[16][4];
    send_op(client, OP_REP_DEVLIST, OP_STATUS_OK);
    send_bytes(client, &count, sizeof count);
    if (server->in_port) {
        send_bytes(client, &device, sizeof device);
        send_bytes(client, interfaces, 4 * interface_list(host_identity(server->host), interfaces, 16));
    }
}

static uint32_t may_import(const struct usbip_server *server, const uint8_t bus_id[USBIP_BUS_ID])
{
    if (!server->in_port || strncmp(server->bus_id, (const char *)bus_id, USBIP_BUS_ID) != 0)
        return OP_STATUS_NO_DEVICE;
    return !server->shared && host_plugged(server->host) ? OP_STATUS_BUSY : OP_STATUS_OK;
}

static void import(struct client *client, const uint8_t bus_id[USBIP_BUS_ID])
{
    struct usbip_server *server = client->server;
    const struct usbip_device device = describe(server);
    const uint32_t status = may_import(server, bus_id);
    send_op(client, OP_REP_IMPORT, status);
    if (status != OP_STATUS_OK)
        return;
    if (!server->shared)
        host_plug(server->host, loop_now_us(), false);
    send_bytes(client, &device, sizeof device);
    client->phase = ATTACHED;
}

/* Takes one question from the input; returns its length, 0: it is not complete. */
static size_t take_question(struct client *client, const uint8_t *input, size_t input_len)
{
    struct usbip_op op;
    if (input_len < sizeof op)
        return 0;
    memcpy(&op, input, sizeof op);
    const uint16_t code = ntohs(op.code);
    if (ntohs(op.version) != USBIP_VERSION || (code != OP_REQ_DEVLIST && code != OP_REQ_IMPORT)) {
        abandon(client);
        return 0;
    }
    if (code == OP_REQ_DEVLIST) {
        list_devices(client);
        return sizeof op;
    }
    if (input_len < sizeof op + USBIP_BUS_ID)
        return 0;
    import(client, input + sizeof op);
    return sizeof op + USBIP_BUS_ID;
}

/* ---- events ---- */

static void take_input(struct client *client)
{
    size_t taken = 0;
    while (client->phase != LEAVING) {
        const uint8_t *input = client->input + taken;
        const size_t left = client->input_len - taken;
        const size_t n = client->phase == ASKING ? take_question(client, input, left)
                                                 : take_command(client, input, left);
        if (n == 0)
            break;
        taken += n;
    }
    if (client->phase == LEAVING)
        taken = client->input_len; /* nobody will ask any more */
    memmove(client->input, client->input + taken, client->input_len - taken);
    client->input_len -= taken;
}

static void on_client(void *context, short revents)
{
    struct client *client = context;
    (void)revents; /* a hang-up is read as the end of the stream, after what came before it */
    const ssize_t n = recv(client->fd, client->input + client->input_len, INPUT_SIZE - client->input_len, MSG_DONTWAIT);
    if (n > 0) {
        client->input_len += (size_t)n;
        take_input(client);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        abandon(client);
    }
}

void usbip_add_client(struct usbip_server *server, int fd)
{
    struct client *client = calloc(1, sizeof *client);
    uint8_t *input = malloc(INPUT_SIZE);
    if (!client || !input || server->client_count == CLIENTS_MAX || !loop_watch(server->loop, fd, on_client, client)) {
        free(client);
        free(input);
        close(fd);
        return;
    }
    *client = (struct client){ .server = server, .next = server->clients, .fd = fd, .input = input };
    server->clients = client;
    server->client_count++;
}

static void on_listener(void *context, short revents)
{
    struct usbip_server *server = context;
    (void)revents;
    const int fd = listener_accept(server->listener);
    if (fd >= 0)
        usbip_add_client(server, fd);
}

static int64_t settle(void *context, int64_t now_us)
{
    struct usbip_server *server = context;
    host_run(server->host, now_us);
    reap(server);
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->next;
        flush(client);
        if (client->phase == LEAVING && client->output_len == 0)
            free_client(client);
    }
    reap(server); /* those of clients that could not be written to */
    return host_next_us(server->host);
}

/* ---- the server ---- */

void usbip_plug(struct usbip_server *server)
{
    if (server->in_port)
        return;
    server->in_port = true;
    if (server->shared)
        host_plug(server->host, loop_now_us(), true);
}

void usbip_unplug(struct usbip_server *server)
{
    server->in_port = false;
    host_unplug(server->host, loop_now_us());
    reap(server);
    for (struct client *client = server->clients; client; client = client->next)
        if (client->phase == ATTACHED)
            leave(client);
}

bool usbip_listen(struct usbip_server *server, int fd)
{
    server->listener = fd;
    return loop_watch(server->loop, fd, on_listener, server);
}

struct usbip_server *usbip_new(struct loop *loop, struct host_controller *host, const char *bus_id, bool shared)
{
    struct usbip_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->loop = loop;
    server->host = host;
    server->shared = shared;
    server->listener = -1;
    strncpy(server->bus_id, bus_id, sizeof server->bus_id - 1);
    usbip_plug(server);
    loop_on_settle(loop, settle, server);
    return server;
}

void usbip_free(struct usbip_server *server)
{
    if (!server)
        return;
    for (struct client *client = server->clients; client; client = client->next)
        abandon(client);
    while (server->clients)
        free_client(server->clients);
    host_unplug(server->host, loop_now_us());
    reap(server);
    if (server->listener >= 0)
        loop_forget(server->loop, server->listener);
    listener_close(server->listener);
    loop_on_settle(server->loop, NULL, NULL);
    free(server);
}
