#include <errno.h>

#include "internal.h"

uint64_t deadline_after(uint64_t timeout_ns) { return timeout_ns == 0 ? 0 : now_ns() + timeout_ns; }

/// The time is over while the other side has the lane: the call is given up, and somebody is told.
static void report_overrun(isolation_peer *peer, const struct exchange *exchange, uint64_t start) {
    atomic_fetch_add(&peer->overruns, 1);
    const isolation_configuration *configuration = &peer->configuration;
    if (configuration->overran == NULL || !peer_begin_callback(peer)) return;
    configuration->overran(configuration->context, exchange->id, exchange->slot, now_ns() - start,
                           exchange->deadline_was_own);
    peer_end_callback(peer);
}

int exchange_run(isolation_peer *peer, struct exchange *exchange, uint32_t kind, const uint8_t *bytes, uint64_t size) {
    uint64_t start = now_ns(), deadline = exchange->deadline_ns;
    int status = 0;
    if (exchange->lane == NULL) status = lane_acquire(peer, exchange->class, deadline, &exchange->lane);
    if (status != 0) return status;
    struct lane *lane = exchange->lane;
    status = lane_send(lane, kind, bytes, size, deadline);
    if (status == 0) status = lane_receive(lane, &exchange->reply, deadline);
    if (status == 0 && exchange->reply.kind != LAYOUT_REPLY) {
        message_free(peer, &exchange->reply);
        status = breach(peer, "The plugin's process answered a call with something else than a reply.");
    }
    if (status == 0) return 0;
    exchange->lane = NULL;
    if (status == -EMSGSIZE) lane_release(lane);
    else lane_abandon(lane);
    if (status == -ETIMEDOUT) report_overrun(peer, exchange, start);
    return status;
}

void exchange_finish(struct exchange *exchange) {
    message_free(exchange->lane->peer, &exchange->reply);
    lane_release(exchange->lane);
    exchange->lane = NULL;
}
