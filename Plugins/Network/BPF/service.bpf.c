/// Routing of service addresses at the socket: a client's connect or send to a service goes to one of its endpoints
/// directly, before there is any packet, and the client is shown the service's address when it asks who answered.
///
/// The programs are attached to control groups, which know nothing of network namespaces; the map `namespaces` says in
/// which namespaces they act. Sockets elsewhere are left alone. IPv6 sockets are not covered: their IPv4-mapped traffic
/// is caught by the nftables rules of the same plugin.
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "service.h"

#define ALLOW 1
#define REFUSE 0
#define PROTOCOL_MPTCP 262
#define NANOSECONDS 1000000000ULL
#define LOOPBACK_NETWORK 0x7f000000
#define LOOPBACK_MASK 0xff000000
#define LOOPBACK_ADDRESS 0x7f000001

/// Set before loading: whether the kernel lets a program choose the error of a refused call (Linux 5.18).
const volatile __u32 can_set_result = 1;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HOSTD_MAXIMUM_FRONTENDS);
    __type(key, struct frontend_key);
    __type(value, struct frontend_value);
} frontends SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HOSTD_MAXIMUM_BACKENDS);
    __type(key, struct backend_key);
    __type(value, struct backend_value);
} backends SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HOSTD_MAXIMUM_BACKENDS);
    __type(key, struct member_key);
    __type(value, __u32);
} members SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, HOSTD_MAXIMUM_REVERSE);
    __type(key, struct reverse_key);
    __type(value, struct reverse_value);
} reverse SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, HOSTD_MAXIMUM_AFFINITY);
    __type(key, struct affinity_key);
    __type(value, struct affinity_value);
} affinity SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HOSTD_MAXIMUM_NAMESPACES);
    __type(key, __u64);
    __type(value, __u32);
} namespaces SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HOSTD_MAXIMUM_ADDRESSES);
    __type(key, __be32);
    __type(value, __u32);
} addresses SEC(".maps");

/// The frontend that a destination names: a service address first, then a node port at one of the node's addresses.
/// On success `key` is the key that matched.
static __always_inline struct frontend_value *find_frontend(struct frontend_key *key, __u32 kind)
{
    struct frontend_value *frontend = bpf_map_lookup_elem(&frontends, key);
    if (frontend)
        return frontend;
    __be32 address = key->address;
    bool loopback = (address & bpf_htonl(LOOPBACK_MASK)) == bpf_htonl(LOOPBACK_NETWORK);
    if (loopback ? kind != HOSTD_NAMESPACE_HOST : !bpf_map_lookup_elem(&addresses, &address))
        return 0;
    key->address = 0;
    return bpf_map_lookup_elem(&frontends, key);
}

/// The backend that this client used last, when its time is not over and the backend is still in the set.
static __always_inline bool recall(const struct affinity_key *key, const struct frontend_value *frontend,
                                   struct backend_value *backend)
{
    struct affinity_value *last = bpf_map_lookup_elem(&affinity, key);
    if (!last || last->expires < bpf_ktime_get_ns())
        return false;
    struct member_key member = {.set = frontend->set, .backend = last->backend};
    if (!bpf_map_lookup_elem(&members, &member))
        return false;
    *backend = last->backend;
    return true;
}

/// The next backend in turn. False when the set has just been replaced.
static __always_inline bool choose(struct frontend_value *frontend, __u32 count, struct backend_value *backend)
{
    struct backend_key key = {.set = frontend->set, .slot = __sync_fetch_and_add(&frontend->turn, 1) % count};
    struct backend_value *found = bpf_map_lookup_elem(&backends, &key);
    if (!found)
        return false;
    *backend = *found;
    return true;
}

/// Makes the system call fail as if the port were closed.
static __always_inline int refuse(struct bpf_sock_addr *ctx)
{
    if (can_set_result) {
        bpf_set_retval(-ECONNREFUSED);
        return REFUSE;
    }
    // Port 0 of the loopback address has no listener, ever: the kernel itself refuses.
    ctx->user_ip4 = bpf_htonl(LOOPBACK_ADDRESS);
    ctx->user_port = 0;
    return ALLOW;
}

/// Redirects one call to a service address to a backend of the service.
static __always_inline int route(struct bpf_sock_addr *ctx)
{
    __u64 cookie = bpf_get_netns_cookie(ctx);
    __u32 *kind = bpf_map_lookup_elem(&namespaces, &cookie);
    if (!kind)
        return ALLOW;
    struct reverse_value asked = {.address = ctx->user_ip4, .port = (__be16)ctx->user_port};
    __u32 protocol = ctx->protocol == PROTOCOL_MPTCP ? IPPROTO_TCP : ctx->protocol;
    struct reverse_key remember = {.socket = bpf_get_socket_cookie(ctx)};

    for (int attempt = 0; attempt < 3; attempt++) {
        struct frontend_key key = {.address = asked.address, .port = asked.port, .protocol = (__u8)protocol};
        struct frontend_value *frontend = find_frontend(&key, *kind);
        if (!frontend)
            return ALLOW;
        __u32 count = frontend->count;
        if (count == 0)
            return refuse(ctx);
        struct affinity_key client = {.network_namespace = cookie, .frontend = key};
        __u32 seconds = frontend->affinity_seconds;
        bool recalled = seconds && recall(&client, frontend, &remember.backend);
        if (!recalled && !choose(frontend, count, &remember.backend))
            continue;
        if (seconds) {
            struct affinity_value last = {
                .expires = bpf_ktime_get_ns() + seconds * NANOSECONDS,
                .backend = remember.backend,
            };
            bpf_map_update_elem(&affinity, &client, &last, BPF_ANY);
        }
        bpf_map_update_elem(&reverse, &remember, &asked, BPF_ANY);
        ctx->user_ip4 = remember.backend.address;
        ctx->user_port = remember.backend.port;
        return ALLOW;
    }
    return refuse(ctx);
}

/// Shows the service's address in the place of the backend's.
static __always_inline void restore(struct bpf_sock_addr *ctx)
{
    __u64 cookie = bpf_get_netns_cookie(ctx);
    if (!bpf_map_lookup_elem(&namespaces, &cookie))
        return;
    struct reverse_key key = {
        .socket = bpf_get_socket_cookie(ctx),
        .backend = {.address = ctx->user_ip4, .port = (__be16)ctx->user_port},
    };
    struct reverse_value *asked = bpf_map_lookup_elem(&reverse, &key);
    if (!asked)
        return;
    ctx->user_ip4 = asked->address;
    ctx->user_port = asked->port;
}

SEC("cgroup/connect4")
int hostd_connect4(struct bpf_sock_addr *ctx)
{
    return route(ctx);
}

SEC("cgroup/sendmsg4")
int hostd_sendmsg4(struct bpf_sock_addr *ctx)
{
    return route(ctx);
}

SEC("cgroup/recvmsg4")
int hostd_recvmsg4(struct bpf_sock_addr *ctx)
{
    restore(ctx);
    return ALLOW;
}

SEC("cgroup/getpeername4")
int hostd_getpeername4(struct bpf_sock_addr *ctx)
{
    restore(ctx);
    return ALLOW;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
