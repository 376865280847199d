#define _GNU_SOURCE
#include "state_store.h"

#include <fcntl.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

store_block *store_block_make(uint32_t size) {
    store_block *block = malloc(sizeof(store_block) + size);
    if (!block)
        return NULL;
    *block = (store_block){.references = 1, .size = size};
    return block;
}

void store_block_release(void *pointer) {
    store_block *block = pointer;
    while (block && __atomic_sub_fetch(&block->references, 1, __ATOMIC_ACQ_REL) == 0) {
        store_block *previous = block->previous;
        free(block);
        block = previous;
    }
}

/// Reflected Castagnoli polynomial.
#define POLYNOMIAL 0x82F63B78u

uint32_t store_crc32c_portable(uint32_t crc, const void *bytes, size_t size) {
    static uint32_t table[16];
    if (!__atomic_load_n(&table[1], __ATOMIC_ACQUIRE)) {
        for (uint32_t i = 15; i > 0; i--) { // table[1] last: it says that the table is complete
            uint32_t value = i;
            for (int bit = 0; bit < 4; bit++)
                value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
            __atomic_store_n(&table[i], value, __ATOMIC_RELEASE);
        }
    }
    const uint8_t *next = bytes;
    crc = ~crc;
    for (; size; size--, next++) {
        crc ^= *next;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *next, size_t size) {
    uint64_t value = ~crc;
    for (; size >= 8; size -= 8, next += 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        value = __builtin_ia32_crc32di(value, word);
    }
    uint32_t rest = (uint32_t)value;
    for (; size; size--, next++)
        rest = __builtin_ia32_crc32qi(rest, *next);
    return ~rest;
}
#endif

uint32_t store_crc32c(uint32_t crc, const void *bytes, size_t size) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_instruction(crc, bytes, size);
#endif
    return store_crc32c_portable(crc, bytes, size);
}

/// The product of two polynomials modulo that of the checksum, all reflected: the highest bit is x^0.
static uint32_t crc32c_multiply(uint32_t left, uint32_t right) {
    uint32_t product = 0;
    for (; left; left <<= 1) {
        if (left & 0x80000000u)
            product ^= right;
        right = right & 1 ? right >> 1 ^ POLYNOMIAL : right >> 1;
    }
    return product;
}

uint32_t store_crc32c_shift(uint32_t crc, uint64_t size) {
    uint32_t power = 0x80000000u >> 8; // x^8: one byte
    for (; size; size >>= 1) {
        if (size & 1)
            crc = crc32c_multiply(power, crc);
        power = crc32c_multiply(power, power);
    }
    return crc;
}

void store_futex_wait(uint32_t *word) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

void store_futex_wake(uint32_t *word) {
    // A sleeper that wakes by itself may return and drop the word before the call: the kernel only compares the address.
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void store_futex_wait_shared(uint32_t *word) {
    uint32_t seen;
    while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    if (seen == 1 && __atomic_compare_exchange_n(word, &seen, 2, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void store_futex_fire_shared(uint32_t *word, bool isShared) {
    __atomic_store_n(word, isShared ? 1 : 2, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void store_thread_name(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

const char *store_error_text(int number) {
    const char *text = strerrordesc_np(number);
    return text ? text : "unknown error";
}

void *store_lock_make(void) {
    pthread_rwlock_t *lock = malloc(sizeof *lock);
    if (!lock)
        return NULL;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return lock;
}

void store_lock_free(void *lock) {
    pthread_rwlock_destroy(lock);
    free(lock);
}

void store_lock_read(void *lock) {
    pthread_rwlock_rdlock(lock);
}

void store_lock_write(void *lock) {
    pthread_rwlock_wrlock(lock);
}

void store_lock_release(void *lock) {
    pthread_rwlock_unlock(lock);
}

size_t store_size_without_zeros(const void *bytes, size_t size) {
    const uint8_t *first = bytes;
    while (size % 8 && !first[size - 1])
        size--;
    if (size % 8)
        return size;
    for (uint64_t word = 0; size >= 8; size -= 8) {
        memcpy(&word, first + size - 8, 8);
        if (word)
            break;
    }
    while (size && !first[size - 1])
        size--;
    return size;
}

size_t store_find_word(const void *bytes, size_t size, size_t start, uint32_t word) {
    for (size_t offset = start; offset + 4 <= size; offset += 8) {
        uint32_t found;
        memcpy(&found, (const uint8_t *)bytes + offset, 4);
        if (found == word)
            return offset;
    }
    return size;
}

const int32_t store_open_direct = O_DIRECT;

ssize_t store_write_durably(int file, const struct iovec *vectors, int count, off_t offset) {
    return pwritev2(file, vectors, count, offset, RWF_DSYNC);
}
