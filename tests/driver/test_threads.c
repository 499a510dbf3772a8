/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_threads.c - called from many threads as pcscd does, the driver neither hangs, nor leaks, nor mixes answers up. */
#include "bench.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define KEYS 4
#define ROUNDS 25

struct key {
    DWORD lun;
    char name[64];
    struct icc *icc;
    struct device *device;
    struct virtual_slot *slot;
    RESPONSECODE (*poll)(DWORD, int);
    atomic_bool over;
    atomic_uint answers, wrong;
};

static RESPONSECODE (*stop_polling)(DWORD);

/* pcscd's event thread of a reader */
static void *event_thread(void *context)
{
    struct key *const key = context;
    while (!atomic_load(&key->over)) {
        if (key->poll(key->lun, 5000) != IFD_SUCCESS)
            break;
        if (IFDHICCPresence(key->lun) != IFD_ICC_PRESENT)
            continue;
        UCHAR atr[33];
        DWORD length = sizeof atr;
        (void)IFDHPowerICC(key->lun, IFD_POWER_UP, atr, &length);
    }
    return NULL;
}

/* A client: SELECT and GET DATA, whose answers cannot be mistaken for each other. */
static void *client_thread(void *context)
{
    static UCHAR select[] = { 0x00, 0xa4, 0x04, 0x00, 0x06, 0xd2, 0x76, 0x00, 0x01, 0x24, 0x01 };
    static UCHAR get[] = { 0x00, 0xca, 0x00, 0x4f, 0x00 };
    struct key *const key = context;
    for (unsigned n = 0; !atomic_load(&key->over); n++) {
        UCHAR answer[300];
        DWORD length = sizeof answer;
        SCARD_IO_HEADER pci = { .Protocol = 1, .Length = sizeof pci };
        const bool first = n % 2 == 0;
        if (IFDHTransmitToICC(key->lun, pci, first ? select : get, first ? sizeof select : sizeof get, answer, &length,
                              &pci) != IFD_SUCCESS)
            continue;
        atomic_fetch_add(&key->answers, 1);
        if (length != (first ? 2u : 18u))
            atomic_fetch_add(&key->wrong, 1);
    }
    return NULL;
}

/* Programs that ask about the reader, and the last one's end, which stops a poll. */
static void *asking_thread(void *context)
{
    struct key *const key = context;
    while (!atomic_load(&key->over)) {
        UCHAR value[264];
        DWORD length = sizeof value;
        (void)IFDHGetCapabilities(key->lun, 0x00090303, &length, value);
        (void)IFDHControl(key->lun, 0x42000d48, NULL, 0, value, sizeof value, &length);
        (void)stop_polling(key->lun);
    }
    return NULL;
}

static void insert(struct key *key, unsigned n)
{
    char node[32];
    const struct identity *const identity = identity_find("nitrokey-pro-2");
    const struct icc_options card = { .atr = identity->atr, .atr_len = identity->atr_len, .other = { .work_us = 10 * MS } };
    snprintf(node, sizeof node, "/dev/bus/usb/001/%03u", n + 2);
    snprintf(key->name, sizeof key->name, "usb:20a0/4108:libudev:1:%s", node);
    key->lun = (DWORD)n << 16;
    key->icc = icc_new(&card);
    key->device = firmware_new(identity, key->icc, &(struct firmware_options){ .no_stale_packet = false });
    key->slot = virtual_insert(node, key->device);
    assert_non_null(key->slot);
}

static void *live(void *context)
{
    struct key *const key = context;
    void *(*const PARTS[])(void *) = { event_thread, client_thread, asking_thread };
    pthread_t threads[3];
    for (unsigned round = 0; round < ROUNDS; round++) {
        DWORD length = sizeof key->poll;
        atomic_store(&key->over, false);
        if (IFDHCreateChannelByName(key->lun, key->name) != IFD_SUCCESS ||
            IFDHGetCapabilities(key->lun, TAG_IFD_POLLING_THREAD_WITH_TIMEOUT, &length, (PUCHAR)&key->poll)) {
            atomic_fetch_add(&key->wrong, 1000);
            return NULL;
        }
        for (size_t i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, PARTS[i], key);
        const unsigned enough = atomic_load(&key->answers) + 20;
        while (atomic_load(&key->answers) < enough)
            sched_yield();
        if (round % 2)
            virtual_unplug(key->slot);
        atomic_store(&key->over, round % 3 == 0);
        IFDHCloseChannel(key->lun); /* every third time while all go on */
        atomic_store(&key->over, true);
        for (size_t i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        if (round % 2)
            virtual_plug(key->slot);
    }
    return NULL;
}

static void keys_come_and_go_while_all_threads_call(void **state)
{
    (void)state;
    static struct key keys[KEYS];
    pthread_t threads[KEYS];
    DWORD length = sizeof stop_polling;
    assert_int_equal(IFDHGetCapabilities(0, TAG_IFD_STOP_POLLING_THREAD, &length, (PUCHAR)&stop_polling), IFD_SUCCESS);
    for (unsigned n = 0; n < KEYS; n++)
        insert(&keys[n], n);
    for (unsigned n = 0; n < KEYS; n++)
        assert_int_equal(pthread_create(&threads[n], NULL, live, &keys[n]), 0);
    for (unsigned n = 0; n < KEYS; n++)
        pthread_join(threads[n], NULL);
    assert_int_equal(virtual_open_ports(), 0);
    for (unsigned n = 0; n < KEYS; n++) {
        assert_int_equal(atomic_load(&keys[n].wrong), 0);
        assert_true(atomic_load(&keys[n].answers) >= 20 * ROUNDS);
        virtual_remove(keys[n].slot);
        device_free(keys[n].device);
        icc_free(keys[n].icc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(keys_come_and_go_while_all_threads_call) };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
