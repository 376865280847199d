/// What hostd's Runtime plugin and this program say to each other.
///
/// Runtime hands over one configuration as a memory file on descriptor 3: a sequence of records
///
///     u32 tag · u32 size · size bytes · one zero byte                  (host byte order, no padding)
///
/// A record's bytes are a string, a u64, or some u64 followed by zero-terminated strings, as each tag says. A tag
/// marked * may occur many times, in order. The Swift side of this table is InitRecord.swift; a test compares them.
#ifndef CONTAINER_INIT_PROTOCOL_H
#define CONTAINER_INIT_PROTOCOL_H

#include <stdint.h>

#define DESCRIPTOR_CONFIGURATION 3
#define DESCRIPTOR_REPORT 4
#define DESCRIPTOR_CONTROL 5

enum tag {
    TAG_STATE_DIRECTORY = 1,    ///< string: where monitor keeps `control`, `started` and `exit`
    TAG_LOG_PATH = 2,           ///< string: CRI log file, absent: output is dropped
    TAG_TERMINAL = 3,           ///< u64: 1 = allocate a pseudo-terminal
    TAG_STANDARD_INPUT = 4,     ///< u64: 0 /dev/null, 1 kept open for attach, 2 closed after the first attach
    TAG_OVERLAY_DIRECTORY = 5,  ///< string: working directory that relative overlay paths start from
    TAG_OVERLAY_OPTIONS = 6,    ///< string: lowerdir=…,upperdir=…,workdir=…
    TAG_ROOT = 7,               ///< string: directory to mount the root file system on
    TAG_BIND = 8,               ///< *: u64 flags (BIND_…), source, target
    TAG_FILESYSTEM = 9,         ///< *: u64 MS_… flags, type, source, target, data
    TAG_DEVICE = 10,            ///< *: u64 mode (with type), major, minor, user, group; path
    TAG_SYMBOLIC_LINK = 11,     ///< *: content, path
    TAG_MASKED_PATH = 12,       ///< *: string
    TAG_READ_ONLY_PATH = 13,    ///< *: string
    TAG_READ_ONLY_ROOT = 14,    ///< u64: 1
    TAG_JOIN_NAMESPACE = 15,    ///< *: u64 CLONE_NEW… kind; path
    TAG_NEW_NAMESPACES = 16,    ///< u64: CLONE_NEW… flags for clone3
    TAG_CGROUP_JOIN = 17,       ///< *: string: file to write oneself into (v1's tasks)
    TAG_CGROUP_UNIFIED = 18,    ///< string: v2 directory to be born in
    TAG_CGROUP_OOM = 19,        ///< string: file with a line "oom_kill N"
    TAG_ARGUMENT = 20,          ///< *: string
    TAG_ENVIRONMENT = 21,       ///< *: string NAME=VALUE
    TAG_WORKING_DIRECTORY = 22, ///< string
    TAG_USER = 23,              ///< string: USER[:GROUP], names or numbers
    TAG_USER_ID = 24,           ///< u64: overrides the user of TAG_USER
    TAG_GROUP_ID = 25,          ///< u64: overrides the group
    TAG_SUPPLEMENTARY_GROUP = 26, ///< *: u64
    TAG_MUST_NOT_BE_ROOT = 27,  ///< u64: 1
    TAG_CAPABILITIES = 28,      ///< u64 bounding, permitted and effective, inheritable, ambient
    TAG_NO_NEW_PRIVILEGES = 29, ///< u64: 1
    TAG_SECCOMP = 30,           ///< bytes: struct sock_filter[]
    TAG_RESOURCE_LIMIT = 31,    ///< *: u64 resource, soft, hard
    TAG_OOM_SCORE = 32,         ///< u64: oom_score_adj (two's complement), 0 when absent; best effort
    TAG_SYSCTL = 33,            ///< *: name with slashes, value
    TAG_HOST_NAME = 34,         ///< string
    TAG_TARGET_PROCESS = 35,    ///< u64 process, start time: whose namespaces exec joins
    TAG_TERMINAL_SIZE = 36,     ///< u64 columns, rows
    TAG_KEEP_NAMESPACE = 37,    ///< *: u64 CLONE_NEW… kind; path to bind it to
    TAG_SHARED_MEMORY = 38,     ///< u64 bytes; directory to mount a tmpfs on
    TAG_HOLDER = 39,            ///< u64: 1 = keep a pid namespace by a process
    TAG_CGROUP_MOUNT = 40,      ///< *: u64 MS_… flags; "" for v2 or the v1 controllers; target
    TAG_RUNTIME_ARGUMENT = 41,  ///< *: string: command of the OCI runtime, which starts the process in our place
    TAG_RUNTIME_LOG = 42,       ///< string: path of its log that is reported when it fails
    TAG_PROCESS_FILE = 43,      ///< string: where it writes the number of the process, in the state directory
    TAG_CONSOLE_SOCKET = 44,    ///< string: where it is to send the terminal, in the state directory
    TAG_TEMPORARY = 45,         ///< *: string: file or empty directory to remove once the process runs
    TAG_ONLY_LISTED_GROUPS = 46, ///< u64: 1 = no groups from the image's /etc/group
    TAG_IMAGE = 47,             ///< *: overlay options, path within, name: what the BIND_IMAGE records bind, in their order
    TAG_USER_NAMESPACE = 48,    ///< u64 first user and group on the host, count; file that the namespace is bound to
};

