/// One member of a tar archive, its extended headers applied. Names are bytes: nothing says that they are UTF-8.
struct TarEntry: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case file, hardLink, symbolicLink, characterDevice, blockDevice, directory, pipe
    }

    var kind: Kind
    var path: [UInt8]
    /// Target of a link.
    var link: [UInt8] = []
    /// Permission bits with set-user-id, set-group-id and sticky.
    var mode: UInt32 = 0
    var user: UInt32 = 0
    var group: UInt32 = 0
    /// Bytes of content that follow.
    var size: Int64 = 0
    /// Seconds and nanoseconds since 1970.
    var modified: Int64 = 0
    var modifiedNanoseconds: Int32 = 0
    var major: UInt32 = 0
    var minor: UInt32 = 0
    var attributes: [Attribute] = []

    /// An extended attribute.
    struct Attribute: Sendable, Equatable {
        let name: String
        let value: [UInt8]
    }

    /// The path for messages.
    var displayPath: String { String(decoding: path.prefix(256), as: UTF8.self) }
}
