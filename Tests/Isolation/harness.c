#define _GNU_SOURCE // execve's environment
#include "harness.h"

#include <sys/prctl.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *program_path, *plugin_path;

uint64_t test_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void test_pause(void) {
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

uint64_t test_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

hostd_error empty_error(void) { return (hostd_error){.struct_size = sizeof(hostd_error)}; }

void error_release(hostd_error *error) {
    if (error->message.release != NULL) error->message.release(error->message.context);
    *error = empty_error();
}

// MARK: The host's service

struct begun {
    struct begun *next;
    uint64_t handle;
    hostd_sink sink;
    hostd_callback callback;
    void *context;
    uint64_t period;
    uint32_t running, is_over;
    pthread_t thread;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct begun *all;
static uint64_t next_handle;

static int32_t echo(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error) {
    (void)self, (void)error;
    uint8_t *copy = malloc(size + 1);
    if (size != 0) memcpy(copy, bytes, size);
    *same = (hostd_buffer){copy, size, free, copy};
    return HOSTD_OK;
}

static struct begun *begin(hostd_sink sink, hostd_callback callback, void *context) {
    struct begun *begun = calloc(1, sizeof *begun);
    pthread_mutex_lock(&lock);
    *begun = (struct begun){.next = all, .handle = ++next_handle, .sink = sink, .callback = callback, .context = context};
    all = begun;
    pthread_mutex_unlock(&lock);
    return begun;
}

static int32_t subscribe(void *self, hostd_sink sink, void *context, uint64_t *subscription, hostd_error *error) {
    (void)self, (void)error;
    *subscription = begin(sink, NULL, context)->handle;
    return HOSTD_OK;
}

/// Forgets one; waits until it does not run.
static void end(uint64_t handle) {
    pthread_mutex_lock(&lock);
    for (struct begun **link = &all; *link != NULL; link = &(*link)->next) {
        struct begun *begun = *link;
        if (begun->handle != handle) continue;
        *link = begun->next;
        begun->is_over = 1;
        while (begun->running != 0) pthread_cond_wait(&changed, &lock);
        free(begun);
        break;
    }
    pthread_mutex_unlock(&lock);
}

static int32_t unsubscribe(void *self, uint64_t handle, hostd_error *error) {
    (void)self, (void)error;
    end(handle);
    return HOSTD_OK;
}

static void *run_ticks(void *argument) {
    struct begun *begun = argument;
    pthread_mutex_lock(&lock);
    while (!begun->is_over) {
        pthread_mutex_unlock(&lock);
        uint64_t delay = 0;
        int32_t status = begun->callback(begun->context, (const uint8_t *)"", 0, &delay);
        if (delay == 0) delay = begun->period;
        struct timespec pause = {.tv_nsec = (long)delay};
        if (delay != 0) nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        if (delay == 0 || (status < 0 && begun->period == 0)) break;
    }
    begun->running = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int32_t tick(void *self, uint64_t delay, uint64_t period, hostd_callback callback, void *context,
                    uint64_t *timer, hostd_error *error) {
    (void)self, (void)error, (void)delay;
    struct begun *begun = begin(NULL, callback, context);
    begun->period = period;
    begun->running = 1;
    *timer = begun->handle;
    if (pthread_create(&begun->thread, NULL, run_ticks, begun) != 0) abort();
    pthread_detach(begun->thread);
    return HOSTD_OK;
}

struct later {
    hostd_completion completion;
    void *context;
    uint64_t size;
    uint8_t bytes[];
};

static void *run_later(void *argument) {
    struct later *later = argument;
    later->completion(later->context, HOSTD_OK, later->bytes, later->size, NULL);
    free(later);
    return NULL;
}

static int32_t later(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                     hostd_error *error) {
    (void)self, (void)error;
    struct later *later = malloc(sizeof *later + size);
    *later = (struct later){completion, context, size};
    memcpy(later->bytes, bytes, size);
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_later, later) != 0) abort();
    pthread_detach(thread);
    return HOSTD_OK;
}

const hosting_1 hosting_table = {{sizeof hosting_table, 0, NULL, HOSTING_1, HOSTING_1_SLOTS}, echo, subscribe,
                                 unsubscribe, tick, unsubscribe, later};

static const hostd_timers_1 timers_table = {{sizeof timers_table, 0, NULL, HOSTD_TIMERS_1, HOSTD_TIMERS_1_SLOTS}, tick,
                                            unsubscribe};

uint64_t hosting_begun(void) {
    pthread_mutex_lock(&lock);
    uint64_t count = 0;
    for (struct begun *begun = all; begun != NULL; begun = begun->next) count++;
    pthread_mutex_unlock(&lock);
    return count;
}

uint64_t hosting_publish(const void *bytes, uint64_t size) {
    uint64_t count = 0;
    pthread_mutex_lock(&lock);
    for (struct begun *begun = all; begun != NULL; begun = begun->next) {
        if (begun->sink == NULL) continue;
        begun->sink(begun->context, HOSTD_SINK_DATA, bytes, size);
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

// MARK: Host and child

static int32_t resolve(void *context, const char *id, isolation_offer *offer, hostd_error *error) {
    (void)context, (void)error;
    offer->ends = HOSTING_1_ENDS;
    if (strcmp(id, HOSTING_1) == 0) {
        offer->table = &hosting_table.interface;
        return HOSTD_OK;
    }
    if (strcmp(id, HOSTD_TIMERS_1) == 0) {
        offer->table = &timers_table.interface;
        offer->ends = HOSTD_TIMERS_1_ENDS ";" HOSTD_TIMERS_1_TAGS;
        return HOSTD_OK;
    }
    if (strcmp(id, "com.example.forbidden/1") != 0) return HOSTD_ERROR_NOT_FOUND;
    static const char sentence[] = "grant something first";
    offer->slots = HOSTING_1_SLOTS;
    offer->refusal = HOSTD_ERROR_FORBIDDEN;
    offer->refusal_message = (hostd_buffer){(const uint8_t *)sentence, sizeof sentence - 1, NULL, NULL};
    return HOSTD_OK;
}

static void died(void *context, uint32_t cause, const char *reason) {
    struct hosted *hosted = context;
    hosted->cause = cause;
    snprintf(hosted->reason, sizeof hosted->reason, "%s", reason);
    atomic_fetch_add(&hosted->deaths, 1);
}

static void overran(void *context, const char *id, const char *slot, uint64_t nanoseconds, uint32_t was_own) {
    (void)id, (void)slot, (void)nanoseconds, (void)was_own;
    atomic_fetch_add(&((struct hosted *)context)->overruns, 1);
}

static void run_program(const isolation_channel *channel) {
    // Numbers as a launcher gives them, free of O_CLOEXEC.
    int memory = dup(channel->memory), socket = dup(channel->child_socket);
    char memory_text[16], socket_text[16];
    snprintf(memory_text, sizeof memory_text, "%d", memory);
    snprintf(socket_text, sizeof socket_text, "%d", socket);
    execl(program_path, program_path, "serve", "--memory", memory_text, "--socket", socket_text, (char *)NULL);
    fprintf(stderr, "cannot execute %s: %s\n", program_path, strerror(errno));
    _exit(127);
}

static void start(struct hosted *hosted, uint32_t lanes, uint64_t call_timeout_ns, child_body body, uint64_t seed) {
    memset(hosted, 0, sizeof *hosted);
    EXPECT(isolation_channel_create(&hosted->channel, lanes) == 0);
    hosted->child = fork();
    EXPECT(hosted->child >= 0);
    if (hosted->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(hosted->channel.host_socket);
        if (body == NULL) run_program(&hosted->channel);
        else body(&hosted->channel, seed);
        _exit(0);
    }
    int process = (int)syscall(SYS_pidfd_open, hosted->child, 0);
    isolation_configuration configuration = {
        .struct_size = sizeof configuration, .is_host = 1, .memory = hosted->channel.memory,
        .socket = hosted->channel.host_socket, .process = process, .call_timeout_ns = call_timeout_ns,
        .step_timeout_ns = body == NULL ? UINT64_C(20000000000) : call_timeout_ns, .message_limit = body == NULL ? 0 : 1 << 20,
        .context = hosted, .resolve = resolve, .overran = overran, .died = died};
    int32_t status;
    hosted->peer = isolation_peer_create(&configuration, &status);
    EXPECT(hosted->peer != NULL, "status %d", status);
    close(hosted->channel.memory);
    close(hosted->channel.child_socket);
    hosted->channel.memory = process; // The peer only looks at it; it is closed with the rest.
}

void hosted_start(struct hosted *hosted, uint32_t lanes, uint64_t call_timeout_ns) {
    start(hosted, lanes, call_timeout_ns, NULL, 0);
    hostd_error error = empty_error();
    int32_t status = isolation_peer_plugin(hosted->peer, &hosted->plugin, &error);
    EXPECT(status == HOSTD_OK, "%d %.*s", status, (int)error.message.size, (const char *)error.message.data);
    const isolation_plugin *plugin = hosted->plugin;
    void *self = plugin->interface.self;
    status = plugin->open(self, (const uint8_t *)plugin_path, strlen(plugin_path), &error);
    EXPECT(status == HOSTD_OK, "%d %.*s", status, (int)error.message.size, (const char *)error.message.data);
    EXPECT(plugin->enter(self, &error) == HOSTD_OK);
    hostd_buffer description = {0};
    EXPECT(plugin->describe(self, &description, &error) == HOSTD_OK && description.size > 20);
    description.release(description.context);
    EXPECT(plugin->configure(self, (const uint8_t *)"{}", 2, &error) == HOSTD_OK);
    EXPECT(plugin->activate(self, &error) == HOSTD_OK);
    const hostd_interface *table;
    EXPECT(isolation_peer_import(hosted->peer, LETTERS_1, LETTERS_1_ENDS, &table, &error) == HOSTD_OK);
    EXPECT(strcmp(table->slots, LETTERS_1_SLOTS) == 0 && table->struct_size == sizeof(letters_1));
    hosted->letters = (const letters_1 *)table;
}

void hosted_start_body(struct hosted *hosted, uint64_t call_timeout_ns, child_body body, uint64_t seed) {
    start(hosted, 8, call_timeout_ns, body, seed);
}

void hosted_stop(struct hosted *hosted) {
    isolation_peer_destroy(hosted->peer);
    EXPECT(atomic_load(&hosted->deaths) == 1);
    EXPECT(hosting_begun() == 0, "%lu things are left", hosting_begun());
    kill(hosted->child, SIGKILL);
    int status;
    EXPECT(waitpid(hosted->child, &status, 0) == hosted->child);
    close(hosted->channel.memory);
}

long resident_kilobytes(pid_t process) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "r");
    long size = 0;
    while (fgets(line, sizeof line, file) != NULL) sscanf(line, "VmRSS: %ld", &size);
    fclose(file);
    return size;
}

int32_t order(struct hosted *hosted, const char *text, char *answer) {
    hostd_buffer buffer = {0};
    hostd_error error = empty_error();
    int32_t status = hosted->letters->host(hosted->letters->interface.self, (const uint8_t *)text, strlen(text), &buffer,
                                           &error);
    error_release(&error);
    if (answer != NULL) snprintf(answer, 128, "%.*s", (int)buffer.size, (const char *)buffer.data);
    if (buffer.release != NULL) buffer.release(buffer.context);
    return status;
}
