import Glibc

/// The zones that this machine knows, by their names in the IANA database, such as "Europe/Berlin".
public enum TimeZoneDatabase {
    /// Where Debian's tzdata keeps them.
    public static let directory = "/usr/share/zoneinfo"

    public enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case unknown(String)
        /// The machine knows no zones.
        case notInstalled(String, directory: String)
        case damaged(String, TimeZoneRules.ParseError)

        public var description: String {
            switch self {
            case .unknown(let name): "unknown time zone \(name)"
            case .notInstalled(let name, let directory):
                "unknown time zone \(name): there is no time zone database in \(directory); install tzdata on the server"
            case .damaged(let name, let error): "the time zone \(name) cannot be read: \(error)"
            }
        }
    }

    /// Compiled zones are a few KiB.
    private static let sizeLimit = 1 << 20

    /// The rules of a zone. "" and "UTC" are universal time.
    /// - Parameter directory: of the database.
    public static func rules(of name: String, in directory: String = directory) throws(Failure) -> TimeZoneRules {
        if name.isEmpty || name == "UTC" { return .utc }
        guard isPlain(name) else { throw .unknown(name) }
        guard let bytes = read(directory + "/" + name) else {
            throw access(directory, R_OK) == 0 ? .unknown(name) : .notInstalled(name, directory: directory)
        }
        do {
            return try TimeZoneRules(parsing: bytes)
        } catch {
            throw .damaged(name, error)
        }
    }

    /// Names lead nowhere but into the database.
    private static func isPlain(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            guard let first = part.utf8.first, first != UInt8(ascii: ".") else { return false }
            return part.utf8.allSatisfy { byte in
                (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10 || "+-_.".utf8.contains(byte)
            }
        }
    }

    /// The whole of a regular file; nil when there is none of this name.
    private static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var facts = stat()
        guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= sizeLimit else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + filled, $0.count - filled) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return nil }
            filled += count
        }
        return bytes
    }
}
