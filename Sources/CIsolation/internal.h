/// Declarations shared by the files of the transport.
#ifndef ISOLATION_INTERNAL_H
#define ISOLATION_INTERNAL_H

#include <ffi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "interposer.h"
#include "isolation.h"
#include "layout.h"

#define MESSAGE_LIMIT_DEFAULT (UINT64_C(64) << 20)
#define STRUCT_LIMIT 65536u      ///< Bytes of one flat struct.
#define OBJECT_LIMIT 1024u       ///< Tables that one side exports.
#define RECEIVER_LIMIT 65536u    ///< Functions of one side that the other may call, at one time.
#define RELAY_LIMIT 16384u       ///< And those of the other side that this side's callees hold.
#define FILE_LIMIT 64u           ///< Descriptors that have come for calls which have not.
#define REASON_LIMIT 256
#define QUEUE_LIMIT (UINT64_C(1) << 20) ///< Bytes that one subscription may be behind.
#define GRACE_NS UINT64_C(50000000)
#define RETRY_DELAY_MS 100

// MARK: Shapes (shape.c)

/// What marshalling knows of a slot, found when the table is imported or exported.
struct shape_slot {
    const char *name;
    const char *letters;
    int32_t closes_with; ///< The slot that ends what this one begins, or -1.
    uint8_t is_closer;   ///< Some slot begins what this one ends; its letters are "he".
    uint8_t gives_table; ///< Its W is the address of a table.
    uint8_t has_callback;
    int8_t once;         ///< Position of the letter that, when 0, makes the callback's first good run its last; or -1.
    uint8_t file_count;
    uint8_t argument_count;
    ffi_cif cif;
    ffi_type *types[1 + 2 * INTERPOSER_LETTER_LIMIT];
};

struct shape {
    char *id;
    char *text;
    char *traits; ///< HOSTD_…_ENDS and HOSTD_…_TAGS, joined by ";".
    interposer_descriptor *descriptor;
    uint32_t count;
    struct shape_slot slots[];
};

/// NULL with a sentence in `message` (INTERPOSER_MESSAGE_LIMIT bytes).
struct shape *shape_create(const char *id, const char *slots, const char *traits, char *message);
void shape_free(struct shape *shape);

// MARK: Lanes (lane.c, pool.c)

enum lane_class { CLASS_CALL, CLASS_CALLBACK, CLASS_DELIVERY, CLASS_COUNT };

struct lane {
    isolation_peer *peer;
    struct layout_lane *shared;
    uint32_t index;
    uint32_t turn;      ///< The last one that this side has written or taken.
    uint32_t is_server;
    uint32_t is_open;   ///< A client's: the other side was told. A server's: the thread was started.
    uint32_t has_arrived; ///< A message is there that lane_send came upon.
    uint32_t spin_skip, spin_pause; ///< Waits that sleep at once: still to come, and after the next look in vain.
    enum lane_class used_for;
    uint8_t *scratch;   ///< LAYOUT_PART_LIMIT bytes of this side's own.
    struct lane *next;  ///< In the list of free or abandoned lanes.
    pthread_mutex_t mailbox_lock; ///< Of a server: descriptors that came for the next call.
    pthread_cond_t mailbox_filled;
    uint32_t file_count;
    uint32_t file_turn;
    uint32_t first_turn; ///< That of the message which came last, of its first part.
    int32_t files[INTERPOSER_LETTER_LIMIT];
};

/// A message that came, in memory of this side alone.
struct message {
    const uint8_t *bytes;
    uint64_t size;
    uint32_t kind;
    uint8_t *large; ///< What to free, where the message did not fit a lane.
};

/// All of these: 0, -ETIMEDOUT, -ECANCELED (the peer has ended), -EBADMSG (a breach; the peer is condemned), -ENOMEM.
int lane_send(struct lane *lane, uint32_t kind, const uint8_t *bytes, uint64_t size, uint64_t deadline_ns);
/// Waits for a message and copies it. -EMSGSIZE: it is too large, or too much is under way; the sender was stopped.
int lane_receive(struct lane *lane, struct message *message, uint64_t deadline_ns);
void message_free(isolation_peer *peer, struct message *message);
/// Where a message that fits may be written in place, before `lane_send` with `bytes` NULL.
static inline uint8_t *lane_room(struct lane *lane) { return lane->shared->part + sizeof(struct layout_part); }
void lane_wake(struct lane *lane);

/// A lane to be client of; waits for one. 0, -ETIMEDOUT, -ECANCELED, or what control_send says.
int lane_acquire(isolation_peer *peer, enum lane_class class, uint64_t deadline_ns, struct lane **lane);
void lane_release(struct lane *lane);
/// Given up while the server has it; it is found again when the server has answered after all.
void lane_abandon(struct lane *lane);

// MARK: Exchanges: a message and its reply (exchange.c)

