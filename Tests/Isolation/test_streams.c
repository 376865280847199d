#include "harness.h"

#include <unistd.h>

/// What came out of an operation or a watch.
struct seen {
    _Atomic(uint64_t) completions, numbers, ends, resyncs, inside, broken, after;
    _Atomic(int) is_over;
    int32_t status;
    uint64_t size;
    uint32_t had_error;
    uint64_t next;
};

static void completed(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    struct seen *seen = context;
    (void)data;
    seen->status = status;
    seen->size = size;
    seen->had_error = error != NULL && error->message.size > 0;
    atomic_fetch_add(&seen->completions, 1);
}

static void heard(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    struct seen *seen = context;
    if (atomic_fetch_add(&seen->inside, 1) != 0) atomic_fetch_add(&seen->broken, 1);
    if (atomic_load(&seen->is_over)) atomic_fetch_add(&seen->after, 1);
    if (kind == HOSTD_SINK_DATA) {
        uint64_t number;
        if (size != sizeof number || (memcpy(&number, data, size), number != seen->next)) atomic_fetch_add(&seen->broken, 1);
        seen->next++;
        atomic_fetch_add(&seen->numbers, 1);
    } else {
        atomic_store(&seen->is_over, 1);
        atomic_fetch_add(kind == HOSTD_SINK_END ? &seen->ends : &seen->resyncs, 1);
    }
    atomic_fetch_sub(&seen->inside, 1);
}

static void test_completions(struct hosted *hosted) {
    const letters_1 *letters = hosted->letters;
    void *this = letters->interface.self;
    const char *kinds[] = {"now", "thread", "held"};
    for (int k = 0; k < 3; k++) {
        struct seen seen = {0};
        uint64_t operation = 0;
        const uint8_t *bytes = (const uint8_t *)kinds[k];
        EXPECT(letters->operate(this, bytes, strlen(kinds[k]), completed, &seen, &operation, NULL) == HOSTD_OK);
        EXPECT(operation != 0);
        if (k == 2) EXPECT(letters->operate_cancel(this, operation, NULL) == HOSTD_OK);
        EVENTUALLY(atomic_load(&seen.completions) == 1);
        EXPECT(seen.size == strlen(kinds[k]) && seen.status == (k == 2 ? HOSTD_ERROR_CANCELLED : HOSTD_OK));
        EXPECT(seen.had_error == (k == 2));
    }
    struct seen seen = {0};
    uint64_t operation = 0;
    EXPECT(letters->operate(this, (const uint8_t *)"r", 1, completed, &seen, &operation, NULL) < 0);
    test_pause();
    EXPECT(atomic_load(&seen.completions) == 0);
}

static void test_watches(struct hosted *hosted) {
    const letters_1 *letters = hosted->letters;
    void *this = letters->interface.self;
    struct seen seen = {0};
    uint64_t watch;
    EXPECT(letters->watch(this, 1000, heard, &seen, &watch, NULL) == HOSTD_OK);
    EVENTUALLY(atomic_load(&seen.ends) == 1);
    EXPECT(atomic_load(&seen.numbers) == 1000 && atomic_load(&seen.broken) == 0);
    EXPECT(letters->watch_end(this, watch, NULL) == HOSTD_OK);
    for (int round = 0; round < 50; round++) { // Cancelled in full flow: nothing comes after the cancel has returned.
        memset(&seen, 0, sizeof seen);
        EXPECT(letters->watch(this, 0, heard, &seen, &watch, NULL) == HOSTD_OK);
        EVENTUALLY(atomic_load(&seen.numbers) > 10);
        EXPECT(letters->watch_end(this, watch, NULL) == HOSTD_OK);
        uint64_t numbers = atomic_load(&seen.numbers);
        EXPECT(atomic_load(&seen.inside) == 0 && atomic_load(&seen.broken) == 0);
        if (round % 10 == 0) test_pause();
        EXPECT(atomic_load(&seen.numbers) == numbers && atomic_load(&seen.ends) == 0);
    }
}

static int32_t again(void *context, const uint8_t *data, uint64_t size, uint64_t *delay) {
    uint64_t *left = context;
    if (size != 3 || memcmp(data, "key", 3) != 0) return HOSTD_ERROR_INTERNAL;
    if (*left == 0) return HOSTD_OK;
    if (--*left == 0) return HOSTD_ERROR_CONFLICT;
    *delay = 5;
    return HOSTD_OK;
}

static void test_callbacks(struct hosted *hosted) {
    const letters_1 *letters = hosted->letters;
    uint64_t runs = 0, left = 0;
    const uint8_t *key = (const uint8_t *)"key";
    void *this = letters->interface.self;
    EXPECT(letters->work(this, key, 3, again, &left, &runs, NULL) == HOSTD_OK && runs == 1);
    EXPECT(letters->work_cancel(this, runs, NULL) == HOSTD_OK);
    left = 10;
    EXPECT(letters->work(this, key, 3, again, &left, &runs, NULL) == HOSTD_ERROR_CONFLICT && left == 0);
}

