// The store that `hostd plugin new` writes in C: as it is, and with -DFAULT=NAME with one slot in front that breaks a rule.
#define plugin_description template_description
#define plugin_create template_create
#include "../../../Templates/c/roles/store/src/store.c"
#undef plugin_description
#undef plugin_create

#include "faults.h"

const char plugin_description[] = "{\"name\":\"toy-store\",\"version\":\"1.0.0\",\"provides\":[\"hostd.store/1\"]}";

// The correct slots, which are the same for every instance.
static hostd_store_1 good;

#define KEY const uint8_t *key, uint64_t key_size
#define CONTENT const uint8_t *value, uint64_t value_size, const uint8_t *index, uint64_t index_size, uint64_t lease

static int32_t create_or_replace(void *self, KEY, CONTENT, uint64_t *revision, hostd_error *error) {
    hostd_error ignored = {.struct_size = sizeof ignored};
    int32_t status = good.create(self, key, key_size, value, value_size, index, index_size, lease, revision, &ignored);
    if (ignored.message.release) ignored.message.release(ignored.message.context);
    if (status != HOSTD_ERROR_ALREADY_EXISTS) {
        return status == HOSTD_OK ? status : good.create(self, key, key_size, value, value_size, index, index_size, lease, revision, error);
    }
    return good.update(self, key, key_size, value, value_size, index, index_size, lease, 0, revision, error);
}

static int32_t update_any(void *self, KEY, CONTENT, uint64_t expected, uint64_t *revision, hostd_error *error) {
    return good.update(self, key, key_size, value, value_size, index, index_size, lease, 0, revision, error);
}

static int32_t remove_any(void *self, KEY, uint64_t expected, uint64_t *revision, hostd_error *error) {
    return good.remove(self, key, key_size, 0, revision, error);
}

static int32_t get_faulty(void *self, KEY, uint64_t revision, hostd_buffer *record, hostd_error *error) {
    int32_t status = good.get(self, key, key_size, FAULT == GETS_NOW ? 0 : revision, record, error);
    if (status == HOSTD_OK && FAULT == LOSES_VERSION) ((hostd_store_record *)record->data)->version = 1;
    return status;
}

static int32_t list_faulty(void *self, const uint8_t *prefix, uint64_t prefix_size, const uint8_t *selector,
                           uint64_t selector_size, uint64_t revision, uint64_t limit, const uint8_t *after,
                           uint64_t after_size, hostd_buffer *page, hostd_error *error) {
    int32_t status = good.list(self, prefix, prefix_size, selector, selector_size, FAULT == LISTS_NOW ? 0 : revision, limit,
                               after, after_size, page, error);
    if (status == HOSTD_OK && FAULT == TELLS_NO_MORE) ((hostd_store_page *)page->data)->more = 0;
    return status;
}

// MARK: Watches

typedef struct {
    hostd_sink sink;
    void *context;
} relay; // Lives on after its watch: a fixture.

static void relay_sink(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    relay *to = context;
    if (kind != HOSTD_SINK_DATA) return to->sink(to->context, kind, data, size);
    uint8_t *kept = malloc(size);
    uint64_t count = 0, next = 0;
    while (next < size) {
        const hostd_store_record *head = (const hostd_store_record *)(data + next);
        uint64_t first = head->record_size, both = first;
        if (head->flags & HOSTD_STORE_RECORD_HAS_PREVIOUS) both += ((const hostd_store_record *)(data + next + first))->record_size;
        int drops_all = FAULT == FORGETS_WHO_LEFT && (head->flags & HOSTD_STORE_RECORD_LEFT);
        uint64_t taken = drops_all ? 0 : FAULT == LOSES_PREVIOUS ? first : both;
        memcpy(kept + count, data + next, taken);
        if (taken == first) ((hostd_store_record *)(kept + count))->flags &= ~HOSTD_STORE_RECORD_HAS_PREVIOUS;
        count += taken, next += both;
    }
    if (count > 0) to->sink(to->context, kind, kept, count);
    free(kept);
}

