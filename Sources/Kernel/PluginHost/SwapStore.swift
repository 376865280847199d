import Glibc
import Objects

/// Swaps that outlive hostd, in `swaps.json` of the data directory: for each plugin what runs in place of what the
/// configuration says, as long as the configuration says the same as then.
struct SwapStore: Sendable {
    static let format: Int64 = 1
    static let sizeLimit = 4 << 20

    /// What is kept of one plugin.
    struct Plugin {
        /// Of its entry in the configuration at that time.
        var fingerprint: String
        var settings: JSON
        var previous: JSON?
        var isStandby: Bool
    }

    /// A selection in place of the order of `roles:`.
    struct Selection {
        var plugin: String
        /// Of the order at that time.
        var fingerprint: String
    }

    let file: String
    var plugins: [String: Plugin] = [:]
    var selections: [String: Selection] = [:]
    /// Why the file could not be read; it is left as it is until the next swap.
    var damage: String?

    /// None.
    init() { file = "" }

    /// Reads the file of a data directory; without one there are no swaps.
    init(directory: String) {
        file = "\(directory)/swaps.json"
        guard let bytes = Self.contents(of: file) else { return }
        guard bytes.count <= Self.sizeLimit, let json = try? JSON(parsing: bytes) else {
            damage = "it is not JSON"
            return
        }
        guard json["format"].integerValue == Self.format else {
            damage = "its format is \(json["format"].serializedString()), this hostd knows \(Self.format)"
            return
        }
        for (name, plugin) in json["plugins"].objectValue ?? [:] {
            plugins[name] = Plugin(
                fingerprint: plugin["file"].stringValue ?? "", settings: plugin["settings"],
                previous: plugin["previous"].exists ? plugin["previous"] : nil,
                isStandby: plugin["standby"].boolValue ?? false)
        }
        for (role, selection) in json["selections"].objectValue ?? [:] {
            selections[role] = Selection(
                plugin: selection["plugin"].stringValue ?? "", fingerprint: selection["file"].stringValue ?? "")
        }
    }

    static func contents(of file: String) -> [UInt8]? {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while bytes.count <= sizeLimit, case let count = read(descriptor, &buffer, buffer.count), count > 0 {
            bytes += buffer[..<count]
        }
        return bytes
    }

    /// Whole or as before, and on disk when this returns; nil, or why not.
    func write() -> String? {
        var plugins = JSONObject()
        for (name, plugin) in self.plugins.sorted(by: { $0.key < $1.key }) {
            var json: JSON = [
                "file": .string(plugin.fingerprint), "settings": plugin.settings, "standby": .bool(plugin.isStandby),
            ]
            if let previous = plugin.previous { json["previous"] = previous }
            plugins[name] = json
        }
        var selections = JSONObject()
        for (role, selection) in self.selections.sorted(by: { $0.key < $1.key }) {
            selections[role] = ["plugin": .string(selection.plugin), "file": .string(selection.fingerprint)]
        }
        let json: JSON = [
            "format": .integer(Self.format), "plugins": .object(plugins), "selections": .object(selections),
        ]
        return WholeFile.write(file, json.serialized())
    }

    /// A number for a text, to see whether it has changed: FNV-1a, 64 bits.
    static func fingerprint(_ json: JSON) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in json.serialized() { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }
}

/// Small files that are there whole or not at all.
enum WholeFile {
    /// nil, or why it failed.
    static func write(_ file: String, _ bytes: [UInt8]) -> String? {
        let draft = "\(file).new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return "cannot make \(draft): \(errorText(errno))" }
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let reason = errorText(errno)
        close(descriptor)
        guard isWritten, rename(draft, file) == 0 else { return "cannot write \(file): \(reason)" }
        return nil
    }
}
