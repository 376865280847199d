import CEL
import Objects
import PluginKit

/// ValidatingAdmissionPolicy: refuses what the stored policies' expressions do not allow.
struct ValidatingPolicies: AdmissionPlugin {
    let name = "ValidatingAdmissionPolicy"
    let index: PolicyIndex
    var isTimed: Bool { !index.entries.isEmpty }
    let tools: PolicyTools

    /// Why a policy does not let a write pass.
    private struct Finding {
        let message: String
        var reason = ""
        /// Which of the policy's expressions it was.
        var index = 0
    }

    /// What all policies say of one write.
    private struct Verdict {
        /// The refusal of which the client is told: the first.
        var refusal: APIStatus?
        /// For the audit log, in order: several parameters may each say something else.
        var annotations: [(key: String, values: [String])] = []

        mutating func annotate(_ key: String, _ value: String) {
            guard let position = annotations.firstIndex(where: { $0.key == key }) else {
                return annotations.append((key, [value]))
            }
            if !annotations[position].values.contains(value) { annotations[position].values.append(value) }
        }
    }

    /// All policies are heard, whatever the first ones say: what they warn of and note is told in any case.
    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        let entries = index.entries
        guard !entries.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var verdict = Verdict()
        for entry in entries {
            do throws(PolicyFailure) {
                guard let run = try PolicyRun(entry, request, tools, namespaces) else { continue }
                for params in try run.params(request) { try hear(run, params, &request, &verdict) }
            } catch {
                // What is wrong with the policy denies, whatever the binding wants done.
                guard entry.policy.failsClosed else { continue }
                refuse(Finding(message: error.message), entry, request, &verdict, namesBinding: error.origin != .policy)
            }
        }
        if let audit = request.context.request.audit {
            for (key, values) in verdict.annotations { audit.annotate(key, values.joined(separator: ", ")) }
        }
        if let refusal = verdict.refusal { throw refusal }
    }

    /// Evaluates a policy with one of its parameters.
    private func hear(
        _ run: PolicyRun, _ params: JSON, _ request: inout AdmissionRequest, _ verdict: inout Verdict
    ) throws(PolicyFailure) {
        let policy = run.entry.policy
        let activation: CELActivation
        do throws(APIStatus) {
            activation = try run.activation(request, params: params)
        } catch {
            throw PolicyFailure(error.message, of: .policy)
        }
        do throws(PolicyFailure) {
            guard try run.conditionsHold(activation) else { return }
            for finding in try Self.findings(policy, activation) { act(on: finding, run.entry, &request, &verdict) }
        } catch {
            if policy.failsClosed { act(on: Finding(message: error.message), run.entry, &request, &verdict) }
            return
        }
        for finding in Self.annotate(policy, activation, &verdict) { refuse(finding, run.entry, request, &verdict) }
    }

    /// Denies, warns and notes, as the binding says.
    private func act(
        on finding: Finding, _ entry: PolicyIndex.Entry, _ request: inout AdmissionRequest, _ verdict: inout Verdict
    ) {
        for action in entry.binding.actions {
            switch action {
            case "Deny": refuse(finding, entry, request, &verdict)
            case "Warn":
                request.warnings.append(
                    "Validation failed for ValidatingAdmissionPolicy '\(entry.policy.name)' with binding '\(entry.binding.name)': \(finding.message)"
                )
            case "Audit": note(finding, entry, request)
            default: break
            }
        }
    }

    private func refuse(
        _ finding: Finding, _ entry: PolicyIndex.Entry, _ request: AdmissionRequest, _ verdict: inout Verdict,
        namesBinding: Bool = true
    ) {
        guard verdict.refusal == nil else { return }
        let binding = namesBinding ? " with binding '\(entry.binding.name)'" : ""
        let message = "ValidatingAdmissionPolicy '\(entry.policy.name)'\(binding) denied request: \(finding.message)"
        var status = request.forbidden(message)
        status.reason = finding.reason.isEmpty ? "Invalid" : finding.reason
        status.code = Self.codes[status.reason] ?? 422
        status.causes = [.init(reason: "", message: message, field: "")]
        verdict.refusal = status
    }

    private static let codes = ["Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422]

    /// Tells the audit log of a finding: of the first, as in Kubernetes.
    private func note(_ finding: Finding, _ entry: PolicyIndex.Entry, _ request: AdmissionRequest) {
        let failure: JSON = [
            "message": .string(finding.message), "policy": .string(entry.policy.name),
            "binding": .string(entry.binding.name), "expressionIndex": .integer(Int64(finding.index)),
            "validationActions": JSON(entry.binding.actions),
        ]
        request.context.request.audit?.annotate(
            "validation.policy.admission.k8s.io/validation_failure", JSON.array([failure]).serializedString())
    }

    // MARK: - Expressions

    /// - Throws: that the cost is used up; then no expression has said anything.
    private static func findings(
        _ policy: AdmissionPolicy, _ activation: CELActivation
    ) throws(PolicyFailure) -> [Finding] {
        let evaluation = PolicyEvaluation(activation, budget: CELCost.perObject)
        evaluation.declare(policy.variables)
        var findings: [Finding] = []
        for (index, validation) in policy.validations.enumerated() {
            do throws(PolicyFailure) {
                if case .bool(true) = try validation.expression.result(evaluation) { continue }
                findings.append(Finding(message: "", reason: validation.reason, index: index))
            } catch {
                if evaluation.isExhausted { throw error }
                if policy.failsClosed { findings.append(Finding(message: error.message, index: index)) }
            }
        }
        return findings.compactMap { finding in
            guard finding.message.isEmpty else { return finding }
            let validation = policy.validations[finding.index]
            do throws(PolicyFailure) {
                let message = try message(validation, evaluation)
                return Finding(message: message, reason: finding.reason, index: finding.index)
            } catch {
                return policy.failsClosed ? Finding(message: error.message, index: finding.index) : nil
            }
        }
    }

    private static let longestMessage = 5 << 10

    /// What the policy's author says; an expression that gives no good text gives way to the fixed one.
    /// - Throws: that the cost is used up.
    private static func message(
        _ validation: AdmissionPolicy.Validation, _ evaluation: PolicyEvaluation
    ) throws(PolicyFailure) -> String {
        guard let expression = validation.messageExpression else { return validation.defaultMessage }
        do throws(PolicyFailure) {
            let text = try expression.result(evaluation).stringValue?.trimmingWhitespace() ?? ""
            let isGood = !text.isEmpty && text.utf8.count <= longestMessage && !text.utf8.contains(UInt8(ascii: "\n"))
            return isGood ? text : validation.defaultMessage
        } catch {
            guard evaluation.isExhausted else { return validation.defaultMessage }
            throw PolicyFailure("failed messageExpression: \(error.message)")
        }
    }

    private static let longestAnnotation = 10 << 10

    /// Gives the audit log what the policy's expressions say; null says nothing.
    /// - Returns: those that say neither a text nor null.
    private static func annotate(
        _ policy: AdmissionPolicy, _ activation: CELActivation, _ verdict: inout Verdict
    ) -> [Finding] {
        guard !policy.auditAnnotations.isEmpty else { return [] }
        let evaluation = PolicyEvaluation(activation, budget: CELCost.perObject)
        evaluation.declare(policy.variables)
        var findings: [Finding] = []
        for (key, expression) in policy.auditAnnotations {
            do throws(PolicyFailure) {
                let value = try expression.result(evaluation)
                if case .null = value { continue }
                guard let text = value.stringValue?.trimmingWhitespace() else {
                    findings.append(
                        Finding(
                            message:
                                "valueExpression '\(expression.source)' resulted in unsupported return type: \(value.type.runtimeName). "
                                + "Return type must be either string or null."))
                    continue
                }
                guard !text.isEmpty else { continue }
                verdict.annotate(
                    "\(policy.name)/\(key)", String(decoding: text.utf8.prefix(longestAnnotation), as: UTF8.self))
            } catch {
                if policy.failsClosed { findings.append(Finding(message: error.message)) }
                if evaluation.isExhausted { break }
            }
        }
        return findings
    }
}
