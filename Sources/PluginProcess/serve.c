#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "isolation.h"
#include "plugin.h"
#include "sandbox.h"

/// The one plugin of this process. Its steps come one at a time from the host.
static struct plugin plugin;
static isolation_peer *peer;
/// Held while `peer` is made: the first step may come before its address is known here.
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;

// MARK: What the plugin sees of the host

static const hostd_interface *find_interface(void *self, const char *id)
{
    (void)self;
    const hostd_interface *table = NULL;
    hostd_error error = {.struct_size = sizeof error};
    int32_t status = isolation_peer_import(peer, id, NULL, &table, &error);
    if (error.message.release != NULL)
        error.message.release(error.message.context);
    return status == HOSTD_OK ? table : NULL;
}

static const hostd_host host = {
    .struct_size = sizeof host,
    .abi_minimum = HOSTD_ABI_VERSION,
    .abi_maximum = HOSTD_ABI_VERSION,
    .get_interface = find_interface,
};

// MARK: The steps of its life

/// A status with a sentence that the host's end copies at once.
static int32_t refuse(hostd_error *error, int32_t status, const char *sentence)
{
    static _Thread_local char kept[PLUGIN_MESSAGE_LIMIT];
    if (error == NULL || sentence[0] == 0)
        return status;
    if (error->message.release != NULL)
        error->message.release(error->message.context);
    snprintf(kept, sizeof kept, "%s", sentence);
    error->code = status;
    error->message = (hostd_buffer){.data = (const uint8_t *)kept, .size = strlen(kept)};
    return status;
}

static int32_t life_open(void *self, const uint8_t *path, uint64_t size, hostd_error *error)
{
    (void)self;
    pthread_mutex_lock(&starting);
    pthread_mutex_unlock(&starting);
    char message[PLUGIN_MESSAGE_LIMIT] = "", *text = strndup((const char *)path, size);
    int32_t status = text == NULL ? HOSTD_ERROR_RESOURCE_EXHAUSTED : plugin_open(&plugin, text, message);
    free(text);
    return status == HOSTD_OK ? status : refuse(error, status, message);
}

static int32_t life_enter(void *self, hostd_error *error)
{
    (void)self;
    char message[PLUGIN_MESSAGE_LIMIT];
    int32_t status = plugin_enter(&plugin, &host, error, message);
    return status == HOSTD_OK ? status : refuse(error, status, message);
}

static int32_t life_describe(void *self, hostd_buffer *description, hostd_error *error)
{
    (void)self;
    return plugin.table.describe(plugin.table.self, description, error);
}

static int32_t life_schema(void *self, hostd_buffer *schema, hostd_error *error)
{
    (void)self;
    return plugin.table.schema(plugin.table.self, schema, error);
}

static int32_t life_configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error)
{
    (void)self;
    return plugin.table.configure(plugin.table.self, configuration, size, error);
}

static int32_t life_activate(void *self, hostd_error *error)
{
    (void)self;
    return plugin.table.activate(plugin.table.self, error);
}

static int32_t life_deactivate(void *self, hostd_error *error)
{
    (void)self;
    return plugin.table.deactivate(plugin.table.self, error);
}

static int32_t life_destroy(void *self, hostd_error *error)
{
    (void)self, (void)error;
    plugin.table.destroy(plugin.table.self);
    return HOSTD_OK;
}

static const isolation_plugin life = {
    .interface = {sizeof life, 0, NULL, ISOLATION_PLUGIN_1, ISOLATION_PLUGIN_1_SLOTS},
    .open = life_open,
    .enter = life_enter,
    .describe = life_describe,
    .schema = life_schema,
    .configure = life_configure,
    .activate = life_activate,
    .deactivate = life_deactivate,
    .destroy = life_destroy,
};

// MARK: What the host sees of the plugin

static int32_t offer_interface(void *context, const char *id, isolation_offer *offer, hostd_error *error)
{
    (void)context;
    if (strcmp(id, ISOLATION_PLUGIN_1) == 0) {
        offer->table = &life.interface;
        return HOSTD_OK;
    }
    if (plugin.table.get_interface == NULL)
        return refuse(error, HOSTD_ERROR_WRONG_STATE, "the plugin was not entered yet");
    offer->table = plugin.table.get_interface(plugin.table.self, id);
    if (offer->table == NULL)
        return refuse(error, HOSTD_ERROR_NOT_FOUND, "the plugin returns no table for the role");
    uint32_t size = offer->table->struct_size;
    if (size < sizeof *offer->table || size > 65536 || offer->table->id == NULL || offer->table->slots == NULL)
        return refuse(error, HOSTD_ERROR_INTERNAL, "the plugin's table for the role has no proper head");
    if (strcmp(offer->table->id, id) != 0)
        return refuse(error, HOSTD_ERROR_INTERNAL, "the plugin's table for the role is of another role");
    return HOSTD_OK;
}

/// The host is gone, or does not want this process any more: there is nobody left to work for.
static void host_ended(void *context, uint32_t cause, const char *reason)
{
    (void)context;
    if (cause != ISOLATION_GONE)
        fprintf(stderr, "hostd-plugin-process: %s\n", reason);
    _exit(cause == ISOLATION_GONE ? 0 : 3);
}

// MARK: Start

static int give_up(int socket, const char *sentence)
{
    isolation_child_failed(socket, sentence);
    fprintf(stderr, "hostd-plugin-process: %s\n", sentence);
    return 3;
}

static int start(int memory, int socket, char *settings)
{
    char message[SANDBOX_MESSAGE_LIMIT];
    int keep[] = {memory < socket ? memory : socket, memory < socket ? socket : memory};
    if (sandbox_enter(settings, keep, 2, message) != 0)
        return give_up(socket, message);
    isolation_configuration configuration = {.struct_size = sizeof configuration, .memory = memory, .socket = socket,
                                             .process = -1, .resolve = offer_interface, .died = host_ended};
    int32_t status;
    pthread_mutex_lock(&starting);
    peer = isolation_peer_create(&configuration, &status);
    pthread_mutex_unlock(&starting);
    if (peer == NULL)
        return give_up(socket, "the memory or the socket that the host has given are of no use");
    close(memory);
    for (;;)
        pause();
}

int serve_main(int count, char **arguments)
{
    int memory = -1, socket = -1;
    char none[] = "", *settings = none;
    for (int index = 0; index + 1 < count; index += 2) {
        if (strcmp(arguments[index], "--memory") == 0)
            memory = atoi(arguments[index + 1]);
        else if (strcmp(arguments[index], "--socket") == 0)
            socket = atoi(arguments[index + 1]);
        else if (strcmp(arguments[index], "--settings") == 0)
            settings = arguments[index + 1];
    }
    if (memory < 3 || socket < 3)
        return 2;
    prctl(PR_SET_NAME, "hostd-plugin");
    mallopt(M_ARENA_MAX, 2); // An arena a thread would cost more than the plugin.
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    dup2(STDERR_FILENO, STDOUT_FILENO); // What a plugin prints goes to the log's stream.
    return start(memory, socket, settings);
}
