import Glibc
import Objects
import PluginKit
import Synchronization

/// The volumes of one node: directories below `root`, each with a record of what it is.
///
///     root/NAME/volume.json   the record; a directory without one is an interrupted create and is removed
///     root/NAME/data/         what pods see
///
/// Usable from any thread; changes of one store are serial.
final class VolumeStore: Sendable {
    private let root: String
    private let changes = Mutex(())

    init(root: String) throws {
        self.root = root
        try AtomicFile.makeDirectory(root, mode: 0o711)
    }

    /// Removes what an interrupted create or delete left.
    func recover() throws {
        try changes.withLock { _ in
            for name in try FileTree.names(in: root) where !name.hasPrefix(".") {
                if access("\(root)/\(name)/volume.json", F_OK) != 0 { try FileTree.remove("\(root)/\(name)") }
            }
            for name in try FileTree.names(in: root) where name.hasPrefix(".deleted-") {
                try FileTree.remove("\(root)/\(name)")
            }
        }
    }

    func dataPath(_ volumeID: String) throws -> String { "\(try directory(volumeID))/data" }

    /// The record of a volume.
    /// - Throws: NOT_FOUND naming the volume.
    func record(_ volumeID: String) throws -> VolumeRecord {
        let path = "\(try directory(volumeID))/volume.json"
        do {
            return VolumeRecord(json: try JSON(parsing: try AtomicFile.read(path, limit: 1 << 20)))
        } catch let error as PluginError where error.code == PluginError.notFound("").code {
            throw PluginError.notFound("there is no local volume \(volumeID)")
        }
    }

    /// Makes a volume, or finds the one with the same name.
    /// - Throws: ALREADY_EXISTS when one with this name has less room, RESOURCE_EXHAUSTED when the disk is smaller.
    func create(name: String, capacity: Int64, limit: Int64?, parameters: JSON) throws -> VolumeRecord {
        try changes.withLock { _ in
            let directory = try directory(name)
            if access("\(directory)/volume.json", F_OK) == 0 {
                let existing = try record(name)
                guard existing.capacity >= capacity, limit.map({ existing.capacity <= $0 }) ?? true else {
                    throw PluginError.alreadyExists(
                        "local volume \(name) exists with \(existing.capacity) bytes, \(capacity) are asked for")
                }
                return existing
            }
            let space = try FileSystemSpace(path: root)
            guard capacity <= space.total else {
                throw PluginError.exhausted(
                    "\(capacity) bytes are asked for, the file system of \(root) has \(space.total)")
            }
            return try make(VolumeRecord(id: name, capacity: capacity, parameters: parameters), in: directory)
        }
    }

    private func make(_ record: VolumeRecord, in directory: String) throws -> VolumeRecord {
        try AtomicFile.makeDirectory("\(directory)/data", mode: 0o777)
        // The process's umask does not decide who may write into a volume.
        if chmod("\(directory)/data", 0o777) != 0 {
            throw PluginError.system("set the mode of", directory, errno: errno)
        }
        try AtomicFile.write(record.json.serialized(), to: "\(directory)/volume.json")
        return record
    }

    func expand(_ volumeID: String, capacity: Int64) throws -> VolumeRecord {
        try changes.withLock { _ in
            var record = try record(volumeID)
            if capacity > record.capacity {
                let space = try FileSystemSpace(path: root)
                guard capacity <= space.total else {
                    throw PluginError.exhausted(
                        "\(capacity) bytes are asked for, the file system of \(root) has \(space.total)")
                }
                record.capacity = capacity
                try AtomicFile.write(record.json.serialized(), to: "\(try directory(volumeID))/volume.json")
            }
            return record
        }
    }

    /// Deletes a volume and its data; what is gone already is success.
    func delete(_ volumeID: String) throws {
        try changes.withLock { _ in
            let directory = try directory(volumeID)
            let deleted = "\(root)/.deleted-\(volumeID)"
            if rename(directory, deleted) != 0, errno != ENOENT {
                throw PluginError.system("delete the volume", directory, errno: errno)
            }
            try FileTree.remove(deleted)
        }
    }

    /// - Throws: INVALID_ARGUMENT for a name that could leave the root.
    private func directory(_ volumeID: String) throws -> String {
        let isSafe =
            !volumeID.isEmpty && volumeID.utf8.count <= 253 && volumeID.first != "." && volumeID.first != "-"
            && volumeID.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            }
        guard isSafe else {
            throw PluginError.invalid(
                "\"\(volumeID)\" is no name of a local volume: letters, digits, '-', '_' and '.', at most 253, "
                    + "beginning with a letter or a digit")
        }
        return "\(root)/\(volumeID)"
    }
}

/// What is kept of a volume.
struct VolumeRecord: Equatable {
    let id: String
    var capacity: Int64
    let parameters: JSON
    let createdAt: String

    init(id: String, capacity: Int64, parameters: JSON) {
        self.id = id
        self.capacity = capacity
        self.parameters = parameters
        createdAt = Timestamp.now().formatted()
    }

    init(json: JSON) {
        id = json["volumeID"].stringValue ?? ""
        capacity = json["capacityBytes"].integerValue ?? 0
        parameters = json["parameters"]
        createdAt = json["createdAt"].stringValue ?? ""
    }

    var json: JSON {
        [
            "format": 1, "volumeID": .string(id), "capacityBytes": .integer(capacity), "parameters": parameters,
            "createdAt": .string(createdAt),
        ]
    }
}

/// Room on a file system, in bytes and inodes, for those who are not root.
struct FileSystemSpace {
    let total: Int64
    let available: Int64
    let totalInodes: Int64
    let freeInodes: Int64

    init(path: String) throws {
        var status = statvfs()
        if statvfs(path, &status) != 0 { throw PluginError.system("look at the file system of", path, errno: errno) }
        total = Int64(status.f_blocks) * Int64(status.f_frsize)
        available = Int64(status.f_bavail) * Int64(status.f_frsize)
        totalInodes = Int64(status.f_files)
        freeInodes = Int64(status.f_favail)
    }
}
