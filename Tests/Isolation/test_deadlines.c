#include "harness.h"

#define SECOND UINT64_C(1000000000)

/// Whether a call was answered; counts those that were too late, as any may be on a busy machine.
static int is_done(int32_t status, uint32_t *late) {
    if (status == HOSTD_ERROR_DEADLINE_EXCEEDED) ++*late;
    return status == HOSTD_OK;
}

void test_deadlines(void) {
    struct hosted hosted;
    hosted_start(&hosted, 4, 200000000);
    const letters_1 *letters = hosted.letters;
    void *this = letters->interface.self;
    hostd_error error = empty_error();
    uint64_t now = test_now_ns();
    uint32_t late = 0;
    EXPECT(letters->sleep(this, now - 1, 0, &error) == HOSTD_ERROR_DEADLINE_EXCEEDED);
    EXPECT(error.retryable && atomic_load(&hosted.overruns) == 0); // It was over before the call: nobody is to blame.
    error_release(&error);
    EXPECT(letters->sleep(this, now + 60 * SECOND, SECOND / 2, &error) == HOSTD_OK); // Longer than the time-out.
    now = test_now_ns();
    EXPECT(letters->sleep(this, now + SECOND / 10, 2 * SECOND, &error) == HOSTD_ERROR_DEADLINE_EXCEEDED);
    uint64_t took = test_now_ns() - now;
    EXPECT(took > SECOND / 10 && took < 3 * SECOND / 2 && error.retryable && atomic_load(&hosted.overruns) == 1);
    error_release(&error);
    // With four lanes two calls are served at once: both are stuck now, and others are told so.
    EXPECT(letters->sleep(this, 0, 2 * SECOND, &error) == HOSTD_ERROR_DEADLINE_EXCEEDED);
    error_release(&error);
    EXPECT(letters->nothing(this, &error) == HOSTD_ERROR_UNAVAILABLE && error.retryable);
    error_release(&error);
    // When the plugin comes round, the lanes are used again.
    EVENTUALLY(is_done(letters->nothing(this, NULL), &late));
    EVENTUALLY(is_done(letters->sleep(this, 0, 0, NULL), &late) && is_done(letters->sleep(this, 0, 0, NULL), &late));
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    isolation_peer_statistics(hosted.peer, &statistics);
    EXPECT(statistics.overruns == 2 + late && statistics.is_condemned == 0);
    hosted_stop(&hosted);
}
