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
        var causes: [APIStatus.Cause] = []
        let labels = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        for part in parts {
            for label in part.split(separator: ".", omittingEmptySubsequences: false) where !isLabel(label) {
                causes.append(
                    .invalid(
                        place, .string(String(part)),
                        "validating label \"\(label)\": a lowercase RFC 1123 label must consist of lower case alphanumeric "
                            + "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
                            + "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"))
            }
        }
        if labels.count < 2 {
            causes.append(
                .invalid(
                    place, .string(String(parts[0])),
                    "should be a domain with at least two segments separated by dots"))
        }
        return causes
    }

    private static func isLabel(_ label: Substring) -> Bool {
        func isAlphanumeric(_ byte: UInt8?) -> Bool {
            byte.map { 0x30...0x39 ~= $0 || 0x61...0x7A ~= $0 } ?? false
        }
        let bytes = label.utf8
        return bytes.count <= 63 && isAlphanumeric(bytes.first) && isAlphanumeric(bytes.last)
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
}
