// Entry, life cycle and state of broken.c.

#define FORMAT "com.example.probe.state/1\n"

static int32_t export_state(void *self, hostd_buffer *state, hostd_error *error) {
    plugin *plugin = self;
    (void)error;
    char bytes[128];
    int size = snprintf(bytes, sizeof bytes, "%s%llu", FAULT == NO_FORMAT ? "" : FORMAT, (unsigned long long)plugin->total);
    *state = copy_of(bytes, (uint64_t)size);
    return HOSTD_OK;
}

static int32_t read_state(const uint8_t *state, uint64_t size, uint64_t *read, hostd_error *error) {
    if (size < sizeof FORMAT || memcmp(state, FORMAT, sizeof FORMAT - 1) != 0) {
        return fail(error, HOSTD_ERROR_VERSION, "the format of the state is unknown");
    }
    uint64_t total = 0;
    for (uint64_t i = sizeof FORMAT - 1; i < size; i++) {
        if (state[i] < '0' || state[i] > '9') return fail(error, HOSTD_ERROR_DATA_LOSS, "the state is damaged");
        total = total * 10 + (uint64_t)(state[i] - '0');
    }
    *read = total;
    return HOSTD_OK;
}

static int32_t import_state(void *self, const uint8_t *state, uint64_t size, hostd_error *error) {
    plugin *plugin = self;
    if (FAULT == TAKES_RUBBISH) return HOSTD_OK;
    uint64_t total = 0;
    int32_t status = read_state(state, size, &total, error);
    if (status == HOSTD_OK && FAULT != LOSES_STATE) plugin->total = total;
    return status;
}

