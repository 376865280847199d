import COpenSSL
import Objects

/// When a CertificateSigningRequest has served its purpose and goes. Pure.
enum CertificateRequestAge {
    private static let hour: Int64 = 3600

    /// When it is to be deleted, in seconds since 1970: an hour after it was issued, denied or failed, a day after it was made
    /// when nobody looked at it, and when its certificate ends; nil for one that is approved and waits for its signer.
    static func end(_ object: JSON) -> Int64? {
        let certificate = object["status"]["certificate"].stringValue ?? ""
        let conditions = object["status"]["conditions"].arrayValue
        func time(_ type: String) -> Int64? {
            let condition = conditions.first { $0["type"].stringValue == type }
            return seconds(condition?["lastUpdateTime"] ?? .null)
        }
        var ends: [Int64] = []
        if !certificate.isEmpty {
            if let issued = time("Approved") { ends.append(issued + hour) }
            if let end = Self.expiry(certificate) { ends.append(end) }
        }
        for type in ["Denied", "Failed"] { if let since = time(type) { ends.append(since + hour) } }
        if conditions.isEmpty, let made = seconds(object.metadata["creationTimestamp"]) {
            ends.append(made + 24 * hour)
        }
        return ends.min()
    }

    /// Nil where there is no time, and for what is none.
    private static func seconds(_ json: JSON) -> Int64? {
        json.stringValue.flatMap { try? Timestamp(parsing: $0) }?.seconds
    }

    /// The end of a certificate, in seconds since 1970; nil for what is none.
    /// - Parameter text: PEM in base 64.
    private static func expiry(_ text: String) -> Int64? {
        guard let pem = Base64.decode(text), let certificate = PEM.certificate(pem) else { return nil }
        defer { X509_free(certificate) }
        var (days, seconds): (Int32, Int32) = (0, 0)
        let epoch = ASN1_TIME_set(nil, 0)
        defer { ASN1_STRING_free(epoch) }
        guard ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate)) == 1 else { return nil }
        return Int64(days) * 86_400 + Int64(seconds)
    }
}
