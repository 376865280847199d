import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Volumes in directories of this machine. A volume is a directory under the plugin's own, which `publish` binds at the place
/// where a pod looks for it. A capacity is a promise here, not a quota.
final class @MODULE@: Plugin, VolumeProvider {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Volumes in directories.", provides: [HOSTD_VOLUME_1])
    static let optionsSchema = ""

    private struct State {
        var directory = ""
        /// Capacities by volume id, which is the volume's name.
        var volumes: [String: Int64] = [:]

        var book: Book { Book(path: "\(directory)/volumes.json") }
        func path(_ id: String) -> String { "\(directory)/volumes/\(id)" }
    }

    /// Every slot holds it: publishing twice at once must not bind twice.
    private let state = Mutex(State())
    private let table = ProvidedTable()

    init(host: Host) {}

    func configure(_ configuration: PluginConfiguration) {
        state.withLock { $0 = State(directory: configuration.pluginDirectory) }
    }

    func activate() throws {
        try state.withLock { state in
            try AtomicFile.makeDirectory(state.path(""))
            for saved in try state.book.read()["volumes"].arrayValue {
                guard let id = saved["volumeID"].stringValue else { continue }
                state.volumes[id] = saved["capacityBytes"].integerValue ?? 0
            }
        }
    }

    /// All of it is in the file.
    func deactivate() { state.withLock { $0.volumes = [:] } }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_VOLUME_1 ? table.once { RoleTable.volume(self) } : nil
    }

    /// Changes the volumes and writes them down, or changes nothing.
    private static func change(_ state: inout State, _ body: (inout [String: Int64]) -> Void) throws {
        var volumes = state.volumes
        body(&volumes)
        let saved = volumes.sorted { $0.key < $1.key }.map { id, capacity -> JSON in
            ["volumeID": .string(id), "capacityBytes": .integer(capacity)]
        }
        try state.book.write(["format": 1, "volumes": .array(saved)])
        state.volumes = volumes
    }

    private static func needed(_ request: JSON, _ member: String) throws -> String {
        guard let text = request[member].stringValue, !text.isEmpty, !text.utf8.contains(0) else {
            throw PluginError.invalid("the request needs a text \"\(member)\"")
        }
        return text
    }

    private static func known(_ state: State, _ request: JSON) throws -> String {
        let id = try needed(request, "volumeID")
        guard state.volumes[id] != nil else { throw PluginError.notFound("there is no volume \(id)") }
        return id
    }

    private static func target(_ request: JSON) throws -> String {
        let target = try needed(request, "targetPath")
        guard target.hasPrefix("/"), target.utf8.count < 4000, !target.contains("/../") else {
            throw PluginError.invalid("targetPath must be an absolute path")
        }
        return target
    }

    /// Names become parts of paths, so they are no paths themselves.
    private static func isPlainName(_ name: String) -> Bool {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)
        return !name.hasPrefix(".") && name.utf8.count <= 200 && name.utf8.allSatisfy(allowed.contains)
    }
}

extension @MODULE@ {
    func status(_ request: JSON, deadline: UInt64) -> JSON {
        [
            "driver": "@NAME@.example.com", "version": "1.0.0", "ready": true, "reason": "",
            "capabilities": ["create", "expand"],
        ]
    }

    func createVolume(_ request: JSON, deadline: UInt64) throws -> JSON {
        let name = try Self.needed(request, "name")
        let wanted = request["capacityBytes"].integerValue ?? 0
        guard Self.isPlainName(name), wanted >= 0 else {
            throw PluginError.invalid("a name has letters, digits, '-', '_' and '.', and a capacity is not negative")
        }
        guard !request["source"].exists else {
            throw PluginError.notSupported("volumes cannot be made from a snapshot or from another volume")
        }
        let capacity = try state.withLock { state -> Int64 in
            if let before = state.volumes[name] {
                guard before >= wanted else {
                    throw PluginError.alreadyExists("volume \(name) exists with \(before) bytes")
                }
                return before  // The same request again.
            }
            let path = state.path(name)
            try AtomicFile.makeDirectory(path)
            if chmod(path, 0o777) != 0 { throw PluginError.system("open to all", path, errno: errno) }
            try Self.change(&state) { $0[name] = wanted }
            return wanted
        }
        return ["volume": ["volumeID": .string(name), "capacityBytes": .integer(capacity), "context": [:]]]
    }

    func deleteVolume(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = try Self.needed(request, "volumeID")
        try state.withLock { state in
            guard state.volumes[id] != nil else { return }  // What is gone is success.
            try FileTree.remove(state.path(id))
            try Self.change(&state) { $0[id] = nil }
        }
        return [:]
    }

    func validate(_ request: JSON, deadline: UInt64) throws -> JSON {
        _ = try state.withLock { try Self.known($0, request) }
        let blocks = request["volumeMode"].stringValue == "Block"
        return ["confirmed": .bool(!blocks), "message": blocks ? "volumes are directories here" : ""]
    }

    func publish(_ request: JSON, deadline: UInt64) throws -> JSON {
        let target = try Self.target(request)
        try state.withLock { state in
            let source = state.path(try Self.known(state, request))
            try AtomicFile.makeDirectory(target)
            if try !isSameDirectory(source, target), mount(source, target, nil, UInt(MS_BIND), nil) != 0 {
                throw PluginError.system("bind the volume at", target, errno: errno)
            }
            let access = request["readOnly"].boolValue == true ? UInt(MS_RDONLY) : 0
            if mount(nil, target, nil, UInt(MS_BIND | MS_REMOUNT) | access, nil) != 0 {
                throw PluginError.system("set the access of", target, errno: errno)
            }
        }
        return [:]
    }

    func unpublish(_ request: JSON, deadline: UInt64) throws -> JSON {
        let target = try Self.target(request)
        try state.withLock { _ in
            while umount2(target, Int32(MNT_DETACH)) == 0 {}
            if errno != EINVAL, errno != ENOENT { throw PluginError.system("unmount", target, errno: errno) }
            if rmdir(target) != 0, errno != ENOENT { throw PluginError.system("remove", target, errno: errno) }
        }
        return [:]
    }

    func expand(_ request: JSON, deadline: UInt64) throws -> JSON {
        guard let wanted = request["capacityBytes"].integerValue, wanted > 0 else {
            throw PluginError.invalid("capacityBytes must be a positive number")
        }
        let capacity = try state.withLock { state -> Int64 in
            let id = try Self.known(state, request)
            let capacity = max(wanted, state.volumes[id] ?? 0)
            try Self.change(&state) { $0[id] = capacity }
            return capacity
        }
        return ["capacityBytes": .integer(capacity), "nodeExpansionRequired": false]
    }

    private func isSameDirectory(_ one: String, _ other: String) throws -> Bool {
        var (first, second) = (stat(), stat())
        if stat(one, &first) != 0 { throw PluginError.system("look at", one, errno: errno) }
        if stat(other, &second) != 0 { throw PluginError.system("look at", other, errno: errno) }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }
}

/// What directories cannot do.
extension @MODULE@ {
    private func unsupported() -> PluginError {
        .notSupported("@NAME@ does not do this: `status` lists its capabilities")
    }

    func controllerPublish(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func controllerUnpublish(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func stage(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func unstage(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func volumeStats(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func createSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func deleteSnapshot(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
    func capacity(_ request: JSON, deadline: UInt64) throws -> JSON { throw unsupported() }
}
