/// Role hostd.runtime/1: pod sandboxes, containers and images on one node. The shape is CRI's, so that containerd can
/// stand under it; requests and responses are JSON objects in CRI's vocabulary, lowerCamelCase, times in RFC 3339 with
/// nanoseconds. Every stop and remove is idempotent: what is gone already is success.
#ifndef HOSTD_ROLES_RUNTIME_H
#define HOSTD_ROLES_RUNTIME_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_RUNTIME_1 "hostd.runtime/1"
#define HOSTD_RUNTIME_1_SLOTS "status:tboe;run_sandbox:tboe;stop_sandbox:tboe;remove_sandbox:tboe;list_sandboxes:tboe;create_container:tboe;start_container:tboe;stop_container:tboe;remove_container:tboe;list_containers:tboe;update_container:tboe;reopen_log:tboe;exec_sync:tboe;exec:bFFFcHe;exec_resize:huue;exec_cancel:he;attach:bFFFcHe;container_stats:tboe;watch:vHe;watch_cancel:he;list_images:tboe;image_status:tboe;load_image:tbFoe;pull_image:bcHe;pull_cancel:he;remove_image:tboe;image_filesystem:tboe"
#define HOSTD_RUNTIME_1_COSTS "status:10ms;run_sandbox:10ms;list_sandboxes:10ms;start_container:50ms;list_containers:10ms;exec_resize:1ms"

/// Messages (members not listed are ignored; "?" may be absent):
///
/// SandboxConfig {podUID, name, namespace, attempt, hostname, logDirectory, hostNetwork?, hostPID?, hostIPC?,
///   shareProcessNamespace?, sysctls?: {name: value}, labels?, annotations?, resources?: Resources,
///   userNamespace?: {hostID, size} (where status' features say userNamespaces: users and groups of the pod's own, 0 to size - 1,
///   which are hostID and following on the host)}
/// Sandbox {id, podUID, name, namespace, attempt, state: "ready"|"notReady", createdAt, networkNamespace (path; "" when
///   the host's), labels, annotations}
/// ContainerConfig {name, attempt, image (reference or id), command?: […] (replaces the entry point), args?: […],
///   workingDirectory?, environment?: [{name, value}], mounts?: [{containerPath, hostPath, readOnly?, recursiveReadOnly?, propagation?:
///   "private"|"hostToContainer"|"bidirectional"} or, where status' features say imageVolumes, {containerPath, image (reference
///   or id, mounted read-only), imagePath? (what of it)}], devices?: [{containerPath, hostPath, permissions}],
///   edits?: [CDI containerEdits], stdin?, stdinOnce?, tty?, logPath? (relative to logDirectory), labels?, annotations?,
///   resources?: Resources, security?: Security, stopSignal?, targetContainerID? (a running container of the sandbox whose
///   processes this one sees)}
/// Resources {cpuShares?, cpuQuota?, cpuPeriod?, memoryLimitBytes?, cpusetCPUs?, cpusetMemoryNodes?, pidsLimit?,
///   oomScoreAdjust?, hugepageLimits?: [{pageSize, limit}]}
/// Security {privileged?, runAsUser?, runAsUsername?, runAsGroup?, supplementalGroups?, onlyListedGroups? (none from
///   the image's /etc/group), readOnlyRootFilesystem?,
///   noNewPrivileges?, capabilities?: {add, drop}, seccomp?: {type: "RuntimeDefault"|"Unconfined"|"Localhost", path?},
///   maskedPaths?, readonlyPaths?, runAsNonRoot?}
/// Container {id, sandboxID, name, attempt, state: "created"|"running"|"exited"|"unknown", createdAt, startedAt,
///   finishedAt, exitCode, reason ("Completed", "Error", "OOMKilled", …), message, image, imageID, processID, labels,
///   annotations, logPath (absolute), mounts, user?: {uid, gid, supplementalGroups} (who its first process was started as)}
/// Image {id ("sha256:…"), repoTags, repoDigests, size, username?, uid?, pinned}

