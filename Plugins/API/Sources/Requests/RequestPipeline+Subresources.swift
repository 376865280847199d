import Objects
import PluginAPI
import PluginKit

/// Subresources: status and scale of many kinds, and the particular ones of pods, namespaces and service accounts.
extension RequestPipeline {
    func handleSubresource(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let resource = context.resource
        let place = (resource.qualified, context.path.subresource)
        switch place {
        case (_, "status") where resource.hasStatus:
            try readOrWrite(context, .status, respond)
        case (_, "scale") where resource.subresource("scale") != nil:
            try scale(context, respond)
        case ("namespaces", "finalize"):
            guard context.request.method == .put else { throw .methodNotAllowed }
            try replace(context, .finalize, respond)
        case ("pods", "binding"): try bind(context, respond)
        case ("pods", "eviction"): try evict(context, respond)
        case ("pods", "ephemeralcontainers"): try readOrWrite(context, .ephemeralContainers, respond)
        case ("pods", "resize"): try readOrWrite(context, .resize, respond)
        case (CertificateRequest.resource, "approval"): try readOrWrite(context, .approval, respond)
        case ("serviceaccounts", "token"): try issueToken(context, respond)
        default:
            guard try extensions.serve(context.request, self, respond) else { throw .unknownPath }
        }
    }

    private func readOrWrite(
        _ context: RequestContext, _ scope: Strategy.Scope, _ respond: @escaping Responder
    ) throws(APIStatus) {
        switch context.request.method {
        case .get: try get(context, respond)
        case .put: try replace(context, scope, respond)
        case .patch(let type): try patch(context, type: type, scope, respond)
        default: throw .methodNotAllowed
        }
    }

    // MARK: - Scale

    private static func scale(of object: JSON, _ resource: Resource) -> JSON {
        var spec: JSONObject = [:]
        if let replicas = object["spec"]["replicas"].integerValue { spec["replicas"] = .integer(replicas) }
        var status: JSONObject = ["replicas": .integer(object["status"]["replicas"].integerValue ?? 0)]
        let selector = object["spec"]["selector"]
        if resource.qualified == "replicationcontrollers" {
            status["selector"] = .string((try? LabelSelector(map: selector))?.selectorText ?? "")
        } else if let parsed = try? LabelSelector(object: selector) {
            status["selector"] = .string(parsed.selectorText)
        }
        return scale(of: object, spec: spec, status: status)
    }

