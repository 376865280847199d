/// Role hostd.network/1: the addresses and links of pods (the shape is CNI's), the routing of services, and policies.
#ifndef HOSTD_ROLES_NETWORK_H
#define HOSTD_ROLES_NETWORK_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_NETWORK_1 "hostd.network/1"
#define HOSTD_NETWORK_1_SLOTS "status:tboe;attach:tboe;check:tboe;detach:tboe;collect_garbage:tboe;services_set:tboe;policies_set:tboe"

/// Messages:
///
/// Attachment {sandboxID, networkNamespace (path), interfaceName ("eth0"), podNamespace, podName, podUID, portMappings?:
///   [{hostPort, containerPort, protocol, hostIP?}], cgroupPath?, bandwidth?: {ingressBits, egressBits}}
/// Result (CNI's) {interfaces: [{name, mac, sandbox}], ips: [{address: "10.244.0.5/24", gateway}], routes: [{dst, gw}],
///   dns: {}}
/// Service {namespace, name, clusterIPs: […], externalIPs?: […], sessionAffinity: "None"|"ClientIP",
///   affinityTimeoutSeconds?, internalTrafficPolicy?, externalTrafficPolicy?, ports: [{name, protocol: "TCP"|"UDP"|"SCTP",
///   port, nodePort?, endpoints: [{address, port, node?, local: bool}]}]}

typedef struct hostd_network_1 {
    hostd_interface interface;
    /// {} → {name, version, ready, reason, podRange, nodeAddresses: […], bridge, routing: "ebpf"|…, features}
    int32_t (*status)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// Attachment → Result. Idempotent: the same sandbox gets the same result. RESOURCE_EXHAUSTED without addresses. [<=10ms]
    int32_t (*attach)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// Attachment → {}. Fails when the link or the address is not as attach left it.
    int32_t (*check)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                     hostd_buffer *response, hostd_error *error);
    /// Attachment → {}. Frees the address; what is gone already is success.
    int32_t (*detach)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// {validSandboxIDs: […]} → {removed: […]}. Detaches everything else.
    int32_t (*collect_garbage)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {full?: bool, services: [Service], removed?: [{namespace, name}]} → {}. Adds or replaces; with `full` all others go.
    /// A service without endpoints refuses connections. Cost grows with what is given, not with what exists.
    int32_t (*services_set)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {full?: bool, policies: [NetworkPolicy as JSON], removed?: […]} → {}. NOT_SUPPORTED without enforcement.
    int32_t (*policies_set)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
} hostd_network_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
