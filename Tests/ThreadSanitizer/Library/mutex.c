// Lets the thread sanitizer see the contended path of Synchronization.Mutex.
//
// A Mutex that is free is taken by an atomic operation in the caller, which is compiled with the sanitizer. One that is held is
// waited for inside libswiftSynchronization, which is not: the kernel hands the futex word from one thread to the other, and
// the sanitizer sees no order between them. These three functions stand before the library's of the same names (a definition in
// the program comes first), call them, and say what happens there. The Mutex under test stays the library's own.
//
// The names are those of Swift 6; a library without them ends the process, and one that no longer calls them fails
// PlantedRaces.
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "thread_sanitizer.h"

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

// Of the sanitizer's runtime: a mark at an address, and that all before another thread's mark is before what follows.
void __tsan_release(void *address);
void __tsan_acquire(void *address);

typedef SWIFT void lock_function(uint32_t thread, SELF void *mutex);
typedef SWIFT bool try_lock_function(SELF void *mutex);
typedef SWIFT void unlock_function(SELF void *mutex);

static lock_function *next_lock;
static try_lock_function *next_try_lock;
static unlock_function *next_unlock;
static _Atomic(uint64_t) contended;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        fprintf(stderr, "thread sanitizer: Swift's library has no %s; Tests/ThreadSanitizer/Library must follow it\n", name);
        abort();
    }
    return found;
}

__attribute__((constructor)) static void find(void) {
    next_lock = (lock_function *)next(LOCK);
    next_try_lock = (try_lock_function *)next(TRY_LOCK);
    next_unlock = (unlock_function *)next(UNLOCK);
}

SWIFT void traced_lock(uint32_t thread, SELF void *mutex) __asm__(LOCK);
SWIFT bool traced_try_lock(SELF void *mutex) __asm__(TRY_LOCK);
SWIFT void traced_unlock(SELF void *mutex) __asm__(UNLOCK);

SWIFT void traced_lock(uint32_t thread, SELF void *mutex) {
    next_lock(thread, mutex);
    __tsan_acquire(mutex);
    atomic_fetch_add_explicit(&contended, 1, memory_order_relaxed);
}

SWIFT bool traced_try_lock(SELF void *mutex) {
    if (!next_try_lock(mutex)) return false;
    __tsan_acquire(mutex);
    return true;
}

SWIFT void traced_unlock(SELF void *mutex) {
    __tsan_release(mutex);
    next_unlock(mutex);
}

uint64_t thread_sanitizer_contended_locks(void) { return atomic_load_explicit(&contended, memory_order_relaxed); }
