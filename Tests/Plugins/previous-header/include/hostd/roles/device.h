/// Role hostd.device/1: devices that pods ask for as extended resources. Several plugins may provide it.
#ifndef HOSTD_ROLES_DEVICE_H
#define HOSTD_ROLES_DEVICE_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_DEVICE_1 "hostd.device/1"
#define HOSTD_DEVICE_1_SLOTS "status:tboe;list_devices:tboe;watch:vHe;watch_cancel:he;allocate:tboe;release:tboe;list_allocations:tboe"

/// Messages: Device {id, healthy, reason?, attributes?: {name: value}, topology?: {numaNode?}}
/// Edits: a CDI containerEdits object {env: ["K=V"], deviceNodes: [{path, hostPath, type, major, minor, permissions}],
///   mounts: [{hostPath, containerPath, options}], hooks: […]}

typedef struct hostd_device_1 {
    hostd_interface interface;
    /// {} → {vendor, version, ready, reason}
    int32_t (*status)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// {} → {resources: [{name: "nvidia.com/gpu", devices: [Device]}]}
    int32_t (*list_devices)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// Reports list_devices' object at once and after each change of health or number.
    int32_t (*watch)(void *HOSTD_NULLABLE self, hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch,
                     hostd_error *error);
    /// When it returns, the sink will not run again. Idempotent.
    int32_t (*watch_cancel)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
    /// {podUID, podNamespace, podName, container, resource, count} → {deviceIDs, edits: Edits}. Exclusive, durable, and
    /// idempotent for the same pod, container and resource. RESOURCE_EXHAUSTED says how many are free.
    int32_t (*allocate)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                        const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {podUID} → {deviceIDs}. Unknown pods are no error.
    int32_t (*release)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                       const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {} → {allocations: [{podUID, podNamespace, podName, container, resource, deviceIDs}]}
    int32_t (*list_allocations)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
} hostd_device_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
