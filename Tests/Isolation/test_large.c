#include "harness.h"

void test_large(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(20000000000));
    const letters_1 *letters = hosted.letters;
    void *this = letters->interface.self;
    const uint64_t limit = 64 << 20;
    uint8_t *bytes = malloc(limit + 1);
    uint64_t random = 7;
    for (uint64_t i = 0; i < limit + 1; i += 8) memcpy(bytes + i, &(uint64_t){test_random(&random)}, i + 8 > limit ? 1 : 8);
    hostd_error error = empty_error();
    hostd_buffer same = {0};
    EXPECT(letters->bytes(this, bytes, 20 << 20, &same, &error) == HOSTD_OK);
    EXPECT(same.size == 20 << 20 && memcmp(same.data, bytes, same.size) == 0);
    same.release(same.context);
    same = (hostd_buffer){0};
    // Too large for one message, here and at the other end of the way; the lane goes on to work.
    EXPECT(letters->bytes(this, bytes, limit + 1, &same, &error) == HOSTD_ERROR_INVALID_ARGUMENT);
    error_release(&error);
    EXPECT(letters->bytes(this, bytes, limit - 16, &same, &error) == HOSTD_ERROR_RESOURCE_EXHAUSTED);
    error_release(&error);
    for (int i = 0; i < 100; i++) {
        EXPECT(letters->bytes(this, bytes, 100000, &same, &error) == HOSTD_OK);
        EXPECT(same.size == 100000 && memcmp(same.data, bytes, same.size) == 0);
        same.release(same.context);
    }
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    isolation_peer_statistics(hosted.peer, &statistics);
    EXPECT(statistics.is_condemned == 0);
    free(bytes);
    hosted_stop(&hosted);
}
