/// Role hostd.network/1: the addresses and links of pods (the shape is CNI's), the routing of services, and policies.
#ifndef HOSTD_ROLES_NETWORK_H
#define HOSTD_ROLES_NETWORK_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_NETWORK_1 "hostd.network/1"
#define HOSTD_NETWORK_1_SLOTS "status:tboe;attach:tboe;check:tboe;detach:tboe;collect_garbage:tboe;services_set:tboe;policies_set:tboe;policy_rules_set:tboe"
#define HOSTD_NETWORK_1_COSTS "status:10ms;attach:10ms;check:10ms"

/// Messages:
///
/// Attachment {sandboxID, networkNamespace (path), interfaceName ("eth0"), podNamespace, podName, podUID, portMappings?:
///   [{hostPort, containerPort, protocol, hostIP?}], cgroupPath?, bandwidth?: {ingressBits, egressBits}}
/// Result (CNI's) {interfaces: [{name, mac, sandbox}], ips: [{address: "10.244.0.5/24", gateway}], routes: [{dst, gw}],
///   dns: {}}
/// Service {namespace, name, clusterIPs: […], externalIPs?: […], sessionAffinity: "None"|"ClientIP",
///   affinityTimeoutSeconds?, internalTrafficPolicy?, externalTrafficPolicy?, restrictedIPs?: […], sourceRanges?: [cidr],
///   ports: [{name, protocol: "TCP"|"UDP"|"SCTP", port, nodePort?, endpoints: [{address, port, node?, local: bool}],
///   draining?: [{address, port}]}]}: only clients in one of the source ranges reach the restricted addresses. The endpoints
///   that are draining are this node's, and count where a policy is Local, because no other local one is ready

/// PolicyRules {full?: bool, groups: [Group], policies: [Policy], subjects: [Subject],
///   removed?: {groups: [name], policies: [name], subjects: [address]}}: what network policies come down to, without any
///   selector. Everything is named, and added or replaced by name; with `full` all others go.
/// Group {name, type: "addresses"|"endpoints", full?: bool, added: [Member], removed: [Member]}: members that come and go;
///   with `full`, `added` are all of them. Member of addresses: "10.244.0.5"; of endpoints: {address, protocol, port}
/// Policy {name, ingress?: [Rule], egress?: [Rule]}: what it allows; a direction that is absent it says nothing of
/// Rule {peers?: [Peer], ports?: [Port]}: what has one of the peers and one of the ports; absent is all, empty is none
/// Peer {group} | {cidr, except?: [cidr]}: the other side, or for a group of endpoints where the connection leads
/// Port {protocol, port?, endPort?} | {group}: a port, a range of ports, or one of a group's endpoints
/// Subject {address, ingress?: [policy name], egress?: [policy name]}: a pod that is isolated in the directions that are
///   there: what one of the policies allows passes, and nothing else

/// The state that one provider hands to the next in a swap (hostd/roles/state.h), JSON after the line with its id:
///
/// {attachments: [{sandboxID, address ("10.244.0.5/24"), gateway, mac, hostName (the host's end of the link),
///   interfaceName, networkNamespace, namespaceCookie ("4711"; 0 = unknown), podNamespace, podName, portMappings,
///   answersDirectly?: bool (the pod answers its neighbours past the host), mapsPortsItself?: bool (the host ports are
///   mapped by what made the link)}],
///  lastAddress?, services?: [Service], routing: [{table, pins: [path]}]}
///
/// The new provider takes the attachments over as they are: links, addresses and MACs stay, and no address is given away
/// that one of them has. It routes the services from the moment that it is active, beside the old provider. What the old
/// one has put into the kernel (a table of nf_tables, family ip, whose name begins with "hostd"; pins in a bpffs) the new
/// one removes with the first services_set that succeeds: that call proves that it is in charge. Deactivated before, it
/// removes its own instead.
#define HOSTD_NETWORK_STATE_1 "hostd.network.state/1"

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
    /// {validSandboxIDs: […], graceSeconds?: n} → {removed: […]}. Detaches everything else, but for what has been attached
    /// in the last n seconds (0 unless given): it may be missing in a list that was made meanwhile.
    int32_t (*collect_garbage)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {full?: bool, services: [Service], removed?: [{namespace, name}]} → {}. Adds or replaces; with `full` all others go.
    /// A service without endpoints refuses connections. Cost grows with what is given, not with what exists.
    int32_t (*services_set)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {full?: bool, policies: [NetworkPolicy as JSON], removed?: […]} → {}. Not called: a network would have to watch pods
    /// and namespaces itself to make something of it. See policy_rules_set.
    int32_t (*policies_set)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// PolicyRules → {}. Takes all of it or, with an error, none; WRONG_STATE when it needs everything, with `full`, first.
    /// NOT_SUPPORTED without enforcement: users are told then that their policies have no effect. Answers to what was
    /// allowed pass, and so does what the host itself begins. What services lead to counts, not their own addresses. Cost
    /// grows with what is given, not with what exists.
    int32_t (*policy_rules_set)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
} hostd_network_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
