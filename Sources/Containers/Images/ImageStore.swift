import Glibc
import Objects
import PluginKit
import Synchronization

/// The images of this node: configurations by digest, unpacked layers by number, one index. A change of the index is
/// durable before it is answered; what a crash leaves half done is removed at the next start. Several stores may stand on
/// one directory, in one process or in several: what one loads, all have.
///
///     index.json                      what there is
///     configurations/HEX              image configurations, as they came
///     layers/NUMBER/                  unpacked layers in overlayfs' form; 0 is empty, for images without a layer
///     users/OWNER/CONTAINER           link with the digest of the image that a container uses
///     staging/OWNER/                  work in progress
///     changing.lock, index.lock       see `changing` and `using`
package final class ImageStore: Sendable {
    package struct Limits: Sendable {
        /// Most bytes of an archive's members together.
        package var archiveSize: Int64 = 32 << 30
        /// Most bytes of a layer, unpacked.
        package var layerSize: Int64 = 32 << 30
        /// How many times its compressed size a layer may grow to, once it is larger than `ratioFreeSize`.
        package var ratio: Int64 = 200
        package var ratioFreeSize: Int64 = 64 << 20

        package init() {}
    }

    /// The index as it was read last, and which file that was.
    struct State {
        var index = ImageIndex()
        var version = FileVersion()
    }

    let directory: String
    /// Who this store's users are; a name of its own for each store on the directory.
    let owner: String
    let limits: Limits
    let state = Mutex(State())
    private let warn: @Sendable (String) -> Void
    /// One load or removal at a time, of all stores; readers do not wait for it.
    let changing: FileLock
    /// Held for moments: nobody begins to use an image while it is looked for users.
    private let using: FileLock

    var indexPath: String { "\(directory)/index.json" }
    package var layersDirectory: String { "\(directory)/layers" }
    var stagingDirectory: String { "\(directory)/staging/\(owner)" }
    private var usersDirectory: String { "\(directory)/users" }

    func configurationPath(_ id: Digest) -> String { "\(directory)/configurations/\(id.hexadecimal)" }

    /// Opens the store in `directory`, making it when it is new.
    /// - Parameter warn: told of what was found damaged and set aside.
    package init(
        directory: String, owner: String, limits: Limits = Limits(), warn: @escaping @Sendable (String) -> Void
    ) throws(PluginError) {
        self.directory = directory
        self.owner = owner
        self.limits = limits
        self.warn = warn
        for path in ["configurations", "layers/0", "users/\(owner)", "staging/\(owner)"] {
            try AtomicFile.makeDirectory("\(directory)/\(path)", mode: 0o700)
        }
        changing = try FileLock("\(directory)/changing.lock")
        using = try FileLock("\(directory)/index.lock")
        for name in try FileTree.names(in: stagingDirectory) { try FileTree.remove("\(stagingDirectory)/\(name)") }
        // While another store changes something, it is that one's to clean up.
        try changing.ifFree { () throws(PluginError) in
            do throws(PluginError) {
                try state.withLock { state throws(PluginError) in try readIfChanged(&state) }
            } catch {
                // Layers stay: containers may run on them.
                let aside = "\(indexPath).damaged"
                if rename(indexPath, aside) != 0 { throw .system("set aside", indexPath, errno: errno) }
                warn("\(indexPath) cannot be read (\(error)); it was renamed to \(aside). Load the images again.")
                return
            }
            try removeUnknownLayers()
        }
    }

    /// Layers that a crash left between their rename and the index.
    private func removeUnknownLayers() throws(PluginError) {
        let known = Set(state.withLock { $0.index.layers.values.map { String($0.number) } } + ["0"])
        for name in try FileTree.names(in: layersDirectory) where !known.contains(name) {
            try FileTree.remove("\(layersDirectory)/\(name)")
        }
    }

    // MARK: The index

    /// Takes over what another store has written meanwhile. An index that cannot be read changes nothing: it is being
    /// replaced, or damaged, which the next start finds.
    private func refresh(_ state: inout State) {
        do throws(PluginError) {
            try readIfChanged(&state)
        } catch {
            warn("\(indexPath) cannot be read (\(error)); the images that were known before stay known")
        }
    }

    private func readIfChanged(_ state: inout State) throws(PluginError) {
        let version = try FileVersion(of: indexPath)
        if version == state.version { return }
        state.index = version.exists ? try read() : ImageIndex()
        state.version = version
    }

    private func read() throws(PluginError) -> ImageIndex {
        let json: JSON
        do {
            json = try JSON(parsing: try AtomicFile.read(indexPath))
        } catch {
            throw .invalid("\(error)")
        }
        return try ImageIndex(parsing: json) { id throws(PluginError) in
            let bytes = try AtomicFile.read(configurationPath(id))
            guard Digest.of(bytes) == id else { throw .invalid("the configuration of \(id) is damaged") }
            do {
                return try ImageConfiguration(parsing: try JSON(parsing: bytes), name: id.description)
            } catch {
                throw .invalid("the configuration of \(id) cannot be read: \(error)")
            }
        }
    }

    /// Replaces the index, durably. Only with `changing` held.
    func write(_ index: ImageIndex) throws(PluginError) {
        try state.withLock { state throws(PluginError) in
            try AtomicFile.write(index.json.serialized(), to: indexPath)
            state.index = index
            state.version = try FileVersion(of: indexPath)
        }
    }

    /// The index as it is now.
    var index: ImageIndex {
        state.withLock { state in
            refresh(&state)
            return state.index
        }
    }

    // MARK: Reading

    package func list() -> [StoredImage] { index.images.values.sorted { $0.id.hexadecimal < $1.id.hexadecimal } }

    package func find(_ image: String) throws(PluginError) -> StoredImage? { try index.find(image) }

    /// Numbers of the layers, topmost first: the order of overlayfs' lowerdir.
    package func lowerDirectories(_ image: StoredImage) throws(PluginError) -> [Int] {
        if image.layers.isEmpty { return [0] }
        let known = index.layers
        var numbers: [Int] = []
        for chain in image.layers.reversed() {
            guard let layer = known[chain] else {
                throw .init(code: -15, message: "\(image.id) has lost its layer \(chain): load the image again")
            }
            numbers.append(layer.number)
        }
        return numbers
    }

    // MARK: Use by containers

    /// Finds an image and keeps it from being removed until `release`, also across restarts. Idempotent.
    package func acquire(_ image: String, for container: String) throws(PluginError) -> StoredImage {
        try using.withLock { () throws(PluginError) in
            guard let found = try index.find(image) else {
                throw .notFound(
                    "there is no image \(image) on this node: hostd image load FILE puts one there from an archive")
            }
            let link = "\(usersDirectory)/\(owner)/\(container)"
            if symlink(found.id.description, link) != 0, errno != EEXIST { throw .system("make", link, errno: errno) }
            return found
        }
    }

    package func release(for container: String) throws(PluginError) {
        let link = "\(usersDirectory)/\(owner)/\(container)"
        if unlink(link) != 0, errno != ENOENT { throw .system("remove", link, errno: errno) }
    }

    /// Finds the images that a container mounts beside its own, and keeps them as `acquire` does.
    package func acquire(mounted images: [String], for container: String) throws(PluginError) {
        for (number, image) in images.enumerated() { _ = try acquire(image, for: Self.claim(container, number)) }
    }

    package func release(mounted count: Int, for container: String) throws(PluginError) {
        for number in 0..<count { try release(for: Self.claim(container, number)) }
    }

    private static func claim(_ container: String, _ number: Int) -> String { "\(container)+\(number)" }

    /// Forgets users of this owner that a crash has left behind.
    package func releaseAll(except containers: Set<String>) throws(PluginError) {
        for name in try FileTree.names(in: "\(usersDirectory)/\(owner)")
        where !containers.contains(String(name.prefix { $0 != "+" })) { try release(for: name) }
    }

    /// How many containers use an image, whoever runs them.
    private func users(of id: Digest) throws(PluginError) -> Int {
        var count = 0
        var target = [CChar](repeating: 0, count: 128)
        for owner in try FileTree.names(in: usersDirectory) {
            for name in try FileTree.names(in: "\(usersDirectory)/\(owner)") {
                let size = readlink("\(usersDirectory)/\(owner)/\(name)", &target, target.count)
                let bytes = target.prefix(max(size, 0)).map { UInt8(bitPattern: $0) }
                if String(decoding: bytes, as: UTF8.self) == id.description { count += 1 }
            }
        }
        return count
    }

    // MARK: Removal

    /// Removes a name, and with the last one (or by id) the image. What is gone already is success.
    package func remove(_ text: String) throws(PluginError) {
        try changing.withLock { () throws(PluginError) in
            let unneeded = try using.withLock { () throws(PluginError) in try forget(text) }
            for number in unneeded { try discardLayer(number) }
        }
    }

    /// Numbers of the layers that nothing needs any more.
    private func forget(_ text: String) throws(PluginError) -> [Int] {
        var index = index
        guard let image = try index.find(text) else { return [] }
        let name = (try? Digest(parsing: text)) == nil ? try? ImageReference(parsing: text) : nil
        if let name, name.digest == nil, image.references.contains(where: { $0 != name }) {
            index.images[image.id]?.references.removeAll { $0 == name }
            try write(index)
            return []
        }
        let users = try users(of: image.id)
        if users > 0 { throw .conflict("\(text) is used by \(users) container(s): remove them first") }
        let unneeded = index.remove(image.id)
        try write(index)
        unlink(configurationPath(image.id))
        return unneeded
    }

    /// Moves it out of sight first, so that a crash leaves nothing half removed in place.
    private func discardLayer(_ number: Int) throws(PluginError) {
        let doomed = "\(stagingDirectory)/removed-\(number)"
        if rename("\(layersDirectory)/\(number)", doomed) != 0, errno != ENOENT {
            throw .system("remove", "\(layersDirectory)/\(number)", errno: errno)
        }
        try FileTree.remove(doomed)
    }
}

/// Tells one state of a file that is only ever replaced from another.
struct FileVersion: Equatable {
    private var inode: UInt64 = 0
    private var seconds = 0
    private var nanoseconds = 0

    /// No file.
    init() {}

    init(of path: String) throws(PluginError) {
        var status = stat()
        if stat(path, &status) != 0 {
            if errno == ENOENT { return }
            throw .system("look at", path, errno: errno)
        }
        inode = UInt64(status.st_ino)
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
    }

    var exists: Bool { inode != 0 }
}
