import COpenSSL
import Objects

/// A public key as issuers of tokens publish theirs (RFC 7517).
final class JSONWebKey: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): the key is not changed after `init`, and OpenSSL locks what its use changes.
    private let key: OpaquePointer
    private let kind: Kind
    /// `kid`; empty where the issuer has a single key.
    let identifier: String
    /// `alg`, when the key is for one algorithm alone.
    private let algorithm: String?

    private enum Kind: Equatable {
        case rsa
        /// With the bytes of each of a signature's two numbers.
        case ellipticCurve(numberSize: Int)
    }

    /// The algorithms of signatures (RFC 7518) that count.
    enum Algorithm: String, CaseIterable, Sendable {
        case rs256 = "RS256"
        case rs384 = "RS384"
        case rs512 = "RS512"
        case ps256 = "PS256"
        case ps384 = "PS384"
        case ps512 = "PS512"
        case es256 = "ES256"
        case es384 = "ES384"
        case es512 = "ES512"

        var digest: String {
            switch self {
            case .rs256, .ps256, .es256: "SHA256"
            case .rs384, .ps384, .es384: "SHA384"
            case .rs512, .ps512, .es512: "SHA512"
            }
        }

        var isPSS: Bool { self == .ps256 || self == .ps384 || self == .ps512 }
        /// The bytes of each of the two numbers of an ECDSA signature; nil for RSA.
        var numberSize: Int? {
            switch self {
            case .es256: 32
            case .es384: 48
            case .es512: 66
            default: nil
            }
        }
    }

    /// Nil for keys that signatures are not made with, of other kinds, and RSA below 2048 bits.
    init?(_ json: JSON) {
        func bytes(_ name: String) -> [UInt8] { json[name].stringValue.flatMap { Base64.decode($0, .url) } ?? [] }
        let use = json["use"].stringValue ?? "sig"
        guard use == "sig" else { return nil }
        ERR_clear_error()
        defer { ERR_clear_error() }
        let made: OpaquePointer?
        switch json["kty"].stringValue {
        case "RSA":
            let (modulus, exponent) = (bytes("n"), bytes("e"))
            guard modulus.count >= 256, modulus.count <= 2048, (1...8).contains(exponent.count) else { return nil }
            made = hostd_openssl_rsa_key(modulus, modulus.count, exponent, exponent.count)
            kind = .rsa
        case "EC":
            guard let (curve, size) = Self.curves[json["crv"].stringValue ?? ""] else { return nil }
            let (x, y) = (bytes("x"), bytes("y"))
            guard x.count == size, y.count == size else { return nil }
            let point = [0x04] + x + y
            made = hostd_openssl_ec_key(curve, point, point.count)
            kind = .ellipticCurve(numberSize: size)
        default: return nil
        }
        guard let made else { return nil }
        key = made
        identifier = json["kid"].stringValue ?? ""
        algorithm = json["alg"].stringValue
    }

    deinit { EVP_PKEY_free(key) }

    private static let curves = ["P-256": ("P-256", 32), "P-384": ("P-384", 48), "P-521": ("P-521", 66)]

    /// Whether the signature of a message holds. False too for an algorithm that is not of this key.
    func verifies(_ signature: [UInt8], of message: [UInt8], _ wanted: Algorithm) -> Bool {
        if let algorithm, algorithm != wanted.rawValue { return false }
        switch (kind, wanted.numberSize) {
        case (.rsa, nil): return check(signature, message, wanted)
        case (.ellipticCurve(let size), let number?) where size == number:
            guard let der = Self.der(signature, numberSize: size) else { return false }
            return check(der, message, wanted)
        default: return false
        }
    }

    private func check(_ signature: [UInt8], _ message: [UInt8], _ algorithm: Algorithm) -> Bool {
        hostd_openssl_verify(
            key, algorithm.digest, algorithm.isPSS ? 1 : 0, signature, signature.count, message, message.count) == 1
    }

    /// The two numbers of a signature, one behind the other, as OpenSSL wants them.
    private static func der(_ signature: [UInt8], numberSize: Int) -> [UInt8]? {
        guard signature.count == 2 * numberSize, let parsed = ECDSA_SIG_new() else { return nil }
        defer { ECDSA_SIG_free(parsed) }
        let r = BN_bin2bn(Array(signature[..<numberSize]), Int32(numberSize), nil)
        let s = BN_bin2bn(Array(signature[numberSize...]), Int32(numberSize), nil)
        guard ECDSA_SIG_set0(parsed, r, s) == 1 else {
            BN_free(r)
            BN_free(s)
            return nil
        }
        var der: UnsafeMutablePointer<UInt8>?
        let size = i2d_ECDSA_SIG(parsed, &der)
        guard size > 0, let der else { return nil }
        defer { CRYPTO_free(der, "", 0) }
        return Array(UnsafeBufferPointer(start: der, count: Int(size)))
    }
}

/// A signed JSON web token (RFC 7519) as it was sent, before anything of it is believed.
struct JSONWebToken: Sendable {
    let algorithm: JSONWebKey.Algorithm
    /// `kid`; empty when the token names no key.
    let keyIdentifier: String
    let claims: JSON
    let signature: [UInt8]
    /// What is signed.
    let message: [UInt8]

    /// Nil for every text that is none, and for algorithms that do not count.
    init?(_ token: String) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, token.utf8.count <= 16384, let header = Self.decode(parts[0]),
            let algorithm = JSONWebKey.Algorithm(rawValue: header["alg"].stringValue ?? ""),
            let claims = Self.decode(parts[1]), claims.objectValue != nil,
            let signature = Base64.decode(parts[2], .url)
        else { return nil }
        self.algorithm = algorithm
        keyIdentifier = header["kid"].stringValue ?? ""
        self.claims = claims
        self.signature = signature
        message = Array((parts[0] + "." + parts[1]).utf8)
    }

    private static func decode(_ part: Substring) -> JSON? {
        guard let bytes = Base64.decode(part, .url) else { return nil }
        return try? JSON(parsing: bytes)
    }

    /// Whether one of these keys has signed it.
    func isSigned(by keys: [JSONWebKey]) -> Bool {
        keys.contains { key in
            (keyIdentifier.isEmpty || key.identifier.isEmpty || key.identifier == keyIdentifier)
                && key.verifies(signature, of: message, algorithm)
        }
    }
}
