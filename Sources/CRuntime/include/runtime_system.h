/// System calls that neither Swift's Glibc module nor the C library offers in a form that Swift can call.
/// Each returns the call's result, or -1 with errno.
#ifndef RUNTIME_SYSTEM_H
#define RUNTIME_SYSTEM_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

/// openat2(2). `resolve` is a set of RUNTIME_RESOLVE_ bits.
int runtime_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
#define RUNTIME_RESOLVE_NO_MAGIC_LINKS 0x02
#define RUNTIME_RESOLVE_IN_ROOT 0x10

int runtime_pidfd_open(pid_t process);
int runtime_pidfd_send_signal(int process, int signal);
/// A sealed memory file with the given content.
int runtime_memory_file(const char *name, const void *bytes, size_t size);
/// An empty one that can be written.
int runtime_empty_memory_file(const char *name);
/// pipe2(2) with O_CLOEXEC.
int runtime_pipe(int *ends);
/// The name of the calling thread, for ps and debuggers; at most 15 bytes.
void runtime_name_thread(const char *name);
/// For tests: unshare(2).
int runtime_unshare(int flags);
int runtime_syncfs(int descriptor);
uint64_t runtime_make_device(uint32_t major, uint32_t minor);
uint32_t runtime_device_major(uint64_t device);
uint32_t runtime_device_minor(uint64_t device);

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program and returns its descriptor.
int runtime_load_device_program(const struct bpf_insn *instructions, uint32_t count);
/// Attaches it beside others (BPF_F_ALLOW_MULTI).
int runtime_attach_device_program(int cgroup, int program);

/// The process that listens, or has connected, at the other end of a Unix socket (SO_PEERCRED).
pid_t runtime_peer_process(int socket);
/// One message with descriptors (SCM_RIGHTS).
ssize_t runtime_send_descriptors(int socket, const void *bytes, size_t size, const int *descriptors, int count);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif

#endif
