#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/// A subscription, timer or queue that a user of the table began and has not ended. Counted references, under the ledger's
/// lock: one while it is listed, one for the slot that begins it, one for every run of its callback.
typedef struct entry {
    struct interposer_ledger *ledger;
    struct ledger_slot *slot;
    void (*function)(void); ///< The user's sink or callback.
    void *context;
    uint64_t handle;
    uint32_t references;
    int is_listed;
    int has_handle;
    int is_once; ///< Its last run ends it: the number that its slot's tag `once` names was 0.
    struct entry *next, *previous;
} entry;

/// A slot that begins or ends something.
typedef struct ledger_slot {
    struct interposer_ledger *ledger;
    const signature *signature;
    void (*function)(void); ///< The table's own.
    uint32_t index;
    int32_t ending; ///< Position of the slot that ends what this one begins; -1 in an ending slot.
    int32_t subscriber, handle; ///< Positions of the sink or callback, and of the handle.
    int32_t period;             ///< Of the number that tag `once` names, -1 = none.
    int is_sink;
    ffi_closure *closure;
} ledger_slot;

struct interposer_ledger {
    pthread_mutex_t lock;
    hostd_interface *table;
    interposer_descriptor *descriptor;
    entry head; ///< Of the ring of what is open.
    uint32_t count;
    ledger_slot slots[];
};

// MARK: Entries; the lock is held

static void drop(entry *entry) {
    if (--entry->references == 0) free(entry);
}

static void list(entry *entry) {
    struct entry *head = &entry->ledger->head;
    entry->next = head;
    entry->previous = head->previous;
    head->previous->next = entry;
    head->previous = entry;
    entry->is_listed = 1;
    entry->references++;
}

/// Takes an entry off the ring; the reference of the ring is the caller's then. 0 when it was not on it.
static int unlist(entry *entry) {
    if (!entry->is_listed) return 0;
    entry->is_listed = 0;
    entry->next->previous = entry->previous;
    entry->previous->next = entry->next;
    return 1;
}

static entry *find(struct interposer_ledger *ledger, int32_t ending, uint64_t handle) {
    for (entry *entry = ledger->head.previous; entry != &ledger->head; entry = entry->previous) {
        if (entry->has_handle && entry->handle == handle && entry->slot->ending == ending) return entry;
    }
    return NULL;
}

// MARK: What the provider calls

static void sink_arrived(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    entry *entry = context;
    pthread_mutex_t *lock = &entry->ledger->lock;
    pthread_mutex_lock(lock);
    entry->references++;
    if ((kind == HOSTD_SINK_END || kind == HOSTD_SINK_RESYNC) && unlist(entry)) drop(entry);
    pthread_mutex_unlock(lock);
    ((hostd_sink)entry->function)(entry->context, kind, data, size);
    pthread_mutex_lock(lock);
    drop(entry);
    pthread_mutex_unlock(lock);
}

static int32_t callback_arrived(void *context, const uint8_t *data, uint64_t size, uint64_t *delay_ns) {
    entry *entry = context;
    pthread_mutex_t *lock = &entry->ledger->lock;
    pthread_mutex_lock(lock);
    entry->references++;
    pthread_mutex_unlock(lock);
    int32_t status = ((hostd_callback)entry->function)(entry->context, data, size, delay_ns);
    pthread_mutex_lock(lock);
    if (entry->is_once && status >= 0 && *delay_ns == 0 && unlist(entry)) drop(entry);
    drop(entry);
    pthread_mutex_unlock(lock);
    return status;
}

// MARK: What the user calls

static void begin(ffi_cif *cif, void *result, void **arguments, void *user) {
    (void)cif;
    ledger_slot *slot = user;
    struct interposer_ledger *ledger = slot->ledger;
    void (*theirs)(void) = *(void (**)(void))arguments[slot->subscriber];
    entry *entry = theirs == NULL ? NULL : calloc(1, sizeof *entry);
    if (entry == NULL) { // The provider says what it thinks of that.
        *(ffi_sarg *)result = call_function(slot->signature, slot->function, arguments);
        return;
    }
    *entry = (struct entry){.ledger = ledger, .slot = slot, .function = theirs, .references = 1};
    entry->context = *(void **)arguments[slot->subscriber + 1];
    entry->is_once = slot->period >= 0 && *(uint64_t *)arguments[slot->period] == 0;
    pthread_mutex_lock(&ledger->lock);
    list(entry);
    pthread_mutex_unlock(&ledger->lock);
    void (*ours)(void) = slot->is_sink ? (void (*)(void))sink_arrived : (void (*)(void))callback_arrived;
    void *context = entry;
    arguments[slot->subscriber] = (void *)&ours;
    arguments[slot->subscriber + 1] = &context;
    const uint64_t *handle = *(uint64_t **)arguments[slot->handle];
    int32_t status = call_function(slot->signature, slot->function, arguments);
    pthread_mutex_lock(&ledger->lock);
    if (status == HOSTD_OK && handle != NULL) {
        entry->handle = *handle;
        entry->has_handle = 1;
    } else if (unlist(entry)) {
        drop(entry);
    }
    drop(entry);
    pthread_mutex_unlock(&ledger->lock);
    *(ffi_sarg *)result = status;
}

static void end(ffi_cif *cif, void *result, void **arguments, void *user) {
    (void)cif;
    ledger_slot *slot = user;
    struct interposer_ledger *ledger = slot->ledger;
    pthread_mutex_lock(&ledger->lock);
    entry *entry = find(ledger, (int32_t)slot->index, *(uint64_t *)arguments[1]);
    if (entry != NULL) unlist(entry);
    pthread_mutex_unlock(&ledger->lock);
    *(ffi_sarg *)result = call_function(slot->signature, slot->function, arguments);
    if (entry == NULL) return;
    pthread_mutex_lock(&ledger->lock);
    drop(entry);
    pthread_mutex_unlock(&ledger->lock);
}

