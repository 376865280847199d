// A plugin that does on request whatever a plugin must not. It provides com.example.evil/1, and hostd.state/1 with the one
// text that it was given to keep.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/plugin.h"

#define EVIL_1 "com.example.evil/1"
#define EVIL_1_SLOTS "run:boe;note:be;recall:oe"

static const hostd_host *host;
static char kept[256];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int sink;

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void construct(void) { raise(CONSTRUCTOR); }
#endif

static hostd_buffer copy(const char *text)
{
    char *bytes = strdup(text);
    return (hostd_buffer){.data = (const uint8_t *)bytes, .size = strlen(bytes), .release = free, .context = bytes};
}

// MARK: Crimes

static _Noreturn void spin(void)
{
    for (;;)
        sink++;
}

static _Noreturn void deadlock(void)
{
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
    abort();
}

static void leak(void)
{
    for (;;) {
        char *bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED)
            return;
        memset(bytes, 1, 1 << 20);
    }
}

/// The socket to the host, and nothing else: the process lives on.
static void close_socket(void)
{
    struct stat status;
    for (int descriptor = 3; descriptor < 64; descriptor++)
        if (fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode))
            shutdown(descriptor, SHUT_RDWR);
    pause();
}

static void close_everything(void)
{
    for (int descriptor = 3; descriptor < 64; descriptor++)
        close(descriptor);
    pause();
}

/// Fills the memory between host and plugin with rubbish, again and again.
static void write_rubbish(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long from = 0, to = 0;
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "hostd-isolation") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            break;
    uint32_t random = 2463534242u;
    for (int round = 0; to != 0 && round < 2000; round++)
        for (unsigned long at = from; at + 4 <= to; at += 4) {
            random ^= random << 13, random ^= random >> 17, random ^= random << 5;
            *(volatile uint32_t *)at = random;
        }
}

static void *multiply(void *argument)
{
    pthread_t thread;
    while (pthread_create(&thread, NULL, multiply, NULL) == 0) {}
    fork();
    return argument;
}

/// As many threads and processes as there may be; what is left goes on working.
static void bomb(void)
{
    pthread_t thread;
    for (int round = 0; round < 100; round++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                fork();
        pthread_create(&thread, NULL, multiply, NULL);
    }
}

// MARK: What needs a grant

static void tell(FILE *out, const char *name, int32_t status, hostd_error *error)
{
    fprintf(out, "%s: %d %.*s\n", name, status, (int)error->message.size, (const char *)error->message.data);
    if (error->message.release)
        error->message.release(error->message.context);
    *error = (hostd_error){.struct_size = sizeof *error};
}

static int32_t tick(void *context, const uint8_t *data, uint64_t size, uint64_t *delay)
{
    return (void)context, (void)data, (void)size, (void)delay, HOSTD_OK;
}

static void receive(void *context, uint32_t kind, const uint8_t *data, uint64_t size)
{
    (void)context, (void)kind, (void)data, (void)size;
}

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static void try_store(FILE *out, hostd_error *error)
{
    const hostd_store_1 *store = (const void *)host->get_interface(host->self, HOSTD_STORE_1);
    void *self = store->interface.self;
    hostd_buffer bytes = {0};
    uint64_t number;
    tell(out, "store.get pods", store->get(self, BYTES("pods/d/a"), 0, &bytes, error), error);
    if (bytes.release)
        bytes.release(bytes.context);
    bytes = (hostd_buffer){0};
    tell(out, "store.get secrets", store->get(self, BYTES("secrets/d/a"), 0, &bytes, error), error);
    tell(out, "store.status", store->update(self, BYTES("pods/d/a"), BYTES("{\"spec\":1,\"status\":2}"), NULL, 0, 0, 0, &number, error), error);
    tell(out, "store.spec", store->update(self, BYTES("pods/d/a"), BYTES("{\"spec\":2,\"status\":2}"), NULL, 0, 0, 0, &number, error), error);
    tell(out, "store.watch", store->watch(self, BYTES("pods/"), NULL, 0, 0, receive, NULL, &number, error), error);
}

static void try_services(FILE *out, hostd_error *error)
{
    const hostd_events_1 *events = (const void *)host->get_interface(host->self, HOSTD_EVENTS_1);
    const hostd_timers_1 *timers = (const void *)host->get_interface(host->self, HOSTD_TIMERS_1);
    const hostd_reconcile_1 *reconcile = (const void *)host->get_interface(host->self, HOSTD_RECONCILE_1);
    const hostd_metrics_1 *metrics = (const void *)host->get_interface(host->self, HOSTD_METRICS_1);
    const hostd_roles_1 *roles = (const void *)host->get_interface(host->self, HOSTD_ROLES_1);
    const hostd_environment_1 *environment = (const void *)host->get_interface(host->self, HOSTD_ENVIRONMENT_1);
    const hostd_scheduler_1 *scheduler = (const void *)host->get_interface(host->self, HOSTD_SCHEDULER_1);
    hostd_buffer bytes = {0};
    uint64_t number;
    tell(out, "events.publish", events->publish(events->interface.self, BYTES("a"), BYTES("b"), 0, error), error);
    tell(out, "timers.start", timers->start(timers->interface.self, 1000000000, 0, tick, NULL, &number, error), error);
    tell(out, "reconcile.create", reconcile->create(reconcile->interface.self, BYTES("q"), 1, tick, NULL, &number, error), error);
    tell(out, "metrics.define", metrics->define(metrics->interface.self, HOSTD_METRIC_COUNTER, BYTES("evil_total"), NULL, 0, &number, error), error);
    tell(out, "roles.providers", roles->providers(roles->interface.self, BYTES(HOSTD_STORE_1), &bytes, error), error);
    if (bytes.release)
        bytes.release(bytes.context);
    tell(out, "environment.stop", environment->stop(environment->interface.self, 9, BYTES("evil"), error), error);
    tell(out, "scheduler.reset", scheduler->reset(scheduler->interface.self, error), error);
}

