import Glibc
import Objects
import PluginKit

/// A directory whose whole content changes in one step. Containers see
///
///     file → ..data/file      ..data → ..2026_01_02_03_04_05.123456789      (a directory with this version's files)
///
/// and an update writes a new version beside the old one and renames the link `..data`.
struct AtomicDirectory {
    let path: String
    /// Group that may read the files, from fsGroup.
    var group: gid_t?

    private static let link = "..data"

    /// Brings the directory to `payload`; false when it was so already.
    @discardableResult
    func write(_ payload: [String: PayloadFile]) throws -> Bool {
        let old = try currentVersion()
        if let old, try matches(old, payload) { return false }
        let time = Timestamp.now()
        let digits = time.formatted(fraction: .none).map { "-:T".contains($0) ? "_" : $0 }
        let version = "..\(String(digits.dropLast())).\(time.nanoseconds)"
        do {
            try writeVersion("\(path)/\(version)", payload)
            try swap(to: version)
        } catch {
            let failure = error
            try FileTree.remove("\(path)/\(version)")
            throw failure
        }
        try updateNames(payload)
        for name in try Files.list(path) where name.hasPrefix("..2") && name != version {
            try FileTree.remove("\(path)/\(name)")
        }
        return true
    }

    private func currentVersion() throws -> String? {
        var buffer = [CChar](repeating: 0, count: 512)
        let count = readlink("\(path)/\(Self.link)", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func matches(_ version: String, _ payload: [String: PayloadFile]) throws -> Bool {
        var seen = 0
        for file in try filePaths("\(path)/\(version)", prefix: "") {
            guard let wanted = payload[file], let information = try Files.status("\(path)/\(version)/\(file)") else {
                return false
            }
            guard effectiveMode(wanted.mode) == information.st_mode & 0o7777,
                wanted.user.map({ $0 == information.st_uid }) ?? true,
                try Files.read("\(path)/\(version)/\(file)") == wanted.data
            else { return false }
            seen += 1
        }
        return seen == payload.count
    }

    private func filePaths(_ directory: String, prefix: String) throws -> [String] {
        var result: [String] = []
        for name in try Files.list(directory) {
            guard let information = try Files.status("\(directory)/\(name)", follow: false) else { continue }
            if Files.isDirectory(information) {
                result += try filePaths("\(directory)/\(name)", prefix: "\(prefix)\(name)/")
            } else {
                result.append(prefix + name)
            }
        }
        return result
    }

    /// With a group, the group may read what the owner may.
    private func effectiveMode(_ mode: UInt32) -> mode_t { group == nil ? mode : mode | 0o440 }

    private func writeVersion(_ directory: String, _ payload: [String: PayloadFile]) throws {
        try makeDirectory(directory)
        var made: Set<String> = []
        for (name, file) in payload {
            var parent = directory
            for part in name.split(separator: "/").dropLast() {
                parent += "/\(part)"
                if made.insert(parent).inserted { try makeDirectory(parent) }
            }
            let target = "\(directory)/\(name)"
            try Files.write(file.data, to: target, mode: effectiveMode(file.mode))
            if group != nil || file.user != nil {
                let (user, group) = (file.user ?? uid_t.max, group ?? gid_t.max)
                try SystemError.check("chown", target) { lchown(target, user, group) }
            }
            if let group, group != 0 {
                try SystemError.check("chmod", target) { chmod(target, effectiveMode(file.mode)) }
            }
        }
    }

    private func makeDirectory(_ directory: String) throws {
        try Files.makeDirectories(directory)
        try SystemError.check("chmod", directory) { chmod(directory, 0o755) }
        guard let group else { return }
        try SystemError.check("chown", directory) { lchown(directory, uid_t.max, group) }
        try SystemError.check("chmod", directory) { chmod(directory, 0o2755) }
    }

    private func swap(to version: String) throws {
        let temporary = "\(path)/..data_tmp"
        if unlink(temporary) != 0, errno != ENOENT { throw SystemError("unlink", temporary) }
        try SystemError.check("symlink", temporary) { symlink(version, temporary) }
        try SystemError.check("rename", temporary) { rename(temporary, "\(path)/\(Self.link)") }
    }

    /// Links the first path components of the files into `..data`, and removes those that are no longer there.
    private func updateNames(_ payload: [String: PayloadFile]) throws {
        let wanted = Set(payload.keys.map { String($0.split(separator: "/")[0]) })
        let present = try Files.list(path).filter { !$0.hasPrefix("..") }
        for name in present where !wanted.contains(name) {
            if unlink("\(path)/\(name)") != 0, errno != ENOENT { throw SystemError("unlink", "\(path)/\(name)") }
        }
        for name in wanted where !present.contains(name) {
            try SystemError.check("symlink", "\(path)/\(name)") { symlink("\(Self.link)/\(name)", "\(path)/\(name)") }
        }
    }
}
