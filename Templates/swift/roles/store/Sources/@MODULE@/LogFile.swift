import Glibc
import PluginAPI
import PluginKit

/// The log file: what was acknowledged is in it. An entry is its size, a checksum, and records; all of one entry were written
/// under one revision, or none.
final class LogFile: Sendable {
    private let file: Int32

    static func entry(_ records: [Record]) -> [UInt8] {
        var body: [UInt8] = []
        for record in records { record.encode(into: &body) }
        var entry: [UInt8] = []
        entry.append(UInt32(body.count))
        entry.append(checksum(body[...]))
        return entry + body
    }

    /// FNV-1a.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    /// The records of all whole entries. A last entry that was cut by a crash was never acknowledged, and is left out.
    static func read(_ path: String) throws -> [Record] {
        guard access(path, F_OK) == 0 else { return [] }
        var rest = try AtomicFile.read(path, limit: Int.max)[...]
        var records: [Record] = []
        while rest.count >= 8 {
            let (size, expected) = (Int(rest.number(at: 0, size: 4)), rest.number(at: 4, size: 4))
            guard rest.count - 8 >= size else { break }
            var body = rest.dropFirst(8).prefix(size)
            guard UInt64(checksum(body)) == expected else {
                if rest.count - 8 == size { break }
                throw PluginError(
                    code: HOSTD_ERROR_DATA_LOSS,
                    message: "\(path) is damaged at byte \(rest.startIndex): restore a backup")
            }
            while let record = Record(taking: &body) { records.append(record) }
            rest = rest.dropFirst(8 + size)
        }
        return records
    }

    /// Replaces the log by one that has `entries` alone.
    init(path: String, entries: [UInt8]) throws {
        try AtomicFile.write(entries, to: path)
        let opened = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        if opened < 0 { throw PluginError.system("open", path, errno: errno) }
        file = opened
    }

    deinit { close(file) }

    /// Returns when the entry is on disk. One that could not be written whole is cut off again.
    func append(_ entry: [UInt8]) throws {
        let before = lseek(file, 0, SEEK_END)
        do {
            try Self.write(entry, to: file)
            if fdatasync(file) != 0 { throw PluginError.system("write", "the log", errno: errno) }
        } catch {
            if ftruncate(file, before) != 0 { throw PluginError.system("repair", "the log", errno: errno) }
            throw error
        }
    }

    static func write(_ bytes: [UInt8], to file: Int32) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) }
            if count < 0, errno != EINTR { throw PluginError.system("write", "the file", errno: errno) }
        }
    }
}
