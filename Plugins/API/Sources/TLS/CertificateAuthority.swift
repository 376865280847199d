import COpenSSL
import Glibc

/// A certificate with its key, in PEM.
struct Credential: Sendable, Equatable {
    var certificate: [UInt8]
    var key: [UInt8]
}

/// Makes X.509 certificates with ECDSA P-256 keys, in this process.
struct CertificateAuthority {
    enum Usage: String {
        case server = "serverAuth"
        case client = "clientAuth"
    }

    static let authorityLifetime = 10 * 365 * 86400
    static let certificateLifetime = 365 * 86400

    let credential: Credential

    /// A new authority of its own making.
    static func create(commonName: String, lifetime: Int = authorityLifetime) throws(HTTPServerError)
        -> CertificateAuthority
    {
        let key = try generateKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try newCertificate(commonName: commonName, organizations: [], key: key, lifetime: lifetime)
        defer { X509_free(certificate) }
        X509_set_issuer_name(certificate, X509_get_subject_name(certificate))
        try addExtensions(
            [
                (NID_basic_constraints, "critical,CA:TRUE"),
                (NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"),
                (NID_subject_key_identifier, "hash"),
            ], to: certificate, issuer: certificate)
        try sign(certificate, with: key)
        return CertificateAuthority(
            credential: Credential(
                certificate: try PEM.text(certificate: certificate), key: try PEM.text(privateKey: key)))
    }

    /// A certificate signed by this authority. `names` are subject alternative names such as "DNS:localhost", "IP:::1".
    func issue(
        commonName: String, organizations: [String] = [], usage: Usage, names: [String] = [],
        lifetime: Int = certificateLifetime
    ) throws(HTTPServerError) -> Credential {
        guard let issuer = PEM.certificate(credential.certificate), let issuerKey = PEM.privateKey(credential.key)
        else {
            throw .tls("the certificate authority's files are damaged; remove them to have new ones made")
        }
        defer {
            X509_free(issuer)
            EVP_PKEY_free(issuerKey)
        }
        let key = try Self.generateKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try Self.newCertificate(
            commonName: commonName, organizations: organizations, key: key, lifetime: lifetime)
        defer { X509_free(certificate) }
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer))
        var extensions: [(Int32, String)] = [
            (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
            (NID_ext_key_usage, usage.rawValue), (NID_authority_key_identifier, "keyid"),
        ]
        if !names.isEmpty { extensions.append((NID_subject_alt_name, names.joined(separator: ","))) }
        try Self.addExtensions(extensions, to: certificate, issuer: issuer)
        try Self.sign(certificate, with: issuerKey)
        return Credential(certificate: try PEM.text(certificate: certificate), key: try PEM.text(privateKey: key))
    }

    static func generateKey() throws(HTTPServerError) -> OpaquePointer {
        guard let key = hostd_openssl_generate_p256() else { throw .tls(OpenSSLError.last()) }
        return key
    }

    private static func newCertificate(
        commonName: String, organizations: [String], key: OpaquePointer, lifetime: Int
    ) throws(HTTPServerError) -> OpaquePointer {
        guard let certificate = X509_new() else { throw .tls(OpenSSLError.last()) }
        X509_set_version(certificate, 2)
        var serial = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&serial, Int32(serial.count)) == 1 else { throw .tls(OpenSSLError.last()) }
        serial[0] = serial[0] & 0x7F | 0x40
        let number = BN_bin2bn(serial, Int32(serial.count), nil)
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate))
        BN_free(number)
        // Five minutes back, so that a client whose clock is a little behind accepts it.
        X509_gmtime_adj(X509_getm_notBefore(certificate), -300)
        X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime)
        let subject = X509_get_subject_name(certificate)
        for organization in organizations { addEntry(subject, "O", organization) }
        addEntry(subject, "CN", commonName)
        guard X509_set_pubkey(certificate, key) == 1 else { throw .tls(OpenSSLError.last()) }
        return certificate
    }

    private static func addEntry(_ name: OpaquePointer?, _ field: String, _ value: String) {
        let bytes = Array(value.utf8)
        X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0)
    }

    private static func addExtensions(
        _ extensions: [(Int32, String)], to certificate: OpaquePointer, issuer: OpaquePointer
    ) throws(HTTPServerError) {
        for (identifier, value) in extensions {
            guard let made = hostd_openssl_make_extension(issuer, certificate, identifier, value) else {
                throw .tls("extension \(value): \(OpenSSLError.last())")
            }
            defer { X509_EXTENSION_free(made) }
            guard X509_add_ext(certificate, made, -1) == 1 else { throw .tls(OpenSSLError.last()) }
        }
    }

    private static func sign(_ certificate: OpaquePointer, with key: OpaquePointer) throws(HTTPServerError) {
        guard X509_sign(certificate, key, EVP_sha256()) > 0 else { throw .tls(OpenSSLError.last()) }
    }
}
