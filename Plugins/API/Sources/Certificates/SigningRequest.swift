import COpenSSL
import Objects

/// A request for a certificate (PKCS #10, RFC 2986), read: whose it is to be, and the names that it asks for.
struct SigningRequest: Sendable, Equatable {
    /// What is wrong with the bytes of a request, in Kubernetes' words where it has some.
    struct Mistake: Error, Equatable { let text: String }

    private static let heading = "-----BEGIN CERTIFICATE REQUEST-----"
    /// A larger one is refused before it is read.
    static let sizeLimit = 1 << 20

    let pem: [UInt8]
    let commonName: String
    let organizations: [String]
    let dnsNames: [String]
    /// How many addresses, mail addresses and URIs it asks for.
    let addresses: Int
    let mailAddresses: Int
    let locations: Int

    /// - Throws: what is no request, or is not signed by the key that it is for.
    init(pem: [UInt8]) throws(Mistake) {
        guard pem.count <= Self.sizeLimit, pem.contains(text: Self.heading) else {
            throw Mistake(text: "PEM block type must be CERTIFICATE REQUEST")
        }
        guard let request = PEM.signingRequest(pem) else {
            throw Mistake(text: "the PEM block holds no certificate request (PKCS #10)")
        }
        defer { X509_REQ_free(request) }
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let key = X509_REQ_get0_pubkey(request), X509_REQ_verify(request, key) == 1 else {
            throw Mistake(text: "its signature is not by the key that it asks a certificate for")
        }
        self.pem = pem
        let subject = X509_REQ_get_subject_name(request)
        commonName = ClientCertificate.entries(subject, NID_commonName).last ?? ""
        organizations = ClientCertificate.entries(subject, NID_organizationName)
        let names = AlternativeNames(request: request)
        dnsNames = names.texts(of: GEN_DNS)
        addresses = names.count(of: GEN_IPADD)
        mailAddresses = names.count(of: GEN_EMAIL)
        locations = names.count(of: GEN_URI)
    }

    /// The request of a CertificateSigningRequest object.
    init(_ object: JSON) throws(Mistake) {
        guard let pem = object["spec"]["request"].stringValue.flatMap({ Base64.decode($0) }) else {
            throw Mistake(text: "it is no base 64")
        }
        try self.init(pem: pem)
    }
}

/// The subject alternative names that a request asks for.
private struct AlternativeNames {
    private var names: [(kind: Int32, text: String)] = []

    init(request: OpaquePointer) {
        guard let extensions = X509_REQ_get_extensions(request) else { return }
        defer { OPENSSL_sk_pop_free(extensions) { X509_EXTENSION_free(OpaquePointer($0)) } }
        guard let found = X509V3_get_d2i(extensions, NID_subject_alt_name, nil, nil) else { return }
        let stack = OpaquePointer(found)
        defer { OPENSSL_sk_pop_free(stack) { GENERAL_NAME_free($0?.assumingMemoryBound(to: GENERAL_NAME.self)) } }
        for index in 0..<OPENSSL_sk_num(stack) {
            guard let name = OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else {
                continue
            }
            var kind: Int32 = 0
            guard let value = GENERAL_NAME_get0_value(name, &kind) else { continue }
            guard [GEN_DNS, GEN_EMAIL, GEN_URI].contains(kind) else {
                names.append((kind, ""))
                continue
            }
            let text = value.assumingMemoryBound(to: ASN1_STRING.self)
            let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(text), count: Int(ASN1_STRING_length(text)))
            names.append((kind, String(decoding: bytes, as: UTF8.self)))
        }
    }

    func texts(of kind: Int32) -> [String] { names.filter { $0.kind == kind }.map(\.text) }
    func count(of kind: Int32) -> Int { names.count { $0.kind == kind } }
}