static hostd_buffer try_everything(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    hostd_error error = {.struct_size = sizeof error};
    try_store(out, &error);
    try_services(out, &error);
    fclose(out);
    return (hostd_buffer){.data = (const uint8_t *)text, .size = size, .release = free, .context = text};
}

// MARK: The role

static int32_t run(void *self, const uint8_t *mode, uint64_t size, hostd_buffer *answer, hostd_error *error)
{
    (void)self, (void)error;
    char name[32] = "";
    memcpy(name, mode, size < sizeof name ? size : sizeof name - 1);
    if (strcmp(name, "segfault") == 0)
        *(volatile int *)8 = 1;
    else if (strcmp(name, "abort") == 0)
        abort();
    else if (strcmp(name, "exit") == 0)
        _exit(3);
    else if (strcmp(name, "deadlock") == 0)
        deadlock();
    else if (strcmp(name, "spin") == 0)
        spin();
    else if (strcmp(name, "leak") == 0)
        leak();
    else if (strcmp(name, "close") == 0)
        close_socket();
    else if (strcmp(name, "close everything") == 0)
        close_everything();
    else if (strcmp(name, "rubbish") == 0)
        write_rubbish();
    else if (strcmp(name, "bomb") == 0)
        bomb();
    else if (strcmp(name, "wait") == 0)
        pause();
    *answer = strcmp(name, "grants") == 0 ? try_everything() : copy(name);
    return HOSTD_OK;
}

static int32_t note(void *self, const uint8_t *text, uint64_t size, hostd_error *error)
{
    (void)self, (void)error;
    memset(kept, 0, sizeof kept);
    memcpy(kept, text, size < sizeof kept ? size : sizeof kept - 1);
    return HOSTD_OK;
}

static int32_t recall(void *self, hostd_buffer *text, hostd_error *error)
{
    (void)self, (void)error;
    *text = copy(kept);
    return HOSTD_OK;
}

static const struct {
    hostd_interface interface;
    int32_t (*run)(void *, const uint8_t *, uint64_t, hostd_buffer *, hostd_error *);
    int32_t (*note)(void *, const uint8_t *, uint64_t, hostd_error *);
    int32_t (*recall)(void *, hostd_buffer *, hostd_error *);
} evil = {{sizeof evil, 0, NULL, EVIL_1, EVIL_1_SLOTS}, run, note, recall};

static const char format[] = "com.example.evil.state/1\n";

static int32_t export_state(void *self, hostd_buffer *state, hostd_error *error)
{
    (void)self, (void)error;
    char text[sizeof format + sizeof kept];
    snprintf(text, sizeof text, "%s%s", format, kept);
    *state = copy(text);
    return HOSTD_OK;
}

static int32_t import_state(void *self, const uint8_t *state, uint64_t size, hostd_error *error)
{
    size_t head = sizeof format - 1;
    if (size < head || memcmp(state, format, head) != 0)
        return HOSTD_ERROR_VERSION;
    return note(self, state + head, size - head, error);
}

static const hostd_state_1 state = {
    .interface = {sizeof state, 0, NULL, HOSTD_STATE_1, HOSTD_STATE_1_SLOTS},
    .export_state = export_state,
    .import_state = import_state,
};

// MARK: Its life

static int32_t describe(void *self, hostd_buffer *out, hostd_error *error)
{
    (void)self, (void)error;
    *out = copy("{\"name\":\"evil\",\"version\":\"1\",\"provides\":[\"" EVIL_1 "\",\"" HOSTD_STATE_1 "\"]}");
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *out, hostd_error *error) { return (void)self, (void)out, (void)error, HOSTD_OK; }

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error)
{
    (void)self, (void)size, (void)error;
    // Its own directory can be written to, and nothing beside it.
    const char *place = strstr((const char *)configuration, "\"plugin\":\"");
    char path[512];
    if (!place || sscanf(place, "\"plugin\":\"%400[^\"]", path) != 1)
        return HOSTD_ERROR_INVALID_ARGUMENT;
    strcat(path, "/file");
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return file < 0 ? HOSTD_ERROR_INTERNAL : close(file);
}

static int32_t activate(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }
static int32_t deactivate(void *self, hostd_error *error) { return (void)self, (void)error, HOSTD_OK; }
static void destroy(void *self) { (void)self; }

static const hostd_interface *get_interface(void *self, const char *id)
{
    (void)self;
    if (strcmp(id, EVIL_1) == 0)
        return &evil.interface;
    return strcmp(id, HOSTD_STATE_1) == 0 ? &state.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *given, hostd_plugin *plugin, hostd_error *error)
{
    (void)error;
    host = given;
    *plugin = (hostd_plugin){
        .struct_size = sizeof *plugin, .abi_version = HOSTD_ABI_VERSION, .describe = describe, .schema = schema,
        .configure = configure, .activate = activate, .deactivate = deactivate, .destroy = destroy,
        .get_interface = get_interface,
    };
    return HOSTD_OK;
}
