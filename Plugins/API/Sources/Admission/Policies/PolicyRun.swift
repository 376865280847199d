import CEL
import Objects
import PluginKit

/// What policies need to look at writes.
struct PolicyTools: Sendable {
    let store: StoreClient
    let resources: ResourceTable
    let authorizer: Authorizer
    /// Nil where nothing is timed.
    var metrics: AdmissionMetrics?
}

/// One bound policy at one write.
struct PolicyRun {
    let tools: PolicyTools
    let entry: PolicyIndex.Entry
    let matched: Resource
    let namespaces: NamespaceLabels

    /// The run, if policy and binding are about the write.
    init?(
        _ entry: PolicyIndex.Entry, _ request: AdmissionRequest, _ tools: PolicyTools, _ namespaces: NamespaceLabels
    ) throws(APIStatus) {
        do throws(APIStatus) {
            guard let matched = try entry.policy.constraints.match(request, tools.resources, namespaces) else {
                return nil
            }
            if let scope = entry.binding.scope {
                let inScope = try scope.match(request, tools.resources, namespaces, matchesWithoutRules: true)
                guard inScope != nil else { return nil }
            }
            self.matched = matched
        } catch {
            let problem = entry.policy.constraints.problem ?? entry.binding.scope?.problem
            guard let problem else { throw error }
            // Whether it is about the write cannot be told: its own policy for failures decides.
            guard entry.policy.failsClosed else { return nil }
            throw request.forbidden(
                "policy '\(entry.policy.name)' with binding '\(entry.binding.name)' denied request: \(problem)")
        }
        self.tools = tools
        self.entry = entry
        self.namespaces = namespaces
    }

    /// Whether policies look at objects of a resource at all: not at themselves, and not at what is not stored.
    static func concerns(_ request: AdmissionRequest) -> Bool {
        !request.resource.isVirtual && request.resource.group != "admissionregistration.k8s.io"
    }

    /// The common ground of the policy's expressions.
    func evaluation(_ request: AdmissionRequest, params: JSON) throws(APIStatus) -> PolicyEvaluation {
        let activation = try Self.activation(
            request, as: matched, tools, namespaces, readsNamespace: entry.policy.readsNamespace)
        let evaluation = PolicyEvaluation(activation, budget: CELCost.perObject)
        if entry.policy.paramKind != nil { evaluation.set("params", CELValue(natural: params)) }
        return evaluation
    }

    static func activation(
        _ request: AdmissionRequest, as matched: Resource, _ tools: PolicyTools, _ namespaces: NamespaceLabels,
        readsNamespace: Bool
    ) throws(APIStatus) -> CELActivation {
        let answers = PolicyAuthorizer(authorizer: tools.authorizer, user: request.user)
        let question = CELAccessQuestion(
            group: matched.group, resource: matched.plural, subresource: request.subresource,
            namespace: request.resource.isNamespaced ? request.namespace : "", name: request.name)
        let review = try ReviewRequest.json(request, as: matched, uid: "")
        var activation: CELActivation = [
            "object": CELValue(natural: ReviewRequest.object(of: request, as: matched)),
            "oldObject": CELValue(natural: ReviewRequest.object(request.old, as: matched)),
            "authorizer": .authorizer(answers), "authorizer.requestResource": .resourceCheck(answers, question),
        ]
        do throws(CELError) {
            activation["request"] = try CELValue(review, PolicyDeclarations.request)
            var namespace = CELValue.null
            if readsNamespace, request.resource.isNamespaced {
                namespace = try CELValue(try Self.namespace(request, namespaces), PolicyDeclarations.namespace)
            }
            activation["namespaceObject"] = namespace
        } catch {
            throw .internalError("a request cannot be shown to expressions: \(error)")
        }
        return activation
    }

    /// A namespace that cannot be read is told of where it is used.
    private static func namespace(_ request: AdmissionRequest, _ namespaces: NamespaceLabels) throws(CELError) -> JSON {
        do throws(APIStatus) {
            return try namespaces.namespace(request.namespace)
        } catch {
            throw CELError(error.message)
        }
    }

    /// Whether all match conditions hold.
    /// - Throws: an error of one, when none is false.
    func conditionsHold(_ evaluation: PolicyEvaluation) throws(PolicyFailure) -> Bool {
        var failure: PolicyFailure?
        for (name, expression) in entry.policy.conditions {
            do throws(CELError) {
                guard case .bool(let holds) = try expression.evaluate(evaluation) else {
                    throw CELError("must evaluate to bool")
                }
                if !holds { return false }
            } catch {
                failure = failure ?? PolicyFailure("match condition \"\(name)\" resulted in error: \(error)")
            }
        }
        if let failure { throw failure }
        return true
    }

    // MARK: - Parameters

    /// The parameters' objects, null for a policy that has none.
    /// - Throws: parameters that cannot be found, unless their absence is let through.
    func params(_ request: AdmissionRequest) throws(PolicyFailure) -> [JSON] {
        guard let kind = entry.policy.paramKind else { return [.null] }
        let reference = entry.binding.paramRef
        guard reference.exists else { return [.null] }
        guard let resource = tools.resources.find(apiVersion: kind.apiVersion, kind: kind.kind) else {
            throw PolicyFailure(
                "failed to find resource referenced by paramKind: '\(kind.apiVersion), Kind=\(kind.kind)'")
        }
        let namespace = try namespace(of: reference, resource, request)
        let found = try objects(reference, resource, namespace)
        if found.isEmpty, reference["parameterNotFoundAction"].stringValue != "Allow" {
            throw PolicyFailure("no params found for policy binding with `Deny` parameterNotFoundAction")
        }
        return found
    }

    private func namespace(
        of reference: JSON, _ resource: Resource, _ request: AdmissionRequest
    ) throws(PolicyFailure) -> String {
        let named = reference["namespace"].stringValue ?? ""
        guard resource.isNamespaced else {
            guard named.isEmpty else {
                throw PolicyFailure("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
            }
            return ""
        }
        if !named.isEmpty { return named }
        guard request.resource.isNamespaced else {
            throw PolicyFailure(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
        }
        return request.namespace
    }

    private func objects(
        _ reference: JSON, _ resource: Resource, _ namespace: String
    ) throws(PolicyFailure) -> [JSON] {
        do {
            if let name = reference["name"].stringValue, !name.isEmpty {
                guard let object = try tools.store.object(resource.key(namespace, name)) else { return [] }
                return [Conversion.fromStorage(object, resource)]
            }
            let selector = try LabelSelector(object: reference["selector"])
            return try tools.store.list(prefix: resource.prefix(namespace), selector: selector.selectorText).records.map
            {
                Conversion.fromStorage(try $0.object(), resource)
            }
        } catch {
            throw PolicyFailure("failed to read params: \(error)")
        }
    }
}

/// Why a policy could not decide.
struct PolicyFailure: Error, Sendable {
    let message: String
    init(_ message: String) { self.message = message }
}
