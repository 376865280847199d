import COpenSSL

/// Who a client's certificate says it is, as Kubernetes reads it: the common name is the user, organizations are groups.
struct ClientCertificate: Sendable, Hashable {
    /// The attribute of a subject that is the user's uid, as Kubernetes has registered it.
    private static let uidAttribute = "1.3.6.1.4.1.57683.2"
    /// The key of `extra` that names the credential by which a user was found.
    static let credentialKey = "authentication.kubernetes.io/credential-id"

    var commonName: String
    /// Whether it was issued by the authority of this server for client authentication and is within its time.
    var isTrusted: Bool
    /// Whether it was issued by the authority of proxies, which say for whom they ask.
    var isOfProxy = false
    /// Whom the certificate stands for, once it is trusted; nil when it names nobody.
    let user: UserInfo?

    init(certificate: OpaquePointer, isTrusted: Bool, isOfProxy: Bool) {
        self.isOfProxy = isOfProxy
        self.isTrusted = isTrusted
        let subject = X509_get_subject_name(certificate)
        commonName = Self.entries(subject, NID_commonName).last ?? ""
        user = Self.user(
            commonName, Self.entries(subject, NID_organizationName), uids: Self.uids(subject),
            extra: [Self.credentialKey: ["X509SHA256=" + Self.fingerprint(certificate)]])
    }

    init(commonName: String, organizations: [String], isTrusted: Bool) {
        self.commonName = commonName
        self.isTrusted = isTrusted
        user = Self.user(commonName, organizations, uids: [], extra: [:])
    }

    /// Made once for a connection, so that its requests share it.
    private static func user(
        _ name: String, _ organizations: [String], uids: [String], extra: [String: [String]]
    ) -> UserInfo? {
        // Several uids, or an empty one, are a mistake of whoever has signed it.
        guard !name.isEmpty, uids.isEmpty || uids.count == 1 && !uids[0].isEmpty else { return nil }
        return UserInfo(
            name: name, uid: uids.first ?? "", groups: UserInfo.authenticated(organizations), extra: extra)
    }

    private static func fingerprint(_ certificate: OpaquePointer) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        var size: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &digest, &size) == 1 else { return "" }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func uids(_ subject: OpaquePointer?) -> [String] {
        guard let attribute = OBJ_txt2obj(uidAttribute, 1) else { return [] }
        defer { ASN1_OBJECT_free(attribute) }
        return entries(subject) { X509_NAME_get_index_by_OBJ(subject, attribute, $0) }
    }

    /// All values of an attribute, in order.
    static func entries(_ name: OpaquePointer?, _ identifier: Int32) -> [String] {
        entries(name) { X509_NAME_get_index_by_NID(name, identifier, $0) }
    }

    private static func entries(_ name: OpaquePointer?, next: (Int32) -> Int32) -> [String] {
        var result: [String] = []
        var position = next(-1)
        while position >= 0 {
            let data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, position))
            var text: UnsafeMutablePointer<UInt8>?
            let length = ASN1_STRING_to_UTF8(&text, data)
            if length >= 0, let text {
                result.append(String(decoding: UnsafeBufferPointer(start: text, count: Int(length)), as: UTF8.self))
                CRYPTO_free(text, "", 0)
            }
            position = next(position)
        }
        return result
    }
}
