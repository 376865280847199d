/// What a certificate may be used for, as CertificateSigningRequests name it.
/// See https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/.
enum KeyUsage {
    /// OpenSSL's names of usages of the key itself (RFC 5280, section 4.2.1.3).
    private static let ofKey = [
        "signing": "digitalSignature", "digital signature": "digitalSignature",
        "content commitment": "nonRepudiation", "key encipherment": "keyEncipherment",
        "key agreement": "keyAgreement", "data encipherment": "dataEncipherment", "cert sign": "keyCertSign",
        "crl sign": "cRLSign", "encipher only": "encipherOnly", "decipher only": "decipherOnly",
    ]
    /// And of what it is for (section 4.2.1.12).
    private static let extended = [
        "any": "anyExtendedKeyUsage", "server auth": "serverAuth", "client auth": "clientAuth",
        "code signing": "codeSigning", "email protection": "emailProtection", "s/mime": "emailProtection",
        "ipsec end system": "ipsecEndSystem", "ipsec tunnel": "ipsecTunnel", "ipsec user": "ipsecUser",
        "timestamping": "timeStamping", "ocsp signing": "OCSPSigning", "microsoft sgc": "msSGC",
        "netscape sgc": "nsSGC",
    ]

    /// All that there are, sorted.
    static let known = (Array(ofKey.keys) + Array(extended.keys)).sorted()

    /// The values of the two extensions, as OpenSSL reads them; empty where there is nothing to say.
    static func extensions(_ usages: [String]) -> (key: String, extended: String) {
        func joined(_ names: [String: String]) -> String {
            Set(usages.compactMap { names[$0] }).sorted().joined(separator: ",")
        }
        return (joined(ofKey), joined(extended))
    }
}
