import CEL
import Objects
import PluginKit

/// ValidatingAdmissionPolicy: refuses what the stored policies' expressions do not allow.
struct ValidatingPolicies: AdmissionPlugin {
    let name = "ValidatingAdmissionPolicy"
    let index: PolicyIndex
    let tools: PolicyTools

    /// What one expression of a policy, or the policy as a whole, said.
    private struct Finding {
        let message: String
        let reason: String
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
        guard entry.binding.actions.contains("Deny") else { return }
        let message = "\(place) denied request: \(finding.message)"
        var status = request.forbidden(message)
        status.reason = finding.reason.isEmpty ? "Invalid" : finding.reason
        status.code = Self.codes[status.reason] ?? 422
        status.causes = [.init(reason: "", message: message, field: "")]
        throw status
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
        for validation in policy.validations {
            if let finding = Self.finding(validation, evaluation, policy) { findings.append(finding) }
        }
        return findings
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