    static func scale(of object: JSON, spec: JSONObject, status: JSONObject) -> JSON {
        var metadata: JSONObject = [:]
        for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let value = object.metadata.objectValue?[key] { metadata[key] = value }
        }
        return [
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": .object(metadata), "spec": .object(spec),
            "status": .object(status),
        ]
    }

    /// A scale as the client wants to see it: as it is, or as a row of a table.
    static func shown(scale: JSON, _ context: RequestContext) throws(APIStatus) -> HTTPResponse {
        guard case .table(let version) = try context.form else { return .json(200, scale) }
        var writer = TableWriter(
            context.resource, version: version, includeObject: context.query["includeObject"], layout: .scale)
        writer.begin(revision: UInt64(scale.resourceVersion) ?? 0, more: nil, remaining: nil)
        writer.add(view: scale)
        return HTTPResponse(status: 200, body: .bytes(writer.finish()))
    }

    private func scale(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        let resource = context.resource
        let show: @Sendable (JSON) -> JSON = { Self.scale(of: $0, resource) }
        if let paths = resource.custom?.scale { return try scale(context, paths, respond) }
        let change: Change
        var warnings: [String] = []
        var names = false
        switch context.request.method {
        case .get:
            do {
                respond(try Self.shown(scale: show(try read(context).object()), context))
            } catch let error as APIStatus {
                throw error
            } catch {
                throw .internalError("\(error)")
            }
            return
        case .put:
            try WriteOptions.update.check(context.query)
            let wanted = try scaleBody(context)
            warnings = wanted.warnings
            names = !wanted.object.resourceVersion.isEmpty
            change = { (present) throws(APIStatus) in
                DecodedBody(object: try Self.apply(wanted.object, to: present, resource))
            }
        case .patch(let type) where Apply.isAsked(by: type):
            return try applyScale(context, at: ["spec", "replicas"], show, respond)
        case .patch(let type):
            try WriteOptions.patch.check(context.query)
            // A scale's fields merge alike under every patch type.
            let essence = type.hasPrefix("application/strategic") ? "application/merge-patch+json" : type
            let patch = try Patch(context, type: essence, rules: rules)
            change = { [self] (present) throws(APIStatus) in
                let scale = try patched(scale: Self.scale(of: present, resource), patch, context)
                var decoded = DecodedBody(object: try Self.apply(scale.object, to: present, resource))
                decoded.warnings = scale.warnings
                return decoded
            }
        default: throw .methodNotAllowed
        }
        try run(
            Update(
                change: change, scope: .whole, warnings: warnings, show: show,
                takeAdmitted: { (scale, object) throws(APIStatus) in try Self.apply(scale, to: object, resource) },
                namesRevision: names), context, respond)
    }

    /// - Parameter path: Where the object has the number of replicas.
    func applyScale(
        _ context: RequestContext, at path: [String], _ show: @escaping @Sendable (JSON) -> JSON,
        _ respond: @escaping Responder
    ) throws(APIStatus) {
        try WriteOptions.apply.check(context.query)
        let apply = try Apply(context).ofScale(context, at: path)
        try run(
            Update(
                change: { (present) throws(APIStatus) in DecodedBody(object: present) }, applied: apply, scope: .whole,
                warnings: apply.warnings, show: show,
                takeAdmitted: { (scale, object) throws(APIStatus) in
                    var object = object
                    object.set(scale["spec"]["replicas"], at: path[...])
                    return object
                }, namesRevision: !apply.config.resourceVersion.isEmpty), context,
            respond)
    }

    private static func apply(_ scale: JSON, to present: JSON, _ resource: Resource) throws(APIStatus) -> JSON {
        let replicas = scale["spec"]["replicas"].integerValue ?? 0
        guard replicas >= 0 else {
            throw .invalid(
                resource, present.name,
                [.invalid("spec.replicas", .integer(replicas), "must be greater than or equal to 0")])
        }
        var object = present
        if let version = scale.metadata["resourceVersion"].stringValue, !version.isEmpty {
            object.resourceVersion = version
        }
        object["spec"]["replicas"] = .integer(replicas)
        return object
    }

    // MARK: - Pods

    /// - Parameter isAdmitted: whether policies and webhooks have been asked about the Binding.
    func bind(
        _ context: RequestContext, isAdmitted: Bool = false, _ respond: @escaping Responder
    ) throws(APIStatus) {
        guard context.request.method == .post else { throw .methodNotAllowed }
        var binding = try Self.parseBody(context.request)
        try Self.checkKind(&binding, apiVersion: "v1", kind: "Binding")
        guard !(binding["target"]["name"].stringValue ?? "").isEmpty else {
            throw .badRequest("the binding's target.name is the node and must not be empty")
        }
        var target = context
        if target.path.name.isEmpty { target.path.name = binding.name }
        let place = target
        let (bound, warnings) = isAdmitted ? (binding, []) : try admit(binding, target)
        let node = bound["target"]["name"].stringValue ?? ""
        try run(
            Update(
                change: { (pod) throws(APIStatus) in
                    DecodedBody(object: try Self.bound(pod, bound, node, place.resource))
                }, scope: .binding, warnings: warnings,
                show: { _ in
                    ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201]
                }, isAdmitted: true, successCode: 201), target, respond)
    }

    /// Asks about an object that is posted to a subresource and is not the resource's own, such as a Binding.
    /// - Returns: The object as it is admitted, and warnings for the client.
    func admit(_ posted: JSON, _ context: RequestContext) throws(APIStatus) -> (object: JSON, warnings: [String]) {
        var posted = posted
        if posted.name.isEmpty { posted.name = context.path.name }
        if posted.namespace.isEmpty, context.resource.isNamespaced { posted.namespace = context.path.namespace }
        var request = AdmissionRequest(
            .create, resources.working(context.resource), subresource: context.path.subresource, context,
            object: posted)
        try admission.admit(&request)
        try admission.validate(&request)
        return (request.object, request.warnings)
    }

    private static func bound(_ pod: JSON, _ binding: JSON, _ node: String, _ resource: Resource) throws(APIStatus)
        -> JSON
    {
        if let uid = binding.metadata["uid"].stringValue, !uid.isEmpty, uid != pod.uid {
            throw .conflict(
                resource, pod.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(pod.uid)")
        }
        guard pod.deletionTimestamp == nil else {
            throw .conflict(resource, pod.name, "pod \(pod.name) is being deleted, cannot be assigned to a host")
        }
        if let present = pod["spec"]["nodeName"].stringValue, !present.isEmpty {
            throw .conflict(resource, pod.name, "pod \(pod.name) is already assigned to node \"\(present)\"")
        }
        guard pod["spec"]["schedulingGates"].arrayValue.isEmpty else {
            throw .conflict(resource, pod.name, "pod \(pod.name) has non-empty .spec.schedulingGates")
        }
        var object = pod
        object["spec"]["nodeName"] = .string(node)
        for key in ["annotations", "labels"] {
            for (name, value) in binding.metadata[key].objectValue ?? [:] where value.exists {
                object["metadata"][key][name] = value
            }
        }
        var conditions = object["status"]["conditions"].arrayValue.filter { $0["type"].stringValue != "PodScheduled" }
        conditions.append([
            "type": "PodScheduled", "status": "True",
            "lastTransitionTime": .string(Timestamp.now().formatted()),
        ])
        object["status"]["conditions"] = .array(conditions)
        return object
    }

    // MARK: - Tokens

    private func issueToken(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.request.method == .post else { throw .methodNotAllowed }
        var request = try Self.parseBody(context.request)
        try Self.checkKind(&request, apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest")
        let account: JSON
        do {
            account = try read(context).object()
        } catch let error as APIStatus {
            throw error
        } catch {
            throw .internalError("\(error)")
        }
        let warnings: [String]
        (request, warnings) = try admit(request, context)
        var audiences = request["spec"]["audiences"].arrayValue.compactMap(\.stringValue)
        if audiences.isEmpty { audiences = [tokens.issuer] }
        let seconds = request["spec"]["expirationSeconds"].integerValue ?? 3600
        guard (600...1 << 32).contains(seconds) else {
            let bound = seconds < 600 ? "less than 10 minutes" : "larger than 2^32 seconds"
            throw .invalid(
                context.resource, context.path.name,
                [.invalid("spec.expirationSeconds", .integer(seconds), "may not specify a duration \(bound)")])
        }
        var subject = TokenAuthority.Subject(namespace: account.namespace, name: account.name, uid: account.uid)
        let reference = request["spec"]["boundObjectRef"]
        if reference.exists { try bind(&subject, to: reference, account, context) }
        let now = Timestamp.now()
        do {
            let lifetime = min(seconds, 86400 * 365)
            let token = try tokens.issue(subject, audiences: audiences, lifetime: lifetime, now: now.seconds)
            request["spec"]["audiences"] = .array(audiences.map { .string($0) })
            request["spec"]["expirationSeconds"] = .integer(seconds)
            request["metadata"] = [
                "name": .string(account.name), "namespace": .string(account.namespace),
                "creationTimestamp": .string(now.formatted()),
            ]
            request["status"] = [
                "token": .string(token), "expirationTimestamp": .string(now.adding(seconds: lifetime).formatted()),
            ]
        } catch {
            throw .internalError("\(error)")
        }
        respond(HTTPResponse.json(201, request).warning(warnings))
    }

    private func bind(
        _ subject: inout TokenAuthority.Subject, to reference: JSON, _ account: JSON, _ context: RequestContext
    ) throws(APIStatus) {
        let kind = reference["kind"].stringValue ?? ""
        let name = reference["name"].stringValue ?? ""
        let keys = [
            "Pod": "pods/\(account.namespace)/\(name)", "Secret": "secrets/\(account.namespace)/\(name)",
            "Node": "nodes//\(name)",
        ]
        guard let key = keys[kind] else {
            throw .badRequest("cannot bind token to object of kind \"\(kind)\": Pod, Secret or Node is expected")
        }
        let object: JSON?
        do {
            object = try store.object(key)
        } catch {
            throw .unavailable("\(error)")
        }
        guard let object else {
            var status = APIStatus(
                code: 404, reason: "NotFound", message: "\(kind.lowercased())s \"\(name)\" not found")
            status.name = name
            throw status
        }
        if let uid = reference["uid"].stringValue, !uid.isEmpty, uid != object.uid {
            throw .conflict(
                context.resource, context.path.name,
                "the UID in the bound object reference (\(uid)) does not match the UID in record. The object might have "
                    + "been deleted and then recreated")
        }
        if kind == "Pod", object["spec"]["serviceAccountName"].stringValue != account.name {
            throw .badRequest(
                "cannot bind token for serviceaccount \"\(account.name)\" to pod running with different serviceaccount name."
            )
        }
        subject.bound = (kind, name, object.uid)
        if kind == "Pod", let node = object["spec"]["nodeName"].stringValue, !node.isEmpty {
            // A node that is gone leaves its name alone in the token, as in Kubernetes.
            do { subject.node = (node, try store.object("nodes//\(node)")?.uid ?? "") } catch {
                throw .unavailable("\(error)")
            }
        }
    }
}
