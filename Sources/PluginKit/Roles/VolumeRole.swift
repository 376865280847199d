import Objects
import PluginAPI

/// Role hostd.volume/1 in Swift; the messages are described in hostd/roles/volume.h.
public protocol VolumeProvider: AnyObject, Sendable {
    /// {} → {driver, version, ready, reason, capabilities: ["create","stage","expand","snapshot","stats","topology",…],
    /// topology: {segments: {key: value}}, maximumVolumes?}
    func status(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {name, capacityBytes, limitBytes?, accessModes, volumeMode, parameters, topology?, source?: {snapshotID?, volumeID?}} → {volume: Volume}
    func createVolume(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID} → {}
    func deleteVolume(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, accessModes, volumeMode} → {confirmed: bool, message}
    func validate(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, node, readOnly} → {context}
    func controllerPublish(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, node} → {}
    func controllerUnpublish(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, stagingPath, volumeMode, accessModes, fileSystem?, mountOptions?, context} → {}. Once per node and volume.
    func stage(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, stagingPath} → {}
    func unstage(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, stagingPath?, targetPath, readOnly, accessModes, fileSystemGroup?, context, pod?: {uid, name, namespace}} → {}.
    /// At targetPath the volume is mounted or bound afterwards.
    func publish(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, targetPath} → {}
    func unpublish(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, capacityBytes, volumePath?} → {capacityBytes, nodeExpansionRequired}
    func expand(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {volumeID, volumePath} → {totalBytes, usedBytes, availableBytes, totalInodes, usedInodes}
    func volumeStats(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {name, volumeID, parameters} → {snapshotID, createdAt, sizeBytes, ready}
    func createSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {snapshotID} → {}
    func deleteSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {parameters, topology?} → {availableBytes}
    func capacity(_ request: JSON, deadline: UInt64) throws -> JSON
}

extension RoleTable {
    /// The C table of a provider of hostd.volume/1. It keeps the provider alive until `release`:
    /// make it once per plugin instance.
    public static func volume(_ implementation: any VolumeProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_volume_1.self, id: HOSTD_VOLUME_1, slots: HOSTD_VOLUME_1_SLOTS,
            box: ProviderBox<any VolumeProvider>(implementation))
        table.pointee.status = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.status(request, deadline: deadline)
            }
        }
        table.pointee.create_volume = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.createVolume(request, deadline: deadline)
            }
        }
        table.pointee.delete_volume = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.deleteVolume(request, deadline: deadline)
            }
        }
        table.pointee.validate = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.validate(request, deadline: deadline)
            }
        }
        table.pointee.controller_publish = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.controllerPublish(request, deadline: deadline)
            }
        }
        table.pointee.controller_unpublish = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.controllerUnpublish(request, deadline: deadline)
            }
        }
        table.pointee.stage = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.stage(request, deadline: deadline)
            }
        }
        table.pointee.unstage = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.unstage(request, deadline: deadline)
            }
        }
        table.pointee.publish = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.publish(request, deadline: deadline)
            }
        }
        table.pointee.unpublish = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.unpublish(request, deadline: deadline)
            }
        }
        table.pointee.expand = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.expand(request, deadline: deadline)
            }
        }
        table.pointee.volume_stats = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.volumeStats(request, deadline: deadline)
            }
        }
        table.pointee.create_snapshot = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.createSnapshot(request, deadline: deadline)
            }
        }
        table.pointee.delete_snapshot = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.deleteSnapshot(request, deadline: deadline)
            }
        }
        table.pointee.capacity = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any VolumeProvider, request) in
                try it.capacity(request, deadline: deadline)
            }
        }
        return finish(table)
    }
}

/// The consumer's side of VolumeProvider: each call goes through the host to whoever provides the role at that moment.
public final class VolumeClient: VolumeProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_volume_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ table: UnsafePointer<hostd_volume_1>) { self.table = table }

    public convenience init(_ host: Host) throws(PluginError) {
        self.init(try host.table(HOSTD_VOLUME_1, as: hostd_volume_1.self))
    }

    /// One named provider of the role, where several plugins provide it.
    public convenience init(_ host: Host, plugin: String) throws(PluginError) {
        self.init(try host.roles().provider(of: HOSTD_VOLUME_1, plugin: plugin, as: hostd_volume_1.self))
    }

    public func status(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.status, this, request, deadline)
    }
    public func createVolume(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.create_volume, this, request, deadline)
    }
    public func deleteVolume(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.delete_volume, this, request, deadline)
    }
    public func validate(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.validate, this, request, deadline)
    }
    public func controllerPublish(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.controller_publish, this, request, deadline)
    }
    public func controllerUnpublish(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.controller_unpublish, this, request, deadline)
    }
    public func stage(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.stage, this, request, deadline)
    }
    public func unstage(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.unstage, this, request, deadline)
    }
    public func publish(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.publish, this, request, deadline)
    }
    public func unpublish(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.unpublish, this, request, deadline)
    }
    public func expand(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.expand, this, request, deadline)
    }
    public func volumeStats(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.volume_stats, this, request, deadline)
    }
    public func createSnapshot(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.create_snapshot, this, request, deadline)
    }
    public func deleteSnapshot(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.delete_snapshot, this, request, deadline)
    }
    public func capacity(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.capacity, this, request, deadline)
    }
}
