#include "idle_scheduler.h"

static int32_t node_set(void *self, const hostd_scheduler_node *node, const uint8_t *name, uint64_t name_size,
                        const uint8_t *object, uint64_t object_size, hostd_error *error) {
    (void)self, (void)node, (void)name, (void)name_size, (void)object, (void)object_size, (void)error;
    return HOSTD_OK;
}

static int32_t reset(void *self, hostd_error *error) {
    (void)self, (void)error;
    return HOSTD_OK;
}

static hostd_scheduler_1 scheduler = {
    .interface = {.struct_size = sizeof scheduler, .id = HOSTD_SCHEDULER_1, .slots = HOSTD_SCHEDULER_1_SLOTS},
    .node_set = node_set,
    .reset = reset,
};

const hostd_interface *idle_scheduler(void) { return &scheduler.interface; }