// MARK: The table

/// Position among the arguments of the letter at `index`; `self` is the first of them.
static int32_t argument_of(const signature *signature, int32_t index) {
    int32_t position = 1;
    for (int32_t i = 0; i < index; i++) position += strchr("bacvq", signature->letters[i]) != NULL ? 2 : 1;
    return position;
}

/// Position of the argument of the first of some letters; -1 = none.
static int32_t position_of(const signature *signature, const char *letters) {
    size_t index = strcspn(signature->letters, letters);
    return signature->letters[index] == 0 ? -1 : argument_of(signature, (int32_t)index);
}

static int wrap(ledger_slot *slot, void (*function)(ffi_cif *, void *, void **, void *)) {
    void **functions = (void **)(slot->ledger->table + 1), *code;
    slot->closure = ffi_closure_alloc(sizeof *slot->closure, &code);
    if (slot->closure == NULL) return -1;
    memcpy(&slot->function, &functions[slot->index], sizeof slot->function);
    if (ffi_prep_closure_loc(slot->closure, (ffi_cif *)&slot->signature->cif, function, slot, code) != FFI_OK) return -1;
    functions[slot->index] = code;
    return 0;
}

static int wrap_slots(struct interposer_ledger *ledger, const char *traits) {
    uint32_t room = (ledger->table->struct_size - (uint32_t)sizeof(hostd_interface)) / (uint32_t)sizeof(void *);
    for (uint32_t i = 0; i < ledger->count; i++) {
        const signature *signature = &ledger->descriptor->slots[i];
        ledger_slot *slot = &ledger->slots[i];
        int32_t subscriber = position_of(signature, "vq"), handle = position_of(signature, "H");
        int32_t ending =
            subscriber < 0 || handle < 0 ? -1 : interposer_descriptor_closer(ledger->descriptor, i, traits);
        if (ending < 0 || i >= room || (uint32_t)ending >= room) continue;
        int32_t once = interposer_descriptor_tag(ledger->descriptor, i, traits, "once", 'w');
        *slot = (ledger_slot){.ledger = ledger, .signature = signature, .index = i, .ending = ending,
                              .subscriber = subscriber, .handle = handle,
                              .period = once < 0 ? -1 : argument_of(signature, once),
                              .is_sink = strchr(signature->letters, 'v') != NULL};
        ledger_slot *last = &ledger->slots[ending];
        if (wrap(slot, begin) != 0) return -1;
        if (last->closure != NULL) continue; // Ends what two slots begin.
        *last = (ledger_slot){.ledger = ledger, .signature = &ledger->descriptor->slots[ending],
                              .index = (uint32_t)ending, .ending = -1};
        if (wrap(last, end) != 0) return -1;
    }
    return 0;
}

interposer_ledger *interposer_ledger_create(const hostd_interface *table, interposer_descriptor *descriptor,
                                            const char *traits) {
    interposer_ledger *ledger = calloc(1, sizeof *ledger + descriptor->count * sizeof ledger->slots[0]);
    if (ledger == NULL) return NULL;
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->descriptor = interposer_descriptor_retain(descriptor);
    ledger->count = descriptor->count;
    ledger->head.next = ledger->head.previous = &ledger->head;
    ledger->table = malloc(table->struct_size);
    if (ledger->table == NULL) {
        interposer_ledger_destroy(ledger);
        return NULL;
    }
    memcpy(ledger->table, table, table->struct_size);
    if (wrap_slots(ledger, traits) != 0) {
        interposer_ledger_destroy(ledger);
        return NULL;
    }
    return ledger;
}

const hostd_interface *interposer_ledger_table(const interposer_ledger *ledger) { return ledger->table; }

uint32_t interposer_ledger_open(const interposer_ledger *ledger, uint32_t slot) {
    interposer_ledger *mutable = (interposer_ledger *)ledger;
    uint32_t count = 0;
    pthread_mutex_lock(&mutable->lock);
    for (entry *entry = mutable->head.next; entry != &mutable->head; entry = entry->next) {
        count += slot == UINT32_MAX || entry->slot->index == slot;
    }
    pthread_mutex_unlock(&mutable->lock);
    return count;
}

void interposer_ledger_end(interposer_ledger *ledger) {
    pthread_mutex_lock(&ledger->lock);
    for (entry *entry; (entry = ledger->head.next) != &ledger->head;) {
        unlist(entry);
        int has_handle = entry->has_handle;
        uint64_t handle = entry->handle;
        int32_t (*close)(void *, uint64_t, hostd_error *) =
            (int32_t (*)(void *, uint64_t, hostd_error *))ledger->slots[entry->slot->ending].function;
        pthread_mutex_unlock(&ledger->lock);
        hostd_error error = {.struct_size = sizeof error};
        if (has_handle) close(ledger->table->self, handle, &error);
        if (error.message.release != NULL) error.message.release(error.message.context);
        pthread_mutex_lock(&ledger->lock);
        drop(entry);
    }
    pthread_mutex_unlock(&ledger->lock);
}

void interposer_ledger_destroy(interposer_ledger *ledger) {
    for (uint32_t i = 0; i < ledger->count; i++) {
        if (ledger->slots[i].closure != NULL) ffi_closure_free(ledger->slots[i].closure);
    }
    interposer_descriptor_release(ledger->descriptor);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger->table);
    free(ledger);
}
