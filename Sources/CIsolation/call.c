#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "message.h"

/// One call of a proxy, on the caller's side.
struct call {
    isolation_peer *peer;
    uint32_t object;
    const struct shape *shape;
    uint32_t slot;
    const struct shape_slot *signature;
    void **arguments; ///< libffi's: each points to a value.
    hostd_error *error;
    uint32_t file_count;
    int32_t files[INTERPOSER_LETTER_LIMIT];
    uint64_t receivers[INTERPOSER_LETTER_LIMIT]; ///< Of the letters at the same positions.
    struct { const uint8_t *bytes; uint64_t size; } outputs[INTERPOSER_LETTER_LIMIT]; ///< As they came.
    uint64_t handle; ///< What H returned.
};

#define POINTER(index) (*(void **)arguments[index])
#define NUMBER(index) (*(uint64_t *)arguments[index])

static uint32_t struct_size(const void *structure) {
    uint32_t size;
    memcpy(&size, structure, sizeof size);
    return size;
}

// MARK: Before the message

/// The deadline that the caller chose: what has passed already is not sent, for the other side is not to blame for it.
static int32_t take_deadline(struct exchange *exchange, uint64_t deadline_ns, const char **problem) {
    if (deadline_ns == 0) return HOSTD_OK;
    exchange->deadline_ns = deadline_ns > UINT64_MAX - GRACE_NS ? 0 : deadline_ns + GRACE_NS;
    exchange->deadline_was_own = 1;
    if (deadline_ns > now_ns()) return HOSTD_OK;
    *problem = "The deadline had passed before the call.";
    return HOSTD_ERROR_DEADLINE_EXCEEDED;
}

/// Looks for what cannot be sent, and finds the deadline, the error and the descriptors. A status, with a sentence.
static int32_t prepare(struct call *call, struct exchange *exchange, const char **problem) {
    void **arguments = call->arguments + 1;
    uint64_t limit = call->peer->configuration.message_limit;
    int32_t status = HOSTD_OK;
    for (const char *letter = call->signature->letters; *letter != 0; arguments += width(*letter++)) {
        const void *pointer = *letter == 't' || *letter == 'f' || *letter == 'F' ? NULL : POINTER(0);
        uint64_t size;
        switch (*letter) {
        case 'b':
            if (pointer == NULL && NUMBER(1) != 0) *problem = "An argument's bytes are NULL and have a size.";
            if (NUMBER(1) > limit) *problem = "An argument is larger than what a plugin's process takes.";
            break;
        case 's': case 'S':
            size = pointer == NULL ? sizeof(uint32_t) : struct_size(pointer);
            if (size < sizeof(uint32_t) || size > STRUCT_LIMIT) *problem = "The struct_size of an argument is not set.";
            break;
        case 'a':
            if (NUMBER(1) == 0) break;
            size = pointer == NULL ? 0 : struct_size(pointer);
            if (size < sizeof(uint32_t) || size > STRUCT_LIMIT || NUMBER(1) > limit) {
                *problem = "An argument's array is NULL or too large, or its struct_size is not set.";
            }
            break;
        case 't': status = take_deadline(exchange, NUMBER(0), problem); break;
        case 'f': case 'F':
            if (*(int32_t *)arguments[0] >= 0) call->files[call->file_count++] = *(int32_t *)arguments[0];
            break;
        case 'e': call->error = *(hostd_error **)arguments[0]; break;
        default: break;
        }
    }
    return *problem != NULL && status == HOSTD_OK ? HOSTD_ERROR_INVALID_ARGUMENT : status;
}

/// Makes numbers for the functions that the other side may call. 0, or -1 without room.
static int add_receivers(struct call *call) {
    void **arguments = call->arguments + 1;
    const char *letters = call->signature->letters;
    int is_once = call->signature->once >= 0 && *(uint64_t *)call->arguments[1 + call->signature->once] == 0;
    for (uint32_t i = 0; letters[i] != 0; arguments += width(letters[i++])) {
        enum receiver_kind kind = RECEIVER_SINK;
        if (letters[i] == 'q') kind = RECEIVER_CALLBACK;
        else if (letters[i] == 'c') kind = RECEIVER_COMPLETION;
        else if (letters[i] != 'v') continue;
        void (*function)(void) = *(void (**)(void))arguments[0];
        if (function == NULL) continue;
        call->receivers[i] = receiver_add(call->peer, kind, function, POINTER(1), is_once);
        if (call->receivers[i] == 0) return -1;
    }
    return 0;
}

/// Tells the receivers what became of the call that carried them.
static void settle_receivers(struct call *call, int32_t status) {
    for (uint32_t i = 0; call->signature->letters[i] != 0; i++) {
        if (call->receivers[i] == 0) continue;
        receiver_settle(call->peer, call->receivers[i], status, call->object, call->signature->closes_with, call->handle);
    }
}

// MARK: The message

