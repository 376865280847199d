import Glibc
import Objects

/// Requests that ask instead of storing: who am I, may I.
extension RequestPipeline {
    func handleReview(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard context.request.method == .post, context.path.name.isEmpty else { throw .methodNotAllowed }
        _ = try context.form
        if context.resource.qualified == "bindings" { return try bindByCollection(context, respond) }
        // Other servers may have to be asked about tokens and permissions.
        // Also the graph of nodes may have to be filled first.
        onAccessWorker(respond) { [self] () throws(APIStatus) in try answerReview(context, respond) }
    }

    private func answerReview(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        var review = try Self.parseBody(context.request)
        try Self.checkKind(&review, context.resource)
        let warnings: [String]
        (review, warnings) = try self.review(review, context)
        let causes = AccessReviewChecks.faults(in: review, context.resource.plural)
        guard causes.isEmpty else { throw .invalid(context.resource, "", causes) }
        switch context.resource.plural {
        case "selfsubjectreviews":
            review["status"] = ["userInfo": context.request.user.json]
        case "selfsubjectaccessreviews":
            review["status"] = decision(context.request.user, review["spec"])
        case "subjectaccessreviews", "localsubjectaccessreviews":
            let spec = review["spec"]
            var user = UserInfo(
                name: spec["user"].stringValue ?? "", uid: spec["uid"].stringValue ?? "",
                groups: spec["groups"].arrayValue.compactMap(\.stringValue))
            for (key, values) in spec["extra"].objectValue ?? [:] {
                user.extra[key] = values.arrayValue.compactMap(\.stringValue)
            }
            review["status"] = decision(user, spec)
        case "selfsubjectrulesreviews":
            let namespace = review["spec"]["namespace"].stringValue ?? ""
            guard !namespace.isEmpty else { throw .badRequest("no namespace on request") }
            review["status"] = rules(of: context.request.user, namespace)
        case "tokenreviews":
            guard !review["spec"]["token"].isEmpty else {
                throw .badRequest("token is required for TokenReview in authentication")
            }
            review["status"] = tokenStatus(review["spec"])
        default: throw .unknownPath
        }
        if review.metadata.isNull { review["metadata"] = ["creationTimestamp": .null] }
        respond(HTTPResponse.json(201, review).warning(warnings))
    }

    /// Asks policies and webhooks about what is answered and not stored. [blocking]
    private func review(_ posted: JSON, _ context: RequestContext) throws(APIStatus) -> (
        object: JSON, warnings: [String]
    ) {
        guard admission.looksAtConnections else { return (posted, []) }
        var posted = posted
        if posted.namespace.isEmpty, context.resource.isNamespaced { posted.namespace = context.path.namespace }
        var request = AdmissionRequest(.create, context.resource, context, object: posted)
        try admission.connect(&request)
        return (request.object, request.warnings)
    }

    private func bindByCollection(_ context: RequestContext, _ respond: @escaping Responder) throws(APIStatus) {
        guard let pods = resources.stored("pods") else { throw .unknownPath }
        var binding = try Self.parseBody(context.request)
        try Self.checkKind(&binding, apiVersion: "v1", kind: "Binding")
        let (admitted, warnings) = try review(binding, context)
        var request = context.request
        request.body = admitted.serialized()
        try bind(RequestContext(request: request, path: context.path, resource: pods), isAdmitted: true) {
            respond($0.warning(warnings))
        }
    }

    private func decision(_ user: UserInfo, _ spec: JSON) -> JSON {
        let wanted: Authorizer.Attributes
        if spec["nonResourceAttributes"].exists {
            wanted = .init(
                verb: spec["nonResourceAttributes"]["verb"].stringValue ?? "",
                path: spec["nonResourceAttributes"]["path"].stringValue ?? "")
        } else {
            let attributes = spec["resourceAttributes"]
            func text(_ key: String) -> String { attributes[key].stringValue ?? "" }
            wanted = .init(
                verb: text("verb"), group: text("group"), version: text("version"), resource: text("resource"),
                subresource: text("subresource"), namespace: text("namespace"), name: text("name"),
                fields: AccessSelector(attributes["fieldSelector"]) { AccessSelector(fields: $0) },
                labels: AccessSelector(attributes["labelSelector"]) { AccessSelector(labels: $0) })
        }
        var status: JSONObject = ["allowed": false]
        switch authorizer.decide(user, wanted, mayWait: true) {
        case .allowed(let reason):
            status["allowed"] = true
            if !reason.isEmpty { status["reason"] = .string(reason) }
        case .denied(let reason):
            status["denied"] = true
            if !reason.isEmpty { status["reason"] = .string(reason) }
        case .noOpinion(let reason): if !reason.isEmpty { status["reason"] = .string(reason) }
        case .mustWait: break
        }
        return .object(status)
    }

    private func rules(of user: UserInfo, _ namespace: String) -> JSON {
        func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
        var resourceRules: [JSON] = []
        var otherRules: [JSON] = []
        let listing = authorizer.listing(of: user, namespace: namespace)
        for rule in listing.rules {
            if !rule.resources.isEmpty {
                var json: JSONObject = [
                    "verbs": strings(rule.verbs), "apiGroups": strings(rule.groups),
                    "resources": strings(rule.resources),
                ]
                if !rule.names.isEmpty { json["resourceNames"] = strings(rule.names) }
                resourceRules.append(.object(json))
            }
            if !rule.paths.isEmpty {
                otherRules.append(["verbs": strings(rule.verbs), "nonResourceURLs": strings(rule.paths)])
            }
        }
        var status: JSON = [
            "resourceRules": .array(resourceRules), "nonResourceRules": .array(otherRules),
            "incomplete": .bool(listing.isIncomplete),
        ]
        if !listing.problems.isEmpty {
            let text = listing.problems.joined(separator: ", ")
            status["evaluationError"] = .string(listing.problems.count == 1 ? text : "[\(text)]")
        }
        return status
    }

    /// What all authenticators say of a token. [blocking]
    private func tokenStatus(_ spec: JSON) -> JSON {
        let asked = spec["audiences"].arrayValue.compactMap(\.stringValue)
        let verdict = bearerTokens.verdict(
            spec["token"].stringValue ?? "", audiences: asked, now: Int64(time(nil)), mayWait: true)
        switch verdict {
        case .known(var user, let audiences):
            if !user.groups.contains("system:authenticated") { user.groups.append("system:authenticated") }
            return [
                "authenticated": true, "user": user.json, "audiences": .array(audiences.map { .string($0) }),
            ]
        case .unknown, .mustWait: return ["authenticated": false, "error": "invalid bearer token"]
        case .refused(let reason):
            let text = reason.contains("invalid bearer token") ? reason : "[invalid bearer token, \(reason)]"
            return ["authenticated": false, "error": .string(text)]
        }
    }
}
