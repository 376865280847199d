/// What the state store needs from C: reference-counted records, CRC-32C by instruction, a futex.
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// One stored value in memory: this head, then a hostd_store_record with its bytes, contiguous.
typedef struct store_block {
    uint32_t references;          ///< Atomic.
    uint32_t partition;           ///< Which resource it belongs to.
    struct store_block *_Nullable previous; ///< The key's older version, owned; NULL when compacted away.
    uint32_t committed_at;        ///< Seconds of the monotonic clock, modulo 2^32.
    uint32_t size;                ///< Of the record, in bytes.
    uint64_t time;                ///< When it was written, milliseconds since 1970; 0 = not known.
} store_block;

/// Allocates a block for a record of `size` bytes with one reference; NULL when memory is exhausted.
store_block *_Nullable store_block_make(uint32_t size);

/// Gives up one reference; the last one frees the block and, in a loop, the versions that it alone owns. Any thread.
void store_block_release(void *_Nullable block);

/// Begins to fetch a block's head and the begin of its record.
static inline void store_prefetch(const void *_Nonnull block) {
    __builtin_prefetch(block, 1);
    __builtin_prefetch((const char *)block + 64, 1);
    __builtin_prefetch((const char *)block + 128);
}

static inline void store_block_retain(store_block *_Nonnull block) {
    __atomic_fetch_add(&block->references, 1, __ATOMIC_RELAXED);
}

/// CRC-32C (Castagnoli) of `size` bytes, continued from `crc`; begin with 0.
uint32_t store_crc32c(uint32_t crc, const void *_Nonnull bytes, size_t size);
/// The same without the SSE4.2 instruction, for machines that lack it and for tests.
uint32_t store_crc32c_portable(uint32_t crc, const void *_Nonnull bytes, size_t size);
/// What `crc` contributes to a checksum that is continued over `size` bytes, whatever they are:
/// store_crc32c(crc, bytes, size) == store_crc32c_shift(crc, size) ^ store_crc32c(0, bytes, size). Logarithmic in `size`.
uint32_t store_crc32c_shift(uint32_t crc, uint64_t size);

/// Sleeps until `*word` is no longer 0.
void store_futex_wait(uint32_t *_Nonnull word);
/// Sets `*word` to 1 and wakes its sleeper. `*word` must not be touched afterwards.
void store_futex_wake(uint32_t *_Nonnull word);
/// Sleeps until `*word` is no longer 0. Who finds it at 1 first sets it to 2 and wakes the other sleepers.
void store_futex_wait_shared(uint32_t *_Nonnull word);
/// Sets `*word`, to 1 when it has several sleepers, otherwise to 2, and wakes one.
void store_futex_fire_shared(uint32_t *_Nonnull word, bool isShared);

/// The size of `bytes` without the zeros at their end.
size_t store_size_without_zeros(const void *_Nonnull bytes, size_t size);
/// The first offset from `start` on, in steps of 8, where `word` stands and 4 bytes are left; `size` when there is none.
size_t store_find_word(const void *_Nonnull bytes, size_t size, size_t start, uint32_t word);

/// A read-write lock that lets no reader pass a waiting writer; NULL when memory is exhausted.
void *_Nullable store_lock_make(void);
void store_lock_free(void *_Nonnull lock);
void store_lock_read(void *_Nonnull lock);
void store_lock_write(void *_Nonnull lock);
void store_lock_release(void *_Nonnull lock);

/// Names the calling thread; at most 15 bytes.
void store_thread_name(const char *_Nonnull name);
/// The C library's English text of an error number; never NULL.
const char *_Nonnull store_error_text(int number);

static inline uint64_t store_atomic_load(const uint64_t *_Nonnull word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void store_atomic_store(uint64_t *_Nonnull word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// pwritev2(2) with RWF_DSYNC: what was written is on disk on return, as after fdatasync, and an error may be of either.
ssize_t store_write_durably(int file, const struct iovec *_Nonnull vectors, int count, off_t offset);
/// O_DIRECT of open(2), which the system's headers show to C with GNU extensions only.
extern const int32_t store_open_direct;

#endif
