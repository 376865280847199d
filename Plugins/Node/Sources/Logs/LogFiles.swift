import Glibc
import Objects
import PluginKit

/// Names of a container's log files: ATTEMPT.log is written to, ATTEMPT.log.YYYYMMDD-HHMMSS.N are full.
enum LogFiles {
    static let maximumBytes = 10 << 20
    static let maximumFiles = 5

    /// All files of one log, the oldest first.
    static func all(_ path: String) throws -> [String] {
        let (directory, name) = split(path)
        let rotated = try Files.list(directory).filter { $0.hasPrefix("\(name).") }.sorted()
        return rotated.map { "\(directory)/\($0)" } + [path]
    }

    static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    /// Puts a full file aside and removes the oldest ones; answers whether there was one. The writer must be told to
    /// open its file again.
    static func rotate(_ path: String, now: Timestamp) throws -> Bool {
        guard let information = try Files.status(path), information.st_size >= maximumBytes else { return false }
        let stamp = String(now.formatted(fraction: .none).compactMap { $0 == "T" ? "-" : $0.isNumber ? $0 : nil })
        let digits = String(now.nanoseconds)
        let fraction = String(repeating: "0", count: 9 - digits.count) + digits
        try SystemError.check("rename", path) { rename(path, "\(path).\(stamp).\(fraction)") }
        let full = try all(path).dropLast()
        for old in full.dropLast(maximumFiles - 1) { try FileTree.remove(old) }
        return true
    }
}
