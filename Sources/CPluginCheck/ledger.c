#define _GNU_SOURCE
#include <ffi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interposer.h"
#include "ledger.h"

#define MACHINE_LIMIT (1 + 2 * CHECK_ARGUMENT_LIMIT)
#define LETTER_LIMIT CHECK_ARGUMENT_LIMIT

check_ledger *check_ledger_create(check_reporter report, void *context) {
    check_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL) abort();
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->report = report;
    ledger->context = context;
    return ledger;
}

void check_ledger_state(check_ledger *ledger, int32_t state) { atomic_store(&ledger->state, state); }
void check_ledger_enter(check_ledger *ledger) { atomic_fetch_add(&ledger->inside, 1); }
void check_ledger_leave(check_ledger *ledger) { atomic_fetch_sub(&ledger->inside, 1); }

static void breach(const account *account, uint32_t rule, const char *what) {
    check_ledger *ledger = account->table->ledger;
    ledger->report(ledger->context, rule, account->table->id, account->name, what);
}

/// Whether this plugin may call this at all now.
static void judge_moment(const account *account) {
    check_ledger *ledger = account->table->ledger;
    int32_t state = atomic_load(&ledger->state);
    uint32_t inside = atomic_load(&ledger->inside);
    if (state == CHECK_ENTERING && strcmp(account->table->id, HOSTD_LOG_1) != 0) {
        breach(account, 11, "was called from entry, where only hostd.log/1 may be called");
    } else if (state == CHECK_ENDED) {
        breach(account, 11, "was called after destroy: something of the plugin still runs");
    } else if (state == CHECK_IDLE && inside == 0) {
        breach(account, 11, "was called while the plugin was not active and no call was inside it: something of it still runs");
    } else if (state == CHECK_IDLE && account->table->is_role) {
        breach(account, 11, "was called while the plugin was not active: roles may be called from activate to deactivate");
    }
}

// MARK: Open things

static open_thing *opened(const account *account) {
    check_ledger *ledger = account->table->ledger;
    open_thing *thing = calloc(1, sizeof *thing);
    if (thing == NULL) abort();
    thing->account = account;
    pthread_mutex_lock(&ledger->lock);
    thing->next = ledger->things;
    ledger->things = thing;
    pthread_mutex_unlock(&ledger->lock);
    return thing;
}

static void closed(open_thing *thing) { atomic_store(&thing->is_closed, 1); }

static void closed_by_handle(const account *account, uint64_t handle) {
    check_ledger *ledger = account->table->ledger;
    pthread_mutex_lock(&ledger->lock);
    for (open_thing *thing = ledger->things; thing != NULL; thing = thing->next) {
        if (thing->has_handle && thing->handle == handle && thing->account->closer == account) closed(thing);
    }
    pthread_mutex_unlock(&ledger->lock);
}

static void completed(void *context, int32_t status, const uint8_t *data, uint64_t size, const hostd_error *error) {
    open_thing *thing = context;
    atomic_store(&thing->is_answered, 1);
    thing->completion(thing->callback_context, status, data, size, error);
    closed(thing);
}

static void streamed(void *context, uint32_t kind, const uint8_t *data, uint64_t size) {
    open_thing *thing = context;
    thing->sink(thing->callback_context, kind, data, size);
    if (kind == HOSTD_SINK_END || kind == HOSTD_SINK_RESYNC) closed(thing);
}

static int32_t called_back(void *context, const uint8_t *data, uint64_t size, uint64_t *delay_ns) {
    open_thing *thing = context;
    int32_t status = thing->callback(thing->callback_context, data, size, delay_ns);
    if (status > 0) breach(thing->account, 9, "got a positive result from its callback");
    if (thing->is_single && status == HOSTD_OK && *delay_ns == 0) closed(thing);
    return status;
}

// MARK: Buffers

typedef struct taken {
    const account *account;
    _Atomic(uint32_t) releases;
    hostd_buffer real;
} taken;

