/// The base of the hostd plugin ABI: status codes, borrowed and owned bytes, errors, callbacks, interfaces.
///
/// Everything in this header and its neighbours is plain C that also compiles as C++17 and imports into Swift. It
/// declares, and holds no state and no code but inline helpers. docs/abi.md states the rules and numbers them.
#ifndef HOSTD_ABI_H
#define HOSTD_ABI_H

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#define HOSTD_NULLABLE _Nullable
#define HOSTD_NONNULL _Nonnull
#define HOSTD_ASSUME_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define HOSTD_ASSUME_NONNULL_END _Pragma("clang assume_nonnull end")
#else
#define HOSTD_NULLABLE
#define HOSTD_NONNULL
#define HOSTD_ASSUME_NONNULL_BEGIN
#define HOSTD_ASSUME_NONNULL_END
#endif

#if defined(__cplusplus)
#define HOSTD_EXTERN_C_BEGIN extern "C" {
#define HOSTD_EXTERN_C_END }
#else
#define HOSTD_EXTERN_C_BEGIN
#define HOSTD_EXTERN_C_END
#endif

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

/// The ABI version that this header describes. A host offers a range; a plugin picks one version in it or refuses.
#define HOSTD_ABI_VERSION 1

/// Status of every call: HOSTD_OK or one of the negative codes below. Callers treat an unknown negative code as
/// HOSTD_ERROR_INTERNAL, and a positive value as a violation of the ABI.
#define HOSTD_OK 0
#define HOSTD_ERROR_INTERNAL -1            ///< A fault of the callee.
#define HOSTD_ERROR_INVALID_ARGUMENT -2    ///< The arguments can never be right; do not retry.
#define HOSTD_ERROR_NOT_FOUND -3           ///< What was named does not exist.
#define HOSTD_ERROR_ALREADY_EXISTS -4      ///< What should be made exists.
#define HOSTD_ERROR_CONFLICT -5            ///< A revision precondition failed: read again, then retry.
#define HOSTD_ERROR_UNAVAILABLE -6         ///< Not now: no provider, restarting, draining. Retry.
#define HOSTD_ERROR_DEADLINE_EXCEEDED -7   ///< The deadline passed first; the effect is unknown.
#define HOSTD_ERROR_CANCELLED -8           ///< The caller cancelled.
#define HOSTD_ERROR_NOT_SUPPORTED -9       ///< The provider lacks this slot or capability.
#define HOSTD_ERROR_FORBIDDEN -10          ///< Policy or a missing grant forbids it.
#define HOSTD_ERROR_RESOURCE_EXHAUSTED -11 ///< A bound was reached: addresses, memory, queue length.
#define HOSTD_ERROR_COMPACTED -12          ///< The revision asked for is no longer retained.
#define HOSTD_ERROR_NO_SPACE -13           ///< The disk is full; nothing was written.
#define HOSTD_ERROR_WRONG_STATE -14        ///< Not allowed in the present life-cycle state.
#define HOSTD_ERROR_DATA_LOSS -15          ///< Stored bytes are damaged.
#define HOSTD_ERROR_VERSION -16            ///< No common ABI or format version.

/// Bytes handed out by a callee. Whoever allocates releases: the receiver calls `release(context)` exactly once when
/// `release` is not NULL, from any thread, and never frees `data` itself. A zeroed buffer is empty and needs nothing.
typedef struct hostd_buffer {
    const uint8_t *HOSTD_NULLABLE data;
    uint64_t size; ///< In bytes.
    void (*HOSTD_NULLABLE release)(void *HOSTD_NULLABLE context);
    void *HOSTD_NULLABLE context;
} hostd_buffer;

/// Details of a failed call. The caller zeroes it, sets `struct_size`, and after a negative status releases `message`.
/// A callee may leave it untouched. A message is one UTF-8 sentence that names the thing and the remedy; readers take
/// at most HOSTD_ERROR_MESSAGE_LIMIT bytes of it.
typedef struct hostd_error {
    uint32_t struct_size;
    int32_t code;             ///< The status again, or 0 when untouched.
    uint32_t retryable;       ///< 1 when the same call may succeed later.
    uint32_t retry_delay_ms;  ///< Least delay before a retry, milliseconds.
    hostd_buffer message;
} hostd_error;
#define HOSTD_ERROR_MESSAGE_LIMIT 4096