struct exchange {
    enum lane_class class;
    uint64_t deadline_ns;
    uint32_t deadline_was_own; ///< It is the caller's, not a time-out of the configuration.
    const char *id, *slot;     ///< What the message is, for reports.
    struct lane *lane;
    struct message reply;      ///< Valid until exchange_finish.
};

/// The deadline that a time-out makes from now; 0 for none.
uint64_t deadline_after(uint64_t timeout_ns);
/// Sends what lies in `bytes`, or, where that is NULL, in the room of the lane, which must have been acquired then; waits
/// for a reply. On failure (as lane_send) the lane is taken care of.
int exchange_run(isolation_peer *peer, struct exchange *exchange, uint32_t kind, const uint8_t *bytes, uint64_t size);
/// Gives the reply and the lane back.
void exchange_finish(struct exchange *exchange);

// MARK: Receivers: functions of this side that the other side may call (receiver.c)

enum receiver_kind { RECEIVER_SINK = 1, RECEIVER_CALLBACK, RECEIVER_COMPLETION };

struct receiver_table;
struct receiver_table *receiver_table_create(void);
void receiver_table_free(struct receiver_table *table);
/// A number for the other side, 0 without room. It may be called at once, and is ended by `receiver_settle` with a
/// negative status, or else by what its kind says.
uint64_t receiver_add(isolation_peer *peer, enum receiver_kind kind, void (*function)(void), void *context, int is_once);
/// The call that carried it has returned. `object` and `handle` name what it may be cancelled by.
void receiver_settle(isolation_peer *peer, uint64_t number, int32_t status, uint32_t object, int32_t closer,
                     uint64_t handle);
/// The closing slot has returned: waits for runs other than this thread's own and forgets.
void receiver_close(isolation_peer *peer, uint32_t object, int32_t closer, uint64_t handle);
void receiver_sink(isolation_peer *peer, uint64_t number, uint32_t kind, const uint8_t *data, uint64_t size);
int32_t receiver_callback(isolation_peer *peer, uint64_t number, const uint8_t *data, uint64_t size, uint64_t *delay);
void receiver_complete(isolation_peer *peer, uint64_t number, int32_t status, const uint8_t *data, uint64_t size,
                       const hostd_error *error);
/// Ends all: completions with UNAVAILABLE, sinks with HOSTD_SINK_END.
void receiver_end_all(isolation_peer *peer);
void receiver_count(isolation_peer *peer, uint32_t *subscriptions, uint32_t *completions);

// MARK: Relays: what this side's callees get in place of a function of the other side (relay.c, delivery.c)

struct relay;
struct relay_list;
struct object;

struct relay_list *relay_list_create(void);
void relay_list_free(struct relay_list *list);
/// NULL without room. Holds the peer until it is over, and is the caller's until relay_settle.
struct relay *relay_create(isolation_peer *peer, enum receiver_kind kind, uint64_t receiver, int is_once);
/// What the callee gets in place of the other side's context, and of its function.
void *relay_token(const struct relay *relay);
void (*relay_function(enum receiver_kind kind))(void);
/// The callee has answered: any status but HOSTD_OK ends the relay; else it may be ended by `closer` with `handle`.
/// Returns 1 when the peer has ended meanwhile, and the caller must end at the callee what has just begun.
int relay_settle(struct relay *relay, int32_t status, const struct object *object, int32_t closer, uint64_t handle);
/// The closing slot has returned.
void relay_close(isolation_peer *peer, uint32_t object, int32_t closer, uint64_t handle);
/// Ends everything that the other side has begun here, and drops what waits to be delivered.
void relay_end_all(isolation_peer *peer);
uint32_t relay_begun(isolation_peer *peer);
/// Calls a closing slot, letters "he", of a table of this side.
void table_close_handle(const struct object *object, int32_t closer, uint64_t handle);

/// One message for a receiver of the other side, as it travels.
struct delivery {
    struct delivery *next;
    uint32_t kind; ///< LAYOUT_SINK or LAYOUT_COMPLETE.
    uint64_t size;
    uint8_t bytes[];
};
struct delivery *delivery_create(uint32_t kind, uint64_t receiver, uint32_t number, const uint8_t *data, uint64_t size,
                                 const hostd_error *error);
/// Sends one and waits until it was taken; one that is not condemns the peer.
void delivery_send(isolation_peer *peer, const struct delivery *delivery);
/// Runs a callback of the other side.
int32_t delivery_callback(isolation_peer *peer, uint64_t receiver, const uint8_t *data, uint64_t size, uint64_t *delay);

// MARK: Objects and proxies (object.c, proxy.c, serve.c)

struct object {
    uint32_t number;
    const hostd_interface *table; ///< NULL: refused.
    struct shape *shape;
    int32_t refusal;
    uint32_t was_resolved; ///< Found by id, not by address.
    hostd_buffer refusal_message;
};

const struct object *object_find(isolation_peer *peer, uint32_t number);
/// What `id` is here; a status, and the object on HOSTD_OK.
int32_t object_resolve(isolation_peer *peer, const char *id, const char *ends, const struct object **object,
                       hostd_error *error);
