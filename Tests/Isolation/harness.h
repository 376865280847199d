/// What the tests of the transport share: a child with the fixture plugin, and a host for it.
#ifndef ISOLATION_TEST_HARNESS_H
#define ISOLATION_TEST_HARNESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "isolation.h"
#include "letters.h"

/// Ends the program with a sentence when something does not hold.
#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s ", __FILE__, __LINE__, #condition);                                   \
            fprintf(stderr, "" __VA_ARGS__);                                                                           \
            fprintf(stderr, "\n");                                                                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct hosted {
    pid_t child;
    isolation_channel channel;
    isolation_peer *peer;
    const isolation_plugin *plugin;
    const letters_1 *letters;
    _Atomic(uint32_t) deaths;
    uint32_t cause;
    char reason[256];
    _Atomic(uint32_t) overruns;
};

/// Paths that main.c was given.
extern const char *program_path, *plugin_path;

/// A body for the child in place of the program, after fork: a malicious one.
typedef void (*child_body)(const isolation_channel *channel, uint64_t seed);

/// Starts a child and a peer; with `body` NULL the program with the fixture plugin, up to activate.
void hosted_start(struct hosted *hosted, uint32_t lanes, uint64_t call_timeout_ns);
void hosted_start_body(struct hosted *hosted, uint64_t call_timeout_ns, child_body body, uint64_t seed);
/// Ends all, and waits for the child. Checks that the host got its end once.
void hosted_stop(struct hosted *hosted);

/// The host's own service; what is begun there.
extern const hosting_1 hosting_table;
uint64_t hosting_begun(void);
/// Sends a message to every subscriber, from this thread; how many there were.
uint64_t hosting_publish(const void *bytes, uint64_t size);

hostd_error empty_error(void);
void error_release(hostd_error *error);
uint64_t test_now_ns(void);
uint64_t test_random(uint64_t *state);
/// Gives the fixture an order, and returns its status; the answer, if any, in `answer` (128 bytes).
int32_t order(struct hosted *hosted, const char *text, char *answer);
/// Waits until a condition holds, for 5 s at most, by looking every millisecond.
#define EVENTUALLY(condition)                                                                                          \
    do {                                                                                                               \
        uint64_t limit = test_now_ns() + 60000000000;                                                                  \
        while (!(condition)) {                                                                                         \
            EXPECT(test_now_ns() < limit, "within a minute: %s", #condition);                                          \
            test_pause();                                                                                              \
        }                                                                                                              \
    } while (0)
void test_pause(void);

/// Resident set of a process.
long resident_kilobytes(pid_t process);

// MARK: The tests

void test_letters(void);
void test_streams(void);
void test_files(void);
void test_large(void);
void test_concurrency(void);
void test_deaths(void);
void test_deadlines(void);
void test_garbage(void);
void test_idle(void);
void test_figures(void);

#endif
