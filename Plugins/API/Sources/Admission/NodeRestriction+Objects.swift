import Objects

/// What a node makes for itself beside pods: slices of its devices, and requests for its certificates.
extension NodeRestriction {
    /// Which of the slices that are there a node may read and change is a matter of its relations.
    static func sliceProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        guard request.operation == .create || request.operation == .delete else { return nil }
        let (slice, verb) = request.operation == .create ? (request.object, "create") : (request.old, "delete")
        guard slice["spec"]["nodeName"].stringValue != node else { return nil }
        return "can only \(verb) ResourceSlice with the same NodeName as the requesting node"
    }

    static func certificateProblem(_ request: AdmissionRequest, _ node: String) -> String? {
        guard request.operation == .create, request.subresource.isEmpty,
            let signer = CertificateSigner(rawValue: request.object["spec"]["signerName"].stringValue ?? ""),
            signer != .client
        else { return nil }
        do throws(SigningRequest.Mistake) {
            let name = CertificateSigner.nodePrefix + node
            return try SigningRequest(request.object).commonName == name
                ? nil : "can only create a node CSR with CN=\(name)"
        } catch {
            return "unable to parse csr: \(error.text)"
        }
    }
}
