import COpenSSL
import Objects
import XCTest

@testable import API

/// Signs tokens as an issuer does, with an ECDSA key on P-256 or an RSA key.
final class TokenSigner {
    private let key: OpaquePointer
    private let isRSA: Bool
    let identifier: String

    init(_ identifier: String, isRSA: Bool = false) throws {
        self.identifier = identifier
        self.isRSA = isRSA
        guard isRSA else {
            key = try XCTUnwrap(hostd_openssl_generate_p256())
            return
        }
        let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        XCTAssertEqual(EVP_PKEY_keygen_init(context), 1)
        XCTAssertEqual(EVP_PKEY_generate(context, &made), 1)
        key = try XCTUnwrap(made)
    }

    deinit { EVP_PKEY_free(key) }

    /// The key as a JSON web key.
    func webKey() throws -> JSON {
        if isRSA {
            return [
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": .string(identifier), "n": .string(number("n")),
                "e": .string(number("e")),
            ]
        }
        let signing = try SigningKey(pem: try PEM.text(privateKey: key))
        return [
            "kty": "EC", "crv": "P-256", "kid": .string(identifier),
            "x": .string(Base64.encode(signing.coordinates.x, .url)),
            "y": .string(Base64.encode(signing.coordinates.y, .url)),
        ]
    }

    private func number(_ name: String) -> String {
        var value: OpaquePointer?
        guard EVP_PKEY_get_bn_param(key, name, &value) == 1 else { return "" }
        defer { BN_free(value) }
        var bytes = [UInt8](repeating: 0, count: Int(BN_num_bits(value) + 7) / 8)
        BN_bn2bin(value, &bytes)
        return Base64.encode(bytes, .url)
    }

    func token(_ claims: JSON, algorithm: String? = nil) throws -> String {
        let header: JSON = [
            "alg": .string(algorithm ?? (isRSA ? "RS256" : "ES256")), "kid": .string(identifier), "typ": "JWT",
        ]
        let text = Base64.encode(header.serialized(), .url) + "." + Base64.encode(claims.serialized(), .url)
        let message = Array(text.utf8)
        guard isRSA else {
            let signing = try SigningKey(pem: try PEM.text(privateKey: key))
            return text + "." + Base64.encode(try signing.sign(message), .url)
        }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var size = 512
        var signature = [UInt8](repeating: 0, count: size)
        XCTAssertEqual(EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key), 1)
        XCTAssertEqual(EVP_DigestSign(context, &signature, &size, message, message.count), 1)
        return text + "." + Base64.encode(signature[..<size], .url)
    }
}
