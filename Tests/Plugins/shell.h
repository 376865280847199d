// Everything of a small plugin but its role: the file that includes it defines NAME, ROLE, make_table and the struct
// `state`, whose first member is the role's table.
#include <stdlib.h>
#include <string.h>

static hostd_buffer text(const char *constant) {
    return (hostd_buffer){.data = (const uint8_t *)constant, .size = strlen(constant)};
}

static void release(void *context) { free(context); }

__attribute__((unused)) static hostd_buffer copy_of(const char *bytes) {
    char *copy = strdup(bytes);
    return (hostd_buffer){.data = (const uint8_t *)copy, .size = strlen(copy), .release = release, .context = copy};
}

__attribute__((unused)) static int32_t fail(hostd_error *error, int32_t code, const char *message) {
    if (error->struct_size < sizeof *error) return code;
    error->code = code;
    error->message = text(message);
    return code;
}

typedef struct shell {
    state state;
    enum { ENTERED, CONFIGURED, ACTIVE } stage;
} shell;

static int32_t describe(void *self, hostd_buffer *description, hostd_error *error) {
    (void)self, (void)error;
    *description = text("{\"name\":\"" NAME "\",\"version\":\"1.0.0\",\"provides\":[\"" ROLE "\"]}");
    return HOSTD_OK;
}

static int32_t schema(void *self, hostd_buffer *schema, hostd_error *error) {
    (void)self, (void)schema, (void)error;
    return HOSTD_OK;
}

static int32_t configure(void *self, const uint8_t *configuration, uint64_t size, hostd_error *error) {
    shell *shell = self;
    (void)configuration, (void)size;
    if (shell->stage == ACTIVE) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is active");
    shell->stage = CONFIGURED;
    return HOSTD_OK;
}

static int32_t activate(void *self, hostd_error *error) {
    shell *shell = self;
    if (shell->stage != CONFIGURED) return fail(error, HOSTD_ERROR_WRONG_STATE, "it is not configured, or active");
    shell->stage = ACTIVE;
    return HOSTD_OK;
}

static int32_t deactivate(void *self, hostd_error *error) {
    shell *shell = self;
    (void)error;
    if (shell->stage == ACTIVE) shell->stage = CONFIGURED;
    return HOSTD_OK;
}

static const hostd_interface *get_interface(void *self, const char *id) {
    return strcmp(id, ROLE) == 0 ? (const hostd_interface *)self : NULL;
}

__attribute__((visibility("default"))) int32_t hostd_plugin_entry(const hostd_host *host, hostd_plugin *plugin,
                                                                  hostd_error *error) {
    if (host->abi_minimum > HOSTD_ABI_VERSION || host->abi_maximum < HOSTD_ABI_VERSION) {
        return fail(error, HOSTD_ERROR_VERSION, "it speaks version 1");
    }
    shell *shell = calloc(1, sizeof *shell);
    make_table(&shell->state);
    *plugin = (hostd_plugin){sizeof *plugin, HOSTD_ABI_VERSION, shell, describe, schema, configure,
                             activate, deactivate, free, get_interface};
    return HOSTD_OK;
}