#ifndef PREVIOUS_HEADER  // Which has no live state.
static int32_t export_base(void *self, uint64_t *mark, hostd_buffer *state, hostd_error *error) {
    plugin *plugin = self;
    if (plugin->stage != ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not active");
    *mark = plugin->mark = ++plugin->last_mark;
    plugin->base = plugin->total;
    return export_state(self, state, error);
}

/// The whole total, which is all that can change.
static int32_t export_changes(void *self, uint64_t mark, hostd_buffer *changes, hostd_error *error) {
    plugin *plugin = self;
    if (FAULT != TAKES_ANY_MARK && (mark == 0 || mark != plugin->mark))
        return fail(error, HOSTD_ERROR_NOT_FOUND, "the mark is unknown");
    uint64_t total = plugin->total;
    if (FAULT == FORGETS_CHANGES) plugin->total = plugin->base;
    int32_t status = export_state(self, changes, error);
    plugin->total = total;
    return status;
}

static int32_t export_end(void *self, uint64_t mark, hostd_error *error) {
    plugin *plugin = self;
    (void)error;
    if (mark == plugin->mark) plugin->mark = 0;
    return HOSTD_OK;
}

static int32_t import_changes(void *self, const uint8_t *changes, uint64_t size, hostd_error *error) {
    plugin *plugin = self;
    if (plugin->stage != ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not active");
    if (FAULT == TAKES_RUBBISH_CHANGES) {
        plugin->total = size;
        return size == 0 ? HOSTD_ERROR_VERSION : read_state(changes, size, &plugin->total, error);
    }
    uint64_t total = 0;
    int32_t status = read_state(changes, size, &total, error);
    if (status == HOSTD_OK) plugin->total = total;
    return status;
}
#endif

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    plugin *plugin = self;
    (void)error;
    char json[512];
    const char *role = FAULT == OTHER_SLOTS ? HOSTD_API_EXTENSION_1 : PROBE_1;
    int size = snprintf(json, sizeof json,
                        "{\"name\":\"%s\",\"version\":\"1.0.%d\",\"description\":\"For tests.\",\"provides\":[\"%s\",\"%s\"]}",
                        FAULT == BAD_NAME ? "Not A Name" : "probe", FAULT == CHANGING_DESCRIPTION ? plugin->descriptions++ : 0,
                        role, HOSTD_STATE_1);
    *description = copy_of(json, (uint64_t)size);
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    (void)self, (void)error;
    *schema = text(FAULT == BAD_SCHEMA ? "{\"type\":\"object\",\"oneOf\":[]}"
                                       : "{\"type\":\"object\",\"properties\":{\"level\":{\"type\":\"integer\",\"default\":3}}}");
    return HOSTD_OK;
}

/// Asks the host for a buffer and gives it back.
static void ask_host(plugin *plugin) {
    const hostd_environment_1 *environment =
        (const hostd_environment_1 *)plugin->host->get_interface(plugin->host->self, HOSTD_ENVIRONMENT_1);
    hostd_error error = {.struct_size = sizeof error};
    hostd_buffer json = {0};
    if (environment->describe(environment->interface.self, &json, &error) != HOSTD_OK) return;
    if (json.release == NULL || FAULT == NEVER_RELEASES) return;
    json.release(json.context);
    if (FAULT == RELEASES_TWICE) json.release(json.context);
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    plugin *plugin = self;
    if (FAULT == CHANGES_DIRECTORY && chdir("/") != 0) return HOSTD_ERROR_INTERNAL;
    if (plugin->stage == ACTIVE && FAULT != CONFIGURES_ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is active");
    if (size == 0 || configuration[0] != '{') return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "it is no object");
    plugin->kept = configuration;
    if (plugin->stage == ENTERED) plugin->stage = CONFIGURED;
    if (FAULT == CALLS_WHEN_IDLE) {
        const hostd_store_1 *store =
            (const hostd_store_1 *)plugin->host->get_interface(plugin->host->self, HOSTD_STORE_1);
        hostd_buffer json = {0};
        hostd_error ignored = {.struct_size = sizeof ignored};
        if (store->status(store->interface.self, &json, &ignored) == HOSTD_OK && json.release) json.release(json.context);
    }
    return HOSTD_OK;
}

static int32_t tick(void *context, const uint8_t *data, uint64_t size, uint64_t *delay_ns) {
    (void)context, (void)data, (void)size, (void)delay_ns;
    return HOSTD_OK;
}

static void *wait_for_ever(void *context) {
    (void)context;
    for (;;) pause();
    return NULL;
}

static int32_t activate(void *self, hostd_error *error) {
    plugin *plugin = self;
    if (plugin->stage == ENTERED && FAULT != ACTIVATES_UNCONFIGURED) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not configured");
    if (plugin->stage == ACTIVE) {
        return FAULT == ACTIVATES_TWICE ? HOSTD_OK : fail(error, HOSTD_ERROR_WRONG_STATE, "it is active");
    }
    if (FAULT == REFUSES_TO_START) return fail(error, HOSTD_ERROR_INTERNAL, "it never starts");
    if (FAULT == KEEPS_ARGUMENT && plugin->kept != NULL) (void)*(volatile const uint8_t *)plugin->kept;
    if (FAULT == HANDLES_SIGNALS) signal(SIGUSR1, SIG_IGN);
    if (FAULT == LEAVES_THREAD) pthread_create(&plugin->thread, NULL, wait_for_ever, NULL);
    if (FAULT == LEAVES_DESCRIPTORS) (void)!fcntl(2, F_DUPFD_CLOEXEC, 3);
    if (FAULT == INHERITS_DESCRIPTOR) plugin->file = dup(2);
    ask_host(plugin);
    plugin->timers = (const hostd_timers_1 *)plugin->host->get_interface(plugin->host->self, HOSTD_TIMERS_1);
    int32_t status = plugin->timers->start(plugin->timers->interface.self, 1000000000, 1000000000, tick, plugin,
                                           &plugin->timer, error);
    if (status == HOSTD_OK) plugin->stage = ACTIVE;
    return status;
}

static int32_t deactivate(void *self, hostd_error *error) {
    plugin *plugin = self;
    if (plugin->stage != ACTIVE) return HOSTD_OK;
    plugin->stage = CONFIGURED;
    if (FAULT == INHERITS_DESCRIPTOR) close(plugin->file);
    if (FAULT != LEAVES_TIMER) plugin->timers->cancel(plugin->timers->interface.self, plugin->timer, error);
    for (int i = 0; i < ENTRIES; i++) {
        pthread_mutex_lock(&plugin->lock);
        entry found = leave(plugin, plugin->entries[i].handle);
        pthread_mutex_unlock(&plugin->lock);
        if (found.completion != NULL && FAULT != NEVER_COMPLETES) complete(&found);
    }
    return HOSTD_OK;
}

static void destroy(void *self) {
    if (FAULT == STATE_IN_IMAGE) only = NULL;
    free(self);
}

static const hostd_interface *get_interface(void *self, const char *id) {
    plugin *plugin = FAULT == STATE_IN_IMAGE ? only : self;
    if (strcmp(id, HOSTD_STATE_1) == 0) return &plugin->state.interface;
    if (FAULT == NO_TABLE || (strcmp(id, plugin->probe.interface.id) != 0 && FAULT != ANY_ID && FAULT != OTHER_ID)) return NULL;
    if (FAULT == OTHER_ID && strcmp(id, PROBE_1) != 0) return NULL;
    if (FAULT != NEW_ADDRESS) return &plugin->probe.interface;
    probe_1 *copy = malloc(sizeof *copy);
    *copy = plugin->probe;
    return &copy->interface;
}

static void make_tables(plugin *plugin) {
    const char *id = FAULT == OTHER_SLOTS ? HOSTD_API_EXTENSION_1 : FAULT == OTHER_ID ? "com.example.other/1" : PROBE_1;
    const char *slots = FAULT == UNKNOWN_LETTER ? "echo:tbxoe" : PROBE_1_SLOTS;
    plugin->probe = (probe_1){{sizeof plugin->probe, 0, plugin, id, slots}, echo, total, begin, begin_cancel, watch,
                              watch_cancel, measure, give, look, mix};
    if (FAULT == SHORT_TABLE) plugin->probe.interface.struct_size = sizeof(hostd_interface) + 8;
    plugin->state = (hostd_state_1){.interface = {sizeof plugin->state, 0, plugin, HOSTD_STATE_1, HOSTD_STATE_1_SLOTS},
                                    .export_state = export_state,
                                    .import_state = import_state};
#ifndef PREVIOUS_HEADER
    plugin->state.export_base = export_base;
    plugin->state.export_changes = export_changes;
    plugin->state.export_end = export_end;
    if (FAULT != HALF_LIVE) plugin->state.import_changes = import_changes;
#endif
    pthread_mutex_init(&plugin->lock, NULL);
}

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *table, hostd_error *error) {
    int is_offered = host->abi_minimum <= HOSTD_ABI_VERSION && host->abi_maximum >= HOSTD_ABI_VERSION;
    if (!is_offered && FAULT != TAKES_ANY_VERSION) return fail(error, HOSTD_ERROR_VERSION, "the probe speaks version 1");
    if (FAULT == PRINTS) printf("hello\n"), fflush(stdout);
    if (FAULT == CALLS_IN_ENTRY) {
        const hostd_environment_1 *environment =
            (const hostd_environment_1 *)host->get_interface(host->self, HOSTD_ENVIRONMENT_1);
        hostd_buffer json = {0};
        if (environment->describe(environment->interface.self, &json, error) == HOSTD_OK && json.release) json.release(json.context);
    }
    plugin *self = calloc(1, sizeof *self);
    self->host = host;
    make_tables(self);
    if (FAULT == STATE_IN_IMAGE) only = self;
    uint32_t version = FAULT == CHOOSES_VERSION ? host->abi_maximum + 1 : HOSTD_ABI_VERSION;
    *table = (hostd_plugin){sizeof *table, version, self, describe, schema, configure, activate, deactivate, destroy,
                            get_interface};
    if (FAULT == WRITES_BEHIND) ((volatile uint64_t *)(table + 1))[0] = 0;
    return HOSTD_OK;
}

#ifdef WITH_EXTRA_SYMBOL
VISIBLE int probe_extra_symbol(void) { return 0; }
#endif
