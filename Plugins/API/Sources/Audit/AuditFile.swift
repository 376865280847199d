import Glibc
import Objects
import PluginKit

/// The file of the audit log: lines at its end, put aside when it is large. Confined to its writer's thread.
struct AuditFile {
    private let settings: AuditFileSettings
    private var descriptor: Int32 = -1
    private var size = 0

    /// Opens the file, which is made where it is missing.
    init(_ settings: AuditFileSettings) throws(PluginError) {
        self.settings = settings
        try open()
    }

    private mutating func open() throws(PluginError) {
        if settings.path == "-" {
            descriptor = dup(STDOUT_FILENO)
        } else {
            descriptor = Glibc.open(settings.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        }
        guard descriptor >= 0 else { throw .system("open", settings.path, errno: errno) }
        var status = stat()
        size = fstat(descriptor, &status) == 0 && settings.path != "-" ? Int(status.st_size) : 0
    }

    /// Writes whole lines, as many at once as the file takes.
    mutating func write(_ lines: [[UInt8]]) throws(PluginError) {
        if descriptor < 0 { try open() }
        let limit = settings.maximumBytes > 0 && settings.path != "-" ? settings.maximumBytes : .max
        var pending: [UInt8] = []
        for line in lines {
            if size + pending.count > 0, size + pending.count + line.count > limit {
                try write(pending)
                pending = []
                try rotate()
            }
            pending += line
        }
        try write(pending)
    }

    private mutating func write(_ lines: [UInt8]) throws(PluginError) {
        var offset = 0
        while offset < lines.count {
            let count = lines[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("write", settings.path, errno: errno)
            }
            offset += count
            size += count
        }
    }

    mutating func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    // MARK: - Files put aside

    /// "audit.log" as ("audit", ".log").
    private var parts: (directory: String, stem: String, ending: String) {
        let slash = settings.path.lastIndex(of: "/")
        let directory = slash.map { String(settings.path[..<$0]) } ?? "."
        let name = slash.map { String(settings.path[settings.path.index(after: $0)...]) } ?? settings.path
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return (directory, name, "") }
        return (directory.isEmpty ? "/" : directory, String(name[..<dot]), String(name[dot...]))
    }

    private mutating func rotate() throws(PluginError) {
        close()
        let (directory, stem, ending) = parts
        let time = Timestamp.now().formatted(fraction: .nano).replacing(":", with: "-").dropLast()
        let aside = "\(directory)/\(stem)-\(time)\(ending)"
        guard rename(settings.path, aside) == 0 else { throw .system("rename", settings.path, errno: errno) }
        try open()
        try removeOld()
    }

    private func removeOld() throws(PluginError) {
        let (directory, stem, ending) = parts
        guard let stream = opendir(directory) else { throw .system("open", directory, errno: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if Self.isBackup(name, stem, ending) { names.append(name) }
        }
        names.sort(by: >)
        let oldest = Timestamp.now().adding(seconds: Int64(settings.maximumAgeDays) * -86_400).seconds
        for (index, name) in names.enumerated() {
            let path = "\(directory)/\(name)"
            var status = stat()
            let isOld =
                settings.maximumAgeDays > 0 && stat(path, &status) == 0 && Int64(status.st_mtim.tv_sec) < oldest
            guard isOld || (settings.maximumBackups > 0 && index >= settings.maximumBackups) else { continue }
            guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path, errno: errno) }
        }
    }

    /// Whether a file is one that was put aside: its name has a time between stem and ending.
    static func isBackup(_ name: String, _ stem: String, _ ending: String) -> Bool {
        guard name.hasPrefix(stem + "-"), name.hasSuffix(ending) else { return false }
        let time = name.dropFirst(stem.count + 1).dropLast(ending.count)
        let form = "0000-00-00T00-00-00.000000000"
        guard time.utf8.count == form.utf8.count else { return false }
        return zip(time.utf8, form.utf8).allSatisfy { byte, expected in
            expected == UInt8(ascii: "0") ? 0x30...0x39 ~= byte : byte == expected
        }
    }
}
