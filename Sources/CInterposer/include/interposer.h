/// The interposer: complete, counted, swappable interface tables made from slot descriptors with libffi.
///
///     caller ── binding (stable table, one closure a slot) ──pin──► target (one provider's table, statistics) ──► plugin
///
/// A descriptor is parsed once. A target stands for one provider of a role: its table, the calls that are inside it
/// now (pins) and its statistics. A binding is what callers hold; which target it forwards to is one atomic pointer.
/// Everything here may be used from any thread unless a line says otherwise.
#ifndef HOSTD_INTERPOSER_H
#define HOSTD_INTERPOSER_H

#include "hostd/abi.h"

HOSTD_ASSUME_NONNULL_BEGIN

#define INTERPOSER_DESCRIPTOR_LIMIT 8192 ///< Bytes of a descriptor's text.
#define INTERPOSER_SLOT_LIMIT 256        ///< Slots of one interface.
#define INTERPOSER_NAME_LIMIT 64         ///< Bytes of a slot's name.
#define INTERPOSER_LETTER_LIMIT 24       ///< Letters of one slot.
#define INTERPOSER_MESSAGE_LIMIT 256     ///< Bytes of an error message, terminator included.

// MARK: Descriptors

/// A parsed descriptor: immutable, counted references.
typedef struct interposer_descriptor interposer_descriptor;

/// Parses "name:letters;…" strictly. NULL on a mistake, with a sentence that names the place in `message`, which has
/// room for INTERPOSER_MESSAGE_LIMIT bytes. The result holds one reference.
interposer_descriptor *HOSTD_NULLABLE interposer_descriptor_create(const char *text, char *message);
interposer_descriptor *interposer_descriptor_retain(interposer_descriptor *descriptor);
void interposer_descriptor_release(interposer_descriptor *descriptor);
uint32_t interposer_descriptor_count(const interposer_descriptor *descriptor);
const char *interposer_descriptor_name(const interposer_descriptor *descriptor, uint32_t slot);
const char *interposer_descriptor_letters(const interposer_descriptor *descriptor, uint32_t slot);
/// Position of a slot, -1 when there is none of that name.
int32_t interposer_descriptor_find(const interposer_descriptor *descriptor, const char *name);
/// 1 when the two agree on every slot that both have (one may have appended slots); else 0 and a sentence.
int32_t interposer_descriptor_agree(const interposer_descriptor *provider, const interposer_descriptor *expected,
                                    char *message);
/// What the letters of a slot do not say stands in `traits`: an interface's HOSTD_…_ENDS and HOSTD_…_TAGS, joined by ";";
/// NULL = nothing. The slot that ends what slot `index` begins, "open:close", else NAME_cancel; its letters are "he". -1 =
/// none.
int32_t interposer_descriptor_closer(const interposer_descriptor *descriptor, uint32_t index,
                                     const char *HOSTD_NULLABLE traits);
/// Position among the letters of slot `index` that "slot:tag=N" names, when that is a `letter`; else -1.
int32_t interposer_descriptor_tag(const interposer_descriptor *descriptor, uint32_t index,
                                  const char *HOSTD_NULLABLE traits, const char *tag, char letter);

// MARK: Targets

typedef struct interposer_target interposer_target;

/// Makes a target of a provider's table. Slots behind the table's `struct_size` and NULL slots count as missing.
/// The table must stay valid until the target was drained and retired. Its memory is used again by a later target, and never
/// given back: a late caller may still touch its pin count.
interposer_target *interposer_target_create(interposer_descriptor *descriptor, const hostd_interface *provider);
/// Calls that are inside the target now.
uint32_t interposer_target_calls(const interposer_target *target);
/// Operations that the target has accepted and not completed.
uint32_t interposer_target_operations(const interposer_target *target);
/// Waits until no call is inside: 0, or -ETIMEDOUT when `deadline_ns` (monotonic, 0 = none) passed first. Callers still
/// arrive unless every binding was set to another target before.
int32_t interposer_target_drain_calls(interposer_target *target, uint64_t deadline_ns);
/// Waits in the same way until every accepted operation has completed.
int32_t interposer_target_drain_operations(interposer_target *target, uint64_t deadline_ns);
/// Ends a target, and frees its statistics. Once, after both drains of a target that no binding forwards to.
void interposer_target_retire(interposer_target *target);

/// Figures of one slot, or of all when added up.
typedef struct interposer_statistics {
    uint64_t calls;
    uint64_t errors;         ///< Calls that ended with a negative status.
    uint64_t violations;     ///< Breaches of the ABI: positive status, second completion, completion after refusal.
    uint64_t slow;           ///< Calls that took longer than their cost.
    uint64_t p50_nanoseconds;
    uint64_t p99_nanoseconds;
    uint64_t total_nanoseconds; ///< Sum, from the histogram (± 6 %).
} interposer_statistics;

/// Statistics of one slot; `slot` UINT32_MAX adds up all slots.
void interposer_target_statistics(const interposer_target *target, uint32_t slot, interposer_statistics *statistics);

// MARK: Bindings

typedef struct interposer_binding interposer_binding;