static void write_request(const struct call *call, struct writer *writer) {
    struct layout_call head = {.object = call->object, .slot = call->slot, .files = call->file_count};
    write_bytes(writer, &head, sizeof head);
    void **arguments = call->arguments + 1;
    const char *letters = call->signature->letters;
    for (uint32_t i = 0; letters[i] != 0; arguments += width(letters[i++])) {
        const uint8_t *pointer;
        switch (letters[i]) {
        case 'i': case 'u': write_number(writer, *(uint32_t *)arguments[0]); break;
        case 'l': case 'w': case 'h': case 't': case 'd': write_number(writer, NUMBER(0)); break;
        case 'b': write_view(writer, POINTER(0), NUMBER(1)); break;
        case 's': case 'S':
            pointer = POINTER(0);
            if (letters[i] == 's') write_view(writer, pointer, pointer == NULL ? 0 : struct_size(pointer));
            else write_number(writer, pointer == NULL ? LAYOUT_NONE : struct_size(pointer));
            break;
        case 'a': {
            uint64_t count = NUMBER(1);
            uint32_t size = count == 0 ? 0 : struct_size(POINTER(0));
            write_number(writer, count);
            write_view(writer, POINTER(0), count * size);
            break;
        }
        case 'c': case 'v': case 'q': write_number(writer, call->receivers[i]); break;
        case 'f': case 'F': write_number(writer, (uint64_t)(int64_t)*(int32_t *)arguments[0]); break;
        default: write_number(writer, POINTER(0) != NULL); break; // o H W I e: whether it is wanted.
        }
    }
}

/// Writes the message into the lane, or into memory of its own where it is too large; sends its descriptors.
static int send_request(struct call *call, struct exchange *exchange, uint8_t **large, uint64_t *size) {
    struct writer writer = {.at = lane_room(exchange->lane), .room = LAYOUT_PART_LIMIT};
    write_request(call, &writer);
    *size = writer.size;
    if (writer.size > call->peer->configuration.message_limit) return -EMSGSIZE;
    if (writer.size > writer.room) {
        *large = malloc(writer.size);
        if (*large == NULL) return -ENOMEM;
        writer = (struct writer){.at = *large, .room = writer.size};
        write_request(call, &writer);
    }
    if (call->file_count == 0) return 0;
    struct layout_notice notice = {.kind = LAYOUT_NOTICE_FILES, .lane = exchange->lane->index,
                                   .turn = exchange->lane->turn + 1, .count = call->file_count};
    return control_send(call->peer, &notice, call->files, exchange->deadline_ns);
}

// MARK: The reply

/// Reads outputs and error into places of their own, so that nothing is handed over unless all of it is sound.
static int read_reply(struct call *call, struct reader *reader, int32_t *status, hostd_error *error) {
    uint64_t first = read_number(reader);
    *status = (int32_t)(uint32_t)first;
    uint32_t has_outputs = first >> 32;
    void **arguments = call->arguments + 1;
    const char *letters = call->signature->letters;
    for (uint32_t i = 0; has_outputs && letters[i] != 0; arguments += width(letters[i++])) {
        switch (letters[i]) {
        case 'o': case 'S': call->outputs[i].bytes = read_view(reader, &call->outputs[i].size); break;
        case 'H': case 'W': case 'I': call->outputs[i].size = read_number(reader); break;
        default: break;
        }
        int is_struct = letters[i] == 'S' && POINTER(0) != NULL;
        if (is_struct && call->outputs[i].size != struct_size(POINTER(0))) reader->is_broken = 1;
    }
    read_error(reader, error);
    if (has_outputs != (*status == HOSTD_OK) || reader->left != 0) reader->is_broken = 1;
    return reader->is_broken ? -EBADMSG : 0;
}

int copy_buffer(hostd_buffer *buffer, const uint8_t *bytes, uint64_t size) {
    *buffer = (hostd_buffer){0};
    if (bytes == NULL || size == 0) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return -1;
    memcpy(copy, bytes, size);
    *buffer = (hostd_buffer){.data = copy, .size = size, .release = free, .context = copy};
    return 0;
}

/// Hands the outputs of a good call over. A negative status when that fails; nothing is handed over then.
static int32_t give_outputs(struct call *call) {
    void **arguments = call->arguments + 1;
    const char *letters = call->signature->letters;
    int is_short = 0;
    for (uint32_t i = 0; letters[i] != 0; arguments += width(letters[i++])) {
        void *place = strchr("oSHWI", letters[i]) != NULL ? POINTER(0) : NULL;
        uint64_t size = call->outputs[i].size;
        if (letters[i] == 'H') call->handle = size;
        if (letters[i] == 'W' && call->signature->gives_table) {
            const hostd_interface *table = NULL;
            if (call->peer->configuration.is_host || size > UINT32_MAX) return HOSTD_ERROR_INTERNAL;
            int32_t status = proxy_import_number(call->peer, (uint32_t)size, &table, call->error);
            if (status != HOSTD_OK) return status;
            size = (uint64_t)(uintptr_t)table;
        }
        if (place == NULL) continue;
        switch (letters[i]) {
        case 'o': is_short |= copy_buffer(place, call->outputs[i].bytes, size) != 0; break;
        case 'H': case 'W': *(uint64_t *)place = size; break;
        case 'I': *(int32_t *)place = (int32_t)size; break;
        default: { // 'S': whatever it says of itself, it is no larger than the place that it has.
            uint32_t room = struct_size(place), now;
            memcpy(place, call->outputs[i].bytes, room);
            memcpy(&now, place, sizeof now);
            if (now > room) memcpy(place, &room, sizeof room);
        }
        }
    }
    if (!is_short) return HOSTD_OK;
    arguments = call->arguments + 1;
    for (uint32_t i = 0; letters[i] != 0; arguments += width(letters[i++])) {
        if (letters[i] != 'o' || POINTER(0) == NULL) continue;
        hostd_buffer *buffer = POINTER(0);
        if (buffer->release != NULL) buffer->release(buffer->context);
        *buffer = (hostd_buffer){0};
    }
    return HOSTD_ERROR_RESOURCE_EXHAUSTED;
}

