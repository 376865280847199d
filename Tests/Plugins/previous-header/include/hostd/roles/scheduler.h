/// Role hostd.scheduler/1: chooses a node for a pod. The caller feeds it nodes and placed pods, asks, and binds.
#ifndef HOSTD_ROLES_SCHEDULER_H
#define HOSTD_ROLES_SCHEDULER_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_SCHEDULER_1 "hostd.scheduler/1"
#define HOSTD_SCHEDULER_1_SLOTS "node_set:sbbe;node_remove:be;pod_set:sbbbe;pod_remove:be;schedule:tsbboe;reset:e"

/// Node flags.
#define HOSTD_SCHEDULER_NODE_UNSCHEDULABLE 1u
#define HOSTD_SCHEDULER_NODE_READY 2u

/// What a simple scheduler needs to know of a node. Amounts are allocatable, before pods.
typedef struct hostd_scheduler_node {
    uint32_t struct_size;
    uint32_t flags;
    int64_t milli_cpu;               ///< Thousandths of a core.
    int64_t memory_bytes;
    int64_t ephemeral_storage_bytes;
    int64_t pods;                    ///< Most pods.
} hostd_scheduler_node;

/// What a pod asks for: the greater of the sum over containers and the greatest init container, plus overhead.
typedef struct hostd_scheduler_pod {
    uint32_t struct_size;
    int32_t priority;
    int64_t milli_cpu;
    int64_t memory_bytes;
    int64_t ephemeral_storage_bytes;
} hostd_scheduler_pod;

/// Calls of one table are serial: the caller never runs two slots at once.
typedef struct hostd_scheduler_1 {
    hostd_interface interface;
    /// Adds or replaces a node. `object` is the Node as JSON, for everything beyond the amounts. [<=1ms]
    int32_t (*node_set)(void *HOSTD_NULLABLE self, const hostd_scheduler_node *node, const uint8_t *name,
                        uint64_t name_size, const uint8_t *object, uint64_t object_size, hostd_error *error);
    int32_t (*node_remove)(void *HOSTD_NULLABLE self, const uint8_t *name, uint64_t name_size, hostd_error *error);
    /// Tells of a pod that is bound to `node` and uses its resources; confirms what `schedule` assumed. [<=1ms]
    int32_t (*pod_set)(void *HOSTD_NULLABLE self, const hostd_scheduler_pod *pod, const uint8_t *uid, uint64_t uid_size,
                       const uint8_t *node, uint64_t node_size, const uint8_t *object, uint64_t object_size,
                       hostd_error *error);
    /// Tells that a pod ended or is gone, or that a binding failed: what it used is free. Unknown pods are no error.
    int32_t (*pod_remove)(void *HOSTD_NULLABLE self, const uint8_t *uid, uint64_t uid_size, hostd_error *error);
    /// Chooses. JSON out: {"node":"name"}, and the pod counts as placed there from now on; or no node fits:
    /// {"nodes":5,"refusals":[{"reason":"Insufficient cpu","nodes":3},…]}, each node under its first reason. `object` is
    /// the Pod as JSON. [<=10ms]
    int32_t (*schedule)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const hostd_scheduler_pod *pod,
                        const uint8_t *uid, uint64_t uid_size, const uint8_t *object, uint64_t object_size,
                        hostd_buffer *decision, hostd_error *error);
    /// Forgets all nodes and pods, before the caller feeds them anew.
    int32_t (*reset)(void *HOSTD_NULLABLE self, hostd_error *error);
} hostd_scheduler_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
