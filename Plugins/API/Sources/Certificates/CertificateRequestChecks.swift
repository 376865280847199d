import Objects

/// What is wrong with a new CertificateSigningRequest, beyond the types of its fields. Pure.
enum CertificateRequestChecks {
    static func faults(in object: JSON) -> [APIStatus.Cause] {
        let spec = object["spec"]
        var causes: [APIStatus.Cause] = []
        do throws(SigningRequest.Mistake) {
            _ = try SigningRequest(object)
        } catch {
            causes.append(.invalid("spec.request", spec["request"], error.text))
        }
        causes += usageFaults(spec["usages"].arrayValue)
        causes += signerFaults(spec["signerName"].stringValue ?? "")
        if let seconds = spec["expirationSeconds"].integerValue, seconds < Int64(CertificateSigner.shortest) {
            causes.append(
                .invalid(
                    "spec.expirationSeconds", .integer(seconds),
                    "may not specify a duration less than 600 seconds (10 minutes)"))
        }
        return causes
    }

    private static func usageFaults(_ usages: [JSON]) -> [APIStatus.Cause] {
        if usages.isEmpty { return [.required("spec.usages")] }
        var causes: [APIStatus.Cause] = []
        for (index, usage) in usages.enumerated() {
            let place = "spec.usages[\(index)]"
            if !KeyUsage.known.contains(usage.stringValue ?? "") {
                causes.append(.notSupported(place, usage, KeyUsage.known))
            }
            if usages[..<index].contains(usage) { causes.append(.duplicate(place, usage)) }
        }
        return causes
    }

    /// A signer's name is a domain and a path of it: example.com/my-signer.
    static func signerFaults(_ name: String) -> [APIStatus.Cause] {
        let place = "spec.signerName"
        if name.isEmpty { return [.required(place)] }
        if name == "kubernetes.io/legacy-unknown" {
            return [.invalid(place, .string(name), "the legacy signerName is not allowed via this API version")]
        }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            return [
                .invalid(
                    place, .string(name),
                    "must be a fully qualified domain and path of the form 'example.com/signer-name'")
            ]
        }
        let (domain, path) = (String(parts[0]), String(parts[1]))
        var causes: [APIStatus.Cause] = []
        if domain.utf8.count > longestDomain { causes.append(tooLong(place, longestDomain)) }
        let labels = domain.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        causes += firstFault(of: labels, in: domain, NameChecks.dns1123Label)
        if labels.count < 2 {
            causes.append(
                .invalid(place, .string(domain), "should be a domain with at least two segments separated by dots"))
        }
        let names = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        causes += firstFault(of: names, in: path, NameChecks.dns1123Subdomain)
        if name.utf8.count > longestName { causes.append(tooLong(place, longestName)) }
        return causes
    }

    private static let longestDomain = 253
    private static let longestName = 571

    private static func tooLong(_ place: String, _ limit: Int) -> APIStatus.Cause {
        .init(
            reason: "FieldValueTooLong", message: "Too long: may not be more than \(limit) bytes", field: place)
    }

    /// What is wrong with the first part that is wrong: the others would have nothing new to say.
    private static func firstFault(
        of parts: [String], in whole: String, _ check: (String) -> [String]
    ) -> [APIStatus.Cause] {
        for part in parts {
            let complaints = check(part)
            guard complaints.isEmpty else {
                return complaints.map {
                    .invalid("spec.signerName", .string(whole), "validating label \"\(part)\": \($0)")
                }
            }
        }
        return []
    }
}
