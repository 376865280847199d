import Glibc
import Objects

/// The attachments on disk: one JSON file each, named after the sandbox, replaced by rename, so that a crash leaves the
/// old state or the new one. Power loss needs no care: it ends all pods.
package struct AttachmentStore: Sendable {
    /// Holds `NAME.json` per attachment, `last-address`, and unreadable files under `quarantine/`.
    package let directory: String

    package init(directory: String) { self.directory = directory }

    /// The host's one store: whichever plugin provides the network finds what another has attached.
    package init(dataDirectory: String) { self.init(directory: "\(dataDirectory)/pod-network") }

    private var attachments: String { "\(directory)/attachments" }
    private var lastAddressPath: String { "\(directory)/last-address" }

    /// Makes the directories.
    package func prepare() throws(NetworkError) {
        for path in [directory, attachments, "\(directory)/quarantine"] {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failure(path, "cannot be made") }
        }
    }

    /// All attachments, and the names of files that could not be read and were put aside.
    package func load() throws(NetworkError) -> (attachments: [Attachment], quarantined: [String]) {
        guard let listing = opendir(attachments) else { throw Self.failure(attachments, "cannot be listed") }
        defer { closedir(listing) }
        var found: [Attachment] = []
        var quarantined: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let path = "\(attachments)/\(name)"
            if name.hasSuffix(".new") {
                unlink(path)
            } else if name.hasSuffix(".json") {
                if let attachment = try Self.read(path), "\(attachment.sandbox).json" == name {
                    found.append(attachment)
                } else {
                    rename(path, "\(directory)/quarantine/\(name)")
                    quarantined.append(name)
                }
            }
        }
        return (found, quarantined)
    }

    /// Keeps an attachment, new or changed.
    package func save(_ attachment: Attachment) throws(NetworkError) {
        let path = "\(attachments)/\(attachment.sandbox).json"
        try Self.write(attachment.json.serialized(), to: path + ".new")
        guard rename(path + ".new", path) == 0 else { throw Self.failure(path, "cannot be replaced") }
    }

    /// Forgets an attachment; an unknown one is fine.
    package func remove(sandbox: String) throws(NetworkError) {
        let path = "\(attachments)/\(sandbox).json"
        guard unlink(path) == 0 || errno == ENOENT else { throw Self.failure(path, "cannot be removed") }
    }

    /// Makes the records say what another provider handed over, and nothing else.
    package func replace(by attachments: [Attachment], lastAddress: IPv4Address?) throws(NetworkError) {
        let kept = Set(attachments.map(\.sandbox))
        for attachment in try load().attachments where !kept.contains(attachment.sandbox) {
            try remove(sandbox: attachment.sandbox)
        }
        for attachment in attachments { try save(attachment) }
        if let lastAddress { try saveLastAddress(lastAddress) }
    }

    /// The address given last; nil at first.
    package func lastAddress() -> IPv4Address? {
        do {
            guard let bytes = try Self.contents(lastAddressPath) else { return nil }
            return IPv4Address(parsing: String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        } catch {
            // Only a hint where to search on: without it the search starts at the front.
            return nil
        }
    }

    package func saveLastAddress(_ address: IPv4Address) throws(NetworkError) {
        try Self.write(Array("\(address)\n".utf8), to: lastAddressPath)
    }

    /// Nil when the file holds no attachment.
    private static func read(_ path: String) throws(NetworkError) -> Attachment? {
        guard let bytes = try contents(path) else { return nil }
        do { return Attachment(try JSON(parsing: bytes)) } catch { return nil }
    }

    /// At most 1 MiB; nil when there is no such file.
    private static func contents(_ path: String) throws(NetworkError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 && errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failure(path, "cannot be opened") }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while content.count < 1 << 20 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw failure(path, "cannot be read") }
            if count == 0 { break }
            content += buffer[..<count]
        }
        return content
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(NetworkError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(path, "cannot be written") }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw failure(path, "cannot be written")
        }
    }

    private static func failure(_ path: String, _ what: String) -> NetworkError {
        .file(path: path, reason: "\(what): \(String(cString: strerror(errno)))")
    }
}
