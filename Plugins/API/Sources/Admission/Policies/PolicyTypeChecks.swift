import Objects
import PluginKit
import Synchronization

/// Writes into the status of validating policies what `PolicyTypeCheck` finds, once for each generation.
final class PolicyTypeChecks: Sendable {
    /// Policies that wait, by name.
    private let waiting = Mutex<[String: JSON]>([:])
    private let writing = CoalescingRun()
    private let check: PolicyTypeCheck
    private let log: Log

    init(_ check: PolicyTypeCheck, log: Log) {
        self.check = check
        self.log = log
    }

    /// What keeps the policies in view; started by whoever runs the server.
    func informer(_ host: Host, _ pipeline: RequestPipeline) throws(PluginError) -> Informer {
        try Informer(
            host, resource: PolicyIndex.Kind.validating.rawValue,
            handler: { [self] event in
                switch event {
                case .added(let policy), .updated(_, let policy): take(policy, pipeline)
                case .deleted, .synchronized: break
                }
            })
    }

    func stop() {
        writing.stop()
        waiting.withLock { $0 = [:] }
    }

    private func take(_ policy: JSON, _ pipeline: RequestPipeline) {
        let status = policy["status"]
        guard status["observedGeneration"].integerValue != policy.generation || status["typeChecking"].isNull else {
            return
        }
        waiting.withLock { $0[policy.name] = policy }
        writing.request(on: pipeline.workers) { [self] in
            while let next = waiting.withLock({ $0.popFirst()?.value }) { write(next, pipeline) }
        }
    }

    private func write(_ policy: JSON, _ pipeline: RequestPipeline) {
        var changed = policy
        changed["metadata"].removeValue(forKey: "managedFields")
        changed["status"]["observedGeneration"] = .integer(policy.generation)
        changed["status"]["typeChecking"] = check.status(policy)
        let resource = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
        let response = ResponseBox.wait { (respond) throws(APIStatus) in
            var request = try APIRequest(
                method: .put, target: "\(resource)/\(policy.name)/status", body: changed.serialized(), user: .host,
                isInternal: true)
            request.userAgent = "validatingadmissionpolicy-status"
            pipeline.handle(request, respond: respond)
        }
        // Somebody else was first: the change comes by the watch, and is looked at then.
        guard response.status >= 300, response.status != 409, response.status != 404 else { return }
        log.error(
            "the types of a policy's expressions cannot be told",
            ["policy": .string(policy.name), "status": .integer(Int64(response.status))])
    }
}
