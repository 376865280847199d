#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "message.h"

static const char malformed_call[] = "A call of the plugin's process does not have the form that its slot has.";

union value {
    int32_t small;
    uint64_t number;
    const void *pointer;
    void (*function)(void);
};

/// One call, on the side of the table that is called.
struct service {
    struct lane *lane;
    const struct object *object;
    const struct shape_slot *signature;
    uint32_t slot;
    uint32_t count, next_file, file_count;
    uint32_t is_guarded; ///< In the host: a child does not get to pass NULL where a callee may not look for it.
    union value values[1 + 2 * INTERPOSER_LETTER_LIMIT];
    void *arguments[1 + 2 * INTERPOSER_LETTER_LIMIT];
    int32_t files[INTERPOSER_LETTER_LIMIT];
    struct relay *relays[INTERPOSER_LETTER_LIMIT]; ///< Of the letters at the same positions, as all that follow.
    hostd_buffer buffers[INTERPOSER_LETTER_LIMIT];
    uint64_t numbers[INTERPOSER_LETTER_LIMIT];     ///< H, W, I; of S the size; of t and others nothing.
    uint8_t *structs[INTERPOSER_LETTER_LIMIT];
    hostd_error error;
};

static void add(struct service *service, union value value) {
    service->values[service->count] = value;
    service->arguments[service->count] = &service->values[service->count];
    service->count++;
}
static void add_pointer(struct service *service, const void *pointer) { add(service, (union value){.pointer = pointer}); }
static void add_number(struct service *service, uint64_t number) { add(service, (union value){.number = number}); }

// MARK: Arguments

/// In place of no bytes: NULL, or for a callee in the host an address of none.
static const void *nothing(const struct service *service) {
    static const uint64_t none = 0;
    return service->is_guarded ? &none : NULL;
}

/// What a callee in the host cannot do without. A status.
static int32_t check_presence(struct service *service, const void *pointer) {
    return pointer == NULL && service->is_guarded ? HOSTD_ERROR_INVALID_ARGUMENT : HOSTD_OK;
}

/// Flat structs that came: each says its own size, which must be the one that it has.
static void check_structs(struct reader *reader, const uint8_t *bytes, uint64_t count, uint64_t size) {
    if (size < sizeof(uint32_t) || size > STRUCT_LIMIT) reader->is_broken = 1;
    for (uint64_t i = 0; i < count && !reader->is_broken; i++) {
        uint32_t said;
        memcpy(&said, bytes + i * size, sizeof said);
        if (said != size) reader->is_broken = 1;
    }
}

static void read_array(struct service *service, struct reader *reader) {
    uint64_t size, count = read_number(reader);
    const uint8_t *bytes = read_view(reader, &size);
    if (count != 0) {
        if (count > size || size % count != 0) reader->is_broken = 1;
        else check_structs(reader, bytes, count, size / count);
    }
    add_pointer(service, bytes == NULL ? nothing(service) : bytes);
    add_number(service, count);
}

/// Room for a struct that the callee fills.
static void read_struct_room(struct service *service, struct reader *reader, uint32_t index) {
    uint64_t size = read_number(reader);
    if (size != LAYOUT_NONE && !reader->is_broken) {
        if (size < sizeof(uint32_t) || size > STRUCT_LIMIT) {
            reader->is_broken = 1;
        } else {
            service->structs[index] = calloc(1, padded(size));
            if (service->structs[index] == NULL) abort(); // As every allocation of the host's other side does.
            uint32_t said = (uint32_t)size;
            memcpy(service->structs[index], &said, sizeof said);
            service->numbers[index] = size;
        }
    }
    add_pointer(service, service->structs[index]);
}

/// A function of the other side: the callee gets one of ours with a token.
static int32_t read_function(struct service *service, struct reader *reader, char letter, uint32_t index, int is_once) {
    uint64_t receiver = read_number(reader);
    if (receiver == 0 || reader->is_broken) {
        add_pointer(service, NULL);
        add_pointer(service, NULL);
        return check_presence(service, NULL);
    }
    enum receiver_kind kind = letter == 'v' ? RECEIVER_SINK : letter == 'q' ? RECEIVER_CALLBACK : RECEIVER_COMPLETION;
    service->relays[index] = relay_create(service->lane->peer, kind, receiver, is_once);
    if (service->relays[index] == NULL) return HOSTD_ERROR_RESOURCE_EXHAUSTED;
    add(service, (union value){.function = relay_function(kind)});
    add_pointer(service, relay_token(service->relays[index]));
    return HOSTD_OK;
}

static void read_file(struct service *service, struct reader *reader) {
    int64_t file = (int64_t)read_number(reader);
    union value value = {.small = -1};
    if (file < 0) {
        if (file >= INT32_MIN) value.small = (int32_t)file;
        else reader->is_broken = 1;
    } else if (service->next_file < service->file_count) {
        value.small = service->files[service->next_file++];
    } else {
        reader->is_broken = 1;
    }
    add(service, value);
}

