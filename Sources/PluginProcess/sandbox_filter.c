#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/// Calls that every plugin may make; all others fail with EPERM. Memory, threads, files, time, events, messages: nothing that
/// makes processes, changes the kernel, or reaches into other processes.
static const char *const always =
    "accept accept4 access alarm arch_prctl bind brk cachestat capget chdir chmod chown clock_getres clock_gettime "
    "clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl "
    "epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir "
    "fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync "
    "ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list getcpu getcwd getdents "
    "getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr "
    "lseek lsetxattr lstat madvise membarrier memfd_create mincore mkdir mkdirat mlock mlock2 mlockall mmap mprotect mremap "
    "mseal msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pipe pipe2 pkey_alloc "
    "pkey_free pkey_mprotect poll ppoll pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr rename renameat renameat2 restart_syscall rmdir rseq "
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_setaffinity sched_yield select sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setitimer "
    "setrlimit setsockopt setxattr shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync "
    "sync_file_range sysinfo tee time timer_create timer_delete timer_getoverrun timer_gettime timer_settime "
    "timerfd_create timerfd_gettime timerfd_settime times truncate umask uname unlink unlinkat utime utimensat utimes wait4 "
    "waitid write writev";

/// With the grant `exec`: processes and programs of its own.
static const char *const with_exec =
    "execve execveat fork kill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo setpgid setpriority setregid setresgid "
    "setresuid setreuid setsid tgkill tkill vfork vmsplice";

/// With a capability that guards the call anyway.
static const struct {
    int capability;
    const char *calls;
} with_capability[] = {
    {CAP_DAC_READ_SEARCH, "name_to_handle_at open_by_handle_at"},
    {CAP_MKNOD, "mknod mknodat"},
    {CAP_SYS_ADMIN, "bpf clone clone3 fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree "
                    "perf_event_open pivot_root quotactl setdomainname sethostname setns umount2 unshare"},
    {CAP_SYS_BOOT, "reboot"},
    {CAP_SYS_CHROOT, "chroot"},
    {CAP_SYS_MODULE, "delete_module finit_module init_module"},
    {CAP_SYS_NICE, "mbind sched_setattr sched_setparam sched_setscheduler set_mempolicy setpriority"},
    {CAP_SYS_PTRACE, "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace"},
    {CAP_SYS_TIME, "adjtimex clock_adjtime clock_settime settimeofday"},
    {CAP_SETUID, "setgid setgroups setregid setresgid setresuid setreuid setuid"},
    {CAP_SYSLOG, "syslog"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
};

static const int allowed_prctl[] = {
    PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_SET_TIMERSLACK,
    PR_GET_TIMERSLACK, PR_GET_NO_NEW_PRIVS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_SET_VMA,
};

static const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                   CLONE_NEWPID | CLONE_NEWNET;

/// Adds one rule; a call that this libseccomp or machine does not know is left out.
static int add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count, const struct scmp_arg_cmp *arguments)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR)
        return 0;
    int result = seccomp_rule_add_array(filter, action, call, count, arguments);
    return result == -EDOM || result == -EEXIST ? 0 : result;
}

static int allow_all(scmp_filter_ctx filter, const char *names)
{
    char name[64];
    while (*names) {
        size_t size = strcspn(names, " ");
        if (size >= sizeof name)
            return -EINVAL;
        memcpy(name, names, size);
        name[size] = 0;
        int result = add(filter, SCMP_ACT_ALLOW, name, 0, NULL);
        if (result != 0)
            return result;
        names += size + (names[size] == ' ');
    }
    return 0;
}

static int allow_when(scmp_filter_ctx filter, const char *name, struct scmp_arg_cmp condition)
{
    return add(filter, SCMP_ACT_ALLOW, name, 1, &condition);
}

/// Threads always; processes with `exec`. clone3 keeps its flags where a filter cannot look: C libraries fall back to clone.
static int add_processes(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
    if (sandbox->capabilities & 1ull << CAP_SYS_ADMIN)
        return sandbox->has_exec ? allow_all(filter, with_exec) : 0;
    int result = add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
    if (result != 0)
        return result;
    if (sandbox->has_exec) {
        result = allow_all(filter, with_exec);
        return result ? result : allow_when(filter, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, namespaces, 0));
    }
    result = allow_when(filter, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    static const char *const signals[] = {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"};
    for (unsigned index = 0; result == 0 && index < sizeof signals / sizeof *signals; index++)
        result = allow_when(filter, signals[index], SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)getpid(), 0));
    return result;
}

static int add_sockets(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
    if (sandbox->has_network)
        return allow_all(filter, "socket socketpair");
    int result = allow_when(filter, "socket", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX, 0));
    return result ? result : allow_when(filter, "socketpair", SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX, 0));
}

static int add_rules(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0)
        result = allow_all(filter, always);
    if (result == 0)
        result = add_processes(filter, sandbox);
    if (result == 0)
        result = add_sockets(filter, sandbox);
    for (unsigned index = 0; result == 0 && index < sizeof with_capability / sizeof *with_capability; index++)
        if (sandbox->capabilities & 1ull << with_capability[index].capability)
            result = allow_all(filter, with_capability[index].calls);
    for (unsigned index = 0; result == 0 && index < sizeof allowed_prctl / sizeof *allowed_prctl; index++)
        result = allow_when(filter, "prctl", SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)allowed_prctl[index], 0));
    return result;
}

int sandbox_filter_calls(const struct sandbox *sandbox, char *message)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return sandbox_refuse(message, "cannot make a filter of system calls", ENOMEM);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); // A tree by number; without it, a chain that works as well.
    int result = add_rules(filter, sandbox);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result == 0 ? 0 : sandbox_refuse(message, "cannot filter system calls", -result);
}
