#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin_check.h"

/// Loans that ended stay mapped without access until so many others have ended after them.
#define QUARANTINE 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { void *start; size_t length; } quarantine[QUARANTINE];
static size_t next_place;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static size_t whole_pages(uint64_t size) { return (size + page_size() - 1) / page_size() * page_size(); }

/// Memory of `size` bytes whose end is the start of a page without access. The start keeps no alignment but that of `size`.
static uint8_t *map(uint64_t size) {
    size_t length = whole_pages(size);
    uint8_t *start = mmap(NULL, length + page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) abort();
    mprotect(start + length, page_size(), PROT_NONE);
    return start + length - size;
}

static void *start_of(const void *bytes, uint64_t size) { return (uint8_t *)bytes + size - whole_pages(size); }

const uint8_t *check_lend(const void *bytes, uint64_t size) {
    if (size == 0) return NULL;
    uint8_t *copy = map(size);
    memcpy(copy, bytes, size);
    mprotect(start_of(copy, size), whole_pages(size), PROT_READ);
    return copy;
}

void check_take_back(const uint8_t *bytes, uint64_t size) {
    if (bytes == NULL) return;
    void *start = start_of(bytes, size);
    size_t length = whole_pages(size);
    // The pages go, the addresses stay taken.
    mmap(start, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    pthread_mutex_lock(&lock);
    void *old = quarantine[next_place].start;
    size_t old_length = quarantine[next_place].length;
    quarantine[next_place].start = start;
    quarantine[next_place].length = length + page_size();
    next_place = (next_place + 1) % QUARANTINE;
    pthread_mutex_unlock(&lock);
    if (old != NULL) munmap(old, old_length);
}

void *check_room(uint64_t size) { return map(size); }
void check_room_free(void *room, uint64_t size) { munmap(start_of(room, size), whole_pages(size) + page_size()); }

uint64_t check_hash(const void *bytes, uint64_t size) {
    const uint8_t *byte = bytes;
    uint64_t hash = 0xcbf29ce484222325;
    for (uint64_t i = 0; i < size; i++) hash = (hash ^ byte[i]) * 0x100000001b3;
    return hash;
}
