import COpenSSL

/// PEM texts to and from OpenSSL's objects. Objects handed out belong to the caller.
enum PEM {
    static func certificate(_ bytes: [UInt8]) -> OpaquePointer? {
        withMemory(bytes) { PEM_read_bio_X509($0, nil, nil, nil) }
    }

    /// All certificates of a text, up to the first that is none.
    static func certificates(_ bytes: [UInt8]) -> [OpaquePointer] {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return [] }
            defer { BIO_free(bio) }
            var found: [OpaquePointer] = []
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) { found.append(certificate) }
            return found
        }
    }

    /// A request for a certificate (PKCS #10).
    static func signingRequest(_ bytes: [UInt8]) -> OpaquePointer? {
        withMemory(bytes) { PEM_read_bio_X509_REQ($0, nil, nil, nil) }
    }

    static func privateKey(_ bytes: [UInt8]) -> OpaquePointer? {
        withMemory(bytes) { PEM_read_bio_PrivateKey($0, nil, nil, nil) }
    }

    static func publicKey(_ bytes: [UInt8]) -> OpaquePointer? {
        withMemory(bytes) { PEM_read_bio_PUBKEY($0, nil, nil, nil) }
    }

    static func text(certificate: OpaquePointer) throws(HTTPServerError) -> [UInt8] {
        try collect { PEM_write_bio_X509($0, certificate) }
    }

    static func text(privateKey: OpaquePointer) throws(HTTPServerError) -> [UInt8] {
        try collect { PEM_write_bio_PrivateKey($0, privateKey, nil, nil, 0, nil, nil) }
    }

    static func text(publicKey: OpaquePointer) throws(HTTPServerError) -> [UInt8] {
        try collect { PEM_write_bio_PUBKEY($0, publicKey) }
    }

    private static func withMemory(_ bytes: [UInt8], _ read: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return nil }
            defer { BIO_free(bio) }
            return read(bio)
        }
    }

    private static func collect(_ write: (OpaquePointer) -> Int32) throws(HTTPServerError) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { throw .tls(OpenSSLError.last()) }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { throw .tls(OpenSSLError.last()) }
        var data: UnsafeMutablePointer<CChar>?
        let count = hostd_openssl_bio_data(bio, &data)
        guard let data, count > 0 else { return [] }
        return Array(UnsafeRawBufferPointer(start: data, count: count))
    }
}
