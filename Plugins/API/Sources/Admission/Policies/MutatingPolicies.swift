import CEL
import FieldManagement
import ObjectSchema
import Objects
import PluginKit

/// MutatingAdmissionPolicy: changes objects as the stored policies' expressions say.
/// See https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/.
struct MutatingPolicies: AdmissionPlugin {
    let name = "MutatingAdmissionPolicy"
    let index: PolicyIndex
    var isTimed: Bool { !index.entries.isEmpty }
    let tools: PolicyTools
    let rules: any ObjectRules

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        let entries = index.entries
        guard !entries.isEmpty, request.operation != .delete, PolicyRun.concerns(request) else { return }
        let namespaces = NamespaceLabels(store: tools.store)
        var lastChange = -1
        var seen: [JSON] = []
        for (position, entry) in entries.enumerated() {
            let before = request.object
            try apply(entry, &request, namespaces)
            if request.object != before { lastChange = position }
            seen.append(request.object)
        }
        // Who asks for it looks again at what others have changed since.
        for (position, entry) in entries.enumerated() where entry.policy.reinvokes && position < lastChange {
            if request.object != seen[position] { try apply(entry, &request, namespaces) }
        }
    }

    private func apply(
        _ entry: PolicyIndex.Entry, _ request: inout AdmissionRequest, _ namespaces: NamespaceLabels
    ) throws(APIStatus) {
        guard let run = try PolicyRun(entry, request, tools, namespaces) else { return }
        do throws(PolicyFailure) {
            for params in try run.params(request) { try apply(run, params, &request) }
        } catch {
            guard entry.policy.failsClosed else { return }
            throw request.forbidden(
                "policy '\(entry.policy.name)' with binding '\(entry.binding.name)' denied request: \(error.message)")
        }
    }

    private func apply(
        _ run: PolicyRun, _ params: JSON, _ request: inout AdmissionRequest
    ) throws(PolicyFailure) {
        let policy = run.entry.policy
        for mutation in policy.mutations {
            let evaluation: PolicyEvaluation
            do throws(APIStatus) {
                evaluation = try run.evaluation(request, params: params)
            } catch {
                throw PolicyFailure(error.message)
            }
            let variables = PolicyVariables(policy.variables, evaluation)
            evaluation.set("variables", .map(.lazy(variables)))
            guard try run.conditionsHold(evaluation) else { return }
            let shown = ReviewRequest.object(of: request, as: run.matched)
            let changed: JSON
            do throws(CELError) {
                let value = try mutation.expression.evaluate(evaluation)
                // Of the options of a connection no list or map is more than a whole.
                let schema = request.operation == .connect ? nil : rules.schema(of: run.matched)
                changed = try mutation.isPatch ? Self.patched(shown, value) : Self.merged(shown, value, schema)
            } catch {
                throw PolicyFailure(
                    "expression '\(mutation.expression.source.trimmingWhitespace())' resulted in error: \(error)")
            }
            if request.operation == .connect {
                request.object = changed
                continue
            }
            var object = Conversion.toWorking(changed, run.matched)
            guard object.name == request.object.name, object.namespace == request.object.namespace else {
                throw PolicyFailure("a mutation must not change the object's name or namespace")
            }
            guard object.kind == request.object.kind, object.apiVersion == request.object.apiVersion else {
                throw PolicyFailure("a mutation must not change the object's kind")
            }
            rules.applyDefaults(&object, request.resource)
            request.object = object
        }
    }

    private static func patched(_ object: JSON, _ value: CELValue) throws(CELError) -> JSON {
        let operations = try value.json()
        guard case .array = operations else { throw CELError("unexpected expression result type: \(value.type)") }
        do {
            return try JSONPatch.apply(operations, to: object)
        } catch {
            throw CELError("error applying JSON Patch: \(error)")
        }
    }

    private static func merged(_ object: JSON, _ value: CELValue, _ schema: SchemaNode?) throws(CELError) -> JSON {
        try MutationTypes.check(value)
        var configuration = try value.json()
        guard case .object = configuration else { throw CELError("unexpected expression result type: \(value.type)") }
        configuration.kind = object.kind
        configuration.apiVersion = object.apiVersion
        for name in ["name", "namespace", "labels", "annotations", "finalizers", "uid"]
        where configuration.metadata.exists {
            guard ["name", "namespace", "uid"].contains(name), configuration.metadata[name].exists else { continue }
            throw CELError("error applying patch: metadata.\(name) must not be set")
        }
        return AppliedConfiguration.merge(configuration, over: object, schema)
    }
}