static int32_t watch_faulty(void *self, const uint8_t *prefix, uint64_t prefix_size, const uint8_t *selector,
                            uint64_t selector_size, uint64_t from, hostd_sink sink, void *context, uint64_t *watch,
                            hostd_error *error) {
    if (FAULT == BEGINS_LATE) {
        uint64_t late = from == 0 ? 0 : from + 1;
        int32_t status = good.watch(self, prefix, prefix_size, selector, selector_size, late, sink, context, watch, error);
        if (status != HOSTD_ERROR_INVALID_ARGUMENT) return status;
        if (error->message.release) error->message.release(error->message.context);
        *error = (hostd_error){.struct_size = error->struct_size};
        return good.watch(self, prefix, prefix_size, selector, selector_size, from, sink, context, watch, error);
    }
    relay *made = malloc(sizeof *made);
    *made = (relay){sink, context};
    return good.watch(self, prefix, prefix_size, selector, selector_size, from, sink == NULL ? NULL : relay_sink, made, watch, error);
}

// MARK: Transactions

typedef struct {
    hostd_completion completion;
    void *context;
} completing;

static void complete_faulty(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    completing to = *(completing *)context;
    free(context);
    hostd_store_commit commit;
    if (size < sizeof commit) return to.completion(to.context, status, data, size, error);
    memcpy(&commit, data, sizeof commit);
    if (commit.failed_operation != UINT32_MAX) commit.failed_operation++;
    to.completion(to.context, status, (const uint8_t *)&commit, sizeof commit, error);
}

static int32_t name_another_step(void *self, const uint8_t *steps, uint64_t size, hostd_completion completion, void *context,
                                 hostd_error *error) {
    completing *made = malloc(sizeof *made);
    *made = (completing){completion, context};
    int32_t status = good.transaction(self, steps, size, completion == NULL ? NULL : complete_faulty, made, error);
    if (status != HOSTD_OK) free(made);
    return status;
}

static int32_t ignore_checks(void *self, const uint8_t *steps, uint64_t size, hostd_completion completion, void *context,
                             hostd_error *error) {
    // What is no sequence of steps is refused as it is.
    uint8_t *kept = malloc(size + 1);
    uint64_t count = 0, next = 0;
    while (size - next >= sizeof(hostd_store_operation)) {
        hostd_store_operation head;
        memcpy(&head, steps + next, sizeof head);
        if (head.operation_size < sizeof head || head.operation_size > size - next) break;
        if (head.kind != HOSTD_STORE_CHECK) memcpy(kept + count, steps + next, head.operation_size), count += head.operation_size;
        next += head.operation_size;
    }
    int32_t status = next == size && count > 0 ? good.transaction(self, kept, count, completion, context, error)
                                               : good.transaction(self, steps, size, completion, context, error);
    free(kept);
    return status;
}

// MARK: Leases

static int32_t grant_faulty(void *self, uint64_t milliseconds, uint64_t *lease, hostd_error *error) {
    uint64_t time = FAULT == NEVER_EXPIRES && milliseconds > 0 ? milliseconds / 2 + 3600000
                    : FAULT == EXPIRES_EARLY && milliseconds > 3 ? milliseconds / 4 : milliseconds;
    return good.lease_grant(self, time, lease, error);
}

static int32_t keep_alive_faulty(void *self, uint64_t lease, hostd_error *error) { return HOSTD_OK; }
static int32_t revoke_faulty(void *self, uint64_t lease, hostd_error *error) { return HOSTD_OK; }

plugin *plugin_create(void) {
    plugin *self = template_create();
    hostd_store_1 *table = &self->table;
    good = *table;
    if (FAULT == REPLACES) table->create = create_or_replace;
    if (FAULT == UPDATES_ANY_REVISION) table->update = update_any;
    if (FAULT == REMOVES_ANY_REVISION) table->remove = remove_any;
    if (FAULT == GETS_NOW || FAULT == LOSES_VERSION) table->get = get_faulty;
    if (FAULT == LISTS_NOW || FAULT == TELLS_NO_MORE) table->list = list_faulty;
    if (FAULT == BEGINS_LATE || FAULT == FORGETS_WHO_LEFT || FAULT == LOSES_PREVIOUS) table->watch = watch_faulty;
    if (FAULT == NAMES_ANOTHER_STEP) table->transaction = name_another_step;
    if (FAULT == IGNORES_CHECKS) table->transaction = ignore_checks;
    if (FAULT == NEVER_EXPIRES || FAULT == EXPIRES_EARLY) table->lease_grant = grant_faulty;
    if (FAULT == FORGETS_TO_KEEP) table->lease_keep_alive = keep_alive_faulty;
    if (FAULT == REVOKES_NOTHING) table->lease_revoke = revoke_faulty;
    return self;
}
