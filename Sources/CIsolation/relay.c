#include <stdlib.h>
#include <string.h>

#include "internal.h"

/// Callees hold a token, never an address: tokens are looked up in a table that is never freed, so that a run after the
/// end, by a callee that broke its promise, is found out.
#define CHUNK_SIZE 256
#define CHUNK_LIMIT 4096 // Of all peers, so that no one can take what others need.
#define BUCKETS 256
#define WORKER_LIMIT 8

/// ENDING: no run is taken any more, what is queued goes out still. CLOSED: what is queued was dropped.
enum state { STATE_FREE, STATE_OPEN, STATE_ENDING, STATE_CLOSED };

struct relay {
    isolation_peer *peer;
    uint32_t index, turn;
    enum receiver_kind kind;
    enum state state;
    uint32_t uses; ///< By runs, by the call that carries it, by the worker that delivers.
    int is_once, has_handle, is_scheduled;
    int has_overflowed; ///< It was told to begin anew, and its stream has to be ended here.
    uint64_t receiver;
    const struct object *object;
    int32_t closer;
    uint64_t handle;
    struct delivery *first, *last;
    uint64_t queued;
    struct relay *next_ready;
    struct relay *next;                   ///< Free, or with a handle of the same bucket.
    struct relay *previous_of_peer, *next_of_peer;
};