/// Completion of an operation: called exactly once, from any thread, also after a cancel. `data` is borrowed for the
/// call. `error` is NULL when `status` is HOSTD_OK. [any-thread]
typedef void (*hostd_completion)(void *HOSTD_NULLABLE context, int32_t status, const uint8_t *HOSTD_NULLABLE data,
                                 uint64_t size, const hostd_error *HOSTD_NULLABLE error);

/// A stream of messages to a subscriber: serial for one subscription, from any thread. `data` is borrowed. After
/// HOSTD_SINK_END no further call follows. A sink must return promptly: while it runs, its own stream waits.
typedef void (*hostd_sink)(void *HOSTD_NULLABLE context, uint32_t kind, const uint8_t *HOSTD_NULLABLE data,
                           uint64_t size);
#define HOSTD_SINK_DATA 1     ///< One message, or one batch of records, in `data`.
#define HOSTD_SINK_END 2      ///< The stream is over; `data` is a UTF-8 reason, empty after a cancel.
#define HOSTD_SINK_RESYNC 3   ///< The subscriber was too slow or asked for too old a state: list again. The stream is over.
#define HOSTD_SINK_PROGRESS 4 ///< `data` is a little-endian uint64 revision: all events up to it were delivered.

/// A callback of work or time: `data` is the key, borrowed. `*delay_ns` (zero at entry) may be set to ask for another
/// call with the same key after that many nanoseconds. A negative result asks for a retry with back-off.
typedef int32_t (*hostd_callback)(void *HOSTD_NULLABLE context, const uint8_t *HOSTD_NULLABLE data, uint64_t size,
                                  uint64_t *delay_ns);

/// Head of every interface table ("vtable"), host services and plugin roles alike. The slots follow it directly, each
/// a pointer to a function whose first argument is `self` of the table that it was read from and whose result is a
/// status. `slots` describes them in order; see docs/abi.md for the grammar:
///
///     name:letters;name:letters;…
///
///     i int32   u uint32   l int64   w uint64   d double   h uint64 handle   t uint64 deadline, monotonic ns, 0 = none
///     b borrowed bytes (pointer, uint64 size)              o owned bytes out (hostd_buffer *)
///     s flat sized struct in (const T *)                   S flat sized struct out (T *, caller sets struct_size)
///     a array of flat sized structs (const T *, uint64 count)
///     H handle out (uint64 *)                              W uint64 out (uint64 *)      I int32 out (int32 *)
///     c completion (hostd_completion, void *context)       v sink (hostd_sink, void *context)
///     q callback (hostd_callback, void *context)           f file descriptor, borrowed   F file descriptor, given away
///     e error (hostd_error *), always last
///
/// Beside a descriptor an interface may declare, in the same form:
///
///     HOSTD_…_ENDS  "open:close;…"   which slot ends what another one began (a slot with `v` or `q` and `H`: the handle
///                                    goes to the closing slot, letters `he`). What is not listed follows the rule
///                                    NAME, NAME_cancel.
///     HOSTD_…_TAGS  "slot:tag=N;…"   what the letters of a slot do not say; N counts its letters from 0:
///                                    once=N   letter N is a `w`; when it is 0, the callback is over after a run that
///                                             succeeds and asks for no other: nobody need end it.
///                                    table=N  letter N is a `W` that gives the address of a hostd_interface, which keeps
///                                             the promises of get_interface.
///     HOSTD_…_COSTS "slot:10ms;…"    the longest that a call may take (us, ms, s); what is not listed may block.
///
/// Tables obtained from the host are complete: a slot that the provider left NULL answers HOSTD_ERROR_NOT_SUPPORTED.
typedef struct hostd_interface {
    uint32_t struct_size; ///< Of the whole table, slots included; tells a reader which appended slots exist.
    uint32_t reserved;
    void *HOSTD_NULLABLE self;
    const char *id;    ///< For instance "hostd.scheduler/1".
    const char *slots; ///< The descriptor of this table's slots.
} hostd_interface;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
