// The parts of the runtime: processes, containers with their logs, and the slots in runtime.c.
#ifndef RUNTIME_H
#define RUNTIME_H

#include <pthread.h>
#include <sys/types.h>

#include "plugin.h"

// process.c

typedef struct {
    char **arguments, **environment; // Each with a NULL at the end.
    const char *directory;           // NULL: hostd's own
    int streams[3];                  // Its standard input, output and error; -1 = /dev/null
} launch;

// Starts a process that leads a group of its own, with signals as they come from the system. An error names the command.
int32_t launch_process(const launch *what, pid_t *process, hostd_error *error);
// The list of texts, with a NULL at the end, to be freed by `free_texts`.
char **texts_of(const json *list, const json *more);
char **environment_of(const json *list); // [{name, value}], over a plain PATH
void free_texts(char **texts);
// Kills the whole group. Its leader must not have been reaped yet.
void kill_group(pid_t process, int signal);
// Reads a stream to its end, or to `limit` bytes, until `deadline` (monotonic nanoseconds, 0 = none). False: it has passed.
bool read_streams(const int streams[2], text output[2], size_t limit, uint64_t deadline);
void await_end(pid_t process); // Returns when it has ended, and leaves it to be reaped.
int wait_for(pid_t process); // Reaps it: the exit code; 128 and the signal's number for one that was killed.
void write_base64(text *out, const text *bytes);
void write_time(text *out, uint64_t nanoseconds); // RFC 3339; "" for 0
uint64_t wall_clock(void);                        // Nanoseconds since 1970.

// container.c

typedef struct {
    char id[33];
    json *config;
    bool is_ready;
    uint64_t created;
} sandbox;

typedef enum { CREATED, RUNNING, EXITED } container_state;
typedef struct {
    struct plugin *owner;
    char id[33], sandbox_id[33];
    json *config;
    char *log_path; // Absolute; NULL when none is wanted.
    container_state state;
    pid_t process;
    int exit_code, log, output[2];
    uint64_t created, started, finished;
} container;

// Both are called with the lock held.
int32_t container_start(container *it, hostd_error *error);
int32_t container_reopen_log(container *it, hostd_error *error);
void container_write(const container *it, text *out); // As hostd/roles/runtime.h describes it.
void container_free(void *it);
void sandbox_free(void *it);

// runtime.c

typedef struct {
    hostd_sink sink;
    void *context;
} watcher;

struct plugin {
    plugin_base base;
    hostd_runtime_1 table;
    pthread_mutex_t lock; // Recursive: sinks run under it, in the order of events, and may ask back.
    pthread_cond_t ended; // A container has, or a thread.
    map sandboxes, containers; // By id.
    map images;                // By reference; the values are nothing.
    map watchers, operations;  // By the handle's 8 bytes; operations are running execs: pid_t *.
    uint64_t last_handle;
    int threads;
    bool is_stopping;
};

// With the lock held: tells all watchers.
void emit(plugin *self, const char *type, const container *it);
// Starts a thread that counts in `threads`; it ends by `thread_ends`.
int32_t start_thread(plugin *self, void *(*body)(void *), void *argument, hostd_error *error);
void thread_ends(plugin *self);

#endif
