import CRuntime
import Glibc
import PluginKit

/// Unpacks one layer into a directory of its own, in the form that overlayfs stacks: whiteouts become character devices
/// 0/0, opaque directories get trusted.overlay.opaque. Every path is resolved inside the layer's directory
/// (openat2, RESOLVE_IN_ROOT), so no link of a hostile archive leads out of it.
final class LayerUnpacker {
    static let entryLimit = 4_000_000

    let root: Descriptor
    let name: String
    /// The layers below, topmost first: where attributes of directories that the archive does not name come from.
    let parents: [Descriptor]
    private var cachedParent: (path: LayerPath, descriptor: Descriptor)?
    private var directoryTimes: [(path: LayerPath, seconds: Int64, nanoseconds: Int32)] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 131_072, alignment: 16)
    private(set) var entryCount = 0
    private(set) var contentBytes: Int64 = 0

    /// - Parameters:
    ///   - directory: exists and is empty.
    ///   - name: what to call the layer in messages.
    init(into directory: String, parents: [String], name: String) throws(PluginError) {
        root = try Descriptor(opening: directory, O_RDONLY | O_DIRECTORY)
        self.name = name
        var opened: [Descriptor] = []
        for parent in parents { opened.append(try Descriptor(opening: parent, O_RDONLY | O_DIRECTORY)) }
        self.parents = opened
        try copyAttributes(of: LayerPath(components: []), to: root)
    }

    deinit { buffer.deallocate() }

    func unpack(_ reader: TarReader) throws(PluginError) {
        while let entry = try reader.next() {
            entryCount += 1
            if entryCount > Self.entryLimit { throw .exhausted("\(name) has more than \(Self.entryLimit) entries") }
            try apply(entry, reader)
        }
        for directory in directoryTimes.reversed() {
            guard let descriptor = try open(directory.path, O_RDONLY | O_DIRECTORY) else { continue }
            setTimes(descriptor, directory.seconds, directory.nanoseconds)
        }
    }

    private func apply(_ entry: TarEntry, _ reader: TarReader) throws(PluginError) {
        let path = try LayerPath(entry.path, layer: name)
        if path.isRoot {
            guard entry.kind == .directory else {
                throw .invalid("\(name) replaces the root directory by something else")
            }
            try setAttributes(root, entry, path)
            return
        }
        let parent = try directory(path.parent)
        switch Whiteout.of(path.name) {
        case .ignored: return
        case .opaque:
            if !parents.isEmpty { try makeOpaque(parent, path) }
        case .entry(let hidden):
            if !parents.isEmpty { try hide(hidden, in: parent, path) }
        case .none: try make(entry, path, in: parent, reader)
        }
    }

    // MARK: Entries

    private func make(_ entry: TarEntry, _ path: LayerPath, in parent: Descriptor, _ reader: TarReader)
        throws(PluginError)
    {
        let present = status(of: path.name, in: parent)
        let isWhiteout = present.map { $0.st_mode & S_IFMT == S_IFCHR && $0.st_rdev == 0 } ?? false
        let isDirectory = present.map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
        if present != nil, !(isDirectory && entry.kind == .directory) {
            try remove(path, in: parent, isDirectory: isDirectory)
        }
        switch entry.kind {
        case .directory: try makeDirectory(entry, path, in: parent, isOpaque: isWhiteout)
        case .file: try makeFile(entry, path, in: parent, reader)
        case .hardLink: try makeHardLink(entry, path, in: parent)
        case .symbolicLink:
            let link = entry.link + [0]
            try check(withNames(link, path.name) { symlinkat($0, parent.number, $1) }, "make the link", path)
            try setOwner(entry, path, in: parent)
        case .characterDevice, .blockDevice, .pipe:
            let type: UInt32 =
                entry.kind == .characterDevice ? S_IFCHR : entry.kind == .blockDevice ? S_IFBLK : S_IFIFO
            let device = entry.kind == .pipe ? 0 : runtime_make_device(entry.major, entry.minor)
            try check(
                withName(path.name) { mknodat(parent.number, $0, type | entry.mode, UInt(device)) }, "make the device",
                path)
            try setOwner(entry, path, in: parent)
            try check(withName(path.name) { fchmodat(parent.number, $0, entry.mode, 0) }, "set the mode of", path)
        }
    }

    private func makeDirectory(
        _ entry: TarEntry, _ path: LayerPath, in parent: Descriptor, isOpaque: Bool
    ) throws(PluginError) {
        let made = withName(path.name) { mkdirat(parent.number, $0, 0o700) }
        if made != 0, errno != EEXIST { throw failure("make the directory", path) }
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let descriptor = withName(path.name) { openat(parent.number, $0, flags) }
        if descriptor < 0 { throw failure("open the directory", path) }
        let directory = Descriptor(taking: descriptor)
        if isOpaque { try makeOpaque(directory, path) }
        try setAttributes(directory, entry, path)
    }

    private func makeFile(
        _ entry: TarEntry, _ path: LayerPath, in parent: Descriptor, _ reader: TarReader
    ) throws(PluginError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let descriptor = withName(path.name) { openat(parent.number, $0, flags, 0o600) }
        if descriptor < 0 { throw failure("make the file", path) }
        let file = Descriptor(taking: descriptor)
        while true {
            let count = try reader.readContent(into: buffer)
            if count == 0 { break }
            contentBytes += Int64(count)
            try write(count, to: file, path)
        }
        try setAttributes(file, entry, path)
    }

    private func makeHardLink(_ entry: TarEntry, _ path: LayerPath, in parent: Descriptor) throws(PluginError) {
        let target = try LayerPath(entry.link, layer: name)
        guard !target.isRoot else { throw .invalid("\(name): \(path.display) is a hard link to a directory") }
        if let directory = try open(target.parent, O_RDONLY | O_DIRECTORY) {
            let linked = withNames(target.name + [0], path.name) { linkat(directory.number, $0, parent.number, $1, 0) }
            if linked == 0 { return }
            if errno != ENOENT { throw failure("link", path) }
        }
        try copyFromLowerLayer(target, to: path, in: parent)
    }

    /// A link to a file that only lower layers have: as overlayfs would, the file comes up whole.
    private func copyFromLowerLayer(_ target: LayerPath, to path: LayerPath, in parent: Descriptor) throws(PluginError)
    {
        for layer in parents {
            guard let source = try open(target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, in: layer) else { continue }
            var found = stat()
            guard fstat(source.number, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { break }
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
            let descriptor = withName(path.name) { openat(parent.number, $0, flags, 0o600) }
            if descriptor < 0 { throw failure("make the file", path) }
            let file = Descriptor(taking: descriptor)
            while true {
                let count = read(source.number, buffer.baseAddress, buffer.count)
                if count < 0 { throw failure("read", target) }
                if count == 0 { break }
                contentBytes += Int64(count)
                try write(count, to: file, path)
            }
            try check(fchown(file.number, found.st_uid, found.st_gid), "set the owner of", path)
            try check(fchmod(file.number, found.st_mode & 0o7777), "set the mode of", path)
            setTimes(file, Int64(found.st_mtim.tv_sec), Int32(found.st_mtim.tv_nsec))
            return
        }
        throw .invalid("\(name): \(path.display) is a hard link to \(target.display), which the image does not have")
    }

    // MARK: Whiteouts

    private func hide(_ hidden: [UInt8], in parent: Descriptor, _ path: LayerPath) throws(PluginError) {
        if let present = status(of: hidden, in: parent) {
            // The layer has an entry of this name too: a directory then starts afresh, anything else hides by itself.
            guard present.st_mode & S_IFMT == S_IFDIR else { return }
            let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
            let descriptor = withName(hidden) { openat(parent.number, $0, flags) }
            if descriptor < 0 { throw failure("open the directory", path) }
            try makeOpaque(Descriptor(taking: descriptor), path)
            return
        }
        try check(withName(hidden) { mknodat(parent.number, $0, S_IFCHR, 0) }, "make the whiteout", path)
    }

    private func makeOpaque(_ directory: Descriptor, _ path: LayerPath) throws(PluginError) {
        try check(fsetxattr(directory.number, "trusted.overlay.opaque", "y", 1, 0), "mark as opaque", path)
    }

    // MARK: Directories

    /// The directory of an entry, made with the attributes it has below when this layer does not have it yet.
    private func directory(_ path: LayerPath) throws(PluginError) -> Descriptor {
        if path.isRoot { return root }
        if let cachedParent, cachedParent.path == path { return cachedParent.descriptor }
        var found = try open(path, O_RDONLY | O_DIRECTORY)
        if found == nil {
            let parent = try directory(path.parent)
            if let present = status(of: path.name, in: parent) {
                if present.st_mode & S_IFMT == S_IFLNK {
                    throw .invalid(
                        "\(name): \(path.display) is a link that leads nowhere, but the archive goes on below it")
                }
                try remove(path, in: parent, isDirectory: false)
            }
            try check(withName(path.name) { mkdirat(parent.number, $0, 0o755) }, "make the directory", path)
            guard let made = try open(path, O_RDONLY | O_DIRECTORY) else { throw failure("open the directory", path) }
            try copyAttributes(of: path, to: made)
            found = made
        }
        guard let found else { throw failure("open the directory", path) }
        cachedParent = (path, found)
        return found
    }

    private func copyAttributes(of path: LayerPath, to directory: Descriptor) throws(PluginError) {
        for layer in parents {
            guard let lower = try open(path, O_RDONLY | O_DIRECTORY, in: layer) else { continue }
            var found = stat()
            guard fstat(lower.number, &found) == 0 else { throw failure("look at", path) }
            try check(fchown(directory.number, found.st_uid, found.st_gid), "set the owner of", path)
            try check(fchmod(directory.number, found.st_mode & 0o7777), "set the mode of", path)
            return
        }
        if path.isRoot { try check(fchmod(directory.number, 0o755), "set the mode of", path) }
    }

    /// Nil when there is nothing at the path, or a file where a directory is wanted.
    private func open(_ path: LayerPath, _ flags: Int32, in layer: Descriptor? = nil) throws(PluginError) -> Descriptor?
    {
        let resolve = UInt64(RUNTIME_RESOLVE_IN_ROOT | RUNTIME_RESOLVE_NO_MAGIC_LINKS)
        let terminated = path.terminated.map { CChar(bitPattern: $0) }
        let descriptor = runtime_openat2((layer ?? root).number, terminated, UInt64(flags | O_CLOEXEC), 0, resolve)
        if descriptor >= 0 { return Descriptor(taking: descriptor) }
        if errno == ENOENT || errno == ENOTDIR || errno == ENXIO { return nil }
        if errno == ELOOP { throw .invalid("\(name): \(path.display) goes through a loop of links") }
        throw failure("open", path)
    }

    private func remove(_ path: LayerPath, in parent: Descriptor, isDirectory: Bool) throws(PluginError) {
        cachedParent = nil
        if isDirectory {
            try FileTree.remove("/proc/self/fd/\(parent.number)/\(String(decoding: path.name, as: UTF8.self))")
        } else {
            try check(withName(path.name) { unlinkat(parent.number, $0, 0) }, "replace", path)
        }
    }

    // MARK: Attributes

    private func setAttributes(_ descriptor: Descriptor, _ entry: TarEntry, _ path: LayerPath) throws(PluginError) {
        try check(fchown(descriptor.number, entry.user, entry.group), "set the owner of", path)
        try check(fchmod(descriptor.number, entry.mode), "set the mode of", path)
        // trusted.overlay.* would let an image write overlayfs' own bookkeeping; labels of other hosts mean nothing here.
        for attribute in entry.attributes
        where attribute.name == "security.capability" || attribute.name.hasPrefix("user.") {
            let result = fsetxattr(descriptor.number, attribute.name, attribute.value, attribute.value.count, 0)
            if result != 0, errno != ENOTSUP { throw failure("set the attribute \(attribute.name) of", path) }
        }
        if entry.kind == .directory {
            directoryTimes.append((path, entry.modified, entry.modifiedNanoseconds))
        } else {
            setTimes(descriptor, entry.modified, entry.modifiedNanoseconds)
        }
    }

    private func setOwner(_ entry: TarEntry, _ path: LayerPath, in parent: Descriptor) throws(PluginError) {
        let result = withName(path.name) {
            fchownat(parent.number, $0, entry.user, entry.group, AT_SYMLINK_NOFOLLOW)
        }
        try check(result, "set the owner of", path)
    }

    /// A time that the file system cannot hold is not worth an image.
    private func setTimes(_ descriptor: Descriptor, _ seconds: Int64, _ nanoseconds: Int32) {
        let time = timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
        _ = withUnsafePointer(to: (time, time)) { pair in
            pair.withMemoryRebound(to: timespec.self, capacity: 2) { futimens(descriptor.number, $0) }
        }
    }

    private func write(_ count: Int, to file: Descriptor, _ path: LayerPath) throws(PluginError) {
        var at = 0
        while at < count {
            let written = Glibc.write(file.number, buffer.baseAddress?.advanced(by: at), count - at)
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write", path)
            }
            at += written
        }
    }

    private func status(of name: [UInt8], in parent: Descriptor) -> stat? {
        var found = stat()
        return withName(name) { fstatat(parent.number, $0, &found, AT_SYMLINK_NOFOLLOW) } == 0 ? found : nil
    }

    private func withName<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (name + [0]).withUnsafeBufferPointer { bytes in
            // SAFETY: the buffer has at least the terminating zero, so its base is never null.
            bytes.baseAddress!.withMemoryRebound(to: CChar.self, capacity: bytes.count) { body($0) }
        }
    }

    private func withNames<Result>(
        _ first: [UInt8], _ second: [UInt8], _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Result
    ) -> Result {
        withName(first) { one in withName(second) { two in body(one, two) } }
    }

    private func check(_ result: Int32, _ action: String, _ path: LayerPath) throws(PluginError) {
        if result != 0 { throw failure(action, path) }
    }

    private func failure(_ action: String, _ path: LayerPath) -> PluginError {
        .system(action, "\(path.display) of \(name)", errno: errno)
    }
}
