/// The low half of the conformance kit: calls of any slot with any arguments, memory that ends at an unmapped page,
/// recorders for what a plugin calls back, tables that keep account of what a plugin takes from the host, facts of the
/// process, and a sandbox. docs/abi.md numbers the rules.
#ifndef HOSTD_PLUGIN_CHECK_H
#define HOSTD_PLUGIN_CHECK_H

#include "hostd/plugin.h"

HOSTD_ASSUME_NONNULL_BEGIN

// MARK: Calls

#define CHECK_ARGUMENT_LIMIT 24

/// The argument of one letter: `number` for i u l w h t f F, `real` for d, `data` and `size` for b and a, `data` for s S o
/// H W I e, `function` and `context` for c v q.
typedef struct check_argument {
    uint64_t number;
    double real;
    const void *HOSTD_NULLABLE data;
    uint64_t size;
    void (*HOSTD_NULLABLE function)(void);
    void *HOSTD_NULLABLE context;
} check_argument;

/// Calls slot number `slot` of a table, whose letters are given, with one argument a letter. The table must have the slot.
int32_t check_call(const hostd_interface *table, uint32_t slot, const char *letters, const check_argument *arguments);
/// 1 when the table has room for the slot and it is not NULL.
int32_t check_has_slot(const hostd_interface *table, uint32_t slot);

// MARK: Memory

/// A copy of `size` bytes that can only be read and ends at an unmapped page; NULL for size 0. `is_structure` tells a flat
/// struct from bytes, for `check_explain_faults`.
const uint8_t *HOSTD_NULLABLE check_lend(const void *HOSTD_NULLABLE bytes, uint64_t size, int32_t is_structure);
/// Ends a loan: whoever touches the bytes from now on ends the process. The address is not used again for some time.
void check_take_back(const uint8_t *HOSTD_NULLABLE bytes, uint64_t size);
/// Zeroed room for a writer that ends at an unmapped page.
void *check_room(uint64_t size);
void check_room_free(void *room, uint64_t size);
/// From now on a fault in this memory is told of as a line `{"fault":{"rule":N,"what":"…"}}` before it ends the process.
void check_explain_faults(int32_t file);
/// FNV-1a of bytes; reads every one.
uint64_t check_hash(const void *HOSTD_NULLABLE bytes, uint64_t size);

// MARK: Recorders

/// What came to one completion. Kept for the life of the process, so that a late second one is seen.
typedef struct check_operation check_operation;
check_operation *check_operation_create(void);
void check_operation_completion(void *HOSTD_NULLABLE context, int32_t status, const uint8_t *HOSTD_NULLABLE data,
                                uint64_t size, const hostd_error *HOSTD_NULLABLE error);
/// Waits until it has run `count` times or the time is over; how often it ran.
uint32_t check_operation_wait(check_operation *operation, uint32_t count, uint64_t timeout_ns);
int32_t check_operation_status(check_operation *operation);
/// 1 when a status below zero came without an error, or HOSTD_OK with one.
int32_t check_operation_has_wrong_error(check_operation *operation);
/// The data of the first completion.
const uint8_t *HOSTD_NULLABLE check_operation_data(check_operation *operation, uint64_t *size);

/// What came to one sink.
typedef struct check_stream check_stream;
typedef struct check_message {
    uint32_t kind;
    const uint8_t *HOSTD_NULLABLE data;
    uint64_t size;
} check_message;
typedef struct check_stream_state {
    uint64_t messages;
    uint32_t overlapping;  ///< Calls that ran while another one was inside.
    uint32_t after_end;    ///< Calls after END or RESYNC.
    uint32_t after_cancel; ///< Calls after `check_stream_cancelled`.
    uint32_t unknown_kinds;
    uint32_t ended;
    uint32_t inside;
} check_stream_state;
check_stream *check_stream_create(void);
void check_stream_sink(void *HOSTD_NULLABLE context, uint32_t kind, const uint8_t *HOSTD_NULLABLE data, uint64_t size);
/// From now on nothing may come.
void check_stream_cancelled(check_stream *stream);
void check_stream_look(check_stream *stream, check_stream_state *state);
/// Message number `index`; 0 when there is none. Its bytes stay.
int32_t check_stream_message(check_stream *stream, uint64_t index, check_message *message);
/// Waits for `count` messages; how many there are.
uint64_t check_stream_wait(check_stream *stream, uint64_t count, uint64_t timeout_ns);
/// How long the sink stays inside each call. Nanoseconds.
void check_stream_linger(check_stream *stream, uint64_t nanoseconds);

