// A plugin for tests of swaps: counts what it is told, hands the count over, and can fail at any step. Built with
//
//     -DNAME=…  -DVERSION=…  its description               -DHANDOVER=…   "overlap" or "exclusive"
//     -DFAULT=… the step that fails                        -DFORMAT=…     of its state; none = it has no state
//     -DCOSTS=… of its role's slots                        -DFORGETS   a watch of hostd.roles/1 that it does not end
//     -DROLE=…  another role than com.example.count/1      -DREQUIRES=…   a role that it requires
//     -DASKS_FOR=… an interface that each activation asks for
//     -DLIVE    hands over live                            -DPAUSE=…   microseconds of import_state and activate
//
// It keeps what belongs to a generation in `self`; the statics below only tell the test what happened to all of them.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostd/plugin.h"

enum { NONE, CONFIGURE, ACTIVATE, REACTIVATE, EXPORT, IMPORT, DEACTIVATE, SECOND_ACTIVATION, CHANGES, FOLLOW };
#ifndef FAULT
#define FAULT NONE
#endif
#ifndef NAME
#define NAME "counter"
#endif
#ifndef VERSION
#define VERSION "1"
#endif
#ifndef HANDOVER
#define HANDOVER "overlap"
#endif
#ifndef ROLE
#define ROLE "com.example.count/1"
#endif
#ifdef FORMAT
#define PROVIDES "[\"" ROLE "\",\"hostd.state/1\"]"
#else
#define FORMAT ""
#define PROVIDES "[\"" ROLE "\"]"
#endif
#ifdef REQUIRES
#define REQUIRED "[\"" REQUIRES "\"]"
#else
#define REQUIRED "[]"
#endif

#ifndef PAUSE
#define PAUSE 0
#endif

#ifndef COSTS
#define COSTS "step:1s"
#endif

typedef struct counter_table {
    hostd_interface interface;
    int32_t (*add)(void *, uint64_t, hostd_error *);
    int32_t (*total)(void *, uint64_t *, hostd_error *);
    int32_t (*late)(void *, uint64_t *, hostd_error *);
    int32_t (*stay)(void *, uint64_t, hostd_error *);
    int32_t (*later)(void *, hostd_completion, void *, uint64_t *, hostd_error *);
    int32_t (*step)(void *, hostd_buffer *, hostd_error *);
    int32_t (*marks)(void *, uint64_t *, hostd_error *);
} counter_table;

typedef struct counter {
    counter_table table;
    hostd_state_1 state;
    const hostd_host *host;
    _Atomic(uint64_t) total;
    _Atomic(int) is_active;
    int activations;
    _Atomic(uint64_t) mark; ///< That changes are asked for by; 0 = none.
    uint64_t told;          ///< Of the total, in the base and in changes.
    hostd_completion completion;
    void *context;
    char options[256];
} counter;

/// Calls that came to a generation that was not active, over all generations of this image.
static _Atomic(uint64_t) late_calls;
/// What the test lets wait in `stay`.
static _Atomic(int) is_open;
/// Marks that were given out and not ended.
static _Atomic(uint64_t) open_marks;
/// Counters that exist.
static _Atomic(uint64_t) living;

static int32_t fail(hostd_error *error, int32_t code, const char *message) {
    error->code = code;
    error->message = (hostd_buffer){.data = (const uint8_t *)message, .size = strlen(message)};
    return code;
}

static int32_t step(hostd_error *error, int fault) {
    return FAULT == fault ? fail(error, HOSTD_ERROR_INTERNAL, "the fixture fails here") : HOSTD_OK;
}

static void note(counter *this) {
    if (!atomic_load(&this->is_active)) atomic_fetch_add(&late_calls, 1);
}

static int32_t add(void *self, uint64_t amount, hostd_error *error) {
    (void)error;
    counter *this = self;
    note(this);
    atomic_fetch_add(&this->total, amount);
    note(this);
    return HOSTD_OK;
}

static int32_t total(void *self, uint64_t *value, hostd_error *error) {
    (void)error;
    note(self);
    *value = atomic_load(&((counter *)self)->total);
    return HOSTD_OK;
}

static int32_t late(void *self, uint64_t *value, hostd_error *error) {
    (void)self, (void)error;
    *value = atomic_load(&late_calls);
    return HOSTD_OK;
}

