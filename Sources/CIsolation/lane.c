#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/// Longest look before a sleep: about what two wake-ups cost.
#define SPIN_LIMIT_NS 25000u
/// Most waits that go to sleep at once after looks in vain.
#define SPIN_PAUSE_LIMIT 63u

static uint32_t spin_limit;

/// With one processor the other side cannot answer while this one looks.
__attribute__((constructor)) static void learn_processors(void) {
    spin_limit = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? SPIN_LIMIT_NS : 0;
}

static inline void pause_processor(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static long futex(_Atomic(uint32_t) *word, int operation, uint32_t value, const struct timespec *limit) {
    return syscall(SYS_futex, word, operation, value, limit, NULL, FUTEX_BITSET_MATCH_ANY);
}

void lane_wake(struct lane *lane) { futex(&lane->shared->turn, FUTEX_WAKE, INT32_MAX, NULL); }

static inline _Atomic(uint32_t) *own_sleep(struct lane *lane) {
    return lane->is_server ? &lane->shared->server_sleeps : &lane->shared->client_sleeps;
}

static inline _Atomic(uint32_t) *other_sleep(struct lane *lane) {
    return lane->is_server ? &lane->shared->client_sleeps : &lane->shared->server_sleeps;
}

/// 1 when it is this side's turn, 0 when not yet, -EBADMSG when the number is neither.
static inline int look(struct lane *lane) {
    uint32_t seen = atomic_load(&lane->shared->turn);
    if (seen == lane->turn + 1) {
        lane->turn = seen;
        return 1;
    }
    if (seen == lane->turn) return 0;
    return breach(lane->peer, "The plugin's process wrote out of turn into a lane of the shared memory.");
}

static int sleep_for_turn(struct lane *lane, uint64_t deadline_ns) {
    isolation_peer *peer = lane->peer;
    struct timespec limit = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    int result;
    atomic_fetch_add(&peer->sleepers, 1);
    for (;;) {
        atomic_store(own_sleep(lane), 1);
        if (peer_has_ended(peer)) result = -ECANCELED;
        else result = look(lane);
        if (result != 0) break;
        // Absolute time of the monotonic clock; the futex is not private, for the other side wakes it.
        if (futex(&lane->shared->turn, FUTEX_WAIT_BITSET, lane->turn, deadline_ns == 0 ? NULL : &limit) != 0 &&
            errno == ETIMEDOUT) {
            result = look(lane);
            if (result == 0) result = -ETIMEDOUT;
            break;
        }
    }
    atomic_store(own_sleep(lane), 0);
    atomic_fetch_sub(&peer->sleepers, 1);
    return result == 1 ? 0 : result;
}

/// Looks for this side's turn for up to `limit` nanoseconds. As look.
static int spin(struct lane *lane, uint32_t limit) {
    uint64_t start = 0;
    for (;;) {
        for (int i = 0; i < 16; i++) {
            int result = look(lane);
            if (result != 0) return result;
            pause_processor();
        }
        uint64_t now = limit == 0 ? 0 : now_ns();
        if (start == 0) start = now;
        if (now - start >= limit || peer_has_ended(lane->peer)) return 0;
        // The other side has come back with a question: its answer is far, and the question needs a processor.
        int is_host = !lane->is_server && lane->peer->configuration.is_host != 0;
        if (is_host && atomic_load_explicit(&lane->peer->calls_in_now, memory_order_relaxed) != 0) return 0;
    }
}

/// Waits for this side's turn: looks for a while, and then sleeps. A look in vain makes the next waits, more and more of
/// them, sleep at once: the other side takes its time, or has no processor because this one looks.
static int await_turn(struct lane *lane, uint64_t deadline_ns) {
    int is_trial = lane->spin_skip == 0 && spin_limit != 0;
    int result = spin(lane, is_trial ? spin_limit : 0);
    if (!is_trial && lane->spin_skip != 0) lane->spin_skip--;
    if (is_trial) {
        lane->spin_pause = result != 0 ? 0 : lane->spin_pause * 2 + 1;
        if (lane->spin_pause > SPIN_PAUSE_LIMIT) lane->spin_pause = SPIN_PAUSE_LIMIT;
        lane->spin_skip = lane->spin_pause;
    }
    if (result == 0) return sleep_for_turn(lane, deadline_ns);
    return result == 1 ? 0 : result;
}

static void publish(struct lane *lane, uint32_t kind, uint32_t size, uint64_t total) {
    struct layout_part part = {.kind = kind, .size = size, .total = total};
    memcpy(lane->shared->part, &part, sizeof part);
    atomic_store(&lane->shared->turn, ++lane->turn);
    if (atomic_load(other_sleep(lane)) != 0) futex(&lane->shared->turn, FUTEX_WAKE, 1, NULL);
}

/// The head of what has come, copied once.
static struct layout_part head_of(struct lane *lane) {
    struct layout_part part;
    memcpy(&part, lane->shared->part, sizeof part);
    __asm__ volatile("" : "+m"(part)); // What is checked is what is used: the compiler must not read it again.
    return part;
}

int lane_send(struct lane *lane, uint32_t kind, const uint8_t *bytes, uint64_t size, uint64_t deadline_ns) {
    uint64_t sent = 0;
    for (;;) {
        uint64_t left = size - sent;
        uint32_t count = left < LAYOUT_PART_LIMIT ? (uint32_t)left : LAYOUT_PART_LIMIT;
        if (bytes != NULL) memcpy(lane_room(lane), bytes + sent, count);
        publish(lane, kind, count, size);
        sent += count;
        if (sent == size) return 0;
        int status = await_turn(lane, deadline_ns);
        if (status != 0) return status;
        uint32_t answer = head_of(lane).kind;
        if (answer == LAYOUT_CONTINUE) continue;
        if (!lane->is_server && answer == LAYOUT_REPLY) { // It answers without wanting the rest.
            lane->has_arrived = 1;
            return 0;
        }
        if (!lane->is_server || answer != LAYOUT_STOP) break;
        publish(lane, LAYOUT_CONTINUE, 0, 0); // The turn is the client's again, for its next message.
        return 0;
    }
    return breach(lane->peer, "The plugin's process broke off a message in the shared memory.");
}

/// Room for a message in parts: -EMSGSIZE when one side asks for too much.
static int reserve(isolation_peer *peer, uint64_t total) {
    uint64_t limit = peer->configuration.message_limit;
    if (total > limit) return -EMSGSIZE;
    uint64_t before = atomic_fetch_add(&peer->bytes_under_way, total);
    if (before + total <= 2 * limit) return 0;
    atomic_fetch_sub(&peer->bytes_under_way, total);
    return -EMSGSIZE;
}

/// Copies a message that comes in parts, the first of which is there.
static int receive_parts(struct lane *lane, struct layout_part part, struct message *message, uint64_t deadline_ns) {
    uint8_t *bytes = reserve(lane->peer, part.total) == 0 ? malloc(part.total) : NULL;
    if (bytes == NULL) {
        if (lane->is_server) return -EMSGSIZE; // The reply says so.
        publish(lane, LAYOUT_STOP, 0, 0);
        int status = await_turn(lane, deadline_ns);
        return status != 0 ? status : -EMSGSIZE;
    }
    message->bytes = message->large = bytes;
    message->size = part.total;
    message->kind = part.kind;
    uint64_t received = 0;
    for (;;) {
        uint64_t left = part.total - received;
        uint32_t count = left < LAYOUT_PART_LIMIT ? (uint32_t)left : LAYOUT_PART_LIMIT;
        if (part.kind != message->kind || part.total != message->size || part.size != count) break;
        memcpy(bytes + received, lane_room(lane), count);
        received += count;
        if (received == message->size) return 0;
        publish(lane, LAYOUT_CONTINUE, 0, 0);
        int status = await_turn(lane, deadline_ns);
        if (status != 0) return status;
        part = head_of(lane);
    }
    return breach(lane->peer, "The parts of a message of the plugin's process do not fit together.");
}

int lane_receive(struct lane *lane, struct message *message, uint64_t deadline_ns) {
    memset(message, 0, sizeof *message);
    int status = lane->has_arrived ? 0 : await_turn(lane, deadline_ns);
    lane->has_arrived = 0;
    if (status != 0) return status;
    lane->first_turn = lane->turn;
    struct layout_part part = head_of(lane);
    if (part.size > LAYOUT_PART_LIMIT || part.total < part.size) {
        return breach(lane->peer, "A message of the plugin's process has an impossible size.");
    }
    if (part.total > part.size) {
        status = receive_parts(lane, part, message, deadline_ns);
        if (status != 0) message_free(lane->peer, message);
        return status;
    }
    memcpy(lane->scratch, lane_room(lane), part.size);
    *message = (struct message){.bytes = lane->scratch, .size = part.size, .kind = part.kind};
    return 0;
}

void message_free(isolation_peer *peer, struct message *message) {
    if (message->large == NULL) return;
    free(message->large);
    atomic_fetch_sub(&peer->bytes_under_way, message->size);
    message->large = NULL;
}
