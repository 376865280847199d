/// Isolation: one plugin in a process of its own. Interface tables are called, from either side, over shared memory,
/// by what their descriptors say; there is no code of any role in here.
///
///     caller ─► proxy table ─► lane in shared memory ─► server thread ─► the real table       (host or child alike)
///
/// Both processes run a *peer*: it exports tables under object numbers and imports the other's as proxy tables. The
/// host trusts nothing that comes from the child: what lies in shared memory is copied once and then checked, and a
/// child that breaks the format is condemned. Sources/CIsolation/README.md has the format and the trust model.
/// Everything here may be called from any thread unless a line says otherwise.
#ifndef HOSTD_ISOLATION_H
#define HOSTD_ISOLATION_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

// MARK: The way between two processes

/// What a host makes before it starts a child. The child gets `memory` and `child_socket` by inheritance, under any
/// numbers, and is started as
///
///     hostd-plugin-process serve --memory FD --socket FD [--settings TEXT]
///
/// where TEXT goes to `sandbox_enter`, after which nothing but the plugin's own steps follows. The child ends when the
/// host's end of the socket closes. All three have O_CLOEXEC here. The host keeps `memory` and `host_socket` for
/// `isolation_peer_create` and closes `child_socket` when the child has been started.
typedef struct isolation_channel {
    int32_t memory;       ///< A sealed memory file: neither side can change its size.
    int32_t host_socket;  ///< SOCK_SEQPACKET, for descriptors, notices and the end.
    int32_t child_socket;
} isolation_channel;

/// 0, or -errno and nothing is open. `lanes` is the most calls at once in each direction, 4 to 64; 0 means 32.
int32_t isolation_channel_create(isolation_channel *channel, uint32_t lanes);

/// In the child, before it has a peer: tells the host why there will be none. The host's `died` gets the sentence.
void isolation_child_failed(int32_t socket, const char *sentence);

// MARK: Peers

#define ISOLATION_ID_LIMIT 128 ///< Bytes of an interface's id.

typedef struct isolation_peer isolation_peer;

/// The answer to the other side's question for an interface: a table, or a refusal that every call of it gets.
typedef struct isolation_offer {
    /// What calls go to; NULL makes every call answer `refusal`. Valid until the peer is destroyed and the last call has
    /// left it.
    const hostd_interface *HOSTD_NULLABLE table;
    const char *HOSTD_NULLABLE slots; ///< The descriptor; NULL takes that of `table`. Copied.
    const char *HOSTD_NULLABLE ends;  ///< HOSTD_…_ENDS and HOSTD_…_TAGS of the interface, joined by ";"; or NULL. Copied.
    int32_t refusal;                  ///< For instance HOSTD_ERROR_FORBIDDEN.
    /// One sentence for a refusal, handed over as by any callee: the peer releases it.
    hostd_buffer refusal_message;
} isolation_offer;

/// Why a peer came to its end.
#define ISOLATION_CLOSED 1    ///< `isolation_peer_destroy` without a fault before.
#define ISOLATION_GONE 2      ///< The process ended, or closed its socket.
#define ISOLATION_BREACH 3    ///< The other side broke the format.
#define ISOLATION_CONDEMNED 4 ///< `isolation_peer_condemn`.

typedef struct isolation_configuration {
    uint32_t struct_size;
    uint32_t is_host;         ///< 1 in the host: sinks and completions are queued to the child, never waited for.
    int32_t memory;           ///< Mapped and not kept: the caller closes it.
    int32_t socket;           ///< The peer's own from success on.
    int32_t process;          ///< A pidfd that tells of the child's death (not closed by the peer), or -1.
    uint32_t reserved;
    uint64_t call_timeout_ns; ///< For calls without a deadline, callbacks and deliveries; 0 waits for ever.
    uint64_t step_timeout_ns; ///< For calls of ISOLATION_PLUGIN_1, the life cycle; 0 waits for ever.
    uint64_t message_limit;   ///< Most bytes of one call, one way; 0 means 64 MiB. Twice that may be under way at once.
    void *HOSTD_NULLABLE context; ///< For the functions below.
    /// The other side asks for an interface by id. A negative status makes its get_interface return NULL. Called once
    /// for an id that was found. [any-thread]
    int32_t (*HOSTD_NULLABLE resolve)(void *HOSTD_NULLABLE context, const char *id, isolation_offer *offer,
                                      hostd_error *error);
    /// HOSTD_…_ENDS and HOSTD_…_TAGS of an interface whose table came out of a slot with the tag `table`; NULL where there
    /// is none. The text is copied.
    const char *HOSTD_NULLABLE (*HOSTD_NULLABLE ends)(void *HOSTD_NULLABLE context, const char *id);
    /// A call of `slot` outran its deadline, or the timeout above, and was given up; the other side may still be in it.
    /// Returns at once; typically it has somebody kill the child. `deadline_was_own` is 1 when it was a deadline that
    /// the caller chose. `id` and `slot` are of the call ("sink" and "callback" for those). [any-thread]
    void (*HOSTD_NULLABLE overran)(void *HOSTD_NULLABLE context, const char *id, const char *slot,
                                   uint64_t nanoseconds, uint32_t deadline_was_own);
    /// Called exactly once, after everything in flight has been ended: calls and completions with UNAVAILABLE
    /// (retryable), sinks with HOSTD_SINK_END, and what the other side had begun here through ENDS. `reason` is a
    /// sentence. From the peer's own thread, which must not destroy the peer.
    void (*HOSTD_NULLABLE died)(void *HOSTD_NULLABLE context, uint32_t cause, const char *reason);
} isolation_configuration;

