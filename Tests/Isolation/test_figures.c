#include "harness.h"

#include <time.h>

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/// Prints the median and the 99th percentile of calls of `bytes` with `size` bytes there and back.
static void measure(const struct hosted *hosted, uint64_t size, uint64_t pause_ns, size_t count) {
    static uint64_t took[200000];
    static uint8_t bytes[65536];
    for (size_t i = 0; i < count; i++) {
        hostd_buffer same = {0};
        uint64_t start = test_now_ns();
        EXPECT(hosted->letters->bytes(hosted->letters->interface.self, bytes, size, &same, NULL) == HOSTD_OK);
        took[i] = test_now_ns() - start;
        if (same.release != NULL) same.release(same.context);
        struct timespec pause = {.tv_nsec = (long)pause_ns};
        if (pause_ns != 0) nanosleep(&pause, NULL);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += took[i];
    qsort(took, count, sizeof took[0], compare);
    printf("%5lu bytes, pause %7lu ns: p50 %6lu ns, p99 %6lu ns, %8.0f calls/s\n", size, pause_ns, took[count / 2],
           took[count * 99 / 100], (double)count * 1e9 / (double)sum);
}

void test_figures(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    printf("child's RSS after activate: %ld KB\n", resident_kilobytes(hosted.child));
    measure(&hosted, 64, 0, 1000);
    measure(&hosted, 64, 0, 200000);
    measure(&hosted, 64, 100000, 10000);
    measure(&hosted, 64, 1000000, 2000);
    measure(&hosted, 4096, 0, 200000);
    uint8_t bytes[64] = {0};
    uint64_t start = test_now_ns();
    for (int i = 0; i < 100; i++) {
        hostd_buffer same = {0};
        EXPECT(hosted.letters->nested(hosted.letters->interface.self, 100, bytes, 64, &same, NULL) == HOSTD_OK);
        same.release(same.context);
    }
    printf("nested: %lu ns a call of the host\n", (test_now_ns() - start) / 10000);
    printf("child's RSS at the end: %ld KB\n", resident_kilobytes(hosted.child));
    hosted_stop(&hosted);
}