/// Of one peer, under the lock of all.
struct relay_list {
    pthread_cond_t filled;
    struct relay *all;
    struct relay *buckets[BUCKETS];
    struct relay *first_ready, *last_ready;
    uint32_t count, begun, has_ended, workers, idle;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct relay *free_relays;
static uint32_t chunk_count;
static struct relay *chunks[CHUNK_LIMIT];

struct relay_list *relay_list_create(void) {
    struct relay_list *list = calloc(1, sizeof *list);
    if (list != NULL) condition_initialize(&list->filled);
    return list;
}

void relay_list_free(struct relay_list *list) {
    pthread_cond_destroy(&list->filled);
    free(list);
}

void *relay_token(const struct relay *relay) {
    return (void *)(uintptr_t)((uint64_t)relay->turn << 32 | (relay->index + 1)); // NOLINT: a number as a pointer.
}

// MARK: With the lock held

static void grow(void) {
    if (chunk_count == CHUNK_LIMIT) return;
    struct relay *chunk = calloc(CHUNK_SIZE, sizeof *chunk);
    if (chunk == NULL) return;
    for (uint32_t i = CHUNK_SIZE; i-- > 0;) {
        chunk[i].index = chunk_count * CHUNK_SIZE + i;
        chunk[i].next = free_relays;
        free_relays = &chunk[i];
    }
    chunks[chunk_count++] = chunk;
}

static void forget_handle(struct relay *relay) {
    if (!relay->has_handle) return;
    struct relay **link = &relay->peer->relays->buckets[relay->handle % BUCKETS];
    while (*link != relay) link = &(*link)->next;
    *link = relay->next;
    relay->has_handle = 0;
    relay->peer->relays->begun--;
}

static void drop_queue(struct relay *relay) {
    while (relay->first != NULL) {
        struct delivery *delivery = relay->first;
        relay->first = delivery->next;
        free(delivery);
    }
    relay->last = NULL;
    atomic_fetch_sub(&relay->peer->queued_bytes, relay->queued);
    relay->queued = 0;
}

/// Frees a relay that is over and that nobody uses. Returns the peer to release, without the lock.
static isolation_peer *settle_end(struct relay *relay) {
    if (relay->uses != 0 || relay->first != NULL || relay->is_scheduled) return NULL;
    if (relay->state != STATE_CLOSED && relay->state != STATE_ENDING) return NULL;
    isolation_peer *peer = relay->peer;
    forget_handle(relay);
    struct relay_list *list = peer->relays;
    if (relay->previous_of_peer != NULL) relay->previous_of_peer->next_of_peer = relay->next_of_peer;
    else list->all = relay->next_of_peer;
    if (relay->next_of_peer != NULL) relay->next_of_peer->previous_of_peer = relay->previous_of_peer;
    list->count--;
    relay->state = STATE_FREE;
    relay->turn++;
    relay->next = free_relays;
    free_relays = relay;
    return peer;
}

static void close_relay(struct relay *relay) {
    relay->state = STATE_CLOSED;
    relay->has_overflowed = 0;
    forget_handle(relay);
    drop_queue(relay);
}

/// Unlocks and lets a peer go.
static void unlock_and_release(isolation_peer *peer) {
    pthread_mutex_unlock(&lock);
    if (peer != NULL) peer_release(peer);
}

// MARK: Runs by this side's callees

/// Begins the use of a token's relay; NULL when it is over.
static struct relay *use(const void *token, enum receiver_kind kind) {
    uint64_t number = (uint64_t)(uintptr_t)token;
    uint32_t index = (uint32_t)number - 1;
    pthread_mutex_lock(&lock);
    struct relay *relay = NULL;
    if (index / CHUNK_SIZE < chunk_count) relay = &chunks[index / CHUNK_SIZE][index % CHUNK_SIZE];
    int is_good = relay != NULL && relay->turn == number >> 32 && relay->state == STATE_OPEN && relay->kind == kind;
    if (is_good) relay->uses++;
    pthread_mutex_unlock(&lock);
    return is_good ? relay : NULL;
}

static void leave(struct relay *relay, int is_over) {
    pthread_mutex_lock(&lock);
    relay->uses--;
    if (is_over && relay->state == STATE_OPEN) {
        relay->state = STATE_ENDING;
        forget_handle(relay);
    }
    unlock_and_release(settle_end(relay));
}

static void worker(void *argument);

/// Puts a message behind the others of its relay, and sees to it that somebody delivers it. A subscriber that has fallen
/// too far behind is told to begin anew instead.
static void enqueue(struct relay *relay, struct delivery *delivery, uint64_t size, int is_over) {
    isolation_peer *peer = relay->peer;
    struct relay_list *list = peer->relays;
    int must_start = 0;
    pthread_mutex_lock(&lock);
    if (relay->state != STATE_OPEN || list->has_ended) {
        free(delivery);
        pthread_mutex_unlock(&lock);
        return;
    }
    if (relay->kind == RECEIVER_SINK && !is_over && relay->first != NULL && relay->queued + size > QUEUE_LIMIT) {
        drop_queue(relay);
        free(delivery);
        delivery = delivery_create(LAYOUT_SINK, relay->receiver, HOSTD_SINK_RESYNC, NULL, 0, NULL);
        relay->has_overflowed = is_over = 1;
    }
    if (delivery != NULL) {
        if (relay->last != NULL) relay->last->next = delivery;
        else relay->first = delivery;
        relay->last = delivery;
        relay->queued += delivery->size;
        atomic_fetch_add(&peer->queued_bytes, delivery->size);
    }
    if (is_over) relay->state = STATE_ENDING;
    if (is_over && !relay->has_overflowed) forget_handle(relay);
    if (relay->first != NULL && !relay->is_scheduled) {
        relay->is_scheduled = 1;
        relay->next_ready = NULL;
        if (list->last_ready != NULL) list->last_ready->next_ready = relay;
        else list->first_ready = relay;
        list->last_ready = relay;
        if (list->idle > 0) pthread_cond_signal(&list->filled);
        else if (list->workers < peer->quota[CLASS_DELIVERY] && list->workers < WORKER_LIMIT) must_start = 1;
        list->workers += (uint32_t)must_start;
    }
    pthread_mutex_unlock(&lock);
    int is_lost = must_start && peer_start_thread(peer, worker, peer) != 0;
    if (is_lost || delivery == NULL) peer_end(peer, ISOLATION_CONDEMNED, "There is no memory for what a plugin is told.");
    if (atomic_load(&peer->queued_bytes) > 2 * peer->configuration.message_limit) {
        breach(peer, "The plugin's process does not take what it is told, and too much waits.");
    }
}

static void send(struct relay *relay, uint32_t kind, uint32_t number, const uint8_t *data, uint64_t size,
                 const hostd_error *error, int is_over) {
    struct delivery *delivery = delivery_create(kind, relay->receiver, number, data, size, error);
    if (relay->peer->configuration.is_host) {
        enqueue(relay, delivery, size, is_over);
        return;
    }
    if (delivery != NULL) delivery_send(relay->peer, delivery);
    free(delivery);
}

static void relay_sink(void *token, uint32_t kind, const uint8_t *data, uint64_t size) {
    struct relay *relay = use(token, RECEIVER_SINK);
    if (relay == NULL) return;
    int is_over = kind == HOSTD_SINK_END || kind == HOSTD_SINK_RESYNC;
    send(relay, LAYOUT_SINK, kind, data, size, NULL, is_over);
    leave(relay, is_over);
}

static void relay_completion(void *token, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    struct relay *relay = use(token, RECEIVER_COMPLETION);
    if (relay == NULL) return;
    send(relay, LAYOUT_COMPLETE, (uint32_t)status, data, size, error, 1);
    leave(relay, 1);
}

static int32_t relay_callback(void *token, const uint8_t *data, uint64_t size, uint64_t *delay) {
    struct relay *relay = use(token, RECEIVER_CALLBACK);
    if (relay == NULL) return HOSTD_ERROR_UNAVAILABLE;
    uint64_t wanted = 0;
    int32_t status = delivery_callback(relay->peer, relay->receiver, data, size, &wanted);
    if (wanted != 0 && delay != NULL) *delay = wanted;
    leave(relay, relay->is_once && status >= 0 && wanted == 0);
    return status;
}

void (*relay_function(enum receiver_kind kind))(void) {
    switch (kind) {
    case RECEIVER_SINK: return (void (*)(void))relay_sink;
    case RECEIVER_CALLBACK: return (void (*)(void))relay_callback;
    default: return (void (*)(void))relay_completion;
    }
}

// MARK: Delivery, in the host

/// The next relay with something to deliver, with a use of it; NULL when the peer has ended.
static struct relay *next_ready(struct relay_list *list) {
    pthread_mutex_lock(&lock);
    list->idle++;
    while (list->first_ready == NULL && !list->has_ended) wait_until(&list->filled, &lock, 0);
    list->idle--;
    struct relay *relay = list->has_ended ? NULL : list->first_ready;
    if (relay != NULL) {
        list->first_ready = relay->next_ready;
        if (list->first_ready == NULL) list->last_ready = NULL;
        relay->uses++;
    } else {
        list->workers--;
    }
    pthread_mutex_unlock(&lock);
    return relay;
}

static struct delivery *next_delivery(struct relay *relay) {
    pthread_mutex_lock(&lock);
    struct delivery *delivery = relay->first;
    if (delivery != NULL) {
        relay->first = delivery->next;
        if (relay->first == NULL) relay->last = NULL;
        relay->queued -= delivery->size;
        atomic_fetch_sub(&relay->peer->queued_bytes, delivery->size);
    } else {
        relay->is_scheduled = 0;
    }
    pthread_mutex_unlock(&lock);
    return delivery;
}

/// Delivers all that one relay has, then the next one's: the order within a subscription is kept.
static void worker(void *argument) {
    isolation_peer *peer = argument;
    struct relay *relay;
    while ((relay = next_ready(peer->relays)) != NULL) {
        struct delivery *delivery;
        while ((delivery = next_delivery(relay)) != NULL) {
            delivery_send(peer, delivery);
            free(delivery);
        }
        pthread_mutex_lock(&lock);
        int must_close = relay->has_overflowed && relay->has_handle;
        const struct object *object = relay->object;
        int32_t closer = relay->closer;
        uint64_t handle = relay->handle;
        if (must_close) relay->has_overflowed = 0;
        pthread_mutex_unlock(&lock);
        if (must_close) table_close_handle(object, closer, handle);
        leave(relay, 0);
    }
}

// MARK: Beginning and end

struct relay *relay_create(isolation_peer *peer, enum receiver_kind kind, uint64_t receiver, int is_once) {
    struct relay_list *list = peer->relays;
    pthread_mutex_lock(&lock);
    if (free_relays == NULL) grow();
    struct relay *relay = list->count < RELAY_LIMIT && !list->has_ended ? free_relays : NULL;
    if (relay != NULL) {
        free_relays = relay->next;
        uint32_t index = relay->index, turn = relay->turn;
        *relay = (struct relay){.peer = peer, .index = index, .turn = turn, .kind = kind, .state = STATE_OPEN, .uses = 1,
                                .is_once = is_once, .receiver = receiver, .closer = -1, .next_of_peer = list->all};
        if (list->all != NULL) list->all->previous_of_peer = relay;
        list->all = relay;
        list->count++;
        peer_retain(peer);
    }
    pthread_mutex_unlock(&lock);
    return relay;
}

int relay_settle(struct relay *relay, int32_t status, const struct object *object, int32_t closer, uint64_t handle) {
    pthread_mutex_lock(&lock);
    relay->uses--;
    struct relay_list *list = relay->peer->relays;
    int must_close = status == HOSTD_OK && closer >= 0 && (list->has_ended || relay->has_overflowed);
    if (status != HOSTD_OK || list->has_ended) {
        close_relay(relay);
    } else if (closer >= 0 && relay->state == STATE_OPEN) {
        relay->object = object;
        relay->closer = closer;
        relay->handle = handle;
        relay->has_handle = 1;
        relay->next = list->buckets[handle % BUCKETS];
        list->buckets[handle % BUCKETS] = relay;
        list->begun++;
    }
    unlock_and_release(settle_end(relay));
    return must_close;
}

void relay_close(isolation_peer *peer, uint32_t object, int32_t closer, uint64_t handle) {
    pthread_mutex_lock(&lock);
    struct relay *relay = peer->relays->buckets[handle % BUCKETS];
    while (relay != NULL) {
        struct relay *next = relay->next;
        if (relay->handle == handle && relay->object->number == object && relay->closer == closer &&
            relay->kind != RECEIVER_COMPLETION) {
            close_relay(relay);
            isolation_peer *released = settle_end(relay);
            // The caller holds the peer: this is never the last reference.
            if (released != NULL) peer_release(released);
        }
        relay = next;
    }
    pthread_mutex_unlock(&lock);
}

void relay_end_all(isolation_peer *peer) {
    struct relay_list *list = peer->relays;
    pthread_mutex_lock(&lock);
    list->has_ended = 1;
    for (struct relay *ready = list->first_ready; ready != NULL; ready = ready->next_ready) ready->is_scheduled = 0;
    list->first_ready = list->last_ready = NULL;
    pthread_cond_broadcast(&list->filled);
    while (list->all != NULL) {
        // Those that a run or a call still uses stay in the list until it leaves them; they come first or last once only.
        struct relay *relay = list->all;
        while (relay != NULL && relay->state == STATE_CLOSED) relay = relay->next_of_peer;
        if (relay == NULL) break;
        const struct object *object = relay->has_handle ? relay->object : NULL;
        int32_t closer = relay->closer;
        uint64_t handle = relay->handle;
        close_relay(relay);
        isolation_peer *released = settle_end(relay);
        pthread_mutex_unlock(&lock);
        if (released != NULL) peer_release(released);
        if (object != NULL) table_close_handle(object, closer, handle);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
}

uint32_t relay_begun(isolation_peer *peer) {
    pthread_mutex_lock(&lock);
    uint32_t begun = peer->relays->begun;
    pthread_mutex_unlock(&lock);
    return begun;
}
