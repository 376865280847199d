import Glibc
import Objects
import PluginKit
import Synchronization

/// Keeps CertificateSigningRequests going: approves those of nodes, signs approved ones with this server's authority, and
/// clears away what has served its purpose. Several servers of one store may do so at once: each write names the revision
/// that it was decided upon.
final class CertificateKeeper: Sendable {
    /// What is done about a request next.
    enum Step: Sendable, Equatable {
        case nothing
        case approve(message: String)
        /// It is approved, and no certificate of its signer can be made of it.
        case fail(message: String)
        case sign(SigningRequest, CertificateSigner)
        case delete
    }

    private let host: Host
    private let authority: CertificateAuthority
    private struct State {
        var queue: WorkQueue?
        var informer: Informer?
    }
    private let state = Mutex(State())
    private static let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

    init(host: Host, authority: CertificateAuthority) {
        self.host = host
        self.authority = authority
    }

    func start(_ pipeline: RequestPipeline) throws(PluginError) {
        let queue = try WorkQueue(host, name: "api-certificates", workers: 1) { [weak self] name in
            try self?.handle(name, pipeline) ?? .done
        }
        let informer = try Informer(
            host, resource: CertificateRequest.resource,
            handler: { event in
                switch event {
                case .added(let object), .updated(_, let object): queue.add(object.name)
                case .deleted, .synchronized: break
                }
            })
        state.withLock { state in
            state.queue = queue
            state.informer = informer
        }
        try informer.start()
    }

    /// Idempotent. [blocking]
    func stop() {
        let (queue, informer) = state.withLock { ($0.queue, $0.informer) }
        informer?.stop()
        queue?.stop()
    }

    // MARK: - Deciding

    /// What a request needs now. Pure, but for the question.
    /// - Parameters:
    ///   - now: Seconds since 1970.
    ///   - may: Whether a user may something.
    static func step(
        _ object: JSON, now: Int64, may: (UserInfo, Authorizer.Attributes) -> Bool
    ) -> Step {
        if let end = CertificateRequestAge.end(object), end <= now { return .delete }
        let conditions = object["status"]["conditions"].arrayValue
        func has(_ type: String) -> Bool {
            conditions.contains { $0["type"].stringValue == type && $0["status"].stringValue != "False" }
        }
        guard (object["status"]["certificate"].stringValue ?? "").isEmpty, !has("Denied"), !has("Failed"),
            let signer = CertificateSigner(rawValue: object["spec"]["signerName"].stringValue ?? "")
        else { return .nothing }
        let request: SigningRequest
        do throws(SigningRequest.Mistake) {
            request = try SigningRequest(object)
        } catch {
            return has("Approved") ? .fail(message: error.text) : .nothing
        }
        guard has("Approved") else {
            let user = NodeApproval.user(object["spec"])
            let found = NodeApproval.candidates(object, request).first {
                may(user, NodeApproval.permission($0.subresource))
            }
            return found.map { .approve(message: $0.message) } ?? .nothing
        }
        let usages = object["spec"]["usages"].arrayValue.compactMap(\.stringValue)
        if let problem = signer.problem(request, usages: usages) { return .fail(message: problem) }
        return .sign(request, signer)
    }

    // MARK: - Acting

    private func handle(_ name: String, _ pipeline: RequestPipeline) throws -> Requeue {
        guard let object = state.withLock({ $0.informer })?.get(namespace: "", name: name) else { return .done }
        let now = Timestamp.now()
        let authorizer = pipeline.authorizer
        switch Self.step(object, now: now.seconds, may: { authorizer.allows($0, $1) }) {
        case .nothing: break
        case .approve(let message):
            let changed = Self.adding("Approved", reason: "AutoApproved", message, to: object, now)
            try pipeline.replace(changed, "\(Self.path)/\(name)/approval", by: "csrapproving")
        case .fail(let message):
            let changed = Self.adding("Failed", reason: "SignerValidationFailure", message, to: object, now)
            try pipeline.replace(changed, "\(Self.path)/\(name)/status", by: "csrsigning")
        case .sign(let request, _):
            let usages = object["spec"]["usages"].arrayValue.compactMap(\.stringValue)
            let lifetime = CertificateSigner.lifetime(object["spec"]["expirationSeconds"].integerValue)
            let certificate = try authority.sign(request, usages: usages, lifetime: lifetime)
            var changed = object
            changed["status"]["certificate"] = .string(Base64.encode(certificate))
            try pipeline.replace(changed, "\(Self.path)/\(name)/status", by: "csrsigning")
        case .delete:
            try pipeline.remove(object, "\(Self.path)/\(name)", by: "csrcleaner")
            return .done
        }
        guard let end = CertificateRequestAge.end(object) else { return .done }
        return .after(nanoseconds: UInt64(max(end - now.seconds, 1)) * 1_000_000_000)
    }

    static func adding(
        _ type: String, reason: String, _ message: String, to object: JSON, _ now: Timestamp
    ) -> JSON {
        var changed = object
        let time = JSON.string(now.formatted(fraction: .none))
        changed["status"]["conditions"].append([
            "type": .string(type), "status": "True", "reason": .string(reason), "message": .string(message),
            "lastUpdateTime": time, "lastTransitionTime": time,
        ])
        return changed
    }
}