static int32_t marks(void *self, uint64_t *value, hostd_error *error) {
    (void)self, (void)error;
    *value = atomic_load(&open_marks);
    return HOSTD_OK;
}

/// 0: waits inside until somebody calls with 1.
static int32_t stay(void *self, uint64_t opens, hostd_error *error) {
    (void)self, (void)error;
    if (opens) return atomic_store(&is_open, 1), HOSTD_OK;
    while (!atomic_load(&is_open)) usleep(500);
    return HOSTD_OK;
}

/// Completes in deactivate.
static int32_t later(void *self, hostd_completion completion, void *context, uint64_t *handle, hostd_error *error) {
    (void)error;
    counter *this = self;
    this->completion = completion;
    this->context = context;
    *handle = 1;
    return HOSTD_OK;
}

static void release(void *context) { free(context); }

/// VERSION, activations, options.
static int32_t tell(void *self, hostd_buffer *text, hostd_error *error) {
    (void)error;
    counter *this = self;
    char *copy = malloc(512);
    int size = snprintf(copy, 512, "%s %d %d %s", VERSION, this->activations, (int)atomic_load(&living), this->options);
    *text = (hostd_buffer){(const uint8_t *)copy, (uint64_t)size, release, copy};
    return HOSTD_OK;
}

static void write_state(hostd_buffer *state, uint64_t total) {
    char *copy = malloc(256);
    int size = snprintf(copy, 256, "%s\n%llu", FORMAT, (unsigned long long)total);
    *state = (hostd_buffer){(const uint8_t *)copy, (uint64_t)size, release, copy};
}

static int32_t read_state(const uint8_t *state, uint64_t size, uint64_t *total, hostd_error *error) {
    size_t format = strlen(FORMAT);
    if (size <= format || memcmp(state, FORMAT "\n", format + 1) != 0) {
        return fail(error, HOSTD_ERROR_VERSION, "the fixture does not know this format");
    }
    char text[64] = {0};
    memcpy(text, state + format + 1, size - format - 1 < 63 ? size - format - 1 : 63);
    *total = strtoull(text, NULL, 10);
    return HOSTD_OK;
}

static int32_t export_state(void *self, hostd_buffer *state, hostd_error *error) {
    if (FAULT == EXPORT) return step(error, EXPORT);
    write_state(state, atomic_load(&((counter *)self)->total));
    return HOSTD_OK;
}

static int32_t import_state(void *self, const uint8_t *state, uint64_t size, hostd_error *error) {
    if (FAULT == IMPORT) return step(error, IMPORT);
    if (PAUSE > 0) usleep(PAUSE);
    uint64_t total;
    int32_t status = read_state(state, size, &total, error);
    if (status == HOSTD_OK) atomic_store(&((counter *)self)->total, total);
    return status;
}

#ifdef LIVE
static int32_t export_base(void *self, uint64_t *mark, hostd_buffer *state, hostd_error *error) {
    counter *this = self;
    if (FAULT == EXPORT) return step(error, EXPORT);
    this->told = atomic_load(&this->total);
    write_state(state, this->told);
    atomic_store(&this->mark, *mark = 7);
    atomic_fetch_add(&open_marks, 1);
    return HOSTD_OK;
}

/// The difference, so that what is taken twice or never is seen in the total.
static int32_t export_changes(void *self, uint64_t mark, hostd_buffer *changes, hostd_error *error) {
    counter *this = self;
    if (FAULT == CHANGES) return step(error, CHANGES);
    if (mark == 0 || mark != atomic_load(&this->mark)) return fail(error, HOSTD_ERROR_NOT_FOUND, "the mark is unknown");
    uint64_t total = atomic_load(&this->total);
    write_state(changes, total - this->told);
    this->told = total;
    return HOSTD_OK;
}

static int32_t export_end(void *self, uint64_t mark, hostd_error *error) {
    (void)error;
    if (mark != 0 && atomic_compare_exchange_strong(&((counter *)self)->mark, &mark, 0)) atomic_fetch_sub(&open_marks, 1);
    return HOSTD_OK;
}

