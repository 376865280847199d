#define _GNU_SOURCE // F_GET_SEALS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

// MARK: Time, conditions, errors

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void condition_initialize(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t deadline_ns) {
    if (deadline_ns == 0) return pthread_cond_wait(condition, lock);
    struct timespec limit = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    return pthread_cond_timedwait(condition, lock, &limit);
}

int32_t fail(hostd_error *error, int32_t status, const char *sentence) {
    if (error == NULL || error->struct_size < sizeof *error) return status;
    int is_retryable = status == HOSTD_ERROR_UNAVAILABLE || status == HOSTD_ERROR_DEADLINE_EXCEEDED;
    error->code = status;
    error->retryable = is_retryable;
    error->retry_delay_ms = is_retryable ? RETRY_DELAY_MS : 0;
    error->message = (hostd_buffer){.data = (const uint8_t *)sentence, .size = strlen(sentence)};
    return status;
}

int32_t fail_exchange(isolation_peer *peer, int code, hostd_error *error) {
    (void)peer;
    switch (code) {
    case -ETIMEDOUT: return fail(error, HOSTD_ERROR_DEADLINE_EXCEEDED, "The plugin's process did not answer in time.");
    case -EMSGSIZE:
        return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "The call is larger than what crosses between processes.");
    case -ENOMEM: return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "There is no memory for the call.");
    case -EBADF: return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "An argument is not an open descriptor.");
    case -ETOOMANYREFS: return fail(error, HOSTD_ERROR_UNAVAILABLE, "Too many descriptors are under way.");
    default: return fail(error, HOSTD_ERROR_UNAVAILABLE, "The plugin's process has ended; it is started again.");
    }
}

// MARK: References, threads, the end

isolation_peer *peer_retain(isolation_peer *peer) {
    atomic_fetch_add_explicit(&peer->references, 1, memory_order_relaxed);
    return peer;
}

static void free_lanes(isolation_peer *peer, struct lane *lanes) {
    for (uint32_t i = 0; lanes != NULL && i < peer->lane_count; i++) {
        for (uint32_t j = 0; j < lanes[i].file_count; j++) close(lanes[i].files[j]);
        pthread_mutex_destroy(&lanes[i].mailbox_lock);
        pthread_cond_destroy(&lanes[i].mailbox_filled);
        free(lanes[i].scratch);
    }
    free(lanes);
}

static void peer_free(isolation_peer *peer) {
    proxy_free_all(peer);
    object_free_all(peer);
    free_lanes(peer, peer->clients);
    free_lanes(peer, peer->servers);
    if (peer->receivers != NULL) receiver_table_free(peer->receivers);
    if (peer->relays != NULL) relay_list_free(peer->relays);
    if (peer->memory != NULL) munmap(peer->memory, layout_size(peer->lane_count));
    if (peer->alarm >= 0) close(peer->alarm);
    if (peer->socket >= 0) close(peer->socket);
    pthread_mutex_destroy(&peer->lane_lock);
    pthread_cond_destroy(&peer->lane_freed);
    pthread_mutex_destroy(&peer->object_lock);
    pthread_mutex_destroy(&peer->end_lock);
    pthread_cond_destroy(&peer->end_changed);
    free(peer);
}

void peer_release(isolation_peer *peer) {
    if (atomic_fetch_sub_explicit(&peer->references, 1, memory_order_acq_rel) == 1) peer_free(peer);
}

struct start {
    isolation_peer *peer;
    void (*body)(void *);
    void *argument;
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.body(start.argument);
    atomic_fetch_sub(&start.peer->threads, 1);
    peer_release(start.peer);
    return NULL;
}

int peer_start_thread(isolation_peer *peer, void (*body)(void *), void *argument) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return -ENOMEM;
    *start = (struct start){.peer = peer_retain(peer), .body = body, .argument = argument};
    atomic_fetch_add(&peer->threads, 1);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    pthread_t thread;
    int code = pthread_create(&thread, NULL, run, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) {
        pthread_detach(thread);
        return 0;
    }
    atomic_fetch_sub(&peer->threads, 1);
    free(start);
    peer_release(peer);
    return -code;
}

