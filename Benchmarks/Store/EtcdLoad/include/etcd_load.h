// A client that does nothing but put values into etcd, so that what is measured is etcd: one thread, gRPC over nghttp2,
// several connections with several puts in flight on each, no memory allocated for a put.
#ifndef ETCD_LOAD_H
#define ETCD_LOAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct etcd_load {
    const char *_Nonnull host;   ///< Numeric IPv4.
    uint16_t port;
    uint32_t connections;        ///< At most 64.
    uint32_t in_flight;          ///< Puts that are under way on each connection; at most 256.
    uint32_t value_size;         ///< Bytes, at most 1 MiB.
    const char *_Nonnull prefix; ///< Of the keys; a number follows.
    uint64_t nanoseconds;        ///< How long puts are begun; those that are under way then are waited for.
} etcd_load;

/// Puts as fast as etcd answers. `latencies` gets the nanoseconds of each put, `capacity` of them at most.
/// The count of puts, or -1 with a sentence in `error`. [blocking]
int64_t etcd_load_run(const etcd_load *_Nonnull load, uint64_t *_Nonnull latencies, size_t capacity,
                      char *_Nonnull error, size_t error_size);

#endif
