import Glibc
import Objects
import PluginKit
import Synchronization

/// The images of this node: configurations by digest, unpacked layers by number, one index. A change of the index is
/// durable before it is answered; what a crash leaves half done is removed at the next start.
///
///     images/index.json               what there is
///     images/configurations/HEX       image configurations, as they came
///     layers/NUMBER/                  unpacked layers in overlayfs' form; 0 is empty, for images without a layer
///     staging/                        work in progress
final class ImageStore: Sendable {
    struct Limits: Sendable {
        /// Most bytes of an archive's members together.
        var archiveSize: Int64 = 32 << 30
        /// Most bytes of a layer, unpacked.
        var layerSize: Int64 = 32 << 30
        /// How many times its compressed size a layer may grow to, once it is larger than `ratioFreeSize`.
        var ratio: Int64 = 200
        var ratioFreeSize: Int64 = 64 << 20
    }

    struct State {
        var index = ImageIndex()
        /// How many containers use an image.
        var users: [Digest: Int] = [:]
    }

    let directory: String
    let limits: Limits
    let state: Mutex<State>
    /// One load or removal at a time; readers do not wait for it.
    let changing = Mutex<Void>(())

    var indexPath: String { "\(directory)/images/index.json" }
    var layersDirectory: String { "\(directory)/layers" }
    var stagingDirectory: String { "\(directory)/staging" }

    func configurationPath(_ id: Digest) -> String { "\(directory)/images/configurations/\(id.hexadecimal)" }

    /// Opens the store below `directory`, making it when it is new.
    /// - Parameter warn: told of what was found damaged and set aside.
    init(directory: String, limits: Limits = Limits(), warn: (String) -> Void) throws(PluginError) {
        self.directory = directory
        self.limits = limits
        for path in ["images/configurations", "layers/0", "staging"] {
            try AtomicFile.makeDirectory("\(directory)/\(path)", mode: 0o700)
        }
        for name in try FileTree.names(in: "\(directory)/staging") {
            try FileTree.remove("\(directory)/staging/\(name)")
        }
        var state = State()
        let path = "\(directory)/images/index.json"
        do throws(PluginError) {
            if access(path, F_OK) == 0 { state.index = try Self.read(path, directory) }
        } catch {
            // Layers stay: containers may run on them.
            let aside = "\(path).damaged"
            if rename(path, aside) != 0 { throw .system("set aside", path, errno: errno) }
            warn("\(path) cannot be read (\(error)); it was renamed to \(aside). Load the images again.")
            self.state = Mutex(state)
            return
        }
        try Self.removeUnknownLayers(directory, state.index)
        self.state = Mutex(state)
    }

    private static func read(_ path: String, _ directory: String) throws(PluginError) -> ImageIndex {
        let json: JSON
        do {
            json = try JSON(parsing: try AtomicFile.read(path))
        } catch {
            throw .invalid("\(error)")
        }
        return try ImageIndex(parsing: json) { id throws(PluginError) in
            let bytes = try AtomicFile.read("\(directory)/images/configurations/\(id.hexadecimal)")
            guard Digest.of(bytes) == id else { throw .invalid("the configuration of \(id) is damaged") }
            do {
                return try ImageConfiguration(parsing: try JSON(parsing: bytes), name: id.description)
            } catch {
                throw .invalid("the configuration of \(id) cannot be read: \(error)")
            }
        }
    }

    /// Layers that a crash left between their rename and the index.
    private static func removeUnknownLayers(_ directory: String, _ index: ImageIndex) throws(PluginError) {
        let known = Set(index.layers.values.map { String($0.number) } + ["0"])
        for name in try FileTree.names(in: "\(directory)/layers") where !known.contains(name) {
            try FileTree.remove("\(directory)/layers/\(name)")
        }
    }

    // MARK: Reading

    func list() -> [StoredImage] {
        state.withLock { $0.index.images.values.sorted { $0.id.hexadecimal < $1.id.hexadecimal } }
    }

    func find(_ image: String) throws(PluginError) -> StoredImage? {
        try state.withLock { state throws(PluginError) in try state.index.find(image) }
    }

    /// overlayfs' lowerdir value relative to `layersDirectory`, topmost first.
    func lowerDirectories(_ image: StoredImage) throws(PluginError) -> String {
        try state.withLock { state throws(PluginError) in
            if image.layers.isEmpty { return "0" }
            var numbers: [String] = []
            for chain in image.layers.reversed() {
                guard let layer = state.index.layers[chain] else {
                    throw .init(code: -15, message: "\(image.id) has lost its layer \(chain): load the image again")
                }
                numbers.append(String(layer.number))
            }
            return numbers.joined(separator: ":")
        }
    }

    // MARK: Use by containers

    /// Finds an image and keeps it from being removed until `release`.
    func acquire(_ image: String) throws(PluginError) -> StoredImage {
        try state.withLock { state throws(PluginError) in
            guard let found = try state.index.find(image) else {
                throw .notFound(
                    "there is no image \(image) on this node: hostd image load FILE puts one there from an archive")
            }
            state.users[found.id, default: 0] += 1
            return found
        }
    }

    func release(_ id: Digest) {
        state.withLock { state in
            guard let count = state.users[id] else { return }
            state.users[id] = count > 1 ? count - 1 : nil
        }
    }

    // MARK: Removal

    /// Removes a name, and with the last one (or by id) the image. What is gone already is success.
    func remove(_ text: String) throws(PluginError) {
        try changing.withLock { _ throws(PluginError) in
            let unneeded = try state.withLock { state throws(PluginError) -> [Int] in
                guard let image = try state.index.find(text) else { return [] }
                var index = state.index
                let name = (try? Digest(parsing: text)) == nil ? try? ImageReference(parsing: text) : nil
                if let name, name.digest == nil, image.references.contains(where: { $0 != name }) {
                    index.images[image.id]?.references.removeAll { $0 == name }
                    try write(index)
                    state.index = index
                    return []
                }
                if let users = state.users[image.id] {
                    throw .conflict("\(text) is used by \(users) container(s): remove them first")
                }
                let unneeded = index.remove(image.id)
                try write(index)
                state.index = index
                unlink(configurationPath(image.id))
                return unneeded
            }
            for number in unneeded { try discardLayer(number) }
        }
    }

    /// Moves it out of sight first, so that a crash leaves nothing half removed in place.
    private func discardLayer(_ number: Int) throws(PluginError) {
        let doomed = "\(stagingDirectory)/removed-\(number)"
        if rename("\(layersDirectory)/\(number)", doomed) != 0, errno != ENOENT {
            throw .system("remove", "\(layersDirectory)/\(number)", errno: errno)
        }
        try FileTree.remove(doomed)
    }

    func write(_ index: ImageIndex) throws(PluginError) {
        try AtomicFile.write(index.json.serialized(), to: indexPath)
    }
}