/// The place of an output; NULL where the caller does not want it, except for callees in the host.
static void read_place(struct service *service, struct reader *reader, char letter, uint32_t index) {
    int is_wanted = read_number(reader) != 0 || service->is_guarded;
    void *place = letter == 'o' ? (void *)&service->buffers[index] : letter == 'e' ? (void *)&service->error
                                                                                  : (void *)&service->numbers[index];
    add_pointer(service, is_wanted ? place : NULL);
}

/// Reads the arguments of one letter.
static int32_t read_argument(struct service *service, struct reader *reader, uint32_t index) {
    char letter = service->signature->letters[index];
    uint64_t size;
    const uint8_t *bytes;
    switch (letter) {
    case 'i': case 'u': case 'l': case 'w': case 'h': case 't': case 'd':
        service->numbers[index] = read_number(reader);
        add_number(service, service->numbers[index]);
        break;
    case 'b':
        bytes = read_view(reader, &size);
        add_pointer(service, bytes == NULL ? nothing(service) : bytes);
        add_number(service, size);
        break;
    case 's':
        bytes = read_view(reader, &size);
        if (bytes != NULL) check_structs(reader, bytes, 1, size);
        add_pointer(service, bytes);
        return check_presence(service, bytes);
    case 'S': read_struct_room(service, reader, index); return check_presence(service, service->structs[index]);
    case 'a': read_array(service, reader); break;
    case 'c': case 'v': case 'q': {
        int8_t once = service->signature->once;
        return read_function(service, reader, letter, index, once >= 0 && service->numbers[once] == 0);
    }
    case 'f': case 'F': read_file(service, reader); break;
    default: read_place(service, reader, letter, index); break;
    }
    return HOSTD_OK;
}

static int32_t read_arguments(struct service *service, struct reader *reader) {
    int32_t status = HOSTD_OK;
    add_pointer(service, service->object->table == NULL ? NULL : service->object->table->self);
    for (uint32_t i = 0; service->signature->letters[i] != 0; i++) {
        int32_t now = status == HOSTD_OK ? read_argument(service, reader, i) : status;
        if (now != HOSTD_OK) return now;
    }
    if (reader->left != 0 || service->next_file != service->file_count) reader->is_broken = 1;
    return status;
}

// MARK: The call

static int32_t call(struct service *service) {
    const struct object *object = service->object;
    if (object->table == NULL) {
        service->error.code = object->refusal;
        service->error.message = object->refusal_message;
        service->error.message.release = NULL; // It is the object's, which stays.
        return object->refusal;
    }
    void (*function)(void) = table_function(object->table, service->slot);
    if (function == NULL) {
        return fail(&service->error, HOSTD_ERROR_NOT_SUPPORTED, "The provider of this role does not have this function.");
    }
    ffi_arg result = 0;
    ffi_call((ffi_cif *)&service->signature->cif, function, &result, service->arguments);
    service->next_file = UINT32_MAX; // What was given away is the callee's now.
    return (int32_t)result;
}

void table_close_handle(const struct object *object, int32_t closer, uint64_t handle) {
    if (object->table == NULL || closer < 0) return;
    void (*function)(void) = table_function(object->table, (uint32_t)closer);
    if (function == NULL) return;
    hostd_error error = {.struct_size = sizeof error};
    ((int32_t (*)(void *, uint64_t, hostd_error *))function)(object->table->self, handle, &error);
    if (error.message.release != NULL) error.message.release(error.message.context);
}

/// What follows from a call for the functions that it carried, and for what it ended.
static void settle(struct service *service, int32_t status) {
    const char *letters = service->signature->letters;
    int32_t closer = service->signature->closes_with;
    uint64_t handle = 0;
    for (uint32_t i = 0; letters[i] != 0; i++) {
        if (letters[i] == 'H') handle = service->numbers[i];
    }
    int must_close = 0;
    for (uint32_t i = 0; letters[i] != 0; i++) {
        struct relay *relay = service->relays[i];
        if (relay != NULL) must_close |= relay_settle(relay, status, service->object, closer, handle);
    }
    if (must_close) table_close_handle(service->object, closer, handle);
    if (service->signature->is_closer && status == HOSTD_OK) {
        relay_close(service->lane->peer, service->object->number, (int32_t)service->slot, service->numbers[0]);
    }
}

/// In place of a table's address the other side gets a number to make a proxy of.
static int32_t give_table(struct service *service) {
    uint64_t *address = &service->numbers[2];
    const hostd_interface *table = (const hostd_interface *)(uintptr_t)*address; // NOLINT: what the role says that it is.
    const struct object *object = table == NULL ? NULL : object_of_table(service->lane->peer, table);
    if (object == NULL) return fail(&service->error, HOSTD_ERROR_INTERNAL, "The table cannot be given to a plugin.");
    *address = object->number;
    return HOSTD_OK;
}

// MARK: The reply

