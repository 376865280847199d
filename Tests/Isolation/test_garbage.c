#include "hostile.h"

#include <dirent.h>
#include <time.h>
#include <unistd.h>

static int count_entries(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

struct caller {
    const struct hosted *hosted;
    _Atomic(int) must_stop;
    uint64_t calls, good, sunk;
    pthread_t thread;
};

static void heard(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    for (uint64_t i = 0; i < size; i++) ((struct caller *)context)->sunk += data[i] + kind; // Reads all of it.
}

static int32_t asked(void *context, const uint8_t *data, uint64_t size, uint64_t *delay) {
    *delay = 0;
    heard(context, 0, data, size);
    return HOSTD_OK;
}

/// What a host does with a plugin, until it is told to stop: whatever comes back, each call comes back in time.
static void *run(void *argument) {
    struct caller *caller = argument;
    uint8_t bytes[2000] = {'n'};
    while (!atomic_load(&caller->must_stop)) {
        hostd_error error = empty_error();
        const hostd_interface *table = NULL;
        uint64_t start = test_now_ns();
        int32_t status = isolation_peer_import(caller->hosted->peer, LETTERS_1, LETTERS_1_ENDS, &table, &error);
        caller->calls++;
        error_release(&error);
        if (status == HOSTD_OK && strcmp(table->slots, LETTERS_1_SLOTS) == 0) {
            const letters_1 *letters = (const letters_1 *)table;
            hostd_buffer same = {0};
            uint64_t watch, runs;
            status = letters->bytes(table->self, bytes, caller->calls % 2000, &same, &error);
            caller->good += status == HOSTD_OK;
            if (status == HOSTD_OK) heard(caller, 0, same.data, same.size);
            if (status == HOSTD_OK && same.release != NULL) same.release(same.context);
            if (letters->watch(table->self, 5, heard, caller, &watch, NULL) == HOSTD_OK) letters->watch_end(table->self, watch, NULL);
            letters->work(table->self, bytes, 5, asked, caller, &runs, NULL);
        } else {
            hosting_publish(bytes, 100);
        }
        EXPECT(test_now_ns() - start < 20000000000);
        error_release(&error);
        if (status == HOSTD_ERROR_UNAVAILABLE) test_pause();
    }
    return NULL;
}

static uint64_t round_of(child_body body, uint64_t seed) {
    static struct caller callers[2];
    memset(callers, 0, sizeof callers);
    struct hosted hosted;
    hosted_start_body(&hosted, 100000000, body, seed);
    for (int i = 0; i < 2; i++) {
        callers[i].hosted = &hosted;
        EXPECT(pthread_create(&callers[i].thread, NULL, run, &callers[i]) == 0);
    }
    EVENTUALLY(atomic_load(&hosted.deaths) == 1); // By breach, or by the child's end.
    for (int i = 0; i < 2; i++) {
        atomic_store(&callers[i].must_stop, 1);
        pthread_join(callers[i].thread, NULL);
    }
    uint64_t is_breach = hosted.cause == ISOLATION_BREACH;
    hosted_stop(&hosted);
    return is_breach;
}

void test_garbage(void) {
    const child_body bodies[] = {hostile_scribble, hostile_messages, hostile_replies, hostile_packets};
    const char *names[] = {"scribbled memory", "false messages", "false replies", "false packets"};
    const char *text = getenv("ISOLATION_ROUNDS");
    uint64_t rounds = text == NULL ? 25 : strtoul(text, NULL, 10), breaches[4] = {0};
    long before = 0;
    int files = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (int body = 0; body < 4; body++) breaches[body] += round_of(bodies[body], round * 4 + (uint64_t)body + 1);
        if (round == 4) {
            before = resident_kilobytes(getpid());
            files = count_entries("/proc/self/fd");
        }
    }
    EVENTUALLY(count_entries("/proc/self/task") <= 3); // This one, ".", "..": every thread has left.
    long after = resident_kilobytes(getpid());
    EXPECT(count_entries("/proc/self/fd") == files, "%d descriptors, %d before", count_entries("/proc/self/fd"), files);
    EXPECT(after < before + 20000, "%ld KB, %ld before", after, before);
    for (int body = 0; body < 4; body++) {
        printf("%s: %lu of %lu rounds ended as a breach\n", names[body], breaches[body], rounds);
        EXPECT(breaches[body] > 0);
    }
    printf("memory: %ld KB, %ld KB before\n", after, before);
}
