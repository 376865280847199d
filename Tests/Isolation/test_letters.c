#include "harness.h"

#include <signal.h>
#include <unistd.h>

static void *this;
static const letters_1 *letters;

static void test_numbers(void) {
    const struct { int32_t i; uint32_t u; int64_t l; uint64_t w; double d; } rows[] = {
        {0, 0, 0, 0, 0}, {-1, UINT32_MAX, -1, UINT64_MAX, 0.5}, {INT32_MIN, 1, INT64_MIN, 1, -1.5},
        {INT32_MAX, 7, INT64_MAX, UINT64_C(1) << 63, 1e3},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        hostd_error error = empty_error();
        uint64_t handle = 0, sum = 0;
        int32_t n = 0;
        int32_t status = letters->numbers(this, rows[k].i, rows[k].u, rows[k].l, rows[k].w, rows[k].d, UINT64_MAX - k,
                                          0, &handle, &sum, &n, &error);
        EXPECT(status == HOSTD_OK, "%d", status);
        EXPECT(handle == UINT64_MAX - k + 1);
        EXPECT(sum == (uint64_t)rows[k].i + rows[k].u + (uint64_t)rows[k].l + rows[k].w);
        EXPECT(n == (int32_t)(rows[k].i - rows[k].d));
    }
}

static void test_bytes(void) {
    // Around what fits a lane, and around a padded word.
    const uint64_t sizes[] = {0, 1, 7, 8, 9, 64, 4096, 65375, 65376, 65377, 65408, 65440, 65456, 65457, 131072, 1000003};
    uint8_t *bytes = malloc(1000003);
    uint64_t random = 42;
    for (size_t i = 0; i < 1000003; i++) bytes[i] = (uint8_t)test_random(&random);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (uint64_t size = sizes[k]; size < sizes[k] + 20; size += 7) {
            if (size > 1000003) continue;
            hostd_error error = empty_error();
            hostd_buffer same = {0};
            EXPECT(letters->bytes(this, bytes, size, &same, &error) == HOSTD_OK);
            EXPECT(same.size == size && (size == 0 || memcmp(same.data, bytes, size) == 0), "%lu", size);
            if (same.release != NULL) same.release(same.context);
        }
    }
    free(bytes);
}

static void test_structs(void) {
    hostd_error error = empty_error();
    struct { struct letters_struct known; uint64_t newer; } in = {{sizeof in, 3, 5}, 9}, out = {{sizeof out, 0, 0}, 77};
    EXPECT(letters->structs(this, &in.known, &out.known, &error) == HOSTD_OK);
    EXPECT(out.known.first == 5 && out.known.second == 3 && out.newer == 0 && out.known.struct_size == sizeof out);
    in.known.struct_size = 2; // Less than a struct_size takes.
    EXPECT(letters->structs(this, &in.known, &out.known, &error) == HOSTD_ERROR_INVALID_ARGUMENT);
    error_release(&error);
    struct letters_struct many[1000];
    for (uint32_t i = 0; i < 1000; i++) many[i] = (struct letters_struct){sizeof many[i], i, i * 3};
    const uint64_t counts[] = {0, 1, 2, 1000};
    for (size_t k = 0; k < 4; k++) {
        hostd_buffer same = {0};
        EXPECT(letters->array(this, counts[k] == 0 ? NULL : many, counts[k], &same, &error) == HOSTD_OK);
        EXPECT(same.size == counts[k] * sizeof many[0]);
        EXPECT(counts[k] == 0 || memcmp(same.data, many, same.size) == 0);
        if (same.release != NULL) same.release(same.context);
    }
}

static void test_errors(void) {
    hostd_error error = empty_error();
    uint8_t message[6000];
    memset(message, 'x', sizeof message);
    const uint64_t sizes[] = {0, 1, 4096, 4097, 6000};
    for (size_t k = 0; k < 5; k++) {
        EXPECT(letters->fail(this, HOSTD_ERROR_CONFLICT, 1, message, sizes[k], &error) == HOSTD_ERROR_CONFLICT);
        EXPECT(error.code == HOSTD_ERROR_CONFLICT && error.retryable == 1 && error.retry_delay_ms == 7);
        EXPECT(error.message.size == (sizes[k] > 4096 ? 4096 : sizes[k]), "%lu", error.message.size);
        error_release(&error);
    }
    EXPECT(letters->fail(this, HOSTD_ERROR_CONFLICT, 1, message, 5, NULL) == HOSTD_ERROR_CONFLICT);
    EXPECT(letters->fail(this, 5, 0, message, 5, &error) == 5); // A breach that the host's interposer counts.
    error_release(&error);
    // Bytes of a size without bytes cannot be sent.
    hostd_buffer same = {0};
    EXPECT(letters->bytes(this, NULL, 5, &same, &error) == HOSTD_ERROR_INVALID_ARGUMENT);
    error_release(&error);
    EXPECT(letters->nulls(this, NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == HOSTD_OK);
}

static void test_nested(void) {
    hostd_error error = empty_error();
    const uint64_t sizes[] = {1, 64, 70000};
    uint8_t *bytes = calloc(1, 70000);
    for (size_t k = 0; k < 3; k++) {
        hostd_buffer same = {0};
        bytes[0] = (uint8_t)k;
        EXPECT(letters->nested(this, 5, bytes, sizes[k], &same, &error) == HOSTD_OK);
        EXPECT(same.size == sizes[k] && memcmp(same.data, bytes, sizes[k]) == 0);
        same.release(same.context);
    }
    free(bytes);
}

static void test_interfaces(struct hosted *hosted) {
    char answer[128];
    EXPECT(order(hosted, "get com.example.nobody/1", answer) == HOSTD_OK && strcmp(answer, "NULL") == 0);
    EXPECT(order(hosted, "get com.example.forbidden/1", answer) == HOSTD_OK && strcmp(answer, HOSTING_1_SLOTS) == 0);
    EXPECT(order(hosted, "get " HOSTING_1, answer) == HOSTD_OK && strcmp(answer, HOSTING_1_SLOTS) == 0);
    hostd_error error = empty_error();
    const hostd_interface *table;
    EXPECT(isolation_peer_import(hosted->peer, "com.example.other/1", NULL, &table, &error) == HOSTD_ERROR_NOT_FOUND);
    error_release(&error);
    EXPECT(isolation_peer_import(hosted->peer, LETTERS_1, NULL, &table, &error) == HOSTD_OK);
    EXPECT(table == &hosted->letters->interface);
}

void test_letters(void) {
    struct hosted hosted;
    hosted_start(&hosted, 0, UINT64_C(10000000000));
    letters = hosted.letters;
    this = letters->interface.self;
    for (int i = 0; i < 1000; i++) EXPECT(letters->nothing(this, NULL) == HOSTD_OK);
    test_numbers();
    test_bytes();
    test_structs();
    test_errors();
    test_nested();
    test_interfaces(&hosted);
    unsigned long made = 0, released = 1;
    char answer[128];
    EXPECT(order(&hosted, "figures", answer) == HOSTD_OK);
    EXPECT(sscanf(answer, "%lu %lu", &made, &released) == 2 && made == released, "%s", answer);
    isolation_statistics statistics = {.struct_size = sizeof statistics};
    isolation_peer_statistics(hosted.peer, &statistics);
    EXPECT(statistics.calls_out > 1000 && statistics.calls_in >= 15 && statistics.calls_out_now == 0);
    EXPECT(statistics.is_condemned == 0);
    hosted_stop(&hosted);
    EXPECT(hosted.cause == ISOLATION_CLOSED);
}
