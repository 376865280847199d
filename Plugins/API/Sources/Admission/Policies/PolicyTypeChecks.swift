import Objects
import PluginKit
import Synchronization

/// Writes into the status of validating policies what `PolicyTypeCheck` finds, once for each generation.
final class PolicyTypeChecks: Sendable {
    private struct State {
        /// Policies that wait, by name.
        var waiting: [String: JSON] = [:]
        var isRunning = false
        var isStopped = false
    }
    private let state = Mutex(State())
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

    func stop() { state.withLock { $0.isStopped = true } }

    private func take(_ policy: JSON, _ pipeline: RequestPipeline) {
        let status = policy["status"]
        guard status["observedGeneration"].integerValue != policy.generation || status["typeChecking"].isNull else {
            return
        }
        let mustRun = state.withLock { state in
            guard !state.isStopped else { return false }
            state.waiting[policy.name] = policy
            guard !state.isRunning else { return false }
            state.isRunning = true
            return true
        }
        guard mustRun else { return }
        let isTaken = pipeline.workers.run(isOwn: true) { [self] in run(pipeline) }
        // The server has stopped; the next start looks at all of them.
        if !isTaken { state.withLock { $0.isRunning = false } }
    }

    private func run(_ pipeline: RequestPipeline) {
        while true {
            let policy = state.withLock { state -> JSON? in
                if !state.isStopped, let next = state.waiting.first {
                    state.waiting.removeValue(forKey: next.key)
                    return next.value
                }
                state.isRunning = false
                return nil
            }
            guard let policy else { return }
            write(policy, pipeline)
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
