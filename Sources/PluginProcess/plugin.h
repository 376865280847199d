/// A plugin's image in this process: the steps up to its entry, and the checks that a host makes of it.
#ifndef PLUGIN_PROCESS_PLUGIN_H
#define PLUGIN_PROCESS_PLUGIN_H

#include "hostd/plugin.h"

#define PLUGIN_MESSAGE_LIMIT 512 ///< Bytes of a message, terminator included.
#define PLUGIN_TABLE_ROOM 1024   ///< For what a plugin of a later header may write.

struct plugin {
    hostd_plugin_entry_function entry;
    union {
        hostd_plugin table;
        uint8_t room[PLUGIN_TABLE_ROOM];
    };
};

/// Opens the library and finds its entry. A status, and a sentence in `message`.
int32_t plugin_open(struct plugin *plugin, const char *path, char *message);

/// Calls the entry and checks what it filled. A status; a sentence in `message`, unless `error` has the plugin's own.
int32_t plugin_enter(struct plugin *plugin, const hostd_host *host, hostd_error *error, char *message);

// MARK: The programs in one

/// serve --memory FD --socket FD [--settings TEXT]: serves one plugin over the two until the host hangs up.
int serve_main(int count, char **arguments);
/// --probe PATH…: opens, enters and describes each library.
int probe_main(int count, char **arguments);

#endif
