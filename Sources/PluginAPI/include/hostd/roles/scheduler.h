/// Role hostd.scheduler/1: chooses a node for a pod. The caller feeds it nodes and placed pods, asks, and binds.
#ifndef HOSTD_ROLES_SCHEDULER_H
#define HOSTD_ROLES_SCHEDULER_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_SCHEDULER_1 "hostd.scheduler/1"
#define HOSTD_SCHEDULER_1_SLOTS "node_set:sbbe;node_remove:be;pod_set:sbbbe;pod_remove:be;schedule:tsbboe;reset:e;revision:We"
#define HOSTD_SCHEDULER_1_COSTS "node_set:1ms;node_remove:1ms;pod_set:1ms;pod_remove:1ms;schedule:10ms;reset:10ms;revision:1ms"

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
    /// Says whether the caller and the scheduler mean the same cluster. The number is new with each `reset` and for each
    /// instance without state, unlike any before (CLOCK_REALTIME's nanoseconds do), and grows by one with each call of
    /// node_set, node_remove, pod_set, pod_remove and schedule that returns HOSTD_OK. State carries it. A caller that counts
    /// along knows after a swap or a crash whether the provider has everything that it was told; if not, or if the slot is
    /// missing, it resets and feeds anew. [<=1ms]
    int32_t (*revision)(void *HOSTD_NULLABLE self, uint64_t *revision, hostd_error *error);
} hostd_scheduler_1;

/// The state of a scheduler (hostd.state/1), by which any provider takes over from any other, with the pods that it
/// has chosen a node for and that nobody has confirmed yet. After the first line, which is the format's id:
///
///     state       = revision:u64 *record
///     record      = size:u32 kind:u8 fields           size counts what follows it
///     node (1)    = name:text flags:u32 milli_cpu:i64 memory:i64 ephemeral_storage:i64 pods:i64
///                   labels:list(key:text value:text)
///                   taints:list(key:text value:text effect:u8)                 1 NoSchedule 2 PreferNoSchedule 3 NoExecute
///                   extended:list(resource:text amount:i64)                    allocatable
///     pod (2)     = uid:text node:text namespace:text priority:i32 milli_cpu:i64 memory:i64 ephemeral_storage:i64
///                   scored_milli_cpu:i64 scored_memory:i64                     with 100m and 200Mi where nothing is asked for
///                   labels:list(key:text value:text) extended:list(resource:text amount:i64)
///                   host_ports:list(port:i32 protocol:text address:text)       empty address: all
///                   anti_affinity:list(term)                                   the required ones
///                   attraction:list(term weight:i32)                           preferred affinity, the required as one of 1,
///                                                                              preferred anti-affinity below zero
///                   terminating:u8                                             1: no topology spread counts it
///     term        = topology_key:text selector:u8 namespaces:list(namespace:text) requirements:list(requirement)
///                   selector: 0 selects no pod, 1 by the requirements; no namespaces: all
///     requirement = key:text operator:u8 values:list(value:text)     1 In 2 NotIn 3 Exists 4 DoesNotExist 5 Gt 6 Lt
///     text        = size:u32 UTF-8                    list(x) = count:u32 *x
///
/// Changes (`export_changes`) have the same first line and form; nodes and pods in them are new or take the place of those
/// of the same name or uid, and there are three kinds of records more, which come before the others:
///
///     node gone (3) = name:text
///     pod gone (4)  = uid:text
///     reset (5)     =                                 what was told before does not count: a whole state follows
///
/// Numbers are little-endian, nothing is aligned. A reader skips records of kinds and fields at the ends of records that it
/// does not know, and refuses what ends too early; of a pod, the fields from attraction on may be missing. Nodes come before
/// pods; a pod may name a node that is not there.
#define HOSTD_SCHEDULER_STATE_1 "hostd.scheduler.state/1"
#define HOSTD_SCHEDULER_STATE_NODE 1
#define HOSTD_SCHEDULER_STATE_POD 2
#define HOSTD_SCHEDULER_STATE_NODE_GONE 3
#define HOSTD_SCHEDULER_STATE_POD_GONE 4
#define HOSTD_SCHEDULER_STATE_RESET 5

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
