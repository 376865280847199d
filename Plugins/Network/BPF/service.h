/// The maps that the programs in service.bpf.c share with the network plugin: their keys and values, byte for byte.
///
/// Addresses and ports are in network byte order, everything else in the machine's. All paddings are spelled out and
/// zero, because hash maps compare keys as bytes. Plugins/Network/Sources/BPF/ServiceMapLayout.swift mirrors this file.
#ifndef HOSTD_SERVICE_H
#define HOSTD_SERVICE_H

#include <linux/types.h>

#define HOSTD_MAXIMUM_FRONTENDS 65536
#define HOSTD_MAXIMUM_BACKENDS 262144
#define HOSTD_MAXIMUM_REVERSE 65536
#define HOSTD_MAXIMUM_AFFINITY 65536
#define HOSTD_MAXIMUM_NAMESPACES 8192
#define HOSTD_MAXIMUM_ADDRESSES 256

/// What a client dials. A node port has address 0 and answers at every address in the map `addresses`.
struct frontend_key {
    __be32 address;
    __be16 port;
    __u8 protocol;
    __u8 padding;
};

/// Where it leads: the set of backends `set`, slots 0 to count - 1. A set is never changed once a frontend names it:
/// new endpoints make a new set, so that a reader sees the old ones or the new ones and no mixture.
struct frontend_value {
    __u32 set;
    __u32 count;            ///< 0 refuses.
    __u32 affinity_seconds; ///< 0 = none.
    __u32 turn;             ///< Advanced by the programs: the next slot, modulo count.
};

struct backend_key {
    __u32 set;
    __u32 slot;
};

struct backend_value {
    __be32 address;
    __be16 port;
    __u16 padding;
};

/// Membership of a backend in a set, kept only for frontends with affinity.
struct member_key {
    __u32 set;
    struct backend_value backend;
};

/// Which service a socket meant when the programs sent it to a backend.
struct reverse_key {
    __u64 socket;
    struct backend_value backend;
};

struct reverse_value {
    __be32 address;
    __be16 port;
    __u16 padding;
};

/// The client is a network namespace: at connect time a socket has no source address yet.
struct affinity_key {
    __u64 network_namespace;
    struct frontend_key frontend;
};

struct affinity_value {
    __u64 expires; ///< Nanoseconds of the monotonic clock.
    struct backend_value backend;
};

/// Value of the map `namespaces`: the kind of a network namespace whose sockets are routed.
#define HOSTD_NAMESPACE_POD 1
#define HOSTD_NAMESPACE_HOST 2

#endif