/// What the plugin begins at the host: subscriptions, timers, operations.
static void test_hosting(struct hosted *hosted) {
    unsigned long made, released, heard_there, ticks, before;
    char answer[128];
#define FIGURES()                                                                                                      \
    (order(hosted, "figures", answer) == HOSTD_OK && sscanf(answer, "%lu %lu %lu %lu", &made, &released, &heard_there, &ticks) == 4)
    EXPECT(order(hosted, "subscribe", NULL) == HOSTD_OK && hosting_begun() == 1);
    for (int i = 0; i < 100; i++) EXPECT(hosting_publish("hello", 5) == 1);
    EVENTUALLY(FIGURES() && heard_there == 100);
    EXPECT(order(hosted, "unsubscribe", NULL) == HOSTD_OK && hosting_begun() == 0);
    EXPECT(order(hosted, "once", NULL) == HOSTD_OK);
    EXPECT(hosting_publish("x", 1) == 1);
    EVENTUALLY(hosting_begun() == 0 && FIGURES() && heard_there == 101);
    EXPECT(order(hosted, "tick", NULL) == HOSTD_OK && order(hosted, "untick", NULL) == HOSTD_OK);
    EXPECT(order(hosted, "timer", NULL) == HOSTD_OK && FIGURES()); // Over when it has run without asking for more.
    EVENTUALLY(FIGURES() && ticks >= 2);
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    EVENTUALLY((isolation_peer_statistics(hosted->peer, &statistics), statistics.begun == 0));
    EXPECT(order(hosted, "untick", NULL) == HOSTD_OK);
    EXPECT(order(hosted, "period", NULL) == HOSTD_OK && FIGURES());
    before = ticks;
    EVENTUALLY(FIGURES() && ticks > before + 20);
    EXPECT(order(hosted, "untick", NULL) == HOSTD_OK && FIGURES());
    before = ticks;
    test_pause();
    EXPECT(FIGURES() && ticks == before && hosting_begun() == 0);
    for (int i = 0; i < 100; i++) EXPECT(order(hosted, "later", NULL) == HOSTD_OK);
    EVENTUALLY((isolation_peer_statistics(hosted->peer, &statistics), statistics.begun == 0 && statistics.completions == 0));
}

/// A subscriber that falls behind is told to begin anew, and its subscription is ended; nobody waits for it.
static void test_slow(struct hosted *hosted) {
    static uint8_t message[100000];
    unsigned long made, released, heard_there, ticks, before;
    char answer[128];
    EXPECT(FIGURES());
    before = heard_there;
    EXPECT(order(hosted, "slowly", NULL) == HOSTD_OK);
    uint64_t start = test_now_ns();
    for (int i = 0; i < 30 && hosting_begun() != 0; i++) hosting_publish(message, sizeof message);
    EXPECT(test_now_ns() - start < 9000000000); // No call's time was waited for.
    EVENTUALLY(hosting_begun() == 0);
    EVENTUALLY(FIGURES() && heard_there >= before + 1000000); // It heard of the end.
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    EVENTUALLY((isolation_peer_statistics(hosted->peer, &statistics), statistics.queued_bytes == 0 && statistics.begun == 0));
}

void test_streams(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    test_completions(&hosted);
    test_watches(&hosted);
    test_callbacks(&hosted);
    test_hosting(&hosted);
    test_slow(&hosted);
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    isolation_peer_statistics(hosted.peer, &statistics);
    EXPECT(statistics.subscriptions == 0 && statistics.completions == 0, "%u %u", statistics.subscriptions, statistics.completions);
    // What is under way at the end ends too.
    struct seen operation = {0}, watch = {0};
    uint64_t handle;
    const letters_1 *letters = hosted.letters;
    void *this = letters->interface.self;
    EXPECT(letters->operate(this, (const uint8_t *)"held", 4, completed, &operation, &handle, NULL) == HOSTD_OK);
    EXPECT(letters->watch(this, 0, heard, &watch, &handle, NULL) == HOSTD_OK);
    EXPECT(order(&hosted, "subscribe", NULL) == HOSTD_OK && order(&hosted, "period", NULL) == HOSTD_OK);
    hosted_stop(&hosted); // Looks that nothing is left at the host.
    EXPECT(atomic_load(&operation.completions) == 1 && operation.status == HOSTD_ERROR_UNAVAILABLE && operation.had_error);
    EXPECT(atomic_load(&watch.ends) == 1 && atomic_load(&watch.after) == 0 && atomic_load(&watch.broken) == 0);
}