static void release(void *context) {
    taken *buffer = context;
    if (atomic_fetch_add(&buffer->releases, 1) > 0) {
        breach(buffer->account, 8, "handed out a buffer that was released twice");
        return;
    }
    atomic_fetch_sub((_Atomic(uint32_t) *)&buffer->account->taken, 1);
    if (buffer->real.release != NULL) buffer->real.release(buffer->real.context);
}

/// Puts an account in front of a buffer's release.
static void keep_account(account *account, hostd_buffer *buffer) {
    if (buffer->release == NULL) return;
    taken *record = calloc(1, sizeof *record);
    if (record == NULL) abort();
    record->account = account;
    record->real = *buffer;
    atomic_fetch_add(&account->taken, 1);
    buffer->release = release;
    buffer->context = record;
}

// MARK: Calls

typedef struct call {
    account *account;
    void **arguments;
    open_thing *thing;
    hostd_buffer *output;
    hostd_error *error;
    uint64_t *handle;
    uint64_t closes;
    void *function;
    void *context;
} call;

/// Puts the ledger's own function in the place of the plugin's.
static void stand_between(call *call, uint32_t position, char letter) {
    void *theirs = *(void **)call->arguments[position];
    if (theirs == NULL) return;
    open_thing *thing = opened(call->account);
    thing->callback_context = *(void **)call->arguments[position + 1];
    switch (letter) {
    case 'c': thing->completion = (hostd_completion)theirs, call->function = (void *)completed; break;
    case 'v': thing->sink = (hostd_sink)theirs, call->function = (void *)streamed; break;
    default:
        thing->callback = (hostd_callback)theirs, call->function = (void *)called_back;
        thing->is_single = call->account->once > 0 && *(uint64_t *)call->arguments[call->account->once] == 0;
        break;
    }
    call->thing = thing;
    call->context = thing;
    call->arguments[position] = &call->function;
    call->arguments[position + 1] = &call->context;
}

static void look_at_arguments(call *call, hostd_error *spare, hostd_error **spare_address) {
    uint32_t position = 1;
    for (const char *letter = call->account->letters; *letter != 0; letter++) {
        switch (*letter) {
        case 'b': case 'a':
            if (*(void **)call->arguments[position] == NULL && *(uint64_t *)call->arguments[position + 1] > 0) {
                breach(call->account, 7, "was given NULL with a size above 0");
            }
            position++;
            break;
        case 'c': case 'v': case 'q':
            stand_between(call, position, *letter);
            position++;
            break;
        case 'o': call->output = *(hostd_buffer **)call->arguments[position]; break;
        case 'H': call->handle = *(uint64_t **)call->arguments[position]; break;
        case 'h': call->closes = *(uint64_t *)call->arguments[position]; break;
        case 'e':
            call->error = *(hostd_error **)call->arguments[position];
            if (call->error == NULL) {
                breach(call->account, 3, "was given NULL in place of a hostd_error");
                call->error = spare;
                call->arguments[position] = spare_address;
            }
            break;
        default: break;
        }
        position++;
    }
}

static void forward(ffi_cif *cif, void *result, void **arguments, void *user) {
    account *account = user;
    hostd_error spare = {.struct_size = sizeof spare}, *spare_address = &spare;
    call call = {.account = account, .arguments = arguments};
    judge_moment(account);
    void *self = account->table->real->self;
    arguments[0] = &self;
    look_at_arguments(&call, &spare, &spare_address);
    ffi_arg status = 0;
    ffi_call(cif, account->function, &status, arguments);
    int32_t answer = (int32_t)status;
    if (answer == HOSTD_OK && call.output != NULL) keep_account(account, call.output);
    if (answer < 0 && call.error != NULL && call.error->struct_size >= sizeof *call.error) {
        keep_account(account, &call.error->message);
    }
    if (call.thing != NULL && answer < 0) closed(call.thing);
    if (call.thing != NULL && answer == HOSTD_OK && call.handle != NULL) {
        call.thing->handle = *call.handle;
        call.thing->has_handle = 1;
    }
    if (account->is_closer && answer == HOSTD_OK) closed_by_handle(account, call.closes);
    *(ffi_sarg *)result = answer;
}

