/// What the ledger knows of a plugin instance; of ledger.c alone.
#ifndef HOSTD_PLUGIN_CHECK_LEDGER_H
#define HOSTD_PLUGIN_CHECK_LEDGER_H

#include <ffi.h>
#include <pthread.h>
#include <stdatomic.h>

#include "plugin_check.h"

HOSTD_ASSUME_NONNULL_BEGIN

/// One slot of one table, as this plugin uses it.
typedef struct account {
    struct accounted_table *table;
    char name[65];
    char letters[CHECK_ARGUMENT_LIMIT + 1];
    void (*HOSTD_NULLABLE function)(void);
    struct account *HOSTD_NULLABLE closer; ///< The slot that ends what this one begins.
    int32_t is_closer;
    uint32_t once; ///< The argument with which the callback is over after one run when it is 0; 0 = there is none.
    _Atomic(uint32_t) taken; ///< Buffers that are not released.
    ffi_cif *HOSTD_NULLABLE cif;
    ffi_type *HOSTD_NULLABLE *HOSTD_NULLABLE types;
} account;

/// A subscription, timer, queue or operation. Never freed: something late may still come.
typedef struct open_thing {
    struct open_thing *HOSTD_NULLABLE next;
    const account *account;
    uint64_t handle;
    int32_t has_handle;
    int32_t is_single; ///< Over when it has run once.
    _Atomic(int32_t) is_closed;
    /// Its completion has been called, and may be on its way back.
    _Atomic(int32_t) is_answered;
    hostd_completion HOSTD_NULLABLE completion;
    hostd_sink HOSTD_NULLABLE sink;
    hostd_callback HOSTD_NULLABLE callback;
    void *HOSTD_NULLABLE callback_context;
} open_thing;

typedef struct accounted_table {
    struct accounted_table *HOSTD_NULLABLE next;
    struct check_ledger *ledger;
    const hostd_interface *real;
    hostd_interface *interface;
    char *id;
    int32_t is_role;
    uint32_t count;
    account accounts[];
} accounted_table;

struct check_ledger {
    pthread_mutex_t lock;
    check_reporter report;
    void *HOSTD_NULLABLE context;
    accounted_table *HOSTD_NULLABLE tables;
    open_thing *HOSTD_NULLABLE things;
    _Atomic(int32_t) state;
    _Atomic(uint32_t) inside;
};

HOSTD_ASSUME_NONNULL_END
#endif
