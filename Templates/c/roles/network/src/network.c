// @NAME@: a network that keeps the book of addresses. Each sandbox gets one address of a range, for as long as it lives,
// also across restarts.
//
// It makes no links. A network that does makes them in `attach`, where the address is known and the sandbox's namespace is
// `networkNamespace` of the request, and takes them away in `detach`.
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Gives pods addresses.\","
                                  "\"provides\":[\"hostd.network/1\"]}";
const char plugin_schema[] =
    "{\"type\":\"object\",\"properties\":{\"range\":{\"type\":\"string\",\"default\":\"10.200.0.0/24\","
    "\"pattern\":\"^[0-9.]+/[0-9]+$\",\"description\":\"The IPv4 range of pods, /8 to /29; its first address is the gateway.\"}}}";
static const char book_name[] = "addresses.json";

struct plugin {
    plugin_base base;
    hostd_network_1 table;
    char directory[3072];
    uint32_t first, size; // The range: its network address, in the host's byte order, and its number of addresses.
    int prefix;
    pthread_mutex_t lock; // Slots are called from any thread.
    map attachments;      // sandbox id → uint32_t *, the address as an offset into the range
};

static const char *address_text(const plugin *self, uint32_t offset, char *text) {
    struct in_addr address = {htonl(self->first + offset)};
    return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static bool is_taken(const plugin *self, uint32_t offset) {
    for (size_t i = 0; i < self->attachments.count; i++)
        if (*(uint32_t *)self->attachments.entries[i].value == offset) return true;
    return false;
}

static int32_t save(plugin *self, hostd_error *error) {
    text content = {0};
    text_add(&content, "{\"format\":1,\"attachments\":[");
    for (size_t i = 0; i < self->attachments.count; i++) {
        const map_entry *entry = &self->attachments.entries[i];
        text_add(&content, "%s{\"sandboxID\":%q,\"offset\":%i}", i > 0 ? "," : "", entry->key,
                 (int64_t) * (uint32_t *)entry->value);
    }
    text_add(&content, "]}");
    int32_t status = write_file(self->directory, book_name, &content, error);
    text_free(&content);
    return status;
}

static int32_t load(plugin *self, hostd_error *error) {
    json *book;
    int32_t status = read_json_file(self->directory, book_name, &book, error);
    const json *attachments = json_get(book, "attachments");
    for (size_t i = 0; i < json_count(attachments); i++) {
        const json *attachment = json_at(attachments, i);
        const char *id = json_string(json_get(attachment, "sandboxID"), "");
        uint32_t *offset = allocate(sizeof *offset);
        *offset = (uint32_t)json_integer(json_get(attachment, "offset"), 0);
        free(map_put(&self->attachments, id, strlen(id), offset));
    }
    json_free(book);
    return status;
}

// CNI's result. The same sandbox always gets the same.
static void write_result(const plugin *self, const char *interface, uint32_t offset, text *answer) {
    char address[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
    address_text(self, offset, address), address_text(self, 1, gateway);
    text_add(answer, "{\"interfaces\":[{\"name\":%q}],\"ips\":[{\"address\":\"%s/%i\",\"gateway\":%q}],", interface,
             address, (int64_t)self->prefix, gateway);
    text_add(answer, "\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":%q}],\"dns\":{}}", gateway);
}

static int32_t sandbox_of(const json *request, const char **id, hostd_error *error) {
    *id = json_string(json_get(request, "sandboxID"), "");
    return **id != 0 ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a text \"sandboxID\"");
}

// Takes the lowest free address and writes it down before anybody hears of it.
static int32_t take_address(plugin *self, const char *id, uint32_t **taken, hostd_error *error) {
    uint32_t offset = 2; // 0 is the network, 1 the gateway.
    while (offset < self->size - 1 && is_taken(self, offset)) offset++;
    if (offset == self->size - 1)
        return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "all %u addresses of the range are taken", self->size - 3);
    *taken = allocate(sizeof **taken);
    **taken = offset;
    map_put(&self->attachments, id, strlen(id), *taken);
    int32_t status = save(self, error);
    if (status < 0) free(map_remove(&self->attachments, id, strlen(id)));
    return status;
}