// MARK: Tables

static uint32_t machine_types(const char *letters, ffi_type **types) {
    uint32_t count = 0;
    types[count++] = &ffi_type_pointer;
    for (; *letters != 0; letters++) {
        switch (*letters) {
        case 'i': case 'f': case 'F': types[count++] = &ffi_type_sint32; break;
        case 'u': types[count++] = &ffi_type_uint32; break;
        case 'l': types[count++] = &ffi_type_sint64; break;
        case 'w': case 'h': case 't': types[count++] = &ffi_type_uint64; break;
        case 'd': types[count++] = &ffi_type_double; break;
        case 'b': case 'a': types[count++] = &ffi_type_pointer, types[count++] = &ffi_type_uint64; break;
        case 'c': case 'v': case 'q': types[count++] = &ffi_type_pointer, types[count++] = &ffi_type_pointer; break;
        default: types[count++] = &ffi_type_pointer; break;
        }
    }
    return count;
}

static int make_closure(account *account, void **code) {
    account->types = calloc(MACHINE_LIMIT, sizeof(ffi_type *));
    account->cif = calloc(1, sizeof(ffi_cif));
    if (account->types == NULL || account->cif == NULL) abort();
    uint32_t count = machine_types(account->letters, account->types);
    ffi_closure *closure = ffi_closure_alloc(sizeof *closure, code);
    return closure != NULL && ffi_prep_cif(account->cif, FFI_DEFAULT_ABI, count, &ffi_type_sint32, account->types) == FFI_OK
        && ffi_prep_closure_loc(closure, account->cif, forward, account, *code) == FFI_OK;
}

/// The place of a letter's first C argument, `self` counted.
static uint32_t argument_of(const char *letters, int32_t position) {
    uint32_t argument = 1;
    for (int32_t i = 0; i < position; i++) argument += strchr("bacvq", letters[i]) != NULL ? 2 : 1;
    return argument;
}

/// Connects slots that begin something with those that end it, and marks those whose callbacks may end by themselves.
static int connect(accounted_table *table, const char *traits) {
    char message[INTERPOSER_MESSAGE_LIMIT];
    interposer_descriptor *descriptor = interposer_descriptor_create(table->real->slots, message);
    if (descriptor == NULL) return 0;
    for (uint32_t i = 0; i < table->count; i++) {
        account *account = &table->accounts[i];
        int32_t closer = interposer_descriptor_closer(descriptor, i, traits);
        if (closer >= 0 && (uint32_t)closer < table->count) {
            account->closer = &table->accounts[closer];
            table->accounts[closer].is_closer = 1;
        }
        int32_t once = interposer_descriptor_tag(descriptor, i, traits, "once", 'w');
        if (once >= 0) account->once = argument_of(account->letters, once);
    }
    interposer_descriptor_release(descriptor);
    return 1;
}

static int fill(accounted_table *table, const hostd_interface *real) {
    const char *text = real->slots;
    for (uint32_t i = 0; i < table->count; i++) {
        account *account = &table->accounts[i];
        account->table = table;
        size_t name = strcspn(text, ":;"), letters = text[name] == ':' ? strcspn(text + name + 1, ";") : 0;
        if (name >= sizeof account->name || letters == 0 || letters > LETTER_LIMIT) return 0;
        memcpy(account->name, text, name);
        memcpy(account->letters, text + name + 1, letters);
        text += name + 1 + letters + 1;
        memcpy(&account->function, (const char *)(real + 1) + i * sizeof(void *), sizeof account->function);
        if (account->function != NULL && !make_closure(account, &((void **)(table->interface + 1))[i])) return 0;
    }
    return 1;
}

