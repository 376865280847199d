#include "plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int32_t refuse(char *message, int32_t status, const char *sentence)
{
    snprintf(message, PLUGIN_MESSAGE_LIMIT, "%s", sentence);
    return status;
}

int32_t plugin_open(struct plugin *plugin, const char *path, char *message)
{
    void *image = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (image == NULL) {
        const char *reason = dlerror();
        snprintf(message, PLUGIN_MESSAGE_LIMIT, "the dynamic loader says: %s", reason ? reason : "nothing");
        return HOSTD_ERROR_INTERNAL;
    }
    void *symbol = dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL);
    if (symbol == NULL) {
        snprintf(message, PLUGIN_MESSAGE_LIMIT, "%s exports no " HOSTD_PLUGIN_ENTRY_SYMBOL ": it is not a plugin of hostd", path);
        return HOSTD_ERROR_NOT_SUPPORTED;
    }
    memcpy(&plugin->entry, &symbol, sizeof symbol);
    return HOSTD_OK;
}

/// The name of a function that the plugin's table lacks; NULL when all are there.
static const char *missing_function(const hostd_plugin *table)
{
    const struct {
        const char *name;
        size_t offset;
    } functions[] = {
        {"describe", offsetof(hostd_plugin, describe)},     {"schema", offsetof(hostd_plugin, schema)},
        {"configure", offsetof(hostd_plugin, configure)},   {"activate", offsetof(hostd_plugin, activate)},
        {"deactivate", offsetof(hostd_plugin, deactivate)}, {"destroy", offsetof(hostd_plugin, destroy)},
        {"get_interface", offsetof(hostd_plugin, get_interface)},
    };
    for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
        void *function;
        memcpy(&function, (const char *)table + functions[index].offset, sizeof function);
        if (function == NULL)
            return functions[index].name;
    }
    return NULL;
}

int32_t plugin_enter(struct plugin *plugin, const hostd_host *host, hostd_error *error, char *message)
{
    if (plugin->entry == NULL)
        return refuse(message, HOSTD_ERROR_WRONG_STATE, "the plugin's library was not opened");
    memset(plugin->room, 0, sizeof plugin->room);
    plugin->table.struct_size = sizeof plugin->table;
    message[0] = 0;
    int32_t status = plugin->entry(host, &plugin->table, error);
    if (status != HOSTD_OK)
        return status;
    const hostd_plugin *table = &plugin->table;
    if (table->abi_version < host->abi_minimum || table->abi_version > host->abi_maximum) {
        snprintf(message, PLUGIN_MESSAGE_LIMIT,
                 "the plugin speaks ABI version %u, this host offers %u to %u: use a plugin built for this host",
                 table->abi_version, host->abi_minimum, host->abi_maximum);
        return HOSTD_ERROR_VERSION;
    }
    if (table->struct_size < sizeof *table || table->struct_size > sizeof plugin->room) {
        snprintf(message, PLUGIN_MESSAGE_LIMIT, "the plugin's table has %u bytes; version %u needs %zu",
                 table->struct_size, table->abi_version, sizeof *table);
        return HOSTD_ERROR_VERSION;
    }
    const char *missing = missing_function(table);
    if (missing == NULL)
        return HOSTD_OK;
    snprintf(message, PLUGIN_MESSAGE_LIMIT, "the plugin's table lacks the function %s", missing);
    return HOSTD_ERROR_INTERNAL;
}
