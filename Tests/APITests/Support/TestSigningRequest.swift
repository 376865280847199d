import COpenSSL
import Objects

@testable import API

/// Requests for certificates, with a new key each.
enum TestSigningRequest {
    /// - Parameters:
    ///   - names: Subject alternative names such as "DNS:a", as OpenSSL reads them.
    ///   - key: Whose request it is; nil for a new key.
    ///   - isForged: Whether another key has signed it.
    /// - Returns: PEM.
    static func make(
        _ commonName: String, organizations: [String] = [], names: String = "", key given: OpaquePointer? = nil,
        isForged: Bool = false
    ) -> [UInt8] {
        let key = given ?? hostd_openssl_generate_p256()
        defer { if given == nil { EVP_PKEY_free(key) } }
        let request = X509_REQ_new()
        defer { X509_REQ_free(request) }
        let subject = X509_REQ_get_subject_name(request)
        for (field, value) in organizations.map({ ("O", $0) }) + [("CN", commonName)] {
            let bytes = Array(value.utf8)
            X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0)
        }
        if !names.isEmpty {
            let extensions = OPENSSL_sk_new_null()
            OPENSSL_sk_push(
                extensions, UnsafeRawPointer(hostd_openssl_make_extension(nil, nil, NID_subject_alt_name, names)))
            X509_REQ_add_extensions(request, extensions)
            OPENSSL_sk_pop_free(extensions) { X509_EXTENSION_free(OpaquePointer($0)) }
        }
        X509_REQ_set_pubkey(request, key)
        let other = hostd_openssl_generate_p256()
        defer { EVP_PKEY_free(other) }
        X509_REQ_sign(request, isForged ? other : key, EVP_sha256())
        let bio = BIO_new(BIO_s_mem())
        defer { BIO_free(bio) }
        PEM_write_bio_X509_REQ(bio, request)
        var data: UnsafeMutablePointer<CChar>?
        let count = hostd_openssl_bio_data(bio, &data)
        return Array(UnsafeRawBufferPointer(start: data, count: count))
    }

    /// The object that asks for it.
    static func object(
        _ name: String, _ pem: [UInt8], signer: String, usages: [String], expirationSeconds: Int64? = nil
    ) -> JSON {
        var object: JSON = [
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": ["name": .string(name)],
            "spec": [
                "request": .string(Base64.encode(pem)), "signerName": .string(signer),
                "usages": .array(usages.map { .string($0) }),
            ],
        ]
        if let expirationSeconds { object["spec"]["expirationSeconds"] = .integer(expirationSeconds) }
        return object
    }
}
