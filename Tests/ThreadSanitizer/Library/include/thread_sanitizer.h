/// What the thread sanitizer is told about Swift's library. Linked only into builds with that sanitizer; see docs/fuzzing.md.
#ifndef HOSTD_THREAD_SANITIZER_H
#define HOSTD_THREAD_SANITIZER_H

#include <stdint.h>

/// How often a thread had to wait for a Mutex so far, and was seen to get it.
uint64_t thread_sanitizer_contended_locks(void);

#endif
