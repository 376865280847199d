#define _GNU_SOURCE
#include "group_commit.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    uint8_t *bytes;
    uint32_t count;
    uint32_t ended; ///< How often this batch was on disk; its writers sleep on it.
} batch;

typedef struct {
    const group_commit *load;
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    batch batches[2]; ///< One is filled while the other is written.
    uint32_t open;
    uint32_t running;
    int isWaiting;
    int error;
    uint64_t end;
} state;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *write_records(void *argument) {
    state *all = argument;
    size_t size = all->load->record_size;
    uint8_t *record = malloc(size);
    if (record)
        memset(record, 'a', size);
    while (record && now() < all->end) {
        pthread_mutex_lock(&all->mutex);
        if (all->error) {
            pthread_mutex_unlock(&all->mutex);
            break;
        }
        batch *mine = &all->batches[all->open];
        memcpy(mine->bytes + mine->count++ * size, record, size);
        uint32_t before = __atomic_load_n(&mine->ended, __ATOMIC_ACQUIRE);
        int wakes = all->isWaiting;
        all->isWaiting = 0;
        pthread_mutex_unlock(&all->mutex);
        if (wakes)
            pthread_cond_signal(&all->filled);
        while (__atomic_load_n(&mine->ended, __ATOMIC_ACQUIRE) == before)
            syscall(SYS_futex, &mine->ended, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
    }
    pthread_mutex_lock(&all->mutex);
    all->running--;
    pthread_cond_signal(&all->filled);
    pthread_mutex_unlock(&all->mutex);
    free(record);
    return NULL;
}

/// The thread that writes: the caller's.
static void commit(state *all, group_commit_result *result) {
    uint64_t offset = 0;
    for (;;) {
        pthread_mutex_lock(&all->mutex);
        while (!all->batches[all->open].count && all->running) {
            all->isWaiting = 1;
            pthread_cond_wait(&all->filled, &all->mutex);
        }
        batch *taken = &all->batches[all->open];
        if (!taken->count) {
            pthread_mutex_unlock(&all->mutex);
            return;
        }
        all->open ^= 1;
        pthread_mutex_unlock(&all->mutex);
        size_t size = (size_t)taken->count * all->load->record_size;
        if (offset + size > all->load->file_size)
            offset = 0;
        int error = 0;
        if (pwrite(all->load->file, taken->bytes, size, (off_t)offset) != (ssize_t)size || fdatasync(all->load->file))
            error = errno ? errno : EIO;
        offset += size;
        result->records += taken->count;
        result->batches++;
        taken->count = 0;
        if (error) {
            pthread_mutex_lock(&all->mutex);
            all->error = error;
            pthread_mutex_unlock(&all->mutex);
        }
        __atomic_fetch_add(&taken->ended, 1, __ATOMIC_ACQ_REL);
        syscall(SYS_futex, &taken->ended, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

int32_t group_commit_run(const group_commit *load, group_commit_result *result) {
    state all = {.load = load, .mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};
    *result = (group_commit_result){0};
    pthread_t *threads = calloc(load->writers, sizeof *threads);
    for (int i = 0; i < 2; i++)
        all.batches[i].bytes = malloc((size_t)load->writers * load->record_size);
    if (threads && all.batches[0].bytes && all.batches[1].bytes) {
        all.end = now() + load->nanoseconds;
        all.running = load->writers;
        uint32_t started = 0;
        for (; started < load->writers; started++) {
            if ((all.error = pthread_create(&threads[started], NULL, write_records, &all)))
                break;
        }
        pthread_mutex_lock(&all.mutex);
        all.running -= load->writers - started;
        pthread_mutex_unlock(&all.mutex);
        commit(&all, result);
        while (started)
            pthread_join(threads[--started], NULL);
    } else {
        all.error = ENOMEM;
    }
    free(threads);
    for (int i = 0; i < 2; i++)
        free(all.batches[i].bytes);
    return all.error;
}