typedef struct hostd_runtime_1 {
    hostd_interface interface;
    /// {} → {name, version, ready, reason, cgroup: "v1"|"v2"|"hybrid", cgroupParent, snapshotter, features: {…}}
    int32_t (*status)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// {config: SandboxConfig} → {sandbox: Sandbox}. Namespaces and cgroup exist; no address yet. [<=10ms]
    int32_t (*run_sandbox)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                           const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                           hostd_error *error);
    /// {id} → {}. Kills what still runs in it. [blocking]
    int32_t (*stop_sandbox)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {id} → {}. Removes its containers too. [blocking]
    int32_t (*remove_sandbox)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                              const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                              hostd_error *error);
    /// {id?, podUID?} → {sandboxes: [Sandbox]}
    int32_t (*list_sandboxes)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                              const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                              hostd_error *error);
    /// {sandboxID, config: ContainerConfig, sandboxConfig?: SandboxConfig} → {id}. NOT_FOUND names a missing image. [blocking]
    int32_t (*create_container)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
    /// {id} → {container: Container}. A command that cannot be executed is an error that names it. [<=50ms]
    int32_t (*start_container)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {id, timeoutSeconds} → {}: stop signal, wait, SIGKILL. [blocking]
    int32_t (*stop_container)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                              const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                              hostd_error *error);
    /// {id} → {}. Kills it when it runs. [blocking]
    int32_t (*remove_container)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
    /// {id?, sandboxID?} → {containers: [Container]}
    int32_t (*list_containers)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {id, resources: Resources} → {}. The limits of a container, or of a sandbox: those bound its containers' together.
    int32_t (*update_container)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
    /// {id} → {}. After the caller has renamed the log file.
    int32_t (*reopen_log)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                          const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {id, command: […], timeoutSeconds?} → {exitCode, stdout (base64), stderr (base64)}; output is bounded at 16 MiB. [blocking]
    int32_t (*exec_sync)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                         const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {id, command: […], tty?, user?}. Standard input, output and error are given away, -1 where absent; with `tty`
    /// standard_output is ignored and standard_input is the caller's end of a stream that carries the terminal both ways.
    /// Completes with {exitCode} when the process has ended. `operation` is for resize and cancel.
    int32_t (*exec)(void *HOSTD_NULLABLE self, const uint8_t *request, uint64_t request_size, int32_t standard_input,
                    int32_t standard_output, int32_t standard_error,
                    hostd_completion completion, void *HOSTD_NULLABLE context, uint64_t *operation,
                    hostd_error *error);
    /// Sets the size of the terminal of an exec or attach operation.
    int32_t (*exec_resize)(void *HOSTD_NULLABLE self, uint64_t operation, uint32_t width, uint32_t height,
                           hostd_error *error);
    /// Ends the process of an exec (SIGKILL), or detaches an attach. Idempotent; the completion still follows once.
    int32_t (*exec_cancel)(void *HOSTD_NULLABLE self, uint64_t operation, hostd_error *error);
    /// {id, tty?}. As exec, to the container's own first process; completes when it exits or the streams close. The first
    /// attach may begin with what a container wrote that was started a moment ago.
    int32_t (*attach)(void *HOSTD_NULLABLE self, const uint8_t *request, uint64_t request_size,
                      int32_t standard_input, int32_t standard_output, int32_t standard_error,
                      hostd_completion completion, void *HOSTD_NULLABLE context, uint64_t *operation,
                      hostd_error *error);
    /// {id?, sandboxID?} → {stats: [{id, timestamp, cpuUsageNanoseconds, memoryUsageBytes, memoryWorkingSetBytes, memoryRSSBytes, pids, writableLayerBytes}]}
    int32_t (*container_stats)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// Reports {type: "created"|"started"|"exited"|"removed"|"oom", containerID, sandboxID, container: Container}.
    int32_t (*watch)(void *HOSTD_NULLABLE self, hostd_sink sink, void *HOSTD_NULLABLE context, uint64_t *watch,
                     hostd_error *error);
    /// When it returns, the sink will not run again. Idempotent.
    int32_t (*watch_cancel)(void *HOSTD_NULLABLE self, uint64_t watch, hostd_error *error);
    /// {} → {images: [Image]}
    int32_t (*list_images)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                           const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                           hostd_error *error);
    /// {image} → {image: Image or null}
    int32_t (*image_status)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {} and an open OCI archive or docker-archive (tar, also gzip or zstd) → {images: [Image]}. All or nothing. [blocking]
    int32_t (*load_image)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                          const uint8_t *request, uint64_t request_size, int32_t archive, hostd_buffer *response,
                          hostd_error *error);
    /// {image, authentication?: {username, password, serverAddress, identityToken}, platform?} completes with {image: Image}.
    int32_t (*pull_image)(void *HOSTD_NULLABLE self, const uint8_t *request, uint64_t request_size,
                          hostd_completion completion, void *HOSTD_NULLABLE context, uint64_t *operation,
                          hostd_error *error);
    /// Cancels a pull. Idempotent; the completion still follows once.
    int32_t (*pull_cancel)(void *HOSTD_NULLABLE self, uint64_t operation, hostd_error *error);
    /// {image} → {}. CONFLICT while a container uses it. Idempotent. [blocking]
    int32_t (*remove_image)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {} → {path, capacityBytes, availableBytes, usedBytes, inodesUsed}
    int32_t (*image_filesystem)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                hostd_error *error);
} hostd_runtime_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
