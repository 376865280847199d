#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define CHUNK_SIZE 256
#define BUCKETS 256

/// CALLING: the call that carries it is under way; OPEN: it was accepted; CLOSED: no run begins any more.
enum state { STATE_FREE, STATE_CALLING, STATE_OPEN, STATE_CLOSED };

struct receiver {
    void (*function)(void);
    void *context;
    uint32_t index, turn; ///< The number of the other side is made of both, so that an old one is found out.
    enum receiver_kind kind;
    enum state state;
    uint32_t running;
    int is_once, has_handle;
    uint32_t object;
    int32_t closer;
    uint64_t handle;
    struct receiver *next; ///< Free, or with a handle of the same bucket.
};

struct receiver_table {
    pthread_mutex_t lock;
    pthread_cond_t changed; ///< A run has ended.
    uint32_t waiters, chunk_count, has_ended, counts[RECEIVER_COMPLETION + 1];
    struct receiver *free;
    struct receiver *buckets[BUCKETS];
    struct receiver *chunks[RECEIVER_LIMIT / CHUNK_SIZE];
};

/// The runs that this thread is in, innermost first: a run may cancel its own subscription.
struct run {
    const struct receiver *receiver;
    struct run *outer;
};
static _Thread_local struct run *runs;

struct receiver_table *receiver_table_create(void) {
    struct receiver_table *table = calloc(1, sizeof *table);
    if (table == NULL) return NULL;
    pthread_mutex_init(&table->lock, NULL);
    condition_initialize(&table->changed);
    return table;
}

void receiver_table_free(struct receiver_table *table) {
    for (uint32_t i = 0; i < table->chunk_count; i++) free(table->chunks[i]);
    pthread_mutex_destroy(&table->lock);
    pthread_cond_destroy(&table->changed);
    free(table);
}

// MARK: With the lock held

static void grow(struct receiver_table *table) {
    if (table->chunk_count == RECEIVER_LIMIT / CHUNK_SIZE) return;
    struct receiver *chunk = calloc(CHUNK_SIZE, sizeof *chunk);
    if (chunk == NULL) return;
    for (uint32_t i = CHUNK_SIZE; i-- > 0;) {
        chunk[i].index = table->chunk_count * CHUNK_SIZE + i;
        chunk[i].next = table->free;
        table->free = &chunk[i];
    }
    table->chunks[table->chunk_count++] = chunk;
}

static uint64_t number_of(const struct receiver *receiver) {
    return (uint64_t)receiver->turn << 32 | (receiver->index + 1);
}

static struct receiver *find(struct receiver_table *table, uint64_t number) {
    uint32_t index = (uint32_t)number - 1;
    if (index / CHUNK_SIZE >= table->chunk_count) return NULL;
    struct receiver *receiver = &table->chunks[index / CHUNK_SIZE][index % CHUNK_SIZE];
    return receiver->turn == number >> 32 && receiver->state != STATE_FREE ? receiver : NULL;
}

static void recycle(struct receiver_table *table, struct receiver *receiver) {
    if (receiver->has_handle) {
        struct receiver **link = &table->buckets[receiver->handle % BUCKETS];
        while (*link != receiver) link = &(*link)->next;
        *link = receiver->next;
    }
    receiver->has_handle = 0;
    receiver->state = STATE_FREE;
    receiver->turn++;
    table->counts[receiver->kind]--;
    receiver->next = table->free;
    table->free = receiver;
    if (table->waiters != 0) pthread_cond_broadcast(&table->changed);
}

/// Lets no further run begin, and waits for those of other threads.
static void close_and_wait(struct receiver_table *table, struct receiver *receiver) {
    uint32_t own = 0;
    for (const struct run *run = runs; run != NULL; run = run->outer) own += run->receiver == receiver;
    uint32_t turn = receiver->turn;
    receiver->state = STATE_CLOSED;
    table->waiters++;
    while (receiver->turn == turn && receiver->running > own) wait_until(&table->changed, &table->lock, 0);
    table->waiters--;
    if (receiver->turn == turn && receiver->running == 0) recycle(table, receiver);
}

// MARK: Runs

/// Begins a run; NULL when the number is not, or no longer, one of this kind. Sinks run one at a time.
static struct receiver *begin(struct receiver_table *table, uint64_t number, enum receiver_kind kind, struct run *run) {
    pthread_mutex_lock(&table->lock);
    struct receiver *receiver = find(table, number);
    while (kind == RECEIVER_SINK && receiver != NULL && receiver->state != STATE_CLOSED && receiver->running > 0) {
        table->waiters++;
        wait_until(&table->changed, &table->lock, 0);
        table->waiters--;
        receiver = find(table, number);
    }
    if (receiver != NULL && (receiver->kind != kind || receiver->state == STATE_CLOSED)) receiver = NULL;
    if (receiver != NULL) {
        receiver->running++;
        *run = (struct run){.receiver = receiver, .outer = runs};
        runs = run;
    }
    pthread_mutex_unlock(&table->lock);
    return receiver;
}

