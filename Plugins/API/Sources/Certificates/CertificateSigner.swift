import Objects

/// The signers whose certificates this server's authority makes, and what each of them signs. Pure.
/// See https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers.
enum CertificateSigner: String, CaseIterable, Sendable {
    /// Certificates of clients of the API.
    case client = "kubernetes.io/kube-apiserver-client"
    /// Those of nodes as clients.
    case node = "kubernetes.io/kube-apiserver-client-kubelet"
    /// Those that nodes serve with.
    case serving = "kubernetes.io/kubelet-serving"

    /// The longest that a certificate lasts, and the shortest, in seconds.
    static let longest = 365 * 86_400
    static let shortest = 600
    static let nodeGroup = "system:nodes"
    static let nodePrefix = "system:node:"

    /// Why this signer does not sign a request; nil when it does.
    func problem(_ request: SigningRequest, usages: [String]) -> String? {
        switch self {
        case .client: Self.clientProblem(usages)
        case .node: Self.nodeProblem(request, usages)
        case .serving: Self.servingProblem(request, usages)
        }
    }

    private static func clientProblem(_ usages: [String]) -> String? {
        for usage in usages where !["digital signature", "key encipherment", "client auth"].contains(usage) {
            return "invalid usage for client certificate: \(usage)"
        }
        return usages.contains("client auth") ? nil : "missing required usage for client certificate: client auth"
    }

    private static func nodeProblem(_ request: SigningRequest, _ usages: [String]) -> String? {
        if request.organizations != [nodeGroup] { return "subject organization is not system:nodes" }
        if !request.dnsNames.isEmpty { return "DNS subjectAltNames are not allowed" }
        if request.mailAddresses > 0 { return "Email subjectAltNames are not allowed" }
        if request.addresses > 0 { return "IP subjectAltNames are not allowed" }
        if request.locations > 0 { return "URI subjectAltNames are not allowed" }
        if !request.commonName.hasPrefix(nodePrefix) {
            return "subject common name does not begin with system:node: "
        }
        return mismatch(usages, "client auth")
    }

    private static func servingProblem(_ request: SigningRequest, _ usages: [String]) -> String? {
        if request.organizations != [nodeGroup] { return "subject organization is not system:nodes" }
        if request.dnsNames.isEmpty, request.addresses == 0 { return "DNS or IP subjectAltName is required" }
        if request.mailAddresses > 0 { return "Email subjectAltNames are not allowed" }
        if request.locations > 0 { return "URI subjectAltNames are not allowed" }
        if let problem = mismatch(usages, "server auth") { return problem }
        return request.commonName.hasPrefix(nodePrefix)
            ? nil : "subject common name does not begin with system:node: "
    }

    /// Nodes ask for exactly these usages; keys that encipher nothing, as those of ECDSA, do without the third.
    private static func mismatch(_ usages: [String], _ purpose: String) -> String? {
        let asked = Set(usages)
        let needed: Set = ["digital signature", purpose]
        if asked == needed || asked == needed.union(["key encipherment"]) { return nil }
        let list = needed.union(["key encipherment"]).sorted().joined(separator: " ")
        return "usages did not match [\(list)]"
    }

    /// How many seconds a certificate lasts.
    /// - Parameter asked: `spec.expirationSeconds`.
    static func lifetime(_ asked: Int64?) -> Int {
        guard let asked else { return longest }
        return min(max(Int(clamping: asked), shortest), longest)
    }
}

/// Requests of nodes that are approved without a person: who asks for a certificate of a node, and may.
/// See https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#approval.
enum NodeApproval {
    /// What the one who asks must be allowed to create, in the order in which it is tried, and what is said then.
    /// - Parameter object: The CertificateSigningRequest.
    static func candidates(_ object: JSON, _ request: SigningRequest) -> [(subresource: String, message: String)] {
        let usages = object["spec"]["usages"].arrayValue.compactMap(\.stringValue)
        guard object["spec"]["signerName"].stringValue == CertificateSigner.node.rawValue,
            CertificateSigner.node.problem(request, usages: usages) == nil
        else { return [] }
        let others = (
            subresource: "nodeclient",
            message: "Auto approving kubelet client certificate after SubjectAccessReview."
        )
        guard object["spec"]["username"].stringValue == request.commonName else { return [others] }
        return [
            (
                subresource: "selfnodeclient",
                message: "Auto approving self kubelet client certificate after SubjectAccessReview."
            ), others,
        ]
    }

    static func permission(_ subresource: String) -> Authorizer.Attributes {
        .init(
            verb: "create", group: "certificates.k8s.io", version: "*", resource: "certificatesigningrequests",
            subresource: subresource)
    }

    /// Who asks, as the request has been signed at its creation.
    static func user(_ spec: JSON) -> UserInfo {
        var user = UserInfo(
            name: spec["username"].stringValue ?? "", uid: spec["uid"].stringValue ?? "",
            groups: spec["groups"].arrayValue.compactMap(\.stringValue))
        for (key, values) in spec["extra"].objectValue ?? [:] {
            user.extra[key] = values.arrayValue.compactMap(\.stringValue)
        }
        return user
    }
}
