#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

/// Where the results go: what was standard output at the start. What plugins print goes to standard error.
static int results = -1;

static int32_t write_log(void *self, uint32_t level, const uint8_t *message, uint64_t message_size,
                         const uint8_t *fields, uint64_t fields_size, hostd_error *error)
{
    (void)self, (void)level, (void)message, (void)message_size, (void)fields, (void)fields_size, (void)error;
    return HOSTD_OK;
}

static const hostd_log_1 quiet_log = {
    .interface = {.struct_size = sizeof quiet_log, .id = HOSTD_LOG_1, .slots = HOSTD_LOG_1_SLOTS}, .log = write_log};

static const hostd_interface *get_interface(void *self, const char *id)
{
    (void)self;
    return strcmp(id, HOSTD_LOG_1) == 0 ? &quiet_log.interface : NULL;
}

/// The host that a library sees: the log, and nothing behind it.
static const hostd_host host = {.struct_size = sizeof host,
                                .abi_minimum = HOSTD_ABI_VERSION,
                                .abi_maximum = HOSTD_ABI_VERSION,
                                .get_interface = get_interface};

/// One line: {"index":…,"step":…,"status":…}.
static void report(int index, const char *step, int32_t status)
{
    char line[128];
    int size = snprintf(line, sizeof line, "{\"index\":%d,\"step\":\"%s\",\"status\":%d}\n", index, step, status);
    for (int start = 0; start < size;) {
        ssize_t count = write(results, line + start, (size_t)(size - start));
        if (count < 0 && errno != EINTR) _exit(3); // The host is gone.
        if (count > 0) start += (int)count;
    }
}

/// A function that hands out a text: its bytes are read once, and released.
static int32_t take(int32_t (*function)(void *, hostd_buffer *, hostd_error *), void *self)
{
    hostd_buffer buffer = {0};
    hostd_error error = {.struct_size = sizeof error};
    int32_t status = function(self, &buffer, &error);
    for (uint64_t i = 0; status == HOSTD_OK && i < buffer.size && i < 1 << 20; i++) {
        (void)*(const volatile uint8_t *)&buffer.data[i];
    }
    if (buffer.release != NULL) buffer.release(buffer.context);
    if (error.message.release != NULL) error.message.release(error.message.context);
    return status;
}

/// Takes a library as far as a host does before it is configured.
static void probe(int index, const char *path)
{
    static struct plugin plugin;
    char message[PLUGIN_MESSAGE_LIMIT];
    plugin = (struct plugin){0};
    int32_t status = plugin_open(&plugin, path, message);
    if (status != HOSTD_OK) return report(index, "open", status);
    hostd_error error = {.struct_size = sizeof error};
    status = plugin_enter(&plugin, &host, &error, message);
    if (error.message.release != NULL) error.message.release(error.message.context);
    if (status != HOSTD_OK) return report(index, "entry", status);
    status = take(plugin.table.describe, plugin.table.self);
    if (status != HOSTD_OK) return report(index, "describe", status);
    status = take(plugin.table.schema, plugin.table.self);
    report(index, "schema", status);
}

/// Prints a line for each library that it came through, and so tells by the lines that are missing which one ended the
/// process.
int probe_main(int count, char **paths)
{
    results = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (results < 0 || dup2(2, 1) < 0) return 3;
    for (int index = 0; index < count; index++) probe(index, paths[index]);
    _exit(0); // Without the destructors of the libraries.
}