/// Ends a run; `is_over` when none may follow.
static void end(struct receiver_table *table, struct receiver *receiver, int is_over) {
    runs = runs->outer;
    pthread_mutex_lock(&table->lock);
    receiver->running--;
    if (is_over) receiver->state = STATE_CLOSED;
    if (receiver->state == STATE_CLOSED && receiver->running == 0) recycle(table, receiver);
    if (table->waiters != 0) pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

void receiver_sink(isolation_peer *peer, uint64_t number, uint32_t kind, const uint8_t *data, uint64_t size) {
    struct run run;
    struct receiver *receiver = begin(peer->receivers, number, RECEIVER_SINK, &run);
    if (receiver == NULL) return; // It was cancelled while this was under way.
    ((hostd_sink)receiver->function)(receiver->context, kind, data, size);
    end(peer->receivers, receiver, kind == HOSTD_SINK_END || kind == HOSTD_SINK_RESYNC);
}

int32_t receiver_callback(isolation_peer *peer, uint64_t number, const uint8_t *data, uint64_t size, uint64_t *delay) {
    struct run run;
    struct receiver *receiver = begin(peer->receivers, number, RECEIVER_CALLBACK, &run);
    if (receiver == NULL) return HOSTD_OK;
    int32_t status = ((hostd_callback)receiver->function)(receiver->context, data, size, delay);
    end(peer->receivers, receiver, receiver->is_once && status >= 0 && *delay == 0);
    return status;
}

/// Takes a completion out, so that it runs once; 0 when it is not there (any more).
static int take(struct receiver_table *table, uint64_t number, hostd_completion *function, void **context) {
    pthread_mutex_lock(&table->lock);
    struct receiver *receiver = find(table, number);
    int is_there = receiver != NULL && receiver->kind == RECEIVER_COMPLETION;
    if (is_there) {
        *function = (hostd_completion)receiver->function;
        *context = receiver->context;
        recycle(table, receiver);
    }
    pthread_mutex_unlock(&table->lock);
    return is_there;
}

void receiver_complete(isolation_peer *peer, uint64_t number, int32_t status, const uint8_t *data, uint64_t size,
                       const hostd_error *error) {
    hostd_completion function;
    void *context;
    if (take(peer->receivers, number, &function, &context)) function(context, status, data, size, error);
}

// MARK: Beginning and end

uint64_t receiver_add(isolation_peer *peer, enum receiver_kind kind, void (*function)(void), void *context,
                      int is_once) {
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    if (table->free == NULL) grow(table);
    struct receiver *receiver = table->free;
    uint64_t number = 0;
    if (receiver != NULL) {
        table->free = receiver->next;
        receiver->kind = kind;
        receiver->function = function;
        receiver->context = context;
        receiver->state = STATE_CALLING;
        receiver->is_once = is_once;
        table->counts[kind]++;
        number = number_of(receiver);
    }
    pthread_mutex_unlock(&table->lock);
    return number;
}

/// Ends one receiver of a peer that has come to its end. Called without the lock.
static void end_one(isolation_peer *peer, uint64_t number, enum receiver_kind kind) {
    static const char sentence[] = "The plugin's process has ended; it is started again.";
    const uint8_t *text = (const uint8_t *)sentence;
    hostd_error error = {.struct_size = sizeof error};
    fail(&error, HOSTD_ERROR_UNAVAILABLE, sentence);
    if (kind == RECEIVER_COMPLETION) receiver_complete(peer, number, HOSTD_ERROR_UNAVAILABLE, NULL, 0, &error);
    if (kind == RECEIVER_SINK) receiver_sink(peer, number, HOSTD_SINK_END, text, sizeof sentence - 1);
    if (kind != RECEIVER_CALLBACK) return;
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    struct receiver *receiver = find(table, number);
    if (receiver != NULL) close_and_wait(table, receiver);
    pthread_mutex_unlock(&table->lock);
}

void receiver_settle(isolation_peer *peer, uint64_t number, int32_t status, uint32_t object, int32_t closer,
                     uint64_t handle) {
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    struct receiver *receiver = find(table, number);
    int must_end = 0;
    enum receiver_kind kind = RECEIVER_SINK;
    if (receiver != NULL && status != HOSTD_OK) {
        close_and_wait(table, receiver);
    } else if (receiver != NULL) {
        kind = receiver->kind;
        must_end = table->has_ended;
        if (receiver->state == STATE_CALLING) receiver->state = STATE_OPEN;
        if (closer >= 0 && kind != RECEIVER_COMPLETION) {
            receiver->object = object;
            receiver->closer = closer;
            receiver->handle = handle;
            receiver->has_handle = 1;
            receiver->next = table->buckets[handle % BUCKETS];
            table->buckets[handle % BUCKETS] = receiver;
        }
    }
    pthread_mutex_unlock(&table->lock);
    if (must_end) end_one(peer, number, kind);
}

void receiver_close(isolation_peer *peer, uint32_t object, int32_t closer, uint64_t handle) {
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    for (struct receiver *at = table->buckets[handle % BUCKETS]; at != NULL;) {
        uint32_t turn = at->turn;
        int is_meant = at->handle == handle && at->object == object && at->closer == closer;
        if (is_meant) close_and_wait(table, at);
        // Where it is gone, the list has changed; where it is not, this thread is inside it.
        at = at->turn != turn ? table->buckets[handle % BUCKETS] : at->next;
    }
    pthread_mutex_unlock(&table->lock);
}

void receiver_end_all(isolation_peer *peer) {
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    table->has_ended = 1; // Those whose call is under way are ended when it returns.
    uint32_t count = table->chunk_count * CHUNK_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        struct receiver *receiver = &table->chunks[i / CHUNK_SIZE][i % CHUNK_SIZE];
        if (receiver->state != STATE_OPEN) continue;
        uint64_t number = number_of(receiver);
        enum receiver_kind kind = receiver->kind;
        pthread_mutex_unlock(&table->lock);
        end_one(peer, number, kind);
        pthread_mutex_lock(&table->lock);
    }
    pthread_mutex_unlock(&table->lock);
}

void receiver_count(isolation_peer *peer, uint32_t *subscriptions, uint32_t *completions) {
    struct receiver_table *table = peer->receivers;
    pthread_mutex_lock(&table->lock);
    *subscriptions = table->counts[RECEIVER_SINK] + table->counts[RECEIVER_CALLBACK];
    *completions = table->counts[RECEIVER_COMPLETION];
    pthread_mutex_unlock(&table->lock);
}
