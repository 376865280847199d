/// Host service hostd.events/1: named topics between plugins. Store changes come from hostd.store/1, not from here.
#ifndef HOSTD_SERVICES_EVENTS_H
#define HOSTD_SERVICES_EVENTS_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_EVENTS_1 "hostd.events/1"
#define HOSTD_EVENTS_1_SLOTS "publish:bbue;subscribe:bvHe;unsubscribe:he"

/// Topic, retained: JSON {"url":"https://127.0.0.1:6443","kubeconfig":"/path"} published by the API front when it serves.
#define HOSTD_TOPIC_ENDPOINT "hostd.endpoint"
/// Topic, retained: JSON {"addresses":["10.244.0.1"],"bridge":"hostd0","podRange":"10.244.0.0/24"} published by the
/// network provider when pods can reach the host there.
#define HOSTD_TOPIC_NETWORK "hostd.network"

typedef struct hostd_events_1 {
    hostd_interface interface;
    /// Hands `message` to every subscriber of `topic`, in order. `retain` 1 keeps it for later subscribers. [any-thread]
    int32_t (*publish)(void *HOSTD_NULLABLE self, const uint8_t *topic, uint64_t topic_size, const uint8_t *message,
                       uint64_t message_size, uint32_t retain, hostd_error *error);
    /// Subscribes; a retained message is delivered first. A subscriber that falls more than 1 MiB behind gets
    /// HOSTD_SINK_RESYNC and is removed. [any-thread]
    int32_t (*subscribe)(void *HOSTD_NULLABLE self, const uint8_t *topic, uint64_t topic_size, hostd_sink sink,
                         void *HOSTD_NULLABLE context, uint64_t *subscription, hostd_error *error);
    /// Ends a subscription; when it returns, the sink is not running (unless this is called from it) and will not run
    /// again. Idempotent. [any-thread] [blocking]
    int32_t (*unsubscribe)(void *HOSTD_NULLABLE self, uint64_t subscription, hostd_error *error);
} hostd_events_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
