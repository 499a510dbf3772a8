/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_usbip.c - the USB/IP server and its control socket, over real sockets, with a scripted card. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>
#include "control.h"
#include "fake_icc.h"
#include "listener.h"
#include "loop.h"
#include "pro.h"
#include "usbip.h"
#include "usbip_wire.h"

#define PATIENCE_S 10 /* real time, of a test that would otherwise hang */

static char directory[32], usbip_address[64], control_address[64]; /* "unix:" and a path in the directory */

static struct control_target target;
static struct control *commands;
static pthread_t thread;

static void *serve(void *loop)
{
    (void)loop_run(loop);
    return NULL;
}

static int start(bool shared)
{
    static const struct pro_options options = { .first_byte_limit_us = 120000000 };
    const struct icc_options card = { .atr = identity_find("nitrokey-pro-2")->atr, .atr_len = identity_find("nitrokey-pro-2")->atr_len };
    strcpy(directory, "/tmp/test_usbip.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(usbip_address, sizeof usbip_address, "unix:%s/usbip", directory);
    snprintf(control_address, sizeof control_address, "unix:%s/control", directory);
    target.loop = loop_new();
    target.icc = icc_new(&card);
    target.device = pro_new(identity_find("nitrokey-pro-2"), target.icc, &options);
    target.host = host_new(target.device);
    target.server = usbip_new(target.loop, target.host, "1-1", shared);
    commands = control_new(&target, listener_open(control_address));
    return commands && usbip_listen(target.server, listener_open(usbip_address))
           ? pthread_create(&thread, NULL, serve, target.loop) : -1;
}

static int start_shared(void **state)
{
    (void)state;
    return start(true);
}

static int start_exclusive(void **state)
{
    (void)state;
    return start(false);
}

/* Runs a command of the control socket; returns the answer without its line end. */
static const char *tell(const char *command)
{
    static char answer[CONTROL_LINE_MAX];
    const int fd = listener_connect(control_address + 5);
    assert_true(fd >= 0);
    FILE *stream = fdopen(fd, "r+");
    assert_non_null(stream);
    fprintf(stream, "%s\n", command);
    fflush(stream);
    assert_non_null(fgets(answer, sizeof answer, stream));
    fclose(stream);
    answer[strcspn(answer, "\n")] = 0;
    return answer;
}

static int stop(void **state)
{
    (void)state;
    (void)tell("quit");
    pthread_join(thread, NULL);
    control_free(commands);
    usbip_free(target.server);
    host_free(target.host);
    device_free(target.device);
    icc_free(target.icc);
    loop_free(target.loop);
    return rmdir(directory); /* nothing is left in it */
}

/* ---- a client ---- */

static int client(void)
{
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    const int fd = listener_connect(usbip_address + 5);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void put(int fd, const void *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

static void get(int fd, void *bytes, size_t length)
{
    assert_int_equal(recv(fd, bytes, length, MSG_WAITALL), length);
}

static void ends(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static uint32_t try_import(int fd, const char *bus_id)
{
    struct { struct usbip_op op; char bus_id[USBIP_BUS_ID]; } request = {
        .op = { htons(USBIP_VERSION), htons(OP_REQ_IMPORT), 0 } };
    struct usbip_op reply;
    struct usbip_device device;
    strncpy(request.bus_id, bus_id, USBIP_BUS_ID - 1);
    put(fd, &request, sizeof request);
    get(fd, &reply, sizeof reply);
    assert_int_equal(ntohs(reply.version), USBIP_VERSION);
    assert_int_equal(ntohs(reply.code), OP_REP_IMPORT);
    if (reply.status == 0) {
        get(fd, &device, sizeof device);
        assert_string_equal(device.bus_id, "1-1");
        assert_int_equal(ntohs(device.vendor_id), 0x20a0);
        assert_int_equal(ntohs(device.product_id), 0x4108);
        assert_int_equal(ntohl(device.speed), USBIP_SPEED_FULL);
        assert_int_equal(device.interfaces, 2);
    }
    return ntohl(reply.status);
}

static int importer(void)
{
    const int fd = client();
    assert_int_equal(try_import(fd, "1-1"), OP_STATUS_OK);
    return fd;
}

static void submit_in(int fd, uint32_t sequence, uint32_t endpoint, uint32_t length)
{
    const struct usbip_header header = {
        .command = htonl(USBIP_CMD_SUBMIT), .sequence = htonl(sequence), .direction = htonl(USBIP_DIRECTION_IN),
        .endpoint = htonl(endpoint), .submit = { .length = htonl(length), .packets = USBIP_NOT_ISOCHRONOUS } };
    put(fd, &header, sizeof header);
}

static void submit_out(int fd, uint32_t sequence, uint32_t endpoint, const void *data, uint32_t length)
{
    struct { struct usbip_header header; uint8_t data[512]; } message = { .header = {
        .command = htonl(USBIP_CMD_SUBMIT), .sequence = htonl(sequence), .direction = htonl(USBIP_DIRECTION_OUT),
        .endpoint = htonl(endpoint), .submit = { .length = htonl(length) } } };
    memcpy(message.data, data, length);
    put(fd, &message, sizeof message.header + length);
}

static void submit_control(int fd, uint32_t sequence, const uint8_t setup[8])
{
    struct usbip_header header = {
        .command = htonl(USBIP_CMD_SUBMIT), .sequence = htonl(sequence),
        .direction = htonl(setup[0] & 0x80 ? USBIP_DIRECTION_IN : USBIP_DIRECTION_OUT),
        .submit = { .length = htonl((uint32_t)(setup[6] | setup[7] << 8)) } };
    memcpy(header.submit.setup, setup, 8);
    put(fd, &header, sizeof header);
}

static void unlink_request(int fd, uint32_t sequence, uint32_t wanted)
{
    const struct usbip_header header = { .command = htonl(USBIP_CMD_UNLINK), .sequence = htonl(sequence),
                                         .unlink = { .sequence = htonl(wanted) } };
    put(fd, &header, sizeof header);
}

/* The next message must be this RET_SUBMIT; returns its bytes in data if in. */
static void submitted(int fd, uint32_t sequence, int status, uint32_t actual, bool in, uint8_t *data)
{
    struct usbip_header header;
    get(fd, &header, sizeof header);
    assert_int_equal(ntohl(header.command), USBIP_RET_SUBMIT);
    assert_int_equal(ntohl(header.sequence), sequence);
    assert_int_equal((int32_t)ntohl(header.submitted.status), status);
    assert_int_equal(ntohl(header.submitted.actual), actual);
    if (in && actual > 0)
        get(fd, data, actual);
}

static void unlinked(int fd, uint32_t sequence, int status)
{
    struct usbip_header header;
    get(fd, &header, sizeof header);
    assert_int_equal(ntohl(header.command), USBIP_RET_UNLINK);
    assert_int_equal(ntohl(header.sequence), sequence);
    assert_int_equal((int32_t)ntohl(header.unlinked.status), status);
}

static const uint8_t STATUS[] = { 0x65, 0, 0, 0, 0, 0, 7, 0, 0, 0 };
static const uint8_t STATUS_ANSWER[] = { 0x81, 0, 0, 0, 0, 0, 7, 0, 0, 0 };
static const uint8_t SET_CONFIGURATION[] = { 0, 9, 1, 0, 0, 0, 0, 0 };

static void exchanges_status(int fd, uint32_t sequence)
{
    uint8_t answer[256];
    submit_in(fd, sequence, 2, sizeof answer);
    submit_out(fd, sequence + 1, 2, STATUS, sizeof STATUS);
    submitted(fd, sequence + 1, 0, sizeof STATUS, false, NULL);
    submitted(fd, sequence, 0, sizeof STATUS_ANSWER, true, answer);
    assert_memory_equal(answer, STATUS_ANSWER, sizeof STATUS_ANSWER);
}

/* ---- questions ---- */

static void the_list_shows_the_device_and_its_interfaces(void **state)
{
    (void)state;
    const struct usbip_op question = { htons(USBIP_VERSION), htons(OP_REQ_DEVLIST), 0 };
    struct usbip_op op;
    struct usbip_device device;
    uint32_t count;
    uint8_t interfaces[2][4];
    int fd = client();
    put(fd, &question, sizeof question);
    get(fd, &op, sizeof op);
    get(fd, &count, sizeof count);
    get(fd, &device, sizeof device);
    get(fd, interfaces, sizeof interfaces);
    assert_int_equal(ntohl(count), 1);
    assert_int_equal(interfaces[0][0], 0x03);
    assert_int_equal(interfaces[1][0], 0x0b);
    close(fd);
    assert_string_equal(tell("unplug"), "ok");
    fd = client();
    put(fd, &question, sizeof question);
    get(fd, &op, sizeof op);
    get(fd, &count, sizeof count);
    assert_int_equal(ntohl(count), 0);
    close(fd);
}

static void only_the_device_that_is_there_is_imported(void **state)
{
    (void)state;
    int fd = client();
    assert_int_equal(try_import(fd, "1-2"), OP_STATUS_NO_DEVICE);
    assert_int_equal(try_import(fd, "1-1"), OP_STATUS_OK); /* and one may ask again */
    close(fd);
    assert_string_equal(tell("unplug"), "ok");
    fd = client();
    assert_int_equal(try_import(fd, "1-1"), OP_STATUS_NO_DEVICE);
    assert_string_equal(tell("plug"), "ok");
    assert_int_equal(try_import(fd, "1-1"), OP_STATUS_OK);
    close(fd);
}

/* ---- transfers ---- */

static void control_transfers_read_descriptors(void **state)
{
    (void)state;
    static const uint8_t get_device[] = { 0x80, 6, 0, 1, 0, 0, 64, 0 };
    static const uint8_t get_configuration[] = { 0x80, 8, 0, 0, 0, 0, 1, 0 };
    static const uint8_t refused[] = { 0x80, 6, 0, 9, 0, 0, 64, 0 };
    uint8_t data[64];
    const int fd = importer();
    submit_control(fd, 1, get_device);
    submitted(fd, 1, 0, 18, true, data);
    assert_memory_equal(data, identity_find("nitrokey-pro-2")->device, 18);
    submit_control(fd, 2, get_configuration);
    submitted(fd, 2, 0, 1, true, data);
    assert_int_equal(data[0], 1); /* the server has configured it, as a kernel does */
    submit_control(fd, 3, refused);
    submitted(fd, 3, -EPIPE, 0, true, data);
    close(fd);
}

static void bulk_transfers_take_messages_both_ways(void **state)
{
    (void)state;
    const int fd = importer();
    for (uint32_t i = 1; i < 40; i += 2)
        exchanges_status(fd, i);
    close(fd);
}

static void messages_may_come_in_pieces(void **state)
{
    (void)state;
    struct { struct usbip_header header; uint8_t data[10]; } message = { .header = {
        .command = htonl(USBIP_CMD_SUBMIT), .sequence = htonl(5), .endpoint = htonl(2),
        .submit = { .length = htonl(10) } } };
    const int fd = importer();
    memcpy(message.data, STATUS, sizeof STATUS);
    for (size_t i = 0; i < sizeof message.header + 10; i++)
        put(fd, (const uint8_t *)&message + i, 1);
    submitted(fd, 5, 0, 10, false, NULL);
    close(fd);
}

static void a_pending_transfer_is_unlinked_at_once_even_when_the_device_is_frozen(void **state)
{
    (void)state;
    const int fd = importer();
    assert_string_equal(tell("freeze on"), "ok");
    submit_in(fd, 1, 2, 256);
    submit_out(fd, 2, 2, STATUS, sizeof STATUS);
    unlink_request(fd, 3, 2);
    unlinked(fd, 3, -ECONNRESET);
    unlink_request(fd, 4, 1);
    unlinked(fd, 4, -ECONNRESET);
    assert_string_equal(tell("freeze off"), "ok");
    exchanges_status(fd, 5); /* the cancelled command has not been sent */
    close(fd);
}

static void unlinking_a_finished_transfer_says_so(void **state)
{
    (void)state;
    const int fd = importer();
    exchanges_status(fd, 1);
    unlink_request(fd, 9, 1);
    unlinked(fd, 9, 0);
    unlink_request(fd, 10, 12345);
    unlinked(fd, 10, 0);
    close(fd);
}

static void what_has_moved_of_an_unlinked_transfer_is_returned(void **state)
{
    (void)state;
    const uint8_t surplus[128] = { 0x6f, 54 }; /* the message is complete with the first packet */
    const int fd = importer();
    submit_out(fd, 1, 2, surplus, sizeof surplus);
    submit_control(fd, 2, SET_CONFIGURATION);
    submitted(fd, 2, 0, 0, false, NULL); /* now the other has moved as far as it can */
    unlink_request(fd, 3, 1);
    submitted(fd, 1, -ECONNRESET, 64, false, NULL);
    unlinked(fd, 3, 0);
    close(fd);
}

static void errors_of_transfers_have_linux_numbers(void **state)
{
    (void)state;
    uint8_t data[64];
    const int fd = importer();
    assert_string_equal(tell("stall in"), "ok");
    submit_in(fd, 1, 2, 64);
    submitted(fd, 1, -EPIPE, 0, true, data);
    static const uint8_t clear[] = { 0x02, 1, 0, 0, 0x82, 0, 0, 0 };
    submit_control(fd, 2, clear);
    submitted(fd, 2, 0, 0, false, NULL);
    submit_out(fd, 3, 2, STATUS, sizeof STATUS);
    submitted(fd, 3, 0, sizeof STATUS, false, NULL);
    submit_in(fd, 4, 2, 8); /* too small for the answer */
    submitted(fd, 4, -EOVERFLOW, 8, true, data);
    submit_in(fd, 5, 9, 64); /* no such endpoint */
    submitted(fd, 5, -EPROTO, 0, true, data);
    close(fd);
}

static void packets_that_fail_have_linux_numbers(void **state)
{
    (void)state;
    static const uint8_t clear_in[] = { 0x02, 1, 0, 0, 0x82, 0, 0, 0 }, clear_out[] = { 0x02, 1, 0, 0, 0x02, 0, 0, 0 };
    uint8_t data[256];
    const int fd = importer();
    assert_string_equal(tell("packet lost out"), "ok");
    assert_string_equal(tell("packet"), "ok waiting");
    submit_out(fd, 1, 2, STATUS, sizeof STATUS);
    submitted(fd, 1, -EPROTO, 0, false, NULL);
    assert_string_equal(tell("packet"), "ok struck");
    assert_string_equal(tell("packet halt out 1"), "ok");
    submit_out(fd, 2, 2, STATUS, sizeof STATUS);
    submitted(fd, 2, -EPIPE, 0, false, NULL);
    submit_control(fd, 3, clear_out);
    submitted(fd, 3, 0, 0, false, NULL);
    assert_string_equal(tell("packet unacknowledged out 1"), "ok");
    submit_out(fd, 4, 2, STATUS, sizeof STATUS);
    submitted(fd, 4, -EPROTO, 0, false, NULL);
    assert_string_equal(tell("packet lost in"), "ok");
    submit_in(fd, 5, 2, sizeof data);
    submitted(fd, 5, -EPROTO, 0, true, data);
    submit_in(fd, 6, 2, sizeof data); /* the device had it, and has kept the answer */
    submitted(fd, 6, 0, sizeof STATUS_ANSWER, true, data);
    assert_string_equal(tell("packet babble in"), "ok");
    submit_out(fd, 7, 2, STATUS, sizeof STATUS);
    submitted(fd, 7, 0, sizeof STATUS, false, NULL);
    submit_in(fd, 8, 2, sizeof data);
    submitted(fd, 8, -EOVERFLOW, 0, true, data);
    assert_string_equal(tell("packet halt in"), "ok");
    submit_out(fd, 9, 2, STATUS, sizeof STATUS);
    submitted(fd, 9, 0, sizeof STATUS, false, NULL);
    submit_in(fd, 10, 2, sizeof data);
    submitted(fd, 10, -EPIPE, 0, true, data);
    submit_control(fd, 11, clear_in);
    submitted(fd, 11, 0, 0, false, NULL);
    exchanges_status(fd, 12);
    close(fd);
}

static void a_naked_packet_comes_late(void **state)
{
    (void)state;
    const int fd = importer();
    assert_string_equal(tell("packet nak out 1 0.2"), "ok");
    const int64_t begun_us = loop_now_us();
    exchanges_status(fd, 1);
    assert_true(loop_now_us() - begun_us >= 200000);
    close(fd);
}

/* As when the client's process is killed there: what it had not yet sent never comes. */
static void a_client_that_is_gone_between_two_packets_leaves_what_has_moved(void **state)
{
    (void)state;
    const uint8_t two_packets[80] = { 0x65, 70, 0, 0, 0, 0, 3 };
    const int fd = importer();
    assert_string_equal(tell("packet pause out 2"), "ok");
    submit_out(fd, 1, 2, two_packets, sizeof two_packets);
    while (strcmp(tell("packet"), "ok paused") != 0)
        continue;
    close(fd);
    const int again = importer();
    assert_string_equal(tell("packet go"), "ok");
    submit_out(again, 1, 2, two_packets + 64, sizeof two_packets - 64); /* the rest, which it still waits for */
    submitted(again, 1, 0, sizeof two_packets - 64, false, NULL);
    uint8_t answer[256];
    submit_in(again, 2, 2, sizeof answer);
    submitted(again, 2, 0, 10, true, answer);
    assert_int_equal(answer[6], 3);
    close(again);
}

static void a_transfer_unlinked_halfway_may_say_that_nothing_has_moved(void **state)
{
    (void)state;
    const uint8_t two_packets[128] = { 0x6f, 118 };
    const int fd = importer();
    assert_string_equal(tell("packet cancels unreported"), "ok");
    assert_string_equal(tell("packet nak out 2 60"), "ok");
    submit_out(fd, 1, 2, two_packets, sizeof two_packets);
    while (strcmp(tell("packet"), "ok struck") != 0)
        continue;
    unlink_request(fd, 3, 1);
    unlinked(fd, 3, -ECONNRESET);
    close(fd);
}

static void packet_faults_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "packet lost", "packet lost sideways", "packet lost in 0", "packet lost in 1x", "packet lost in 1 2",
        "packet nak in 1", "packet nak in 1 soon", "packet babble out", "packet no-zlp control", "packet cancels",
        "packet cancels never", "packet gone in 1", "packet a b c d e",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_string_equal(tell(lines[i]), "error packet: wrong arguments");
    assert_string_equal(tell("packet"), "ok none");
    assert_string_equal(tell("packet lost control 3"), "ok");
    assert_string_equal(tell("packet none"), "ok");
    assert_string_equal(tell("packet"), "ok none");
}

static void the_hub_request_for_a_port_reset_resets_the_device(void **state)
{
    (void)state;
    static const uint8_t reset[] = { 0x23, 3, 4, 0, 1, 0, 0, 0 };
    uint8_t data[64];
    const int fd = importer();
    submit_in(fd, 1, 1, 64);
    submitted(fd, 1, 0, 2, true, data); /* presence, told once after each reset */
    submit_in(fd, 2, 1, 64);
    submit_control(fd, 3, reset);
    submitted(fd, 3, 0, 0, false, NULL);
    submitted(fd, 2, -ECONNRESET, 0, true, data);
    submit_in(fd, 4, 1, 64);
    submitted(fd, 4, 0, 2, true, data);
    close(fd);
}

/* ---- plugging ---- */

static void unplugging_ends_transfers_and_then_the_connection(void **state)
{
    (void)state;
    uint8_t data[64];
    const int fd = importer();
    submit_in(fd, 1, 2, 64);
    assert_string_equal(tell("unplug"), "ok");
    submitted(fd, 1, -ESHUTDOWN, 0, true, data);
    ends(fd);
    assert_string_equal(tell("plug"), "ok");
    const int again = importer();
    exchanges_status(again, 1);
    close(again);
}

static void in_exclusive_mode_a_connection_is_a_plug(void **state)
{
    (void)state;
    uint8_t data[64];
    int fd = importer();
    submit_in(fd, 1, 2, 64);
    submitted(fd, 1, -EPROTO, 0, true, data); /* the client is the host: nobody has configured the device */
    submit_control(fd, 2, SET_CONFIGURATION);
    submitted(fd, 2, 0, 0, false, NULL);
    exchanges_status(fd, 3);
    const int second = client();
    assert_int_equal(try_import(second, "1-1"), OP_STATUS_BUSY);
    close(second);
    close(fd);
    fd = client();
    while (try_import(fd, "1-1") == OP_STATUS_BUSY) /* until the server has read the end of the stream */
        continue;
    submit_in(fd, 1, 2, 64);
    submitted(fd, 1, -EPROTO, 0, true, data);
    close(fd);
}

static void in_shared_mode_clients_come_and_go_and_the_key_stays(void **state)
{
    (void)state;
    static const uint8_t power_on[] = { 0x62, 0, 0, 0, 0, 0, 1, 0, 0, 0 };
    uint8_t data[256];
    const int first = importer(), second = importer();
    submit_out(first, 1, 2, power_on, sizeof power_on);
    submitted(first, 1, 0, sizeof power_on, false, NULL);
    submit_in(first, 2, 1, 64);
    submitted(first, 2, 0, 2, true, data);
    submit_in(first, 3, 1, 64); /* stays pending when the client leaves */
    close(first);
    submit_in(second, 1, 2, sizeof data); /* the answer is whose that reads first */
    submitted(second, 1, 0, 10 + (uint32_t)identity_find("nitrokey-pro-2")->atr_len, true, data);
    assert_string_equal(tell("busy"), "ok idle");
    exchanges_status(second, 2);
    close(second);
    const int third = importer();
    submit_in(third, 1, 1, 64);
    exchanges_status(third, 2);
    unlink_request(third, 4, 1);
    unlinked(third, 4, -ECONNRESET); /* presence was told: nobody has enumerated the device again */
    close(third);
}

/* ---- bad clients ---- */

static void garbage_ends_the_connection_and_nothing_else(void **state)
{
    (void)state;
    uint8_t garbage[200];
    memset(garbage, 0x5a, sizeof garbage);
    int fd = client();
    put(fd, garbage, sizeof garbage); /* instead of a question */
    ends(fd);
    fd = importer();
    put(fd, garbage, sizeof garbage); /* instead of a command */
    ends(fd);
    fd = importer();
    exchanges_status(fd, 1);
    close(fd);
}

static void impossible_submissions_end_the_connection(void **state)
{
    (void)state;
    const struct usbip_header impossible[] = {
        { .command = htonl(USBIP_CMD_SUBMIT), .submit = { .length = htonl(0x7fffffff) } },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(1), .submit = { .length = htonl(0xffffffff) } },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(1), .endpoint = htonl(16) },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(2), .endpoint = htonl(2) },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(1), .endpoint = htonl(2),
          .submit = { .packets = htonl(7) } },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(1),      /* wLength beyond the buffer */
          .submit = { .length = htonl(4), .setup = { 0x80, 6, 0, 1, 0, 0, 64, 0 } } },
        { .command = htonl(USBIP_CMD_SUBMIT), .direction = htonl(1),      /* direction against that of the setup */
          .submit = { .length = htonl(64), .setup = { 0x00, 6, 0, 1, 0, 0, 64, 0 } } },
        { .command = htonl(USBIP_RET_SUBMIT) },
    };
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        const int fd = importer();
        put(fd, &impossible[i], sizeof impossible[i]);
        ends(fd);
    }
    const int fd = importer();
    exchanges_status(fd, 1);
    close(fd);
}

