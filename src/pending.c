/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pending.c - what is pending at a key, in a page shared with a file that outlives the process. */
#include "pending.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "run_file.h"

#define KIND ".pending"
#define MAGIC 0x4b4e4650u
#define VERSION 1

struct page {
    uint32_t magic, version;
    struct pending_key key;
    struct pending pending;
};

/* Nobody else's file, and of no other size; the room is there, so a full disk cannot end the process at a store. */
static bool is_ours(int file)
{
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() && status.st_nlink == 1 &&
           posix_fallocate(file, 0, sizeof(struct page)) == 0;
}

static void *map(const struct pending_key *key)
{
    char name[RUN_FILE_NAME];
    void *page = MAP_FAILED;
    const int directory = run_directory();
    if (directory < 0)
        return NULL;
    run_file_name(name, key->bus, key->address, KIND);
    const int file = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    close(directory);
    if (file >= 0 && is_ours(file))
        page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    return page == MAP_FAILED ? NULL : page;
}

static bool is_same(const struct pending_key *a, const struct pending_key *b)
{
    return a->node == b->node && a->vendor_id == b->vendor_id && a->product_id == b->product_id &&
           a->bcd_device == b->bcd_device && a->bus == b->bus && a->address == b->address;
}

void pending_open(struct pending_store *store, const struct pending_key *key)
{
    memset(store, 0, sizeof *store);
    store->now = &store->memory;
    store->key = *key;
    struct page *const page = key->node ? map(key) : NULL;
    if (!page)
        return;
    if (page->magic != MAGIC || page->version != VERSION || !is_same(&page->key, key) ||
        page->pending.phase > PENDING_FOR_GOOD || page->pending.sent > page->pending.length) {
        memset(page, 0, sizeof *page);
        page->magic = MAGIC;
        page->version = VERSION;
        page->key = *key;
    }
    store->page = page;
    store->now = &page->pending;
}

void pending_close(struct pending_store *store, bool unplugged)
{
    char name[RUN_FILE_NAME];
    if (!store->page)
        return;
    const bool over = unplugged || (store->now->phase == PENDING_NOTHING && !store->now->chain && !store->now->rest);
    munmap(store->page, sizeof(struct page));
    store->page = NULL;
    store->now = &store->memory;
    const int directory = over ? run_directory() : -1;
    if (directory < 0)
        return;
    run_file_name(name, store->key.bus, store->key.address, KIND);
    (void)unlinkat(directory, name, 0);
    close(directory);
}