static void write_reply(const struct service *service, struct writer *writer, int32_t status) {
    write_number(writer, (uint64_t)(status == HOSTD_OK) << 32 | (uint32_t)status);
    const char *letters = service->signature->letters;
    for (uint32_t i = 0; status == HOSTD_OK && letters[i] != 0; i++) {
        switch (letters[i]) {
        case 'o': write_view(writer, service->buffers[i].data, service->buffers[i].size); break;
        case 'S': write_view(writer, service->structs[i], service->numbers[i]); break;
        case 'H': case 'W': case 'I': write_number(writer, service->numbers[i]); break;
        default: break;
        }
    }
    write_error(writer, &service->error);
}

/// 1 when some output is too large to be sent.
static int is_too_large(const struct service *service) {
    uint64_t limit = service->lane->peer->configuration.message_limit, sum = 0;
    for (uint32_t i = 0; service->signature->letters[i] != 0; i++) {
        if (service->buffers[i].size > limit) return 1;
        sum += service->buffers[i].size;
    }
    return sum > limit;
}

static int reply(struct service *service, int32_t status) {
    if (status == HOSTD_OK && is_too_large(service)) {
        static const char sentence[] = "The answer is larger than what crosses between processes.";
        status = fail(&service->error, HOSTD_ERROR_RESOURCE_EXHAUSTED, sentence);
    }
    struct lane *lane = service->lane;
    struct writer writer = {.at = lane_room(lane), .room = LAYOUT_PART_LIMIT};
    write_reply(service, &writer, status);
    if (writer.size <= writer.room) return lane_send(lane, LAYOUT_REPLY, NULL, writer.size, 0);
    uint8_t *large = malloc(writer.size);
    if (large == NULL) {
        status = fail(&service->error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "There is no memory for the answer.");
        writer.size = 0;
        write_reply(service, &writer, status);
        return lane_send(lane, LAYOUT_REPLY, NULL, writer.size, 0);
    }
    writer = (struct writer){.at = large, .room = writer.size};
    write_reply(service, &writer, status);
    int result = lane_send(lane, LAYOUT_REPLY, large, writer.size, 0);
    free(large);
    return result;
}

/// Releases what the callee gave, and closes what it borrowed, or never got.
static void finish(struct service *service) {
    const char *letters = service->signature->letters;
    int was_called = service->next_file == UINT32_MAX;
    uint32_t file = 0;
    for (uint32_t i = 0, argument = 1; letters[i] != 0; i++) {
        if (service->buffers[i].release != NULL) service->buffers[i].release(service->buffers[i].context);
        free(service->structs[i]);
        int is_file = letters[i] == 'f' || letters[i] == 'F';
        int was_given = is_file && argument < service->count && service->values[argument].small >= 0;
        if (was_given && was_called && letters[i] == 'f') close(service->files[file]);
        file += (uint32_t)was_given;
        argument += width(letters[i]);
    }
    for (uint32_t i = 0; !was_called && i < service->file_count; i++) close(service->files[i]);
    if (service->error.message.release != NULL) service->error.message.release(service->error.message.context);
}

/// Runs a call whose descriptors have come; what it answers is sent. As lane_send.
static int run(struct service *service, struct reader *reader) {
    hostd_error *error = &service->error;
    int32_t status = read_arguments(service, reader);
    if (reader->is_broken) {
        settle(service, HOSTD_ERROR_INTERNAL);
        return breach(service->lane->peer, malformed_call);
    }
    if (status == HOSTD_OK) status = call(service);
    else if (status == HOSTD_ERROR_INVALID_ARGUMENT) fail(error, status, "A function or struct of the call is NULL.");
    else fail(error, status, "A plugin's process may not begin more things than it has.");
    settle(service, status);
    int is_table = service->signature->gives_table && service->is_guarded;
    if (status == HOSTD_OK && is_table) status = give_table(service);
    if (status < 0) atomic_fetch_add_explicit(&service->lane->peer->errors_in, 1, memory_order_relaxed);
    return reply(service, status);
}

int serve_call(struct lane *lane, const struct message *message) {
    struct reader reader = {.at = message->bytes, .left = message->size};
    struct layout_call head = {0};
    const uint8_t *bytes = read_bytes(&reader, sizeof head);
    if (bytes != NULL) memcpy(&head, bytes, sizeof head);
    const struct object *object = object_find(lane->peer, head.object);
    if (bytes == NULL || object == NULL || head.slot >= object->shape->count) return breach(lane->peer, malformed_call);
    struct service service = {.lane = lane, .object = object, .slot = head.slot, .file_count = head.files,
                              .is_guarded = lane->peer->configuration.is_host,
                              .signature = &object->shape->slots[head.slot],
                              .error = {.struct_size = sizeof service.error}};
    if (head.files > service.signature->file_count) return breach(lane->peer, malformed_call);
    if (head.files != 0) {
        int code = control_take_files(lane, head.files, service.files);
        if (code != 0) return code;
    }
    int result = run(&service, &reader);
    finish(&service);
    return result;
}
