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
    /// - Throws: why that cannot be told.
    init?(
        _ entry: PolicyIndex.Entry, _ request: AdmissionRequest, _ tools: PolicyTools, _ namespaces: NamespaceLabels
    ) throws(PolicyFailure) {
        let match = { (scope: MatchResources, isBinding: Bool) throws(PolicyFailure) -> Resource? in
            do throws(APIStatus) {
                return try scope.match(request, tools.resources, namespaces, matchesWithoutRules: isBinding)
            } catch {
                throw PolicyFailure(scope.problem ?? error.message, of: isBinding ? .binding : .policy)
            }
        }
        guard let matched = try match(entry.policy.constraints, false) else { return nil }
        if let kind = entry.policy.paramKind, tools.resources.find(apiVersion: kind.apiVersion, kind: kind.kind) == nil
        {
            let text = kind.apiVersion.contains("/") ? kind.apiVersion : "/" + kind.apiVersion
            throw PolicyFailure(
                "failed to find resource referenced by paramKind: '\(text), Kind=\(kind.kind)'", of: .policy)
        }
        if let scope = entry.binding.scope, try match(scope, true) == nil { return nil }
        self.matched = matched
        self.tools = tools
        self.entry = entry
        self.namespaces = namespaces
    }

    /// Whether policies look at objects of a resource at all: not at themselves, and not at questions who somebody is or what
    /// they may, on which everything else stands.
    static func concerns(_ request: AdmissionRequest) -> Bool {
        let resource = request.resource
        return resource.group != "admissionregistration.k8s.io" && (!resource.isVirtual || resource.group.isEmpty)
    }

    /// What the policy's expressions know of the write.
    func activation(_ request: AdmissionRequest, params: JSON) throws(APIStatus) -> CELActivation {
        var activation = try Self.activation(
            request, as: matched, tools, namespaces, readsNamespace: entry.policy.readsNamespace)
        if entry.policy.paramKind != nil { activation["params"] = CELValue(natural: params) }
        return activation
    }

    /// Whether the policy's match conditions hold, which have a cost of their own.
    func conditionsHold(_ activation: CELActivation) throws(PolicyFailure) -> Bool {
        guard !entry.policy.conditions.isEmpty else { return true }
        return try PolicyEvaluation(activation, budget: CELCost.perMatchConditions).hold(entry.policy.conditions)
    }

    static func activation(
        _ request: AdmissionRequest, as matched: Resource, _ tools: PolicyTools, _ namespaces: NamespaceLabels,
        readsNamespace: Bool
    ) throws(APIStatus) -> CELActivation {
        let answers = PolicyAuthorizer(authorizer: tools.authorizer, user: request.user)
        let question = CELAccessQuestion(
            group: matched.group, resource: matched.plural, subresource: request.subresource,
            namespace: request.namespaceOfRequest, name: request.nameOfRequest)
        let review = try ReviewRequest.json(request, as: matched, uid: "")
        var activation: CELActivation = [
            "object": CELValue(natural: ReviewRequest.object(of: request, as: matched)),
            "oldObject": CELValue(natural: ReviewRequest.old(of: request, as: matched)),
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

    // MARK: - Parameters

    /// The parameters' objects, null for a policy that has none.
    /// - Throws: parameters that cannot be found, unless their absence is let through.
    func params(_ request: AdmissionRequest) throws(PolicyFailure) -> [JSON] {
        guard let kind = entry.policy.paramKind else { return [.null] }
        let reference = entry.binding.paramRef
        guard reference.exists else { return [.null] }
        // That there is none of the kind has been told.
        guard let resource = tools.resources.find(apiVersion: kind.apiVersion, kind: kind.kind) else { return [] }
        let namespace = try namespace(of: reference, resource, request)
        let found = try objects(reference, resource, namespace)
        if found.isEmpty, reference["parameterNotFoundAction"].stringValue != "Allow" {
            throw PolicyFailure("no params found for policy binding with `Deny` parameterNotFoundAction", of: .binding)
        }
        return found
    }

    private func namespace(
        of reference: JSON, _ resource: Resource, _ request: AdmissionRequest
    ) throws(PolicyFailure) -> String {
        let named = reference["namespace"].stringValue ?? ""
        guard resource.isNamespaced else {
            guard named.isEmpty else {
                throw PolicyFailure(
                    "paramRef.namespace must not be provided for a cluster-scoped `paramKind`", of: .binding)
            }
            return ""
        }
        if !named.isEmpty { return named }
        let own = request.namespaceOfRequest
        guard !own.isEmpty else {
            throw PolicyFailure(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources", of: .binding)
        }
        return own
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
            throw PolicyFailure("failed to read params: \(error)", of: .binding)
        }
    }
}

/// Why a policy could not decide.
struct PolicyFailure: Error, Sendable {
    /// What it lies in.
    enum Origin: Sendable {
        case expression
        case policy
        case binding
    }

    let message: String
    let origin: Origin

    init(_ message: String, of origin: Origin = .expression) {
        self.origin = origin
        switch origin {
        case .expression: self.message = message
        case .policy: self.message = "failed to configure policy: " + message
        case .binding: self.message = "failed to configure binding: " + message
        }
    }
}