int lane_start(struct lane *lane) {
    lane->scratch = malloc(LAYOUT_PART_LIMIT);
    return lane->scratch == NULL ? -ENOMEM : peer_start_thread(lane->peer, serve_lane, lane);
}

int peer_end(isolation_peer *peer, uint32_t cause, const char *reason) {
    pthread_mutex_lock(&peer->end_lock);
    if (peer->cause == 0) {
        peer->cause = cause;
        snprintf(peer->reason, sizeof peer->reason, "%s", reason);
        atomic_store(&peer->condemned, 1);
        uint64_t one = 1;
        if (write(peer->alarm, &one, sizeof one) != sizeof one) abort(); // An eventfd takes it always.
    }
    pthread_mutex_unlock(&peer->end_lock);
    return -EBADMSG;
}

// MARK: Creation

static struct lane *make_lanes(isolation_peer *peer, uint32_t is_server, uint32_t group) {
    struct lane *lanes = calloc(peer->lane_count, sizeof *lanes);
    for (uint32_t i = 0; lanes != NULL && i < peer->lane_count; i++) {
        size_t offset = LAYOUT_HEAD_SIZE + ((size_t)group * peer->lane_count + i) * LAYOUT_LANE_SIZE;
        struct lane *lane = &lanes[i];
        *lane = (struct lane){.peer = peer, .index = i, .is_server = is_server,
                              .shared = (struct layout_lane *)(peer->memory + offset)};
        pthread_mutex_init(&lane->mailbox_lock, NULL);
        condition_initialize(&lane->mailbox_filled);
    }
    return lanes;
}

/// The host is client of the first group of lanes, the child of the second. Lane 0 is taken first, and again and again.
static int add_lanes(isolation_peer *peer) {
    uint32_t is_host = peer->configuration.is_host;
    peer->clients = make_lanes(peer, 0, is_host ? 0 : 1);
    peer->servers = make_lanes(peer, 1, is_host ? 1 : 0);
    if (peer->clients == NULL || peer->servers == NULL) return -ENOMEM;
    for (uint32_t i = peer->lane_count; i-- > 0;) {
        peer->clients[i].next = peer->free_lanes;
        peer->free_lanes = &peer->clients[i];
    }
    peer->quota[CLASS_DELIVERY] = peer->lane_count / 8 > 0 ? peer->lane_count / 8 : 1;
    peer->quota[CLASS_CALLBACK] = peer->lane_count / 4;
    peer->quota[CLASS_CALL] = peer->lane_count - peer->quota[CLASS_DELIVERY] - peer->quota[CLASS_CALLBACK];
    return 0;
}