enum bind_flag {
    BIND_READ_ONLY = 1,
    BIND_RECURSIVE = 2,
    BIND_HOST_TO_CONTAINER = 4, ///< rslave
    BIND_BIDIRECTIONAL = 8,     ///< rshared
    BIND_SOURCE_IN_ROOT = 16,
    BIND_IMAGE = 32,            ///< the next image of TAG_IMAGE; the source is its name
};

/// Where it failed; Runtime makes the sentence (LaunchFailure.swift).
enum step {
    STEP_CONFIGURATION = 1,
    STEP_LOG = 2,
    STEP_MONITOR = 3,
    STEP_NAMESPACE = 4,
    STEP_CGROUP = 5,
    STEP_ROOT = 6,
    STEP_MOUNT = 7,
    STEP_MOUNT_SOURCE = 8,
    STEP_MOUNT_TARGET = 9,
    STEP_DEVICE = 10,
    STEP_MASK = 11,
    STEP_PIVOT = 12,
    STEP_TERMINAL = 13,
    STEP_USER = 14,
    STEP_GROUP = 15,
    STEP_NON_ROOT = 16,
    STEP_CAPABILITIES = 17,
    STEP_SECCOMP = 18,
    STEP_WORKING_DIRECTORY = 19,
    STEP_EXECUTABLE = 20,   ///< the file was found, execve failed
    STEP_SEARCH = 21,       ///< not found in $PATH
    STEP_TARGET = 22,       ///< the container to join has ended
    STEP_SYSCTL = 23,
    STEP_HOST_NAME = 24,
    STEP_LOOPBACK = 25,
    STEP_SHARED_MEMORY = 26,
    STEP_FORK = 27,
    STEP_CGROUP_MOUNT = 28,
    STEP_RUNTIME = 29,      ///< the OCI runtime failed; code is its exit code, path its log
    STEP_IMAGE = 30,        ///< an image as a volume; path is its name
    STEP_IMAGE_PATH = 31,   ///< what is wanted of it is not there
    STEP_USERS = 32,        ///< a user namespace
    STEP_MAPPED_MOUNT = 33, ///< a mount whose files are to be shown as those of a user namespace
};

enum report_kind {
    REPORT_STARTED = 1,  ///< process, start_time, at
    REPORT_FAILED = 2,   ///< step, code (errno), path
    REPORT_EXITED = 3,   ///< code, signal, at
    REPORT_TERMINAL = 4, ///< between the two stages only, carries the master
    REPORT_IDENTITY = 5, ///< between the two stages only, a struct identity_report
};

/// One message on descriptor 4; 256 bytes, so a pipe keeps it whole.
struct report {
    uint32_t kind;
    uint32_t step;
    int32_t code;
    int32_t process;
    uint64_t start_time; ///< clock ticks since boot, field 22 of /proc/PID/stat
    int64_t at;          ///< nanoseconds since 1970
    int32_t signal;
    int32_t reserved;
    char path[216];
};

#define GROUP_LIMIT 64

/// Who the program runs as; `groups` begins with `group`.
struct identity_report {
    uint32_t kind;
    uint32_t user, group, group_count;
    uint32_t groups[GROUP_LIMIT];
};

/// Commands to the monitor's `control` socket (SOCK_SEQPACKET) and to exec's descriptor 5; each answered by an int32:
/// 0 or an errno. An attach lasts as long as its connection.
enum command {
    COMMAND_ATTACH = 'A', ///< flags byte: 1 input, 2 output, 4 error; the descriptors follow as SCM_RIGHTS in that order
    COMMAND_RESIZE = 'R', ///< u16 columns, u16 rows
    COMMAND_REOPEN = 'L',
    COMMAND_KILL = 'K',   ///< exec only
};

#endif