/// Makes a complete table for `descriptor` under `id`. NULL only without memory.
interposer_binding *HOSTD_NULLABLE interposer_binding_create(const char *id, interposer_descriptor *descriptor);
/// The table that callers use; its address never changes.
const hostd_interface *interposer_binding_table(const interposer_binding *binding);
/// Lets new calls wait from now on until the next `set`, at most `limit_ns` each and never past their own deadline (the
/// first letter `t`); those that waited in vain answer HOSTD_ERROR_UNAVAILABLE. Calls inside the target go on: drain it.
void interposer_binding_hold(interposer_binding *binding, uint64_t limit_ns);
/// Calls that wait now.
uint32_t interposer_binding_held(const interposer_binding *binding);
/// Forwards from now on to `target`, calls that were held too; NULL = calls answer HOSTD_ERROR_UNAVAILABLE. Returns
/// the previous target, NULL after a hold.
interposer_target *HOSTD_NULLABLE interposer_binding_set(interposer_binding *binding,
                                                         interposer_target *HOSTD_NULLABLE target);
/// Frees a binding. No caller may hold its table any more.
void interposer_binding_destroy(interposer_binding *binding);

// MARK: Calls by name

#define INTERPOSER_CALL_ARGUMENTS 8

/// Arguments of a call whose shape is known at run time only: borrowed byte views for `b`, descriptors for `f` and `F`,
/// one deadline for `t`, scalars for `i u l w h`, and room for what `o H W I` return.
typedef struct interposer_call {
    uint64_t deadline_ns;
    const uint8_t *HOSTD_NULLABLE bytes[INTERPOSER_CALL_ARGUMENTS];
    uint64_t sizes[INTERPOSER_CALL_ARGUMENTS];
    uint32_t byte_count;
    int32_t files[INTERPOSER_CALL_ARGUMENTS];
    uint32_t file_count;
    int64_t scalars[INTERPOSER_CALL_ARGUMENTS];
    uint32_t scalar_count;
    hostd_buffer output;
    uint64_t handle; ///< What `H` or `W` returned, or `I` in its low half.
} interposer_call;

static inline void interposer_call_set_bytes(interposer_call *call, uint32_t index, const uint8_t *HOSTD_NULLABLE bytes,
                                             uint64_t size) {
    call->bytes[index] = bytes;
    call->sizes[index] = size;
}
static inline void interposer_call_set_file(interposer_call *call, uint32_t index, int32_t file) {
    call->files[index] = file;
}
static inline void interposer_call_set_scalar(interposer_call *call, uint32_t index, int64_t scalar) {
    call->scalars[index] = scalar;
}

/// Counts what a slot takes, to check a request before the call. 0, or -1 when it has letters that a call by name
/// cannot give (d s S a c v q) or two outputs of a kind.
int32_t interposer_call_shape(const char *letters, uint32_t *bytes, uint32_t *files, uint32_t *scalars);
/// Calls slot `slot` of `table`, which must follow `descriptor`. HOSTD_ERROR_INVALID_ARGUMENT when the arguments do not
/// fit the shape. File descriptors of letter `F` belong to the provider afterwards.
int32_t interposer_call_slot(const hostd_interface *table, const interposer_descriptor *descriptor, uint32_t slot,
                             interposer_call *call, hostd_error *error);

// MARK: Reports

/// Is told of every breach of the ABI by a provider. `what` is a sentence.
typedef void (*interposer_reporter)(const char *role, const char *slot, const char *what);
void interposer_set_reporter(interposer_reporter HOSTD_NULLABLE reporter);

/// Completions that providers still owe, over all targets.
uint64_t interposer_outstanding_completions(void);

// MARK: Slow calls

/// Declares the longest that a call of a slot should take; before the target is bound. `owner`: the provider's name.
void interposer_target_set_cost(interposer_target *target, uint32_t slot, uint64_t nanoseconds, const char *owner);
/// Is told of every call that outran its cost, by the calling thread when it returns; and by
/// `interposer_report_slow_inside` of one that is still inside, once.
typedef void (*interposer_slow_reporter)(const char *owner, const char *role, const char *slot, uint64_t nanoseconds,
                                         int32_t is_inside);
void interposer_set_slow_reporter(interposer_slow_reporter HOSTD_NULLABLE reporter);
/// Looks at the calls that are inside now. By one thread at a time.
void interposer_report_slow_inside(void);

// MARK: Ledgers

/// A table for one user, over another one, that remembers what the user began and has not ended: subscriptions (`v`) and
/// callbacks (`q`) with a handle (`H`). Only the slots that begin and end are wrapped.
typedef struct interposer_ledger interposer_ledger;

/// `traits` are the interface's HOSTD_…_ENDS and HOSTD_…_TAGS, or NULL. The table below stays valid as long as the ledger. NULL without memory.
interposer_ledger *HOSTD_NULLABLE interposer_ledger_create(const hostd_interface *table,
                                                           interposer_descriptor *descriptor,
                                                           const char *HOSTD_NULLABLE traits);
const hostd_interface *interposer_ledger_table(const interposer_ledger *ledger);
/// What is open that slot `slot` began; UINT32_MAX = all.
uint32_t interposer_ledger_open(const interposer_ledger *ledger, uint32_t slot);
/// Ends all that is open. When it returns no callback of the user runs.
void interposer_ledger_end(interposer_ledger *ledger);
/// Frees a ledger that nothing is open in. Nobody may hold its table any more.
void interposer_ledger_destroy(interposer_ledger *ledger);

// MARK: Entry of a plugin

/// Names the first function pointer of a filled hostd_plugin that is NULL; NULL when all are there. (Swift cannot look
/// at a pointer that is declared non-null.)
const char *HOSTD_NULLABLE interposer_missing_plugin_function(const void *plugin);

HOSTD_ASSUME_NONNULL_END
#endif
