import Glibc
import Objects
import PluginKit

/// Role hostd.volume/1 over directories of this node. Capacities are promises that are checked against the disk when they
/// are made, not quotas.
final class LocalVolumes: VolumeProvider {
    static let driver = "local.hostd.dev"
    private static let supportedModes: Set<String> = [
        "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod",
    ]
    private let store: VolumeStore
    private let root: String
    private let node: String

    init(root: String, node: String) throws {
        self.root = root
        self.node = node
        store = try VolumeStore(root: root)
        try store.recover()
    }

    private var topology: JSON { ["segments": ["kubernetes.io/hostname": .string(node)]] }

    func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        [
            "driver": .string(Self.driver), "version": "1", "ready": true, "reason": "",
            "capabilities": ["create", "expand", "stats", "topology"], "topology": topology,
        ]
    }

    func createVolume(_ request: JSON, deadline: UInt64) throws -> JSON {
        try checkModes(request)
        if request["source"].exists {
            throw PluginError.notSupported("local volumes cannot be made from a snapshot or from another volume")
        }
        if !request["mutableParameters"].isEmpty {
            throw PluginError.notSupported("local volumes have no attributes that a VolumeAttributesClass could set")
        }
        let name = try text(request, "name")
        let capacity = request["capacityBytes"].integerValue ?? 0
        guard capacity >= 0 else { throw PluginError.invalid("capacityBytes is \(capacity); it must not be negative") }
        let record = try store.create(
            name: name, capacity: capacity, limit: request["limitBytes"].integerValue, parameters: request["parameters"]
        )
        return [
            "volume": [
                "volumeID": .string(record.id), "capacityBytes": .integer(record.capacity), "context": [:],
                "topology": [topology],
            ]
        ]
    }

    func deleteVolume(_ request: JSON, deadline: UInt64) throws -> JSON {
        try store.delete(try text(request, "volumeID"))
        return [:]
    }

    func validate(_ request: JSON, deadline: UInt64) throws -> JSON {
        _ = try store.record(try text(request, "volumeID"))
        do {
            try checkModes(request)
            return ["confirmed": true, "message": ""]
        } catch let error as PluginError {
            return ["confirmed": false, "message": .string(error.message)]
        }
    }

    func publish(_ request: JSON, deadline: UInt64) throws -> JSON {
        let volumeID = try text(request, "volumeID")
        _ = try store.record(volumeID)
        let source = try store.dataPath(volumeID)
        let target = try absolutePath(request, "targetPath")
        if let group = request["fileSystemGroup"].integerValue { try VolumeOwnership.setGroup(group, of: source) }
        try BindMount.publish(source, at: target, readOnly: request["readOnly"].boolValue ?? false)
        return [:]
    }

    func unpublish(_ request: JSON, deadline: UInt64) throws -> JSON {
        _ = try text(request, "volumeID")
        try BindMount.unpublish(nil, at: try absolutePath(request, "targetPath"))
        return [:]
    }

    func expand(_ request: JSON, deadline: UInt64) throws -> JSON {
        guard let capacity = request["capacityBytes"].integerValue, capacity > 0 else {
            throw PluginError.invalid("capacityBytes must be a positive number of bytes")
        }
        let record = try store.expand(try text(request, "volumeID"), capacity: capacity)
        return ["capacityBytes": .integer(record.capacity), "nodeExpansionRequired": false]
    }

    func volumeStats(_ request: JSON, deadline: UInt64) throws -> JSON {
        let volumeID = try text(request, "volumeID")
        let record = try store.record(volumeID)
        var used: Int64 = 0
        var inodes: Int64 = 1
        try FileTree.walk(try store.dataPath(volumeID)) { entry throws(PluginError) in
            used += Int64(entry.status.st_blocks) * 512
            inodes += 1
        }
        let space = try FileSystemSpace(path: root)
        return [
            "totalBytes": .integer(record.capacity), "usedBytes": .integer(used),
            "availableBytes": .integer(max(0, min(record.capacity - used, space.available))),
            "totalInodes": .integer(space.totalInodes), "usedInodes": .integer(inodes),
        ]
    }

    func capacity(_ request: JSON, deadline: UInt64) throws -> JSON {
        ["availableBytes": .integer(try FileSystemSpace(path: root).available)]
    }

    func controllerPublish(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw unsupported("attach volumes to nodes")
    }
    func controllerUnpublish(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw unsupported("attach volumes to nodes")
    }
    func stage(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("stage volumes") }
    func unstage(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("stage volumes") }
    func createSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("make snapshots") }
    func deleteSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported("make snapshots") }

    private func unsupported(_ what: String) -> PluginError {
        .notSupported("\(Self.driver) does not \(what): `status` lists its capabilities")
    }

    private func checkModes(_ request: JSON) throws {
        if let mode = request["volumeMode"].stringValue, mode != "Filesystem" {
            throw PluginError.invalid("volumeMode \(mode) is not supported by \(Self.driver): use Filesystem")
        }
        for mode in request["accessModes"].arrayValue.compactMap(\.stringValue)
        where !Self.supportedModes.contains(mode) {
            throw PluginError.invalid("access mode \(mode) is not supported by \(Self.driver)")
        }
    }

    private func text(_ request: JSON, _ member: String) throws -> String {
        guard let value = request[member].stringValue, !value.isEmpty else {
            throw PluginError.invalid("the request needs a text \"\(member)\"")
        }
        return value
    }

    private func absolutePath(_ request: JSON, _ member: String) throws -> String {
        let path = try text(request, member)
        guard path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
            throw PluginError.invalid("\(member) \"\(path)\" must be an absolute path without \"..\"")
        }
        return path
    }
}
