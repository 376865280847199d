import Objects

/// A write as policies' variable `request` and webhooks' reviews tell of it.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request.
enum ReviewRequest {
    /// - Throws: a value of `dryRun` that is none.
    static func json(
        _ request: AdmissionRequest, as matched: Resource, uid: String
    ) throws(APIStatus) -> JSON {
        let requested = request.context.resource
        var json: JSON = [
            "uid": .string(uid), "kind": kind(matched, request.subresource), "resource": resource(matched),
            "requestKind": kind(requested, request.subresource), "requestResource": resource(requested),
            "operation": .string(request.operation.rawValue), "userInfo": request.user.json,
            "dryRun": .bool(try request.context.request.isDryRun),
            "options": request.operation == .connect ? .null : try options(request),
        ]
        if !request.subresource.isEmpty {
            json["subResource"] = .string(request.subresource)
            json["requestSubResource"] = .string(request.subresource)
        }
        let (name, namespace) = (request.nameOfRequest, request.namespaceOfRequest)
        if !name.isEmpty { json["name"] = .string(name) }
        if !namespace.isEmpty { json["namespace"] = .string(namespace) }
        return json
    }

    private static func kind(_ resource: Resource, _ subresource: String) -> JSON {
        if let found = resource.subresource(subresource), !found.kind.isEmpty {
            return ["group": .string(found.group), "version": .string(found.version), "kind": .string(found.kind)]
        }
        return [
            "group": .string(resource.group), "version": .string(resource.version), "kind": .string(resource.kind),
        ]
    }

    private static func resource(_ resource: Resource) -> JSON {
        [
            "group": .string(resource.group), "version": .string(resource.version),
            "resource": .string(resource.plural),
        ]
    }

    /// Those of a patch are told as of what it does: a creation or an update.
    private static func options(_ request: AdmissionRequest) throws(APIStatus) -> JSON {
        let query = request.context.query
        if request.operation == .delete { return try DeleteOptions(request.context.request).json }
        let kind = request.operation == .create ? "CreateOptions" : "UpdateOptions"
        var options: JSON = ["kind": .string(kind), "apiVersion": "meta.k8s.io/v1"]
        if let dryRun = query["dryRun"], !dryRun.isEmpty { options["dryRun"] = [.string(dryRun)] }
        for name in ["fieldManager", "fieldValidation"] {
            if let value = query[name], !value.isEmpty { options[name] = .string(value) }
        }
        return options
    }

    /// The object of the write in the version as which it matched; what is of a kind of its own as it is.
    static func object(of request: AdmissionRequest, as matched: Resource) -> JSON {
        request.isOfOwnKind ? request.object : object(request.object, as: matched)
    }

    /// The object as it was, likewise.
    static func old(of request: AdmissionRequest, as matched: Resource) -> JSON {
        request.isOfOwnKind ? request.old : object(request.old, as: matched)
    }

    private static func object(_ object: JSON, as matched: Resource) -> JSON {
        guard object.exists else { return .null }
        var shown = Conversion.fromWorking(object, matched)
        shown.kind = matched.kind
        shown.apiVersion = matched.apiVersion
        return shown
    }
}