const hostd_interface *check_ledger_table(check_ledger *ledger, const hostd_interface *real, int32_t is_role,
                                          const char *traits) {
    pthread_mutex_lock(&ledger->lock);
    for (accounted_table *table = ledger->tables; table != NULL; table = table->next) {
        if (table->real == real) {
            pthread_mutex_unlock(&ledger->lock);
            return table->interface;
        }
    }
    uint32_t count = 1;
    for (const char *text = real->slots; *text != 0; text++) count += *text == ';';
    uint32_t room = real->struct_size < sizeof *real ? 0 : (uint32_t)((real->struct_size - sizeof *real) / sizeof(void *));
    if (count > room) count = room;
    accounted_table *table = calloc(1, sizeof *table + count * sizeof table->accounts[0]);
    size_t size = sizeof *real + count * sizeof(void *);
    if (table == NULL || (table->interface = calloc(1, size)) == NULL) abort();
    table->ledger = ledger;
    table->real = real;
    table->count = count;
    table->id = strdup(real->id);
    table->is_role = is_role;
    *table->interface = *real;
    table->interface->struct_size = (uint32_t)size;
    table->interface->self = table;
    if (!fill(table, real) || !connect(table, traits)) {
        pthread_mutex_unlock(&ledger->lock);
        return NULL;
    }
    table->next = ledger->tables;
    ledger->tables = table;
    pthread_mutex_unlock(&ledger->lock);
    return table->interface;
}

// MARK: Answers

static uint32_t append(char *text, uint64_t size, uint64_t used, const account *account, uint32_t number) {
    if (used >= size) return 0;
    int count = snprintf(text + used, size - used, "%s of %s: %u\n", account->name, account->table->id, number);
    return count < 0 ? 0 : (uint32_t)count;
}

static uint32_t returning(check_ledger *ledger) {
    uint32_t number = 0;
    pthread_mutex_lock(&ledger->lock);
    for (open_thing *thing = ledger->things; thing != NULL; thing = thing->next) {
        number += atomic_load(&thing->is_answered) && !atomic_load(&thing->is_closed);
    }
    pthread_mutex_unlock(&ledger->lock);
    return number;
}

/// A completion tells its plugin first and returns then, so that a plugin that ends its work at once is ahead of the return of the
/// last one: those are waited for, up to two seconds. What was not answered is open at once.
static void await_returns(check_ledger *ledger) {
    for (int32_t turn = 0; turn < 2000 && returning(ledger) > 0; turn++) usleep(1000);
}

uint32_t check_ledger_open(check_ledger *ledger, char *text, uint64_t size) {
    await_returns(ledger);
    uint32_t total = 0;
    uint64_t used = 0;
    text[0] = 0;
    pthread_mutex_lock(&ledger->lock);
    for (accounted_table *table = ledger->tables; table != NULL; table = table->next) {
        for (uint32_t i = 0; i < table->count; i++) {
            uint32_t number = 0;
            for (open_thing *thing = ledger->things; thing != NULL; thing = thing->next) {
                number += thing->account == &table->accounts[i] && !atomic_load(&thing->is_closed);
            }
            if (number > 0) used += append(text, size, used, &table->accounts[i], number);
            total += number;
        }
    }
    pthread_mutex_unlock(&ledger->lock);
    return total;
}

uint32_t check_ledger_buffers(check_ledger *ledger, char *text, uint64_t size) {
    uint32_t total = 0;
    uint64_t used = 0;
    text[0] = 0;
    pthread_mutex_lock(&ledger->lock);
    for (accounted_table *table = ledger->tables; table != NULL; table = table->next) {
        for (uint32_t i = 0; i < table->count; i++) {
            uint32_t number = atomic_load(&table->accounts[i].taken);
            if (number > 0) used += append(text, size, used, &table->accounts[i], number);
            total += number;
        }
    }
    pthread_mutex_unlock(&ledger->lock);
    return total;
}