/// The object of a table of this side; NULL when there are too many.
const struct object *object_of_table(isolation_peer *peer, const hostd_interface *table);
void object_free_all(isolation_peer *peer);

/// Answers LAYOUT_RESOLVE and LAYOUT_DESCRIBE: what an object is, into `writer`.
struct writer;
void object_write(struct writer *writer, int32_t status, const struct object *object, const hostd_error *error);

/// The proxy of an object of the other side, made when it is new.
int32_t proxy_import_number(isolation_peer *peer, uint32_t number, const hostd_interface **table, hostd_error *error);
void proxy_free_all(isolation_peer *peer);

/// Starts the thread that serves a lane.
int lane_start(struct lane *lane);
/// Serves what comes in a lane until the peer ends; the body of a server's thread.
void serve_lane(void *lane);
/// Serves one message that has come, and answers. As lane_send.
int serve_message(struct lane *lane, const struct message *message);
/// Serves LAYOUT_CALL. As lane_send.
int serve_call(struct lane *lane, const struct message *message);

/// One call through a proxy. `arguments` are libffi's.
int32_t call_remote(isolation_peer *peer, uint32_t object, const struct shape *shape, uint32_t slot, void **arguments);

// MARK: Peers (peer.c, control.c)

struct isolation_peer {
    _Atomic(uint64_t) references;
    _Atomic(uint32_t) condemned;
    _Atomic(uint32_t) sleepers; ///< Threads in a futex of the shared memory.
    isolation_configuration configuration;
    uint8_t *memory;
    uint32_t lane_count;
    int socket;
    int alarm; ///< eventfd: the control thread has something to look at.
    struct lane *clients, *servers;

    pthread_mutex_t lane_lock;
    pthread_cond_t lane_freed;
    struct lane *free_lanes, *abandoned_lanes;
    uint32_t lane_waiters, used[CLASS_COUNT], quota[CLASS_COUNT];
    _Atomic(uint64_t) bytes_under_way;

    pthread_mutex_t object_lock;
    _Atomic(struct object *) objects[OBJECT_LIMIT];
    _Atomic(uint32_t) object_count;
    struct proxy *proxies;

    struct receiver_table *receivers;

    struct relay_list *relays;

    pthread_mutex_t end_lock;
    pthread_cond_t end_changed;
    uint32_t cause, has_ended;
    char reason[REASON_LIMIT];

    _Atomic(uint32_t) files_waiting; ///< In the mailboxes of all lanes.
    _Atomic(uint32_t) callbacks, was_given_up; ///< Functions of the configuration that run; that no more may begin.
    _Atomic(uint64_t) calls_out, errors_out, calls_in, errors_in, overruns, queued_bytes;
    _Atomic(uint32_t) calls_out_now, calls_in_now, threads, begun;
};

isolation_peer *peer_retain(isolation_peer *peer);
void peer_release(isolation_peer *peer);
/// Condemns because of `cause`; returns -EBADMSG for callers that report a breach.
int peer_end(isolation_peer *peer, uint32_t cause, const char *reason);
/// The other side broke the format. Returns -EBADMSG.
static inline int breach(isolation_peer *peer, const char *reason) { return peer_end(peer, ISOLATION_BREACH, reason); }
static inline int peer_has_ended(isolation_peer *peer) {
    return atomic_load_explicit(&peer->condemned, memory_order_acquire) != 0;
}
/// Around each function of the configuration but `died`: 0 when the peer was given up, and none may be called.
int peer_begin_callback(isolation_peer *peer);
void peer_end_callback(isolation_peer *peer);
/// Starts a detached thread that holds the peer; -errno.
int peer_start_thread(isolation_peer *peer, void (*body)(void *), void *argument);
void control_main(void *peer);
/// Sends a notice, with descriptors, before the deadline. 0, -ETIMEDOUT, -ECANCELED, or another -errno.
int control_send(isolation_peer *peer, const struct layout_notice *notice, const int32_t *files, uint64_t deadline_ns);
/// Takes the descriptors that were sent for the call in `lane` that has just come.
int control_take_files(struct lane *lane, uint32_t count, int32_t *files);

/// Copies an error into the caller's, its message into memory that the caller releases.
void copy_error(hostd_error *place, const hostd_error *error);
/// A copy of bytes that the receiver releases with free. -1 without memory.
int copy_buffer(hostd_buffer *buffer, const uint8_t *bytes, uint64_t size);

uint64_t now_ns(void);
/// Waits on a condition of the monotonic clock; 0 = for ever. Returns ETIMEDOUT or 0.
int wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t deadline_ns);
void condition_initialize(pthread_cond_t *condition);
/// Fills `error` (which may be NULL) with a constant sentence; returns `status`.
int32_t fail(hostd_error *error, int32_t status, const char *sentence);
/// The status and sentence for a -errno of a lane.
int32_t fail_exchange(isolation_peer *peer, int code, hostd_error *error);

#endif
