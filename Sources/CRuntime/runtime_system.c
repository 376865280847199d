#define _GNU_SOURCE
#include "runtime_system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

_Static_assert(RUNTIME_RESOLVE_NO_MAGIC_LINKS == RESOLVE_NO_MAGICLINKS, "openat2.h");
_Static_assert(RUNTIME_RESOLVE_IN_ROOT == RESOLVE_IN_ROOT, "openat2.h");

int runtime_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    int result;
    do
        result = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (result < 0 && (errno == EAGAIN || errno == EINTR)); // EAGAIN: a rename raced with the walk.
    return result;
}

int runtime_pidfd_open(pid_t process)
{
    return (int)syscall(SYS_pidfd_open, process, 0);
}

int runtime_pidfd_send_signal(int process, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, process, signal, NULL, 0);
}

int runtime_memory_file(const char *name, const void *bytes, size_t size)
{
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return -1;
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(file, at, size);
        if (written < 0 && errno != EINTR) {
            int code = errno;
            close(file);
            errno = code;
            return -1;
        }
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    lseek(file, 0, SEEK_SET);
    return file;
}

int runtime_empty_memory_file(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC);
}

int runtime_pipe(int *ends)
{
    return pipe2(ends, O_CLOEXEC);
}

void runtime_name_thread(const char *name)
{
    pthread_setname_np(pthread_self(), name);
}

int runtime_unshare(int flags)
{
    return unshare(flags);
}

int runtime_syncfs(int descriptor)
{
    return syncfs(descriptor);
}

uint64_t runtime_make_device(uint32_t major, uint32_t minor)
{
    return makedev(major, minor);
}

uint32_t runtime_device_major(uint64_t device)
{
    return major(device);
}

uint32_t runtime_device_minor(uint64_t device)
{
    return minor(device);
}

int runtime_load_device_program(const struct bpf_insn *instructions, uint32_t count)
{
    static const char license[] = "Dual MIT/GPL";
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insn_cnt = count;
    attributes.insns = (uint64_t)(uintptr_t)instructions;
    attributes.license = (uint64_t)(uintptr_t)license;
    memcpy(attributes.prog_name, "hostd_devices", sizeof "hostd_devices");
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

int runtime_attach_device_program(int cgroup, int program)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes);
}

pid_t runtime_peer_process(int socket)
{
    struct ucred credentials = {0};
    socklen_t size = sizeof credentials;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0 ? -1 : credentials.pid;
}

ssize_t runtime_send_descriptors(int socket, const void *bytes, size_t size, const int *descriptors, int count)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    if (count > 4) {
        errno = EINVAL;
        return -1;
    }
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(head), descriptors, (size_t)count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}
