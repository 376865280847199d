import COpenSSL
import Glibc
import PluginKit

/// The certificates and keys of this installation, in one directory: made on the first start, reused, renewed when they
/// near their end or no longer name all addresses. Files appear whole or not at all, readable by their owner alone.
struct PKIDirectory {
    /// A certificate with less time than this left is replaced at the start.
    static let renewal = 30 * 86400

    let path: String

    struct Contents: Sendable {
        var authority: [UInt8]
        /// The same with its key: signs the certificates of clients and nodes.
        var signer: CertificateAuthority
        var server: Credential
        var admin: Credential
        /// Signs the certificates of proxies whose word for who their clients are counts.
        var frontProxyAuthority: [UInt8]
        /// What this server shows when it speaks for its clients to other API servers.
        var frontProxy: Credential
        /// Signs and verifies service-account tokens.
        var tokenKey: [UInt8]
        /// What was made anew, for the log.
        var made: [String]
    }

    /// Reads what is there, makes what is missing.
    /// - Parameter names: Subject alternative names that the server's certificate must have, "DNS:…" and "IP:…".
    func prepare(names: [String]) throws -> Contents {
        try createDirectory()
        var made: [String] = []
        let authority = try certificateAuthority("ca", "hostd-ca", &made)
        let server = try obtain("server", "hostd", [], .server, names: names, from: authority, &made)
        let admin = try obtain(
            "admin", "kubernetes-admin", ["system:masters"], .client, names: [], from: authority, &made)
        let frontProxyAuthority = try certificateAuthority("front-proxy-ca", "hostd-front-proxy-ca", &made)
        let frontProxy = try obtain(
            "front-proxy-client", FrontProxy.clientName, [], .client, names: [], from: frontProxyAuthority, &made)
        let tokenKey = try tokenKey(&made)
        return Contents(
            authority: authority.credential.certificate, signer: authority, server: server, admin: admin,
            frontProxyAuthority: frontProxyAuthority.credential.certificate, frontProxy: frontProxy,
            tokenKey: tokenKey, made: made)
    }

    private func certificateAuthority(
        _ file: String, _ commonName: String, _ made: inout [String]
    ) throws -> CertificateAuthority {
        if let existing = try credential(file), Self.isCurrent(existing, issuer: existing.certificate) {
            return CertificateAuthority(credential: existing)
        }
        let authority = try CertificateAuthority.create(commonName: commonName)
        try write(authority.credential, file)
        made.append(file)
        return authority
    }

    private func obtain(
        _ file: String, _ commonName: String, _ organizations: [String], _ usage: CertificateAuthority.Usage,
        names: [String], from authority: CertificateAuthority, _ made: inout [String]
    ) throws -> Credential {
        if let existing = try credential(file), Self.isCurrent(existing, issuer: authority.credential.certificate),
            Self.names(existing.certificate).isSuperset(of: names)
        {
            return existing
        }
        let new = try authority.issue(
            commonName: commonName, organizations: organizations, usage: usage, names: names)
        try write(new, file)
        made.append(file)
        return new
    }

    private func tokenKey(_ made: inout [String]) throws -> [UInt8] {
        if let bytes = try read("service-account.key"), let key = PEM.privateKey(bytes) {
            EVP_PKEY_free(key)
            return bytes
        }
        let key = try CertificateAuthority.generateKey()
        defer { EVP_PKEY_free(key) }
        let text = try PEM.text(privateKey: key)
        try AtomicFile.write(text, to: path + "/service-account.key")
        made.append("service-account")
        return text
    }

    // MARK: - Checks

    /// Whether certificate and key belong together, the issuer signed it, and it lasts for a while.
    static func isCurrent(_ credential: Credential, issuer: [UInt8], renewal: Int = renewal) -> Bool {
        guard let certificate = PEM.certificate(credential.certificate) else { return false }
        defer { X509_free(certificate) }
        guard let key = PEM.privateKey(credential.key) else { return false }
        defer { EVP_PKEY_free(key) }
        guard let authority = PEM.certificate(issuer) else { return false }
        defer { X509_free(authority) }
        ERR_clear_error()
        defer { ERR_clear_error() }
        var limit = time(nil) + renewal
        guard X509_check_private_key(certificate, key) == 1,
            X509_verify(certificate, X509_get0_pubkey(authority)) == 1,
            X509_cmp_time(X509_get0_notAfter(certificate), &limit) > 0
        else { return false }
        limit = time(nil)
        return X509_cmp_time(X509_get0_notBefore(certificate), &limit) < 0
    }

    /// The subject alternative names of a certificate, written as "DNS:…" and "IP:…".
    static func names(_ certificate: [UInt8]) -> Set<String> {
        guard let x509 = PEM.certificate(certificate) else { return [] }
        defer { X509_free(x509) }
        var result: Set<String> = []
        for line in hostdSubjectAlternativeNames(x509) { result.insert(line) }
        return result
    }

    // MARK: - Files

    private func createDirectory() throws {
        try AtomicFile.makeDirectory(path, mode: 0o700)
    }

    private func credential(_ name: String) throws -> Credential? {
        guard let certificate = try read(name + ".crt"), let key = try read(name + ".key") else { return nil }
        return Credential(certificate: certificate, key: key)
    }

    private func write(_ credential: Credential, _ name: String) throws {
        try AtomicFile.write(credential.key, to: "\(path)/\(name).key")
        try AtomicFile.write(credential.certificate, to: "\(path)/\(name).crt")
    }

    private func read(_ name: String) throws -> [UInt8]? {
        let file = "\(path)/\(name)"
        guard access(file, F_OK) == 0 || errno != ENOENT else { return nil }
        return try AtomicFile.read(file, limit: 64 * 1024)
    }
}

/// The names in their textual form; addresses in the form that inet_ntop gives.
private func hostdSubjectAlternativeNames(_ certificate: OpaquePointer) -> [String] {
    guard let names = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
    let stack = OpaquePointer(names)
    defer { OPENSSL_sk_pop_free(stack) { GENERAL_NAME_free($0?.assumingMemoryBound(to: GENERAL_NAME.self)) } }
    var result: [String] = []
    for index in 0..<OPENSSL_sk_num(stack) {
        guard let name = OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else { continue }
        var kind: Int32 = 0
        guard let value = GENERAL_NAME_get0_value(name, &kind) else { continue }
        let text = value.assumingMemoryBound(to: ASN1_STRING.self)
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(text), count: Int(ASN1_STRING_length(text)))
        if kind == GEN_DNS {
            result.append("DNS:" + String(decoding: bytes, as: UTF8.self))
        } else if kind == GEN_IPADD, bytes.count == 4 || bytes.count == 16 {
            var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes.baseAddress, &buffer, socklen_t(buffer.count))
            let characters = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            result.append("IP:" + String(decoding: characters, as: UTF8.self))
        }
    }
    return result
}
