/// What a plugin's process takes from itself before it opens the plugin: descriptors, the sight of other plugins' files,
/// its user, capabilities, limits and system calls. Linux alone enforces it afterwards; nothing of it can be undone.
#ifndef PLUGIN_PROCESS_SANDBOX_H
#define PLUGIN_PROCESS_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SANDBOX_GROUP_LIMIT 8     ///< Hierarchies of control groups.
#define SANDBOX_MESSAGE_LIMIT 512 ///< Bytes of a message, terminator included.

struct sandbox {
    pid_t parent;           ///< Process that must still be the parent; 0 = any.
    uint32_t user;          ///< User and group; used only when the process runs as root.
    uint64_t capabilities;  ///< Bits of what is kept: capabilities(7).
    int has_network;        ///< Sockets other than Unix ones.
    int has_exec;           ///< Other programs and processes.
    uint64_t files;         ///< Most open descriptors; 0 = as it is.
    uint64_t processes;     ///< Most processes and threads of the user; 0 = as it is.
    const char *data;       ///< hostd's data directory, hidden but for what follows; NULL = nothing is hidden.
    const char *directory;  ///< The plugin's own directory, below `data`.
    const char *library;    ///< The plugin's file, which must be readable afterwards.
    const char *groups[SANDBOX_GROUP_LIMIT]; ///< Files to write "0" to, so as to join control groups.
    unsigned group_count;
};

/// Takes one option, KEY=VALUE: parent, user, capabilities (hexadecimal), network, exec, files, processes, data, directory,
/// library, group. 0, or -1 with a sentence in `message`. Keeps pointers into `option`.
int sandbox_option(struct sandbox *sandbox, const char *option, char *message);

/// Takes options of `settings`, one a line, and applies everything in the one order that works; empty settings change
/// nothing. The process must have one thread. All descriptors from 3 on but those of `keep` (ascending) are closed. Cuts
/// `settings` into lines in place. 0, or -1 with a sentence in `message`, which has room for SANDBOX_MESSAGE_LIMIT bytes;
/// the process must end then.
int sandbox_enter(char *settings, const int *keep, size_t keep_count, char *message);

// MARK: Parts, for sandbox_enter

int sandbox_refuse(char *message, const char *what, int code);
int sandbox_hide_data(const struct sandbox *sandbox, char *message);
int sandbox_filter_calls(const struct sandbox *sandbox, char *message);

#endif
