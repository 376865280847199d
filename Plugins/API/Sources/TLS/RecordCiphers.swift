import COpenSSL

/// The ciphers of one loop's connections: one context for each suite and direction, which has the key of whoever had a record
/// last. Taking another key costs a quarter of a microsecond, where a context of their own would cost each connection 2.4 KB.
final class RecordCiphers {
    private struct Cipher {
        var context: OpaquePointer?
        var keyName: UInt64 = 0
    }

    static let tagSize = 16

    private var sealing = [Cipher](repeating: Cipher(), count: CipherSuite.allCases.count)
    private var opening = [Cipher](repeating: Cipher(), count: CipherSuite.allCases.count)
    private var names: UInt64 = 0

    deinit {
        for cipher in sealing + opening { EVP_CIPHER_CTX_free(cipher.context) }
    }

    /// Encrypts a record's content and its type behind it; ciphertext and tag go to `output`, which has room for 17 bytes more.
    /// - Returns: false when OpenSSL failed.
    func seal(
        _ plain: UnsafeRawBufferPointer, type: UInt8, header: UnsafeRawBufferPointer, key: inout TrafficKey,
        into output: UnsafeMutableRawPointer
    ) -> Bool {
        with(&key, &sealing) { context, secret, nonce in
            hostd_openssl_aead_seal(
                context, secret, nonce, Self.bytes(header), Int32(header.count), Self.bytes(plain), Int32(plain.count),
                type, output.assumingMemoryBound(to: UInt8.self)) == 1
        }
    }

    /// Decrypts `size` bytes in place; the tag lies behind them.
    /// - Returns: false when they were not sealed with the key, or at another place in the sequence.
    func open(
        _ sealed: UnsafeMutableRawPointer, size: Int, header: UnsafeRawBufferPointer, key: inout TrafficKey
    ) -> Bool {
        with(&key, &opening) { context, secret, nonce in
            hostd_openssl_aead_open(
                context, secret, nonce, Self.bytes(header), Int32(header.count),
                sealed.assumingMemoryBound(to: UInt8.self), Int32(size)) == 1
        }
    }

    private static func bytes(_ buffer: UnsafeRawBufferPointer) -> UnsafePointer<UInt8>? {
        buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
    }

    /// Runs `body` with the suite's cipher, the key when that one does not have it, and the nonce of the next record.
    private func with(
        _ key: inout TrafficKey, _ ciphers: inout [Cipher],
        _ body: (OpaquePointer, UnsafePointer<UInt8>?, UnsafePointer<UInt8>?) -> Bool
    ) -> Bool {
        if key.name == 0 {
            names += 1
            key.name = names
        }
        let index = key.suite.index
        if ciphers[index].context == nil { ciphers[index].context = Self.context(key.suite) }
        guard let context = ciphers[index].context else { return false }
        ERR_clear_error()
        let isKnown = ciphers[index].keyName == key.name
        var nonce = key.takeNonce()
        let isDone = withUnsafeBytes(of: &nonce) { nonce in
            isKnown ? body(context, nil, Self.bytes(nonce)) : key.withKey { body(context, $0, Self.bytes(nonce)) }
        }
        // A cipher that failed is given its key anew.
        ciphers[index].keyName = isDone ? key.name : 0
        return isDone
    }

    private static func context(_ suite: CipherSuite) -> OpaquePointer? {
        guard let context = EVP_CIPHER_CTX_new() else { return nil }
        // Direction and key are set with each record's nonce.
        guard EVP_CipherInit_ex(context, suite.cipher, nil, nil, nil, -1) == 1 else {
            EVP_CIPHER_CTX_free(context)
            return nil
        }
        return context
    }
}
