/// The allocator of a program that links this target: jemalloc, for all that the process and its plugins allocate.
#ifndef HOSTD_ALLOCATOR_H
#define HOSTD_ALLOCATOR_H

#include <stddef.h>

/// Whether allocations go where this target sends them; false when another allocator was loaded before.
int allocator_is_in_charge(void);

/// Bytes that are allocated now, as the allocator counts them; 0 when it is not in charge. Any thread; not for hot paths.
size_t allocator_bytes(void);

#endif