static void too_many_pending_transfers_end_the_connection(void **state)
{
    (void)state;
    const int fd = importer();
    uint8_t data[64];
    submit_in(fd, 0, 1, 64);
    submitted(fd, 0, 0, 2, true, data);
    for (uint32_t i = 1; i <= 65; i++)
        submit_in(fd, i, 1, 64);
    ends(fd);
}

static void a_client_that_leaves_within_a_message_is_forgotten(void **state)
{
    (void)state;
    const struct usbip_header header = { .command = htonl(USBIP_CMD_SUBMIT), .endpoint = htonl(2),
                                         .submit = { .length = htonl(100) } };
    int fd = importer();
    put(fd, &header, sizeof header);
    put(fd, STATUS, sizeof STATUS);
    close(fd);
    fd = importer();
    exchanges_status(fd, 1);
    close(fd);
}

/* ---- control ---- */

static void the_control_socket_answers_each_line(void **state)
{
    (void)state;
    static const char *const dialogue[][2] = {
        { "counters", "ok pw1=3 rc=0 pw3=3" }, { "touch", "ok" }, { "busy", "ok idle" }, { "apdus", "ok 0" },
        { "stats", "ok control=0 out=0 in=0 interrupt=0 pending=0" }, { "mute on", "ok" }, { "mute off", "ok" },
        { "generate 20,silent=20 0.5,wtx=0,multiplier=255", "ok" }, { "corrupt edc 2", "ok" }, { "stall in", "ok" },
        { "stale 1", "ok" }, { "answer swallow 0", "ok" }, { "descriptors right", "ok" }, { "hid-reset", "ok" },
        { "hid 1", "error hid: nobody else has commands for the card of this key" }, { "hid", "error hid: wrong arguments" },
        { "mute", "error mute: wrong arguments" }, { "mute maybe", "error mute: wrong arguments" },
        { "generate 1x", "error generate: wrong arguments" }, { "generate -1", "error generate: wrong arguments" },
        { "generate 1,multiplier=256", "error generate: wrong arguments" },
        { "generate 1,silent", "error generate: wrong arguments" },
        { "corrupt edc -1", "error corrupt: wrong arguments" }, { "stall", "error stall: wrong arguments" },
        { "plug now", "error plug: wrong arguments" }, { "", "error unknown command" },
        { "nonsense", "error unknown command" },
    };
    for (size_t i = 0; i < sizeof dialogue / sizeof dialogue[0]; i++)
        assert_string_equal(tell(dialogue[i][0]), dialogue[i][1]);
}

