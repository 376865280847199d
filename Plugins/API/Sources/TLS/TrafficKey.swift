import COpenSSL

/// The cipher suites of TLS 1.3 that OpenSSL negotiates by itself, by their numbers (RFC 8446, appendix B.4).
enum CipherSuite: UInt16, Sendable, CaseIterable {
    case aes128 = 0x1301
    case aes256 = 0x1302
    case chaCha20 = 0x1303

    var index: Int { Int(rawValue - CipherSuite.aes128.rawValue) }
    var keySize: Int { self == .aes128 ? 16 : 32 }
    /// Bytes of the digest, and so of a traffic secret.
    var secretSize: Int { self == .aes256 ? 48 : 32 }
    var digest: OpaquePointer? { self == .aes256 ? EVP_sha384() : EVP_sha256() }
    var cipher: OpaquePointer? {
        switch self {
        case .aes128: EVP_aes_128_gcm()
        case .aes256: EVP_aes_256_gcm()
        case .chaCha20: EVP_chacha20_poly1305()
        }
    }
    /// Records after which the key is changed: AES-GCM protects 2^24.5 full ones well (RFC 8446, section 5.5).
    var recordLimit: UInt64 { self == .chaCha20 ? .max : 1 << 23 }
}

/// What protects the records of one direction of a TLS 1.3 connection: key, nonces and their sequence, all from a traffic
/// secret (RFC 8446, sections 5.3, 7.2 and 7.3). Less than 200 bytes; the cipher that runs with it is `RecordCiphers`'.
struct TrafficKey {
    static let nonceSize = 12

    let suite: CipherSuite
    /// Secret, key and the nonces' base, one behind the other.
    private var material: [UInt8]
    /// The number of the next record.
    private(set) var sequence: UInt64
    /// Names this key among those of a loop's connections, so that a cipher is known to have it; 0 = not named yet.
    /// `RecordCiphers`'.
    var name: UInt64 = 0

    /// - Parameters:
    ///   - secret: the traffic secret, as long as the suite's digest.
    ///   - sequence: records that it has protected already.
    init?(_ suite: CipherSuite, secret: [UInt8], sequence: UInt64 = 0) {
        guard secret.count == suite.secretSize else { return nil }
        self.suite = suite
        self.sequence = sequence
        material = secret
        guard let key = Self.expand(secret, suite, "key", suite.keySize),
            let nonce = Self.expand(secret, suite, "iv", Self.nonceSize)
        else { return nil }
        material += key
        material += nonce
    }

    /// The key that follows this one (RFC 8446, section 7.2).
    func next() -> TrafficKey? {
        let secret = Array(material[..<suite.secretSize])
        return Self.expand(secret, suite, "traffic upd", suite.secretSize).flatMap { TrafficKey(suite, secret: $0) }
    }

    /// Overwrites what is secret.
    mutating func wipe() {
        material.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    /// Goes on to the next record; the nonce of this one is the base with its number mixed in.
    mutating func takeNonce() -> (UInt32, UInt32, UInt32) {
        let number = sequence.bigEndian
        sequence += 1
        return material.withUnsafeBytes { bytes in
            func word(_ index: Int) -> UInt32 {
                bytes.loadUnaligned(fromByteOffset: suite.secretSize + suite.keySize + 4 * index, as: UInt32.self)
            }
            // The number is mixed into the last eight bytes of twelve. `number` lies in memory as those do.
            return (
                word(0), word(1) ^ UInt32(truncatingIfNeeded: number),
                word(2) ^ UInt32(truncatingIfNeeded: number >> 32)
            )
        }
    }

    func withKey<Result>(_ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
        material.withUnsafeBufferPointer { body($0.baseAddress.map { $0 + suite.secretSize }) }
    }

    /// HKDF-Expand-Label without a context, of at most one digest (RFC 8446, section 7.1; RFC 5869, section 2.3).
    private static func expand(_ secret: [UInt8], _ suite: CipherSuite, _ label: String, _ size: Int) -> [UInt8]? {
        let name = Array("tls13 \(label)".utf8)
        let info = [UInt8(size >> 8), UInt8(size & 0xFF), UInt8(name.count)] + name + [0, 1]
        var output = [UInt8](repeating: 0, count: 64)
        let made = hostd_openssl_hmac(suite.digest, secret, Int32(secret.count), info, info.count, &output)
        defer { output.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
        return made >= UInt32(size) ? Array(output[..<size]) : nil
    }
}