/// Maps the memory, checks that it fits, and starts one thread. NULL with `*status` an -errno; the socket then stays the
/// caller's. The child may be started before or after.
isolation_peer *HOSTD_NULLABLE isolation_peer_create(const isolation_configuration *configuration, int32_t *status);

/// Asks the other side for the interface `id` and makes a proxy of it; the same address at every call, valid until the
/// peer is destroyed. `ends` is what this side knows as HOSTD_…_ENDS and HOSTD_…_TAGS; NULL where it knows nothing. The table's `slots` are
/// the other side's: compare them before use. NOT_FOUND, UNAVAILABLE, or what the other side answers. [blocking]
int32_t isolation_peer_import(isolation_peer *peer, const char *id, const char *HOSTD_NULLABLE ends,
                              const hostd_interface *HOSTD_NULLABLE *HOSTD_NONNULL table, hostd_error *error);

/// Ends the peer as if the other side had died, because of `reason`, a sentence that is copied. Returns at once; `died`
/// follows. Idempotent: the first reason stays.
void isolation_peer_condemn(isolation_peer *peer, const char *reason);

/// Ends the peer, waits until `died` has returned, and gives it up: proxies may no longer be called, and no function of the
/// configuration runs any more. A call that the other side has made, and that is inside a table of this side at the moment,
/// stays there until it returns; offered tables must live as long as that. Memory is freed when the last call has left. Never
/// from a callback of this peer. [blocking]
void isolation_peer_destroy(isolation_peer *peer);

typedef struct isolation_statistics {
    uint32_t struct_size;
    uint32_t is_condemned;
    uint64_t calls_out;       ///< Made through proxies here, and how many ended with a negative status.
    uint64_t errors_out;
    uint64_t calls_in;        ///< Served here for the other side.
    uint64_t errors_in;
    uint64_t overruns;        ///< Calls given up at their deadline.
    uint32_t calls_out_now;   ///< Inside at the moment.
    uint32_t calls_in_now;
    uint32_t threads;         ///< Of this peer.
    uint32_t subscriptions;   ///< Sinks and callbacks that the other side may call.
    uint32_t completions;     ///< That the other side owes.
    uint32_t begun;           ///< What the other side has begun here and not ended: timers, watches, queues.
    uint64_t queued_bytes;    ///< Of sinks and completions that wait to be delivered.
} isolation_statistics;

/// Fills as much as `struct_size` gives room for.
void isolation_peer_statistics(const isolation_peer *peer, isolation_statistics *statistics);

// MARK: The life cycle of a plugin in a child

#define ISOLATION_PLUGIN_1 "hostd.isolation.plugin/1"
#define ISOLATION_PLUGIN_1_SLOTS                                                                                       \
    "open:be;enter:e;describe:oe;schema:oe;configure:be;activate:e;deactivate:e;destroy:e"

/// What a child offers beside the plugin's own roles: the steps of its life. An error's message is the plugin's own.
typedef struct isolation_plugin {
    hostd_interface interface;
    /// Opens the library at an absolute path. The message is the dynamic loader's.
    int32_t (*open)(void *HOSTD_NULLABLE self, const uint8_t *path, uint64_t path_size, hostd_error *error);
    /// Calls its entry, and checks version and completeness of what it answers.
    int32_t (*enter)(void *HOSTD_NULLABLE self, hostd_error *error);
    int32_t (*describe)(void *HOSTD_NULLABLE self, hostd_buffer *description, hostd_error *error);
    int32_t (*schema)(void *HOSTD_NULLABLE self, hostd_buffer *schema, hostd_error *error);
    int32_t (*configure)(void *HOSTD_NULLABLE self, const uint8_t *configuration, uint64_t size, hostd_error *error);
    int32_t (*activate)(void *HOSTD_NULLABLE self, hostd_error *error);
    int32_t (*deactivate)(void *HOSTD_NULLABLE self, hostd_error *error);
    int32_t (*destroy)(void *HOSTD_NULLABLE self, hostd_error *error);
} isolation_plugin;

/// Imports ISOLATION_PLUGIN_1 and checks that it is the one declared here. Waits up to `step_timeout_ns` for a child that is
/// about to start. [blocking]
int32_t isolation_peer_plugin(isolation_peer *peer, const isolation_plugin *HOSTD_NULLABLE *HOSTD_NONNULL plugin,
                              hostd_error *error);

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