/// Maps the shared memory. The number of lanes follows from the file's size, which cannot change: what lies in the memory
/// is not asked.
static int map(isolation_peer *peer) {
    struct stat status;
    int file = peer->configuration.memory;
    if (fstat(file, &status) != 0) return -errno;
    int seals = fcntl(file, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return -EINVAL;
    uint64_t lanes = ((uint64_t)status.st_size - LAYOUT_HEAD_SIZE) / (2 * LAYOUT_LANE_SIZE);
    if (lanes < LAYOUT_LANES_MINIMUM || lanes > LAYOUT_LANES_LIMIT) return -EINVAL;
    if (layout_size((uint32_t)lanes) != (uint64_t)status.st_size) return -EINVAL;
    peer->lane_count = (uint32_t)lanes;
    void *memory = mmap(NULL, layout_size(peer->lane_count), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) return -errno;
    peer->memory = memory;
    const struct layout_head *head = memory;
    if (peer->configuration.is_host) return 0;
    return head->magic == LAYOUT_MAGIC && head->version == LAYOUT_VERSION ? 0 : -EPROTO;
}

static int prepare(isolation_peer *peer) {
    peer->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (peer->alarm < 0) return -errno;
    int status = map(peer);
    if (status == 0) status = add_lanes(peer);
    if (status != 0) return status;
    peer->receivers = receiver_table_create();
    peer->relays = relay_list_create();
    return peer->receivers == NULL || peer->relays == NULL ? -ENOMEM : 0;
}

isolation_peer *isolation_peer_create(const isolation_configuration *configuration, int32_t *status) {
    isolation_peer *peer = calloc(1, sizeof *peer);
    *status = -EINVAL;
    if (peer == NULL || configuration->struct_size < sizeof *configuration) {
        free(peer);
        return NULL;
    }
    peer->references = 1;
    peer->configuration = *configuration;
    if (peer->configuration.message_limit == 0) peer->configuration.message_limit = MESSAGE_LIMIT_DEFAULT;
    peer->alarm = peer->socket = -1;
    pthread_mutex_init(&peer->lane_lock, NULL);
    condition_initialize(&peer->lane_freed);
    pthread_mutex_init(&peer->object_lock, NULL);
    pthread_mutex_init(&peer->end_lock, NULL);
    condition_initialize(&peer->end_changed);
    *status = prepare(peer);
    if (*status == 0) {
        peer->socket = configuration->socket;
        *status = peer_start_thread(peer, control_main, peer);
    }
    if (*status == 0) return peer;
    peer->socket = -1;
    peer_free(peer);
    return NULL;
}

// MARK: The end, figures

int peer_begin_callback(isolation_peer *peer) {
    atomic_fetch_add(&peer->callbacks, 1);
    if (!atomic_load(&peer->was_given_up)) return 1;
    peer_end_callback(peer);
    return 0;
}

void peer_end_callback(isolation_peer *peer) {
    if (atomic_fetch_sub(&peer->callbacks, 1) != 1 || !atomic_load(&peer->was_given_up)) return;
    pthread_mutex_lock(&peer->end_lock);
    pthread_cond_broadcast(&peer->end_changed);
    pthread_mutex_unlock(&peer->end_lock);
}

void isolation_peer_condemn(isolation_peer *peer, const char *reason) { peer_end(peer, ISOLATION_CONDEMNED, reason); }

void isolation_peer_destroy(isolation_peer *peer) {
    peer_end(peer, ISOLATION_CLOSED, "The connection to the plugin's process was closed.");
    atomic_store(&peer->was_given_up, 1); // `died` comes all the same, and last.
    pthread_mutex_lock(&peer->end_lock);
    while (!peer->has_ended || atomic_load(&peer->callbacks) != 0) wait_until(&peer->end_changed, &peer->end_lock, 0);
    pthread_mutex_unlock(&peer->end_lock);
    peer_release(peer);
}

void isolation_peer_statistics(const isolation_peer *constant, isolation_statistics *statistics) {
    isolation_peer *peer = (isolation_peer *)constant; // Only locks are changed.
    uint32_t size = statistics->struct_size;
    isolation_statistics now = {
        .struct_size = size, .is_condemned = atomic_load(&peer->condemned),
        .calls_out = atomic_load(&peer->calls_out), .errors_out = atomic_load(&peer->errors_out),
        .calls_in = atomic_load(&peer->calls_in), .errors_in = atomic_load(&peer->errors_in),
        .overruns = atomic_load(&peer->overruns), .calls_out_now = atomic_load(&peer->calls_out_now),
        .calls_in_now = atomic_load(&peer->calls_in_now), .threads = atomic_load(&peer->threads),
        .begun = relay_begun(peer), .queued_bytes = atomic_load(&peer->queued_bytes)};
    receiver_count(peer, &now.subscriptions, &now.completions);
    memcpy(statistics, &now, size < sizeof now ? size : sizeof now);
}
