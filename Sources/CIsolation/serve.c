#include <errno.h>
#include <stdlib.h>

#include "message.h"

static int malformed(struct lane *lane) {
    return breach(lane->peer, "A message of the plugin's process does not have the form that its kind has.");
}

static int reply_number(struct lane *lane, uint64_t first, uint64_t second) {
    struct writer writer = {.at = lane_room(lane), .room = LAYOUT_PART_LIMIT};
    write_number(&writer, first);
    write_number(&writer, second);
    return lane_send(lane, LAYOUT_REPLY, NULL, writer.size, 0);
}

/// LAYOUT_SINK, LAYOUT_CALLBACK, LAYOUT_COMPLETE: runs a function of this side.
static int serve_delivery(struct lane *lane, const struct message *message) {
    struct reader reader = {.at = message->bytes, .left = message->size};
    struct layout_delivery head = {0};
    const uint8_t *bytes = read_bytes(&reader, sizeof head);
    if (bytes != NULL) memcpy(&head, bytes, sizeof head);
    uint64_t size, delay = 0;
    const uint8_t *data = read_view(&reader, &size);
    hostd_error error;
    if (head.has_error == 1) read_error(&reader, &error);
    if (reader.is_broken || reader.left != 0 || head.has_error > (message->kind == LAYOUT_COMPLETE)) return malformed(lane);
    int32_t result = HOSTD_OK;
    if (message->kind == LAYOUT_SINK) {
        receiver_sink(lane->peer, head.receiver, head.number, data, size);
    } else if (message->kind == LAYOUT_CALLBACK) {
        result = receiver_callback(lane->peer, head.receiver, data, size, &delay);
    } else {
        receiver_complete(lane->peer, head.receiver, (int32_t)head.number, data, size, head.has_error ? &error : NULL);
    }
    return reply_number(lane, (uint32_t)result, delay);
}

/// A text of a message as a C string in `place`; -1 when it is too long or holds a zero.
static int read_text(struct reader *reader, char *place, size_t room) {
    uint64_t size;
    const uint8_t *bytes = read_view(reader, &size);
    if (reader->is_broken || size >= room || (bytes != NULL && memchr(bytes, 0, size) != NULL)) return -1;
    if (bytes != NULL) memcpy(place, bytes, size);
    place[size] = 0;
    return 0;
}

void object_write(struct writer *writer, int32_t status, const struct object *object, const hostd_error *error) {
    const struct shape *shape = object == NULL ? NULL : object->shape;
    write_number(writer, (uint32_t)status);
    write_number(writer, object == NULL ? 0 : object->number);
    write_view(writer, shape == NULL ? "" : shape->id, shape == NULL ? 0 : strlen(shape->id));
    write_view(writer, shape == NULL ? "" : shape->text, shape == NULL ? 0 : strlen(shape->text));
    write_view(writer, shape == NULL ? "" : shape->traits, shape == NULL ? 0 : strlen(shape->traits));
    write_error(writer, error);
}

/// LAYOUT_RESOLVE, LAYOUT_DESCRIBE.
static int serve_question(struct lane *lane, const struct message *message) {
    struct reader reader = {.at = message->bytes, .left = message->size};
    static _Thread_local char id[ISOLATION_ID_LIMIT + 1], ends[INTERPOSER_DESCRIPTOR_LIMIT + 1];
    const struct object *object = NULL;
    hostd_error error = {.struct_size = sizeof error};
    int32_t status = HOSTD_OK;
    if (message->kind == LAYOUT_RESOLVE) {
        int is_bad = read_text(&reader, id, sizeof id) != 0 || read_text(&reader, ends, sizeof ends) != 0;
        if (is_bad || reader.left != 0) return malformed(lane);
        status = object_resolve(lane->peer, id, ends, &object, &error);
    } else {
        uint32_t number = read_small(&reader);
        if (reader.is_broken || reader.left != 0) return malformed(lane);
        object = object_find(lane->peer, number);
        if (object == NULL) status = fail(&error, HOSTD_ERROR_NOT_FOUND, "There is no object of this number.");
    }
    struct writer writer = {.at = lane_room(lane), .room = LAYOUT_PART_LIMIT};
    object_write(&writer, status, object, &error);
    if (error.message.release != NULL) error.message.release(error.message.context);
    return lane_send(lane, LAYOUT_REPLY, NULL, writer.size, 0);
}

/// A call that was too large to be taken: its slot is not known, the reply is of the form that all errors have.
static int refuse_size(struct lane *lane) {
    hostd_error error = {.struct_size = sizeof error};
    int32_t status = fail(&error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "The message is larger than what is taken at once.");
    struct writer writer = {.at = lane_room(lane), .room = LAYOUT_PART_LIMIT};
    write_number(&writer, (uint32_t)status);
    write_error(&writer, &error);
    return lane_send(lane, LAYOUT_REPLY, NULL, writer.size, 0);
}

int serve_message(struct lane *lane, const struct message *message) {
    switch (message->kind) {
    case LAYOUT_CALL: return serve_call(lane, message);
    case LAYOUT_SINK: case LAYOUT_CALLBACK: case LAYOUT_COMPLETE: return serve_delivery(lane, message);
    case LAYOUT_RESOLVE: case LAYOUT_DESCRIBE: return serve_question(lane, message);
    default: return malformed(lane);
    }
}

void serve_lane(void *argument) {
    struct lane *lane = argument;
    isolation_peer *peer = lane->peer;
    int status = 0;
    while (status == 0) {
        struct message message;
        status = lane_receive(lane, &message, 0);
        if (status == -EMSGSIZE) {
            status = refuse_size(lane);
            continue;
        }
        if (status != 0) break;
        atomic_fetch_add_explicit(&peer->calls_in, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&peer->calls_in_now, 1, memory_order_relaxed);
        status = serve_message(lane, &message);
        atomic_fetch_sub_explicit(&peer->calls_in_now, 1, memory_order_relaxed);
        message_free(peer, &message);
    }
}
