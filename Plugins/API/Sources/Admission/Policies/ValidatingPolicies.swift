import CEL
import Objects
import PluginKit

/// ValidatingAdmissionPolicy: refuses what the stored policies' expressions do not allow.
struct ValidatingPolicies: AdmissionPlugin {
    let name = "ValidatingAdmissionPolicy"
    let index: PolicyIndex
    var isTimed: Bool { !index.entries.isEmpty }
    let tools: PolicyTools

    /// What one expression of a policy, or the policy as a whole, said.
    private struct Finding {
        let message: String
        let reason: String
        /// Which of the policy's expressions it was.
        var index = 0
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        let entries = index.entries
        guard !entries.isEmpty, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        for entry in entries {
            guard let run = try PolicyRun(entry, request, tools, namespaces) else { continue }
            for finding in try findings(run, request) { try act(on: finding, entry, &request) }
        }
    }

    /// Denies or warns, as the binding says.
    private func act(
        on finding: Finding, _ entry: PolicyIndex.Entry, _ request: inout AdmissionRequest
    ) throws(APIStatus) {
        let place = "ValidatingAdmissionPolicy '\(entry.policy.name)' with binding '\(entry.binding.name)'"
        if entry.binding.actions.contains("Warn") {
            request.warnings.append("Validation failed for \(place): \(finding.message)")
        }
        if entry.binding.actions.contains("Audit") { note(finding, entry, request) }
        guard entry.binding.actions.contains("Deny") else { return }
        let message = "\(place) denied request: \(finding.message)"
        var status = request.forbidden(message)
        status.reason = finding.reason.isEmpty ? "Invalid" : finding.reason
        status.code = Self.codes[status.reason] ?? 422
        status.causes = [.init(reason: "", message: message, field: "")]
        throw status
    }

    /// Tells the audit log of a finding, in a list of all of them.
    private func note(_ finding: Finding, _ entry: PolicyIndex.Entry, _ request: AdmissionRequest) {
        let failure: JSON = [
            "message": .string(finding.message), "policy": .string(entry.policy.name),
            "binding": .string(entry.binding.name), "expressionIndex": .integer(Int64(finding.index)),
            "validationActions": .array(entry.binding.actions.sorted().map { .string($0) }),
        ]
        request.context.request.audit?.annotate("validation.policy.admission.k8s.io/validation_failure") { present in
            // What is there is a list of our own making.
            let known = (present.flatMap { try? JSON(parsing: Array($0.utf8)) } ?? []).arrayValue
            return JSON.array(known + [failure]).serializedString()
        }
    }

    private static let codes = ["Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422]

    private func findings(_ run: PolicyRun, _ request: AdmissionRequest) throws(APIStatus) -> [Finding] {
        let policy = run.entry.policy
        do throws(PolicyFailure) {
            var findings: [Finding] = []
            for params in try run.params(request) { findings += try self.findings(run, request, params) }
            return findings
        } catch {
            guard policy.failsClosed else { return [] }
            return [Finding(message: "failed to configure binding: \(error.message)", reason: "")]
        }
    }

    private func findings(
        _ run: PolicyRun, _ request: AdmissionRequest, _ params: JSON
    ) throws(PolicyFailure) -> [Finding] {
        let policy = run.entry.policy
        let evaluation: PolicyEvaluation
        do throws(APIStatus) {
            evaluation = try run.evaluation(request, params: params)
        } catch {
            throw PolicyFailure(error.message)
        }
        let variables = PolicyVariables(policy.variables, evaluation)
        evaluation.set("variables", .map(.lazy(variables)))
        do throws(PolicyFailure) {
            guard try run.conditionsHold(evaluation) else { return [] }
        } catch {
            return policy.failsClosed ? [Finding(message: error.message, reason: "")] : []
        }
        var findings: [Finding] = []
        for (index, validation) in policy.validations.enumerated() {
            guard var finding = Self.finding(validation, evaluation, policy) else { continue }
            finding.index = index
            findings.append(finding)
        }
        for (key, expression) in policy.auditAnnotations {
            if let finding = Self.annotate("\(policy.name)/\(key)", expression, evaluation, policy, request) {
                findings.append(finding)
            }
        }
        return findings
    }

    private static let longestAnnotation = 10 << 10

    /// Gives the audit log what an expression says; null says nothing.
    private static func annotate(
        _ key: String, _ expression: PolicyExpression, _ evaluation: PolicyEvaluation, _ policy: AdmissionPolicy,
        _ request: AdmissionRequest
    ) -> Finding? {
        do throws(CELError) {
            switch try expression.evaluate(evaluation) {
            case .null: return nil
            case .string(let text):
                let value = String(text.trimmingWhitespace().prefix(longestAnnotation))
                guard !value.isEmpty else { return nil }
                request.context.request.audit?.annotate(key) { present in
                    // One policy with several parameters may say several things.
                    guard let present else { return value }
                    return present.parts(separatedBy: ", ").contains(Substring(value))
                        ? present : present + ", " + value
                }
                return nil
            default: throw CELError("must evaluate to string or null")
            }
        } catch {
            guard policy.failsClosed else { return nil }
            let source = expression.source.trimmingWhitespace()
            return Finding(message: "audit annotation expression '\(source)' resulted in error: \(error)", reason: "")
        }
    }

    private static func finding(
        _ validation: AdmissionPolicy.Validation, _ evaluation: PolicyEvaluation, _ policy: AdmissionPolicy
    ) -> Finding? {
        do throws(CELError) {
            let value = try validation.expression.evaluate(evaluation)
            if case .bool(true) = value { return nil }
            guard case .bool = value else { throw CELError("must evaluate to bool") }
            return Finding(message: message(validation, evaluation), reason: validation.reason)
        } catch {
            guard policy.failsClosed else { return nil }
            let source = validation.expression.source.trimmingWhitespace()
            return Finding(message: "expression '\(source)' resulted in error: \(error)", reason: "")
        }
    }

    /// What the policy's author says; an expression that gives no good text gives way to the fixed one.
    private static func message(_ validation: AdmissionPolicy.Validation, _ evaluation: PolicyEvaluation) -> String {
        guard let expression = validation.messageExpression,
            let text = (try? expression.evaluate(evaluation))?.stringValue?.trimmingWhitespace(),
            !text.isEmpty, text.utf8.count <= 5 << 10, !text.contains("\n")
        else { return validation.defaultMessage }
        return text
    }
}
