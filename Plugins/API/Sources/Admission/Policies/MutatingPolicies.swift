import Objects

/// MutatingAdmissionPolicy: changes objects as the stored policies' expressions say.
/// See https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/.
struct MutatingPolicies: AdmissionPlugin {
    let name = "MutatingAdmissionPolicy"
    let index: PolicyIndex
    var isTimed: Bool { !index.entries.isEmpty }
    let tools: PolicyTools
    let rules: any ObjectRules

    /// A policy with one of its parameters.
    private struct Invocation {
        let run: PolicyRun
        let params: JSON

        /// Tells it from all others.
        var key: String {
            "\(run.entry.policy.name)/\(run.entry.binding.name)/\(params.namespace)/\(params.name)"
        }
    }

    /// Why a policy that does not ignore failures could not do its part.
    private struct Problem {
        let message: String
        let reason: String

        init(_ failure: PolicyFailure, _ entry: PolicyIndex.Entry) {
            switch failure.origin {
            case .policy: message = "policy \"\(entry.policy.name)\" denied request: \(failure.message)"
            case .binding, .expression:
                message =
                    "policy '\(entry.policy.name)' with binding '\(entry.binding.name)' denied request: \(failure.message)"
            }
            reason = failure.origin == .expression ? "Invalid" : "Forbidden"
        }
    }

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        let entries = index.entries
        guard !entries.isEmpty, request.operation != .delete, PolicyRun.concerns(request) else { return }
        let rounds = request.startRounds()
        rounds.start(\.policies, request.object)
        let namespaces = NamespaceLabels(store: tools.store)
        var invocations: [Invocation] = []
        var problems: [Problem] = []
        // Which ones are about the write is told before any of them changes it.
        for entry in entries {
            do throws(PolicyFailure) {
                guard let run = try PolicyRun(entry, request, tools, namespaces) else { continue }
                invocations += try run.params(request).map { Invocation(run: run, params: $0) }
            } catch {
                if entry.policy.failsClosed { problems.append(Problem(error, entry)) }
            }
        }
        for invocation in invocations { problems += try apply(invocation, &request, rounds) }
        rounds.policies.outcome = request.object
        if !problems.isEmpty { throw Self.refusal(problems, request) }
    }

    private static func refusal(_ problems: [Problem], _ request: AdmissionRequest) -> APIStatus {
        var status = request.forbidden("")
        status.message = problems[0].message
        status.reason = problems[0].reason
        status.causes = problems.map { .init(reason: "", message: $0.message, field: "") }
        return status
    }

    /// - Returns: what went wrong; other mutations of the policy are applied all the same.
    private func apply(
        _ invocation: Invocation, _ request: inout AdmissionRequest, _ rounds: AdmissionRounds
    ) throws(APIStatus) -> [Problem] {
        let (run, entry) = (invocation.run, invocation.run.entry)
        let activation = try run.activation(request, params: invocation.params)
        do throws(PolicyFailure) {
            guard try run.conditionsHold(activation) else { return [] }
        } catch {
            return entry.policy.failsClosed ? [Problem(error, entry)] : []
        }
        if rounds.isSecond, !rounds.policies.isDue(invocation.key) { return [] }
        let before = request.object
        var problems: [Problem] = []
        for mutation in entry.policy.mutations {
            do {
                try PolicyMutation(mutation: mutation, run: run, rules: rules).apply(invocation.params, &request)
            } catch let failure as PolicyFailure {
                if entry.policy.failsClosed { problems.append(Problem(failure, entry)) }
            } catch let status as APIStatus {
                throw status
            } catch {
                throw .internalError("\(error)")
            }
        }
        if request.object != before { rounds.changed(\.policies) }
        if entry.policy.reinvokes { rounds.policies.wasAsked(invocation.key) }
        return problems
    }
}