static int32_t attach(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *id;
    int32_t status = sandbox_of(request, &id, error);
    if (status < 0) return status;
    pthread_mutex_lock(&self->lock);
    uint32_t *offset = map_get(&self->attachments, id, strlen(id));
    if (offset == NULL) status = take_address(self, id, &offset, error);
    if (status == HOSTD_OK) {
        // A link to `networkNamespace` would be made here, unless it is there already.
        write_result(self, json_string(json_get(request, "interfaceName"), "eth0"), *offset, answer);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

static int32_t check(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    const char *id;
    int32_t status = sandbox_of(request, &id, error);
    if (status < 0) return status;
    pthread_mutex_lock(&self->lock);
    bool known = map_get(&self->attachments, id, strlen(id)) != NULL;
    pthread_mutex_unlock(&self->lock);
    return known ? HOSTD_OK : fail(error, HOSTD_ERROR_NOT_FOUND, "sandbox %.64s has no address: attach it", id);
}

static int32_t detach(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    const char *id;
    int32_t status = sandbox_of(request, &id, error);
    if (status < 0) return status;
    pthread_mutex_lock(&self->lock);
    void *freed = map_remove(&self->attachments, id, strlen(id));
    if (freed != NULL) { // What is gone already is success.
        status = save(self, error);
        if (status < 0) map_put(&self->attachments, id, strlen(id), freed);
        else free(freed);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

static bool lists(const json *ids, const char *id) {
    for (size_t i = 0; i < json_count(ids); i++)
        if (strcmp(json_string(json_at(ids, i), ""), id) == 0) return true;
    return false;
}

static int32_t collect_garbage(plugin *self, const json *request, text *answer, hostd_error *error) {
    const json *valid = json_get(request, "validSandboxIDs");
    if (json_kind_of(valid) != JSON_ARRAY)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a list \"validSandboxIDs\"");
    pthread_mutex_lock(&self->lock);
    text_add(answer, "{\"removed\":[");
    int removed = 0;
    for (size_t i = 0; i < self->attachments.count;) {
        const map_entry *entry = &self->attachments.entries[i];
        if (lists(valid, entry->key)) {
            i++;
            continue;
        }
        text_add(answer, "%s%q", removed++ > 0 ? "," : "", entry->key);
        free(map_remove(&self->attachments, entry->key, entry->key_size));
    }
    text_add(answer, "]}");
    int32_t status = removed > 0 ? save(self, error) : HOSTD_OK;
    pthread_mutex_unlock(&self->lock);
    return status;
}

static int32_t status(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)request, (void)error;
    char network[INET_ADDRSTRLEN];
    text_add(answer, "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"ready\":true,\"reason\":\"\",\"podRange\":\"%s/%i\",",
             address_text(self, 0, network), (int64_t)self->prefix);
    text_add(answer, "\"nodeAddresses\":[],\"bridge\":\"\",\"routing\":\"none\",\"features\":{}}");
    return HOSTD_OK;
}

JSON_SLOT(status)
JSON_SLOT(attach)
JSON_SLOT(check)
JSON_SLOT(detach)
JSON_SLOT(collect_garbage)

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.lock = PTHREAD_MUTEX_INITIALIZER};
    // services_set and what follows stay NULL: the host answers NOT_SUPPORTED in their place.
    self->table = (hostd_network_1){
        .interface = {sizeof self->table, 0, self, HOSTD_NETWORK_1, HOSTD_NETWORK_1_SLOTS},
        .status = status_slot, .attach = attach_slot, .check = check_slot,
        .detach = detach_slot, .collect_garbage = collect_garbage_slot,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    char range[64];
    struct in_addr address;
    snprintf(range, sizeof range, "%s", json_string(json_get(options, "range"), "10.200.0.0/24"));
    char *slash = strchr(range, '/');
    self->prefix = slash == NULL ? 0 : atoi(slash + 1);
    if (slash != NULL) *slash = 0;
    if (self->prefix < 8 || self->prefix > 29 || inet_pton(AF_INET, range, &address) != 1)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "range must be an IPv4 range, /8 to /29, such as 10.200.0.0/24");
    self->size = 1u << (32 - self->prefix);
    self->first = ntohl(address.s_addr) & ~(self->size - 1);
    snprintf(self->directory, sizeof self->directory, "%s", directory);
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) { return load(self, error); }

int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    (void)error;
    map_free(&self->attachments, free); // All of it is in the file.
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    map_free(&self->attachments, free);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_NETWORK_1) == 0 ? &self->table.interface : NULL;
}