/// A callback that does nothing and asks for nothing.
int32_t check_callback(void *HOSTD_NULLABLE context, const uint8_t *HOSTD_NULLABLE data, uint64_t size,
                       uint64_t *delay_ns);

// MARK: Ledger

/// Where a plugin instance stands, for the ledger's judgement.
enum { CHECK_ENTERING = 0, CHECK_IDLE = 1, CHECK_ACTIVE = 2, CHECK_ENDED = 3 };

/// Keeps account of what one plugin instance takes from the host. Lives as long as the process.
typedef struct check_ledger check_ledger;
/// `report` is told of breaches, from any thread: the rule, the interface and slot, and a sentence.
typedef void (*check_reporter)(void *HOSTD_NULLABLE context, uint32_t rule, const char *interface, const char *slot,
                               const char *what);
check_ledger *check_ledger_create(check_reporter report, void *HOSTD_NULLABLE context);
/// A table for the plugin in front of `real`: the same slots, kept account of. `is_role` when plugins provide it and not
/// the host; `traits` are HOSTD_…_ENDS and HOSTD_…_TAGS, joined by ";", or NULL. NULL when the descriptor cannot be read. The same
/// table for the same interface.
const hostd_interface *HOSTD_NULLABLE check_ledger_table(check_ledger *ledger, const hostd_interface *real, int32_t is_role,
                                                         const char *HOSTD_NULLABLE traits);
void check_ledger_state(check_ledger *ledger, int32_t state);
/// To be called around every call into the plugin: what a plugin does outside of them, when it is not active, is a breach.
void check_ledger_enter(check_ledger *ledger);
void check_ledger_leave(check_ledger *ledger);
/// What is open, as "slot of interface: number" lines; the buffer has room for `size` bytes. The number of open things.
uint32_t check_ledger_open(check_ledger *ledger, char *text, uint64_t size);
/// Buffers that the plugin took and has not released, in the same way.
uint32_t check_ledger_buffers(check_ledger *ledger, char *text, uint64_t size);

// MARK: Process

/// Threads of this process, "name\n" each; at most `size` bytes. Their number.
uint32_t check_threads(char *text, uint64_t size);
/// Open descriptors, "number flags target\n" each, flags 1 = close-on-exec. Their number.
uint32_t check_descriptors(char *text, uint64_t size);
/// What a plugin must not change, "name=value\n" each: handlers, mask, umask, working directory, environment, streams.
void check_process(char *text, uint64_t size);
/// Runs `body` in `count` threads at once and waits for all.
void check_in_threads(uint32_t count, void (*body)(void *HOSTD_NULLABLE context, uint32_t number),
                      void *HOSTD_NULLABLE context);

// MARK: Sandbox

/// Forks twice so that the rest of this program runs as the second process of namespaces of its own (user where needed,
/// mount, network with loopback, IPC, host name, process), everything but `writable` read-only. Returns in that process
/// alone; the raw wait status goes to `status_file` as a line `{"status":N}`. `failure` names what could not be had; the
/// program then runs on without namespaces, in a fork.
void check_enter_sandbox(const char *writable, int32_t status_file, char *failure, uint64_t failure_size);
/// Removes a directory and all in it that lies on the same file system; 0 or -1.
int32_t check_remove_tree(const char *path);
/// Removes the control groups of that name, in whichever hierarchy.
void check_remove_groups(const char *name);
/// socketpair(2) of SOCK_SEQPACKET, close-on-exec; 0 or -1.
int32_t check_socket_pair(int32_t *ends);
/// An empty file without a name, close-on-exec; -1 when there is none.
int32_t check_nameless_file(void);
/// 1 when `path` is a mount point of this namespace.
int32_t check_is_mounted(const char *path);
/// Makes a network namespace and keeps it at `path` (a file that is made); 0 or -errno.
int32_t check_make_network_namespace(const char *path);

HOSTD_ASSUME_NONNULL_END
#endif