static void an_endless_line_ends_the_control_connection(void **state)
{
    (void)state;
    char line[CONTROL_LINE_MAX];
    memset(line, 'x', sizeof line);
    const int fd = listener_connect(control_address + 5);
    assert_true(fd >= 0);
    put(fd, line, sizeof line);
    ends(fd);
    assert_string_equal(tell("busy"), "ok idle");
}

#define SHARED(name) cmocka_unit_test_setup_teardown(name, start_shared, stop)
#define EXCLUSIVE(name) cmocka_unit_test_setup_teardown(name, start_exclusive, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(the_list_shows_the_device_and_its_interfaces),
        SHARED(only_the_device_that_is_there_is_imported),
        SHARED(control_transfers_read_descriptors),
        SHARED(bulk_transfers_take_messages_both_ways),
        SHARED(messages_may_come_in_pieces),
        SHARED(a_pending_transfer_is_unlinked_at_once_even_when_the_device_is_frozen),
        SHARED(unlinking_a_finished_transfer_says_so),
        SHARED(what_has_moved_of_an_unlinked_transfer_is_returned),
        SHARED(errors_of_transfers_have_linux_numbers),
        SHARED(packets_that_fail_have_linux_numbers),
        SHARED(a_naked_packet_comes_late),
        SHARED(a_client_that_is_gone_between_two_packets_leaves_what_has_moved),
        SHARED(a_transfer_unlinked_halfway_may_say_that_nothing_has_moved),
        SHARED(packet_faults_that_make_no_sense_are_refused),
        SHARED(the_hub_request_for_a_port_reset_resets_the_device),
        SHARED(unplugging_ends_transfers_and_then_the_connection),
        EXCLUSIVE(in_exclusive_mode_a_connection_is_a_plug),
        SHARED(in_shared_mode_clients_come_and_go_and_the_key_stays),
        SHARED(garbage_ends_the_connection_and_nothing_else),
        SHARED(impossible_submissions_end_the_connection),
        SHARED(too_many_pending_transfers_end_the_connection),
        SHARED(a_client_that_leaves_within_a_message_is_forgotten),
        SHARED(the_control_socket_answers_each_line),
        SHARED(an_endless_line_ends_the_control_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
