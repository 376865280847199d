import Objects

/// The scale subresource of custom resources: the numbers are where the definition says.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource.
extension RequestPipeline {
    func scale(
        _ context: RequestContext, _ paths: CustomVersion.Scale, _ respond: @escaping Responder
    ) throws(APIStatus) {
        let resource = context.resource
        let show: @Sendable (JSON) -> JSON = { object in
            // What was written has the number, so that showing it cannot fail.
            (try? CustomScale.show(object, paths)) ?? .null
        }
        let change: Change
        var names = false
        switch context.request.method {
        case .get:
            let object: JSON
            do { object = try Conversion.present(try read(context).object(), resource) } catch let error as APIStatus {
                throw error
            } catch {
                throw .internalError("\(error)")
            }
            return respond(try Self.shown(scale: try CustomScale.show(object, paths), context))
        case .put:
            try WriteOptions.update.check(context.query)
            var wanted = try Self.parseBody(context.request)
            try Self.checkKind(&wanted, apiVersion: "autoscaling/v1", kind: "Scale")
            let body = wanted
            names = !wanted.resourceVersion.isEmpty
            change = { (present) throws(APIStatus) in
                DecodedBody(object: try CustomScale.apply(body, to: present, paths, resource))
            }
        case .patch(let type) where Apply.isAsked(by: type):
            return try applyScale(context, at: paths.replicas.memberNames ?? [], show, respond)
        case .patch(let type):
            try WriteOptions.patch.check(context.query)
            let patch = try Patch(context, type: type, rules: rules)
            change = { (present) throws(APIStatus) in
                DecodedBody(
                    object: try CustomScale.apply(
                        try patch.apply(CustomScale.show(present, paths)), to: present, paths, resource))
            }
        default: throw .methodNotAllowed
        }
        try run(Update(change: change, scope: .whole, show: show, namesRevision: names), context, respond)
    }
}

/// A custom object as a Scale, and back. Pure.
enum CustomScale {
    static func show(_ object: JSON, _ paths: CustomVersion.Scale) throws(APIStatus) -> JSON {
        guard let replicas = paths.replicas.first(in: object)?.integerValue else {
            let path = (paths.replicas.memberNames ?? []).map { ".\($0)" }.joined()
            throw .internalError("the spec replicas field \"\(path)\" does not exist")
        }
        var status: JSONObject = ["replicas": .integer(paths.statusReplicas.first(in: object)?.integerValue ?? 0)]
        if let selector = paths.selector?.first(in: object)?.stringValue, !selector.isEmpty {
            status["selector"] = .string(selector)
        }
        return RequestPipeline.scale(of: object, spec: ["replicas": .integer(replicas)], status: status)
    }

    static func apply(
        _ scale: JSON, to present: JSON, _ paths: CustomVersion.Scale, _ resource: Resource
    ) throws(APIStatus) -> JSON {
        let replicas = scale["spec"]["replicas"].integerValue ?? 0
        guard replicas >= 0, Int32(exactly: replicas) != nil else {
            throw .invalid(
                resource, present.name,
                [.invalid("spec.replicas", .integer(replicas), "must be greater than or equal to 0")])
        }
        var object = present
        if let version = scale.metadata["resourceVersion"].stringValue, !version.isEmpty {
            object.resourceVersion = version
        }
        set(&object, (paths.replicas.memberNames ?? [])[...], .integer(replicas))
        return object
    }

    private static func set(_ value: inout JSON, _ path: ArraySlice<String>, _ new: JSON) {
        guard let key = path.first else {
            value = new
            return
        }
        if path.count > 1, value[key].isNull { value[key] = [:] }
        set(&value[key], path.dropFirst(), new)
    }
}
