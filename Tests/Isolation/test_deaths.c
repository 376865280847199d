#include "harness.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

struct caller {
    const struct hosted *hosted;
    uint64_t seed, calls, good, unavailable, other;
    _Atomic(uint64_t) completions, ends, after;
    uint64_t accepted, watches;
    pthread_t thread;
};

static void completed(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    (void)status, (void)data, (void)size, (void)error;
    atomic_fetch_add(&((struct caller *)context)->completions, 1);
}

static void heard(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    (void)data, (void)size;
    if (kind != HOSTD_SINK_DATA) atomic_fetch_add(&((struct caller *)context)->ends, 1);
}

/// Calls until a call says that there is nobody.
static void *run(void *argument) {
    struct caller *caller = argument;
    const letters_1 *letters = caller->hosted->letters;
    void *this = letters->interface.self;
    uint8_t bytes[300] = {'h'};
    int32_t status = HOSTD_OK;
    while (status == HOSTD_OK) {
        hostd_buffer same = {0};
        hostd_error error = empty_error();
        uint64_t handle;
        uint64_t random = test_random(&caller->seed) % 8;
        if (random == 0) status = letters->operate(this, bytes, 300, completed, caller, &handle, &error);
        else if (random == 1 && caller->watches < 10) status = letters->watch(this, 0, heard, caller, &handle, &error);
        else if (random < 4) status = letters->nested(this, 2, bytes, 300, &same, &error);
        else status = letters->bytes(this, bytes, 300, &same, &error);
        caller->calls++;
        if (status == HOSTD_OK && random == 0) caller->accepted++;
        if (status == HOSTD_OK && random == 1 && same.data == NULL && caller->watches < 10) caller->watches++;
        if (status == HOSTD_OK) caller->good++;
        else if (status == HOSTD_ERROR_UNAVAILABLE && error.retryable) caller->unavailable++;
        else caller->other++;
        if (same.release != NULL) same.release(same.context);
        error_release(&error);
    }
    return NULL;
}

/// kill -9 at a random moment under load: every call ends, every operation and watch ends once, at once.
static void kill_under_load(uint64_t *random) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    EXPECT(order(&hosted, "subscribe", NULL) == HOSTD_OK && order(&hosted, "period", NULL) == HOSTD_OK);
    struct caller callers[THREADS];
    memset(callers, 0, sizeof callers);
    for (int i = 0; i < THREADS; i++) {
        callers[i].hosted = &hosted;
        callers[i].seed = test_random(random) | 1;
        EXPECT(pthread_create(&callers[i].thread, NULL, run, &callers[i]) == 0);
    }
    struct timespec pause = {.tv_nsec = (long)(test_random(random) % 20000000)};
    nanosleep(&pause, NULL);
    uint64_t start = test_now_ns();
    kill(hosted.child, SIGKILL);
    for (int i = 0; i < THREADS; i++) pthread_join(callers[i].thread, NULL);
    EXPECT(test_now_ns() - start < 9000000000); // Before any call's time is up.
    EVENTUALLY(atomic_load(&hosted.deaths) == 1);
    EXPECT(hosted.cause == ISOLATION_GONE);
    for (int i = 0; i < THREADS; i++) {
        EXPECT(callers[i].calls == callers[i].good + 1 && callers[i].unavailable == 1 && callers[i].other == 0);
        EXPECT(atomic_load(&callers[i].completions) == callers[i].accepted, "%lu %lu", atomic_load(&callers[i].completions), callers[i].accepted);
        EXPECT(atomic_load(&callers[i].ends) == callers[i].watches, "%lu %lu", atomic_load(&callers[i].ends), callers[i].watches);
    }
    hosted_stop(&hosted);
}

/// Ways to go down in the middle of a call.
static void test_crashes(void) {
    for (uint32_t how = 1; how <= 6; how++) {
        struct hosted hosted;
        int is_stuck = how == 4 || how == 5; // A descriptor that a thread waits on is not closed by closing it.
        hosted_start(&hosted, 0, is_stuck ? 300000000 : 20000000000);
        hostd_error error = empty_error();
        uint64_t start = test_now_ns();
        int32_t status = hosted.letters->crash(hosted.letters->interface.self, how, &error);
        EXPECT(error.retryable == 1);
        error_release(&error);
        EXPECT(status == (is_stuck ? HOSTD_ERROR_DEADLINE_EXCEEDED : HOSTD_ERROR_UNAVAILABLE), "%u: %d", how, status);
        EXPECT(test_now_ns() - start < 15000000000);
        EXPECT(atomic_load(&hosted.overruns) == (uint32_t)is_stuck);
        if (is_stuck) isolation_peer_condemn(hosted.peer, "It is stuck.");
        EVENTUALLY(atomic_load(&hosted.deaths) == 1);
        EXPECT(hosted.letters->nothing(hosted.letters->interface.self, NULL) == HOSTD_ERROR_UNAVAILABLE);
        hosted_stop(&hosted);
    }
}

void test_deaths(void) {
    test_crashes();
    uint64_t random = 99;
    const char *text = getenv("ISOLATION_ROUNDS");
    long rounds = text == NULL ? 40 : strtol(text, NULL, 10), before = 0;
    for (long round = 0; round < rounds; round++) {
        kill_under_load(&random);
        if (round == 9) before = resident_kilobytes(getpid());
    }
    long after = resident_kilobytes(getpid());
    printf("memory: %ld KB, %ld KB before\n", after, before);
    EXPECT(after < before + 20000);
}
