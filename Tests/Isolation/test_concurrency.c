#include "harness.h"

#define THREADS 8
#define ROUNDS 2000

struct caller {
    const struct hosted *hosted;
    uint64_t seed;
    _Atomic(uint64_t) completions;
    uint64_t accepted;
    pthread_t thread;
};

static void completed(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    (void)status, (void)data, (void)size, (void)error;
    atomic_fetch_add(&((struct caller *)context)->completions, 1);
}

static void *run(void *argument) {
    struct caller *caller = argument;
    const letters_1 *letters = caller->hosted->letters;
    void *this = letters->interface.self;
    uint8_t *bytes = malloc(100000);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t random = test_random(&caller->seed), size = random % (round % 50 == 0 ? 100000 : 500) + 1;
        memset(bytes, (int)(random >> 32), size);
        hostd_buffer same = {0};
        uint64_t operation;
        switch (random % 3) {
        case 0: EXPECT(letters->bytes(this, bytes, size, &same, NULL) == HOSTD_OK); break;
        case 1: EXPECT(letters->nested(this, 3, bytes, size, &same, NULL) == HOSTD_OK); break;
        default:
            bytes[0] = 't';
            EXPECT(letters->operate(this, bytes, size, completed, caller, &operation, NULL) == HOSTD_OK);
            caller->accepted++;
            continue;
        }
        EXPECT(same.size == size && memcmp(same.data, bytes, size) == 0);
        same.release(same.context);
    }
    free(bytes);
    EVENTUALLY(atomic_load(&caller->completions) == caller->accepted);
    return NULL;
}

/// Few lanes for many callers, then as many as they like.
void test_concurrency(void) {
    const uint32_t lanes[] = {4, 32};
    for (int k = 0; k < 2; k++) {
        struct hosted hosted;
        hosted_start(&hosted, lanes[k], UINT64_C(20000000000));
        static struct caller callers[THREADS];
        memset(callers, 0, sizeof callers);
        for (uint64_t i = 0; i < THREADS; i++) {
            callers[i].hosted = &hosted;
            callers[i].seed = i * 7919 + 1;
            EXPECT(pthread_create(&callers[i].thread, NULL, run, &callers[i]) == 0);
        }
        for (int i = 0; i < THREADS; i++) pthread_join(callers[i].thread, NULL);
        isolation_statistics statistics = {.struct_size = sizeof statistics};
        isolation_peer_statistics(hosted.peer, &statistics);
        EXPECT(statistics.errors_out == 0 && statistics.completions == 0 && statistics.is_condemned == 0);
        EXPECT(statistics.threads <= 1 + lanes[k] + 8);
        hosted_stop(&hosted);
    }
}