void copy_error(hostd_error *place, const hostd_error *error) {
    if (place == NULL || place->struct_size < sizeof *place || error->code == 0) return;
    place->code = error->code;
    place->retryable = error->retryable;
    place->retry_delay_ms = error->retry_delay_ms;
    copy_buffer(&place->message, error->message.data, error->message.size);
}

static int32_t take_reply(struct call *call, const struct message *reply) {
    struct reader reader = {.at = reply->bytes, .left = reply->size};
    hostd_error error;
    int32_t status;
    if (read_reply(call, &reader, &status, &error) != 0) {
        breach(call->peer, "A reply of the plugin's process does not have the form that its slot has.");
        return fail_exchange(call->peer, -EBADMSG, call->error);
    }
    if (status != HOSTD_OK) {
        copy_error(call->error, &error);
        return status;
    }
    return give_outputs(call);
}

// MARK: All of it

static int32_t exchange_call(struct call *call, struct exchange *exchange) {
    isolation_peer *peer = call->peer;
    if (call->signature->has_callback && add_receivers(call) != 0) {
        return fail(call->error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "Too many subscriptions and operations are outstanding.");
    }
    int status = lane_acquire(peer, CLASS_CALL, exchange->deadline_ns, &exchange->lane);
    if (status == -ETIMEDOUT) {
        return fail(call->error, HOSTD_ERROR_UNAVAILABLE, "The plugin's process has as many calls as it may have.");
    }
    if (status != 0) return fail_exchange(peer, status, call->error);
    uint8_t *large = NULL;
    uint64_t size = 0;
    status = send_request(call, exchange, &large, &size);
    if (status != 0) lane_release(exchange->lane);
    else status = exchange_run(peer, exchange, LAYOUT_CALL, large, size);
    free(large);
    if (status != 0) return fail_exchange(peer, status, call->error);
    int32_t result = take_reply(call, &exchange->reply);
    exchange_finish(exchange);
    return result;
}

/// Descriptors of letter F are gone for the caller, whatever became of the call.
static void close_given(const struct call *call) {
    void **arguments = call->arguments + 1;
    for (const char *letter = call->signature->letters; *letter != 0; arguments += width(*letter++)) {
        if (*letter == 'F' && *(int32_t *)arguments[0] >= 0) close(*(int32_t *)arguments[0]);
    }
}

int32_t call_remote(isolation_peer *peer, uint32_t object, const struct shape *shape, uint32_t slot, void **arguments) {
    const struct shape_slot *signature = &shape->slots[slot];
    struct call call = {.peer = peer, .object = object, .shape = shape, .slot = slot, .signature = signature,
                        .arguments = arguments};
    uint64_t timeout = strcmp(shape->id, ISOLATION_PLUGIN_1) == 0 ? peer->configuration.step_timeout_ns
                                                                  : peer->configuration.call_timeout_ns;
    struct exchange exchange = {.class = CLASS_CALL, .deadline_ns = deadline_after(timeout), .id = shape->id,
                                .slot = signature->name};
    peer_retain(peer);
    atomic_fetch_add_explicit(&peer->calls_out, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->calls_out_now, 1, memory_order_relaxed);
    const char *problem = NULL;
    int32_t status = prepare(&call, &exchange, &problem);
    if (status != HOSTD_OK) status = fail(call.error, status, problem);
    else if (peer_has_ended(peer)) status = fail_exchange(peer, -ECANCELED, call.error);
    else status = exchange_call(&call, &exchange);
    if (signature->has_callback) settle_receivers(&call, status);
    if (signature->is_closer && status == HOSTD_OK) {
        receiver_close(peer, object, (int32_t)slot, *(uint64_t *)arguments[1]);
    }
    if (signature->file_count != 0) close_given(&call);
    atomic_fetch_sub_explicit(&peer->calls_out_now, 1, memory_order_relaxed);
    if (status != HOSTD_OK) atomic_fetch_add_explicit(&peer->errors_out, 1, memory_order_relaxed);
    peer_release(peer);
    return status;
}
