import Objects

/// Whether somebody may act for a signer: a permission on the resource `signers` under the signer's name, or under its domain
/// with `*`.
/// See https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization.
struct SignerPermissions: Sendable {
    let authorizer: Authorizer

    func allows(_ user: UserInfo, _ verb: String, signer: String) -> Bool {
        let domain = signer.prefix { $0 != "/" }
        return [signer, "\(domain)/*"].contains { name in
            authorizer.allows(
                user,
                .init(verb: verb, group: "certificates.k8s.io", version: "*", resource: "signers", name: name))
        }
    }
}

/// Only who may approve for a signer approves or denies requests to it.
struct CertificateApproval: AdmissionPlugin {
    let name = "CertificateApproval"
    static let resources: Set<String>? = [CertificateRequest.resource]
    let permissions: SignerPermissions

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation == .update, request.resource.qualified == CertificateRequest.resource,
            request.subresource == "approval"
        else { return }
        let signer = request.object["spec"]["signerName"].stringValue ?? ""
        guard permissions.allows(request.user, "approve", signer: signer) else {
            throw request.forbidden("user not permitted to approve requests with signerName \"\(signer)\"")
        }
    }
}

/// Only who may sign for a signer writes certificates, or says that there will be none.
struct CertificateSigning: AdmissionPlugin {
    let name = "CertificateSigning"
    static let resources: Set<String>? = [CertificateRequest.resource]
    let permissions: SignerPermissions

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.operation == .update, request.resource.qualified == CertificateRequest.resource,
            request.subresource == "status"
        else { return }
        let (new, old) = (request.object["status"], request.old["status"])
        guard new["certificate"] != old["certificate"] || new["conditions"] != old["conditions"] else { return }
        let signer = request.object["spec"]["signerName"].stringValue ?? ""
        guard permissions.allows(request.user, "sign", signer: signer) else {
            throw request.forbidden("user not permitted to sign requests with signerName \"\(signer)\"")
        }
    }
}

/// Nobody asks for a client certificate that may do everything.
struct CertificateSubjectRestriction: AdmissionPlugin {
    let name = "CertificateSubjectRestriction"
    static let resources: Set<String>? = [CertificateRequest.resource]
    private static let forbiddenGroup = "system:masters"

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: CertificateRequest.resource, .create),
            request.object["spec"]["signerName"].stringValue == CertificateSigner.client.rawValue
        else { return }
        let asked: SigningRequest
        do throws(SigningRequest.Mistake) {
            asked = try SigningRequest(request.object)
        } catch {
            throw request.forbidden("failed to parse CSR: \(error.text)")
        }
        guard !asked.organizations.contains(Self.forbiddenGroup) else {
            throw request.forbidden(
                "use of \(CertificateSigner.client.rawValue) signer with \(Self.forbiddenGroup) group is not allowed")
        }
    }
}
