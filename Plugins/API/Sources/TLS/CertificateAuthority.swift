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
    /// How far before now certificates begin to be valid, in seconds.
    private static let tolerance = 300
    private static let shortLifetime = 8 * 3600

    let credential: Credential

    /// A new authority of its own making.
    static func create(commonName: String, lifetime: Int = authorityLifetime) throws(HTTPServerError)
        -> CertificateAuthority
    {
        let key = try generateKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try newCertificate(key: key, lifetime: lifetime)
        defer { X509_free(certificate) }
        addEntry(X509_get_subject_name(certificate), "CN", commonName)
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
        let (issuer, issuerKey) = try parts()
        defer {
            X509_free(issuer)
            EVP_PKEY_free(issuerKey)
        }
        let key = try Self.generateKey()
        defer { EVP_PKEY_free(key) }
        let certificate = try Self.newCertificate(key: key, lifetime: lifetime)
        defer { X509_free(certificate) }
        let subject = X509_get_subject_name(certificate)
        for organization in organizations { Self.addEntry(subject, "O", organization) }
        Self.addEntry(subject, "CN", commonName)
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

    /// What a request asks for, signed: its key, its subject and its names, for the usages and the time that are given.
    /// - Parameters:
    ///   - usages: as CertificateSigningRequests name them.
    ///   - lifetime: In seconds; the certificate ends with its authority at the latest.
    /// - Returns: PEM.
    func sign(_ request: SigningRequest, usages: [String], lifetime: Int) throws(HTTPServerError) -> [UInt8] {
        let (issuer, issuerKey) = try parts()
        defer {
            X509_free(issuer)
            EVP_PKEY_free(issuerKey)
        }
        guard let asked = PEM.signingRequest(request.pem), let key = X509_REQ_get0_pubkey(asked) else {
            throw .tls("the request cannot be read: \(OpenSSLError.last())")
        }
        defer { X509_REQ_free(asked) }
        // One that lasts long ends as much earlier as it begins.
        let certificate = try Self.newCertificate(
            key: key, lifetime: lifetime < Self.shortLifetime ? lifetime : lifetime - Self.tolerance)
        defer { X509_free(certificate) }
        if ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(issuer)) > 0 {
            X509_set1_notAfter(certificate, X509_get0_notAfter(issuer))
        }
        X509_set_subject_name(certificate, X509_REQ_get_subject_name(asked))
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer))
        let names = KeyUsage.extensions(usages)
        var extensions: [(Int32, String)] = [(NID_basic_constraints, "critical,CA:FALSE")]
        if !names.key.isEmpty { extensions.append((NID_key_usage, "critical," + names.key)) }
        if !names.extended.isEmpty { extensions.append((NID_ext_key_usage, names.extended)) }
        extensions.append((NID_authority_key_identifier, "keyid"))
        try Self.addExtensions(extensions, to: certificate, issuer: issuer)
        try Self.copyNames(of: asked, to: certificate)
        try Self.sign(certificate, with: issuerKey)
        return try PEM.text(certificate: certificate)
    }

    private static func copyNames(of request: OpaquePointer, to certificate: OpaquePointer) throws(HTTPServerError) {
        guard let extensions = X509_REQ_get_extensions(request) else { return }
        defer { OPENSSL_sk_pop_free(extensions) { X509_EXTENSION_free(OpaquePointer($0)) } }
        let position = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1)
        guard position >= 0 else { return }
        guard X509_add_ext(certificate, X509v3_get_ext(extensions, position), -1) == 1 else {
            throw .tls(OpenSSLError.last())
        }
    }

    /// Certificate and key; the caller's to free.
    private func parts() throws(HTTPServerError) -> (certificate: OpaquePointer, key: OpaquePointer) {
        guard let certificate = PEM.certificate(credential.certificate) else { throw Self.damaged }
        guard let key = PEM.privateKey(credential.key) else {
            X509_free(certificate)
            throw Self.damaged
        }
        return (certificate, key)
    }

    private static let damaged = HTTPServerError.tls(
        "the certificate authority's files are damaged; remove them to have new ones made")

    static func generateKey() throws(HTTPServerError) -> OpaquePointer {
        guard let key = hostd_openssl_generate_p256() else { throw .tls(OpenSSLError.last()) }
        return key
    }

    /// A certificate without names, for a key.
    private static func newCertificate(key: OpaquePointer, lifetime: Int) throws(HTTPServerError) -> OpaquePointer {
        guard let certificate = X509_new() else { throw .tls(OpenSSLError.last()) }
        X509_set_version(certificate, 2)
        var serial = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&serial, Int32(serial.count)) == 1 else { throw .tls(OpenSSLError.last()) }
        serial[0] = serial[0] & 0x7F | 0x40
        let number = BN_bin2bn(serial, Int32(serial.count), nil)
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate))
        BN_free(number)
        // A client whose clock is a little behind accepts it, too.
        X509_gmtime_adj(X509_getm_notBefore(certificate), -tolerance)
        X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime)
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
