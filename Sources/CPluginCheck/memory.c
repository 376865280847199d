#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin_check.h"

/// Regions that are remembered at once: those in use, and the last loans that have ended, which stay mapped without access.
#define REGIONS 2048

typedef enum region_kind { FREE, LOAN, STRUCTURE, ROOM, ENDED } region_kind;

typedef struct region {
    _Atomic(region_kind) kind;
    uint8_t *start;
    size_t length; ///< Without the page behind it.
    uint64_t turn; ///< When it ended.
} region;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static region regions[REGIONS];
static uint64_t turns;
static int report_file = -1;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static size_t whole_pages(uint64_t size) { return (size + page_size() - 1) / page_size() * page_size(); }
static uint8_t *start_of(const void *bytes, uint64_t size) { return (uint8_t *)bytes + size - whole_pages(size); }

/// A free place, or that of the loan which ended first. Under the lock.
static region *place(void) {
    region *oldest = NULL;
    for (size_t i = 0; i < REGIONS; i++) {
        if (atomic_load(&regions[i].kind) == FREE) return &regions[i];
        if (atomic_load(&regions[i].kind) != ENDED) continue;
        if (oldest == NULL || regions[i].turn < oldest->turn) oldest = &regions[i];
    }
    if (oldest == NULL) abort(); // More arguments at once than any call has.
    munmap(oldest->start, oldest->length + page_size());
    return oldest;
}

/// Memory of `size` bytes whose end is the start of a page without access. The start keeps no alignment but that of `size`.
static uint8_t *map(uint64_t size, region_kind kind) {
    size_t length = whole_pages(size);
    uint8_t *start = mmap(NULL, length + page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) abort();
    mprotect(start + length, page_size(), PROT_NONE);
    pthread_mutex_lock(&lock);
    region *region = place();
    region->start = start;
    region->length = length;
    atomic_store(&region->kind, kind);
    pthread_mutex_unlock(&lock);
    return start + length - size;
}

/// The region that begins at `start`. Under the lock.
static region *find(const uint8_t *start) {
    for (size_t i = 0; i < REGIONS; i++) {
        region_kind kind = atomic_load(&regions[i].kind);
        if (kind != FREE && kind != ENDED && regions[i].start == start) return &regions[i];
    }
    abort();
}

const uint8_t *check_lend(const void *bytes, uint64_t size, int32_t is_structure) {
    if (size == 0) return NULL;
    uint8_t *copy = map(size, is_structure ? STRUCTURE : LOAN);
    memcpy(copy, bytes, size);
    mprotect(start_of(copy, size), whole_pages(size), PROT_READ);
    return copy;
}

void check_take_back(const uint8_t *bytes, uint64_t size) {
    if (bytes == NULL) return;
    uint8_t *start = start_of(bytes, size);
    // The pages go, the addresses stay taken.
    mmap(start, whole_pages(size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    pthread_mutex_lock(&lock);
    region *region = find(start);
    region->turn = ++turns;
    atomic_store(&region->kind, ENDED);
    pthread_mutex_unlock(&lock);
}

void *check_room(uint64_t size) { return map(size, ROOM); }

void check_room_free(void *room, uint64_t size) {
    pthread_mutex_lock(&lock);
    region *region = find(start_of(room, size));
    atomic_store(&region->kind, FREE);
    munmap(region->start, region->length + page_size());
    pthread_mutex_unlock(&lock);
}

static const char *explain(const uint8_t *address) {
    for (size_t i = 0; i < REGIONS; i++) {
        region *region = &regions[i];
        if (address < region->start || address >= region->start + region->length + page_size()) continue;
        int is_behind = address >= region->start + region->length;
        switch (atomic_load(&region->kind)) {
        case FREE: continue;
        case ENDED: return "{\"fault\":{\"rule\":7,\"what\":\"the plugin used an argument after the call had returned\"}}\n";
        case ROOM: return "{\"fault\":{\"rule\":3,\"what\":\"the plugin wrote behind the struct_size that it was given\"}}\n";
        case STRUCTURE:
            if (is_behind) return "{\"fault\":{\"rule\":3,\"what\":\"the plugin read behind the struct_size of an argument\"}}\n";
            break;
        case LOAN:
            if (is_behind) return "{\"fault\":{\"rule\":19,\"what\":\"the plugin read behind the size of an argument\"}}\n";
            break;
        }
        return "{\"fault\":{\"rule\":7,\"what\":\"the plugin wrote into an argument\"}}\n";
    }
    return NULL;
}

static void take_fault(int number, siginfo_t *information, void *context) {
    (void)context;
    const char *line = explain(information->si_addr);
    if (line != NULL && write(report_file, line, strlen(line)) < 0) report_file = -1;
    // The instruction faults again, and ends the process as it should.
    signal(number, SIG_DFL);
}

void check_explain_faults(int32_t file) {
    report_file = file;
    static uint8_t stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, NULL);
    struct sigaction action = {.sa_sigaction = take_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

uint64_t check_hash(const void *bytes, uint64_t size) {
    const uint8_t *byte = bytes;
    uint64_t hash = 0xcbf29ce484222325;
    for (uint64_t i = 0; i < size; i++) hash = (hash ^ byte[i]) * 0x100000001b3;
    return hash;
}
