import CRuntime
import Glibc
import Objects
import PluginKit

/// The files of an image archive (OCI layout or docker-archive), each in a file of its own in a staging directory,
/// measured and hashed while they came in.
struct StagedArchive {
    struct File {
        let path: String
        let size: Int64
        let digest: Digest
    }

    private(set) var files: [String: File] = [:]
    private var links: [String: String] = [:]

    /// Reads the whole archive.
    /// - Parameter limit: most bytes of all members together.
    init(reading source: any ByteSource, into directory: String, limit: Int64) throws(PluginError) {
        let name = "the image archive"
        let reader = TarReader(try Decompressor.source(over: source, name: name), archive: name)
        var total: Int64 = 0
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 131_072, alignment: 16)
        defer { buffer.deallocate() }
        var count = 0
        while let entry = try reader.next() {
            count += 1
            if count > 100_000 { throw .exhausted("\(name) has more than 100000 members") }
            let path = try LayerPath(entry.path, layer: name).display
            switch entry.kind {
            case .file:
                total += entry.size
                if total > limit {
                    throw .exhausted("\(name) is larger than \(limit) bytes, the option maximumArchiveSize")
                }
                files[path] = try Self.stage(entry, reader, to: "\(directory)/\(count)", buffer)
            case .symbolicLink: links[path] = Self.resolve(String(decoding: entry.link, as: UTF8.self), from: path)
            case .hardLink: links[path] = try LayerPath(entry.link, layer: name).display
            case .directory, .characterDevice, .blockDevice, .pipe: continue
            }
        }
    }

    /// A member by name; older docker archives name a layer twice by a link.
    subscript(_ name: String) -> File? {
        var name = name
        for _ in 0..<8 {
            if let file = files[name] { return file }
            guard let next = links[name] else { return nil }
            name = next
        }
        return nil
    }

    /// A member as JSON, at most 8 MiB.
    func json(_ name: String) throws(PluginError) -> JSON? {
        guard let file = self[name] else { return nil }
        return try Self.json(file, name)
    }

    /// The blob of a digest, verified.
    func blob(_ digest: Digest, for purpose: String) throws(PluginError) -> File {
        guard let file = self["blobs/sha256/\(digest.hexadecimal)"] else {
            throw .invalid("the image archive lacks \(digest), \(purpose); save the image again, with all its parts")
        }
        guard file.digest == digest else {
            throw .invalid(
                "the image archive is damaged: what it holds as \(digest), \(purpose), has the digest \(file.digest)")
        }
        return file
    }

    static func json(_ file: File, _ name: String) throws(PluginError) -> JSON {
        let bytes = try AtomicFile.read(file.path, limit: 8 << 20)
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw .invalid("\(name) in the image archive is not JSON: \(error)")
        }
    }

    private static func stage(
        _ entry: TarEntry, _ reader: TarReader, to path: String, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(PluginError) -> File {
        let file = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        let hasher = Digest.Hasher()
        var size: Int64 = 0
        while true {
            let count = try reader.readContent(into: buffer)
            if count == 0 { break }
            let chunk = UnsafeRawBufferPointer(rebasing: buffer[0..<count])
            hasher.update(chunk)
            size += Int64(count)
            var at = 0
            while at < count {
                let written = write(file.number, chunk.baseAddress?.advanced(by: at), count - at)
                if written < 0, errno != EINTR { throw .system("write", path, errno: errno) }
                at += max(0, written)
            }
        }
        return File(path: path, size: size, digest: hasher.finish())
    }

    private static func resolve(_ link: String, from path: String) -> String {
        var parts = link.hasPrefix("/") ? [] : path.split(separator: "/").dropLast().map(String.init)
        for part in link.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
        }
        return parts.joined(separator: "/")
    }
}

/// One image of an archive, its parts found and checked but its layers not yet unpacked.
struct ArchivedImage {
    struct Layer {
        let file: StagedArchive.File
        let difference: Digest
    }

    var references: [ImageReference]
    /// Nil for docker archives, which have no manifest in OCI's sense.
    var manifestDigest: Digest?
    var configurationBytes: [UInt8]
    var configuration: ImageConfiguration
    var layers: [Layer]
    /// The image's id: the digest of its configuration.
    var identifier: Digest { Digest.of(configurationBytes) }
}
