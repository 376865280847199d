import COpenSSL
import Glibc
import Objects
import PluginAPI

/// The keys of a key file. One key a line, "NAME BASE64" with 32 bytes; the first encrypts, all decrypt. Empty lines and what
/// follows a # are skipped. The file must not be readable by others than its owner.
struct KeyRing: Sendable {
    struct Key: Sendable, Equatable {
        /// 1 to 32 of A-Z, a-z, 0-9, ".", "_" and "-".
        let name: String
        let bytes: [UInt8]
        /// Tells two keys of the same name apart without telling anything about them; 4 bytes.
        let fingerprint: [UInt8]

        init(name: String, bytes: [UInt8]) throws(StoreError) {
            self.name = name
            self.bytes = bytes
            fingerprint = Array(try KeyRing.hmac(key: bytes, data: Array("hostd store key check".utf8)).prefix(4))
        }
    }

    let path: String
    let keys: [Key]
    /// The one that encrypts.
    var first: Key { keys[0] }

    static let keySize = 32
    private static let sizeLimit = 64 << 10

    /// Reads and checks a file.
    init(file path: String) throws(StoreError) {
        let text = try Self.contents(of: path)
        var keys: [Key] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            func failure(_ message: String) -> StoreError {
                StoreError(HOSTD_ERROR_INVALID_ARGUMENT, "\(path), line \(index + 1): \(message)")
            }
            let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
            if words.isEmpty { continue }
            guard words.count == 2 else { throw failure("expected NAME BASE64, found \(words.count) words") }
            guard Self.isName(words[0]) else {
                throw failure(
                    "\"\(words[0])\" is not the name of a key: 1 to 32 of letters, digits, \".\", \"_\" and \"-\"")
            }
            guard !keys.contains(where: { $0.name == words[0] }) else { throw failure("\(words[0]) is there twice") }
            guard let bytes = Base64.decode(words[1]), bytes.count == Self.keySize else {
                throw failure(
                    "the key \(words[0]) is not \(Self.keySize) bytes in base 64; make one: head -c 32 /dev/urandom | base64"
                )
            }
            keys.append(try Key(name: words[0], bytes: bytes))
        }
        guard !keys.isEmpty else {
            throw StoreError(
                HOSTD_ERROR_INVALID_ARGUMENT,
                "\(path) has no key; make one: echo \"k1 $(head -c 32 /dev/urandom | base64)\" > \(path)")
        }
        self.path = path
        self.keys = keys
    }

    private static func isName(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == 0x2E || byte == 0x5F || byte == 0x2D
            }
    }

    private static func contents(of path: String) throws(StoreError) -> String {
        func failure(_ message: String) -> StoreError {
            StoreError(HOSTD_ERROR_FORBIDDEN, "the key file \(path) \(message)")
        }
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard file >= 0 else { throw failure("cannot be opened: \(errorText(errno))") }
        defer { close(file) }
        var information = stat()
        guard fstat(file, &information) == 0 else { throw failure("cannot be looked at: \(errorText(errno))") }
        guard information.st_mode & S_IFMT == S_IFREG else { throw failure("is not a regular file") }
        guard information.st_mode & 0o077 == 0 else {
            throw failure(
                "may be used by others (mode \(String(information.st_mode & 0o777, radix: 8))): chmod 600 \(path)")
        }
        guard information.st_uid == geteuid() || information.st_uid == 0 else {
            throw failure("belongs to user \(information.st_uid): chown it to the user that hostd runs as")
        }
        guard information.st_size <= sizeLimit else { throw failure("is longer than \(sizeLimit) bytes") }
        var bytes = [UInt8](repeating: 0, count: Int(information.st_size))
        var size = 0
        while size < bytes.count {
            let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress! + size, $0.count - size) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be read: \(errorText(errno))") }
            if count == 0 { break }
            size += count
        }
        guard let text = String(validating: bytes[..<size], as: UTF8.self) else { throw failure("is not UTF-8") }
        return text
    }

    static func hmac(key: [UInt8], data: [UInt8]) throws(StoreError) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: 32)
        guard hostd_openssl_hmac_sha256(key, Int32(key.count), data, data.count, &output) == 1 else {
            throw StoreError(HOSTD_ERROR_INTERNAL, "OpenSSL could not compute an HMAC")
        }
        return output
    }
}
