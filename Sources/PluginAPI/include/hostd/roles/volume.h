/// Role hostd.volume/1: volumes, in CSI's vocabulary, so that a CSI driver can stand under it. Every slot is idempotent,
/// as CSI asks. Several plugins may provide it; `status` tells the driver's name.
#ifndef HOSTD_ROLES_VOLUME_H
#define HOSTD_ROLES_VOLUME_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_VOLUME_1 "hostd.volume/1"
#define HOSTD_VOLUME_1_SLOTS "status:tboe;create_volume:tboe;delete_volume:tboe;validate:tboe;controller_publish:tboe;controller_unpublish:tboe;stage:tboe;unstage:tboe;publish:tboe;unpublish:tboe;expand:tboe;volume_stats:tboe;create_snapshot:tboe;delete_snapshot:tboe;capacity:tboe"

/// Messages: Volume {volumeID, capacityBytes, context: {name: value}, topology?: [{segments: {key: value}}]}
/// accessModes are Kubernetes': "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod".

typedef struct hostd_volume_1 {
    hostd_interface interface;
    /// {} → {driver, version, ready, reason, capabilities: ["create","stage","expand","snapshot","stats","topology",…],
    /// topology: {segments: {key: value}}, maximumVolumes?}
    int32_t (*status)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// {name, capacityBytes, limitBytes?, accessModes, volumeMode, parameters, topology?, source?: {snapshotID?, volumeID?},
    /// mutableParameters?: {name: value} of a VolumeAttributesClass} → {volume: Volume}. What a driver cannot give, such as a
    /// source or mutable parameters, it refuses with HOSTD_ERROR_NOT_SUPPORTED.
    int32_t (*create_volume)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                             const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                             hostd_error *error);
    /// {volumeID} → {}
    int32_t (*delete_volume)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                             const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                             hostd_error *error);
    /// {volumeID, accessModes, volumeMode} → {confirmed: bool, message}
    int32_t (*validate)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                        const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {volumeID, node, readOnly} → {context}
    int32_t (*controller_publish)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                  const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                  hostd_error *error);
    /// {volumeID, node} → {}
    int32_t (*controller_unpublish)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                                    const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                                    hostd_error *error);
    /// {volumeID, stagingPath, volumeMode, accessModes, fileSystem?, mountOptions?, context} → {}. Once per node and volume.
    int32_t (*stage)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                     hostd_buffer *response, hostd_error *error);
    /// {volumeID, stagingPath} → {}
    int32_t (*unstage)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                       const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {volumeID, stagingPath?, targetPath, readOnly, accessModes, fileSystemGroup?, context, pod?: {uid, name, namespace}} → {}.
    /// At targetPath the volume is mounted or bound afterwards.
    int32_t (*publish)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                       const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {volumeID, targetPath} → {}
    int32_t (*unpublish)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                         const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
    /// {volumeID, capacityBytes, volumePath?} → {capacityBytes, nodeExpansionRequired}
    int32_t (*expand)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                      hostd_buffer *response, hostd_error *error);
    /// {volumeID, volumePath} → {totalBytes, usedBytes, availableBytes, totalInodes, usedInodes}
    int32_t (*volume_stats)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                            const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                            hostd_error *error);
    /// {name, volumeID, parameters} → {snapshotID, createdAt, sizeBytes, ready}
    int32_t (*create_snapshot)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {snapshotID} → {}
    int32_t (*delete_snapshot)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                               const uint8_t *request, uint64_t request_size, hostd_buffer *response,
                               hostd_error *error);
    /// {parameters, topology?} → {availableBytes}
    int32_t (*capacity)(void *HOSTD_NULLABLE self, uint64_t deadline_ns,
                        const uint8_t *request, uint64_t request_size, hostd_buffer *response, hostd_error *error);
} hostd_volume_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
