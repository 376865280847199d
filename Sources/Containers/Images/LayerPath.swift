import PluginKit

/// A member's path made safe: relative to the layer's root, without empty parts, "." or "..".
struct LayerPath: Sendable, Hashable {
    let components: [[UInt8]]

    /// - Throws: for a path that would climb out.
    init(_ path: [UInt8], layer: String) throws(PluginError) {
        var components: [[UInt8]] = []
        for part in path.split(separator: 0x2f) where part != [0x2e] {
            guard part != [0x2e, 0x2e] else {
                throw .invalid(
                    "\(layer) holds the path \"\(String(decoding: path.prefix(256), as: UTF8.self))\", which climbs out of the "
                        + "image with \"..\": nothing of this image was kept; get it from a source that you trust")
            }
            guard part.count <= 255 else { throw .invalid("\(layer) holds a name longer than 255 bytes") }
            components.append(Array(part))
        }
        self.components = components
    }

    init(components: [[UInt8]]) { self.components = components }

    var isRoot: Bool { components.isEmpty }
    var name: [UInt8] { components.last ?? [] }
    var parent: LayerPath { LayerPath(components: components.dropLast()) }

    /// "a/b/c", "." for the root, terminated by a zero byte.
    var terminated: [UInt8] {
        components.isEmpty ? [0x2e, 0] : Array(components.joined(separator: [0x2f])) + [0]
    }

    var display: String { String(decoding: Array(components.joined(separator: [0x2f])), as: UTF8.self) }
}

/// What a name in a layer means: OCI image specification, "Whiteouts".
enum Whiteout: Equatable {
    /// A file or directory of its own.
    case none
    /// Hides the entry of this name that lower layers have.
    case entry([UInt8])
    /// Hides all that lower layers have in its directory.
    case opaque
    /// Bookkeeping of aufs, without meaning here.
    case ignored

    private static let prefix = Array(".wh.".utf8)

    static func of(_ name: [UInt8]) -> Whiteout {
        guard name.starts(with: prefix) else { return .none }
        let rest = Array(name.dropFirst(prefix.count))
        if rest == Array(".wh..opq".utf8) { return .opaque }
        if rest.starts(with: prefix) || rest.isEmpty || rest == [0x2e] || rest == [0x2e, 0x2e] { return .ignored }
        return .entry(rest)
    }
}
