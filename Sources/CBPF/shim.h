#pragma once
#include <bpf/libbpf.h>
#include <bpf/bpf.h>

// glibc shows setns to _GNU_SOURCE alone, which a module map cannot define.
extern int setns(int descriptor, int type);

/// Moves the calling thread into the network namespace (CLONE_NEWNET) that the descriptor is open on: 0, or -1 and errno.
static inline int hostd_enter_network_namespace(int descriptor) { return setns(descriptor, 0x40000000); }