static int32_t import_changes(void *self, const uint8_t *changes, uint64_t size, hostd_error *error) {
    uint64_t difference;
    int32_t status = read_state(changes, size, &difference, error);
    if (FAULT == FOLLOW) return step(error, FOLLOW);
    if (status == HOSTD_OK) atomic_fetch_add(&((counter *)self)->total, difference);
    return status;
}
#endif

static int32_t describe(void *self, hostd_buffer *out, hostd_error *error) {
    (void)self, (void)error;
    static const char text[] = "{\"name\":\"" NAME "\",\"version\":\"" VERSION "\",\"provides\":" PROVIDES ",\"requires\":" REQUIRED
                               ",\"handover\":\"" HANDOVER "\",\"costs\":{\"" ROLE "\":\"" COSTS "\"}}";
    *out = (hostd_buffer){.data = (const uint8_t *)text, .size = sizeof text - 1};
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *out, hostd_error *error) {
    (void)self, (void)error;
    static const char text[] = "{\"type\":\"object\",\"properties\":{\"" NAME "\":{\"type\":\"integer\",\"default\":1,\"maximum\":9}}}";
    *out = (hostd_buffer){.data = (const uint8_t *)text, .size = sizeof text - 1};
    return HOSTD_OK;
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    counter *this = self;
    char *copy = strndup((const char *)configuration, size), *end = strstr(copy, "},");
    if (end != NULL) snprintf(this->options, sizeof this->options, "%.*s}", (int)(end - copy - 11), copy + 11);
    free(copy);
    return step(error, CONFIGURE);
}

#ifdef FORGETS
static void ignore(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    (void)context, (void)kind, (void)data, (void)size;
}

static void begin_and_forget(counter *this, hostd_error *error) {
    const hostd_roles_1 *roles = (const hostd_roles_1 *)this->host->get_interface(this->host->self, HOSTD_ROLES_1);
    uint64_t watch;
    for (int i = 0; i < 2; i++) roles->watch(roles->interface.self, ignore, NULL, &watch, error);
    roles->unwatch(roles->interface.self, watch, error);
}
#endif

static int32_t activate(void *self, hostd_error *error) {
    counter *this = self;
#ifdef FORGETS
    begin_and_forget(this, error);
#endif
    if (FAULT == SECOND_ACTIVATION && this->activations > 0) return step(error, SECOND_ACTIVATION);
#ifdef ASKS_FOR
    if (this->host->get_interface(this->host->self, ASKS_FOR) == NULL) return fail(error, HOSTD_ERROR_NOT_FOUND, ASKS_FOR);
#endif
    if (PAUSE > 0) usleep(PAUSE);
    int32_t status = step(error, ACTIVATE);
    if (status != HOSTD_OK) return status;
    this->activations++;
    atomic_store(&this->is_active, 1);
    return HOSTD_OK;
}

static int32_t deactivate(void *self, hostd_error *error) {
    counter *this = self;
    atomic_store(&this->is_active, 0);
    if (this->completion != NULL) this->completion(this->context, HOSTD_ERROR_CANCELLED, NULL, 0, NULL);
    this->completion = NULL;
    return step(error, DEACTIVATE);
}

static void destroy(void *self) {
    atomic_fetch_sub(&living, 1);
    free(self);
}

static const hostd_interface *get_interface(void *self, const char *id) {
    counter *this = self;
    if (strcmp(id, ROLE) == 0) return &this->table.interface;
    return FORMAT[0] != 0 && strcmp(id, HOSTD_STATE_1) == 0 ? &this->state.interface : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    (void)error;
    counter *this = calloc(1, sizeof *this);
    if (this == NULL) return HOSTD_ERROR_RESOURCE_EXHAUSTED;
    this->host = host;
    atomic_fetch_add(&living, 1);
    this->table = (counter_table){
        {sizeof this->table, 0, this, ROLE, "add:we;total:We;late:We;stay:we;later:cHe;step:oe;marks:We"}, add, total, late,
        stay, later, tell, marks};
    this->state = (hostd_state_1){
        {sizeof this->state, 0, this, HOSTD_STATE_1, HOSTD_STATE_1_SLOTS}, export_state, import_state
#ifdef LIVE
        , export_base, export_changes, export_end, import_changes
#endif
    };
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, this, describe, schema, configure, activate, deactivate,
                             destroy, get_interface};
    return HOSTD_OK;
}
