#include <errno.h>
#include <stdlib.h>

#include "message.h"

/// How long a callback in the host waits for a lane.
#define PATIENCE_NS UINT64_C(20000000)

static void write_delivery(struct writer *writer, uint64_t receiver, uint32_t number, const uint8_t *data, uint64_t size,
                           const hostd_error *error) {
    struct layout_delivery head = {.receiver = receiver, .number = number, .has_error = error != NULL};
    write_bytes(writer, &head, sizeof head);
    write_view(writer, data, size);
    if (error != NULL) write_error(writer, error);
}

struct delivery *delivery_create(uint32_t kind, uint64_t receiver, uint32_t number, const uint8_t *data, uint64_t size,
                                 const hostd_error *error) {
    if (error != NULL && error->struct_size < sizeof *error) error = NULL;
    struct writer writer = {0};
    write_delivery(&writer, receiver, number, data, size, error);
    struct delivery *delivery = malloc(sizeof *delivery + writer.size);
    if (delivery == NULL) return NULL;
    *delivery = (struct delivery){.kind = kind, .size = writer.size};
    writer = (struct writer){.at = delivery->bytes, .room = writer.size};
    write_delivery(&writer, receiver, number, data, size, error);
    return delivery;
}

static struct exchange exchange_of(isolation_peer *peer, enum lane_class class, const char *slot) {
    uint64_t deadline = deadline_after(peer->configuration.call_timeout_ns);
    return (struct exchange){.class = class, .deadline_ns = deadline, .id = "", .slot = slot};
}

void delivery_send(isolation_peer *peer, const struct delivery *delivery) {
    if (peer_has_ended(peer)) return;
    struct exchange exchange = exchange_of(peer, CLASS_DELIVERY, delivery->kind == LAYOUT_SINK ? "sink" : "completion");
    int status = exchange_run(peer, &exchange, delivery->kind, delivery->bytes, delivery->size);
    if (status == 0) {
        exchange_finish(&exchange);
    } else if (status != -ECANCELED && status != -EBADMSG) {
        // What was lost cannot be made up for: a stream would have a gap, an operation no end.
        peer_end(peer, ISOLATION_CONDEMNED, "The plugin's process did not take a message in time.");
    }
}

int32_t delivery_callback(isolation_peer *peer, uint64_t receiver, const uint8_t *data, uint64_t size,
                          uint64_t *delay) {
    if (peer_has_ended(peer)) return HOSTD_ERROR_UNAVAILABLE;
    struct exchange exchange = exchange_of(peer, CLASS_CALLBACK, "callback");
    struct delivery *delivery = NULL;
    // Those who run callbacks in the host work for all plugins: they do not wait long for one that has all lanes taken.
    uint64_t patience = peer->configuration.is_host ? deadline_after(PATIENCE_NS) : exchange.deadline_ns;
    int status = lane_acquire(peer, exchange.class, patience, &exchange.lane);
    if (status != 0) return HOSTD_ERROR_UNAVAILABLE;
    struct writer writer = {.at = lane_room(exchange.lane), .room = LAYOUT_PART_LIMIT};
    write_delivery(&writer, receiver, 0, data, size, NULL);
    if (writer.size > writer.room) {
        delivery = delivery_create(LAYOUT_CALLBACK, receiver, 0, data, size, NULL);
        if (delivery == NULL) {
            lane_release(exchange.lane);
            return HOSTD_ERROR_RESOURCE_EXHAUSTED;
        }
    }
    status = exchange_run(peer, &exchange, LAYOUT_CALLBACK, delivery == NULL ? NULL : delivery->bytes, writer.size);
    free(delivery);
    if (status != 0) return status == -ETIMEDOUT ? HOSTD_ERROR_DEADLINE_EXCEEDED : HOSTD_ERROR_UNAVAILABLE;
    struct reader reader = {.at = exchange.reply.bytes, .left = exchange.reply.size};
    int32_t result = (int32_t)read_small(&reader);
    *delay = read_number(&reader);
    exchange_finish(&exchange);
    if (!reader.is_broken) return result;
    breach(peer, "The answer of a callback of the plugin's process is malformed.");
    return HOSTD_ERROR_UNAVAILABLE;
}
