import Objects

/// The scale subresource of custom resources: the numbers are where the definition says.
/// See https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource.
extension RequestPipeline {
    func scale(
        _ context: RequestContext, _ paths: ScalePaths, _ respond: @escaping Responder
    ) throws(APIStatus) {
        let resource = context.resource
        let show: @Sendable (JSON) -> JSON = { object in
            // What was written has the number, so that showing it cannot fail.
            (try? CustomScale.show(object, paths)) ?? .null
        }
        let change: Change
        var names = false
        var warnings: [String] = []
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
            let wanted = try scaleBody(context)
            warnings = wanted.warnings
            names = !wanted.object.resourceVersion.isEmpty
            change = { (present) throws(APIStatus) in
                DecodedBody(object: try CustomScale.apply(wanted.object, to: present, paths))
            }
        case .patch(let type) where Apply.isAsked(by: type):
            return try applyScale(context, at: paths.replicas, show, respond)
        case .patch(let type):
            try WriteOptions.patch.check(context.query)
            let patch = try Patch(context, type: type, rules: rules)
            change = { [self] (present) throws(APIStatus) in
                let scale = try patched(
                    scale: try CustomScale.show(present, paths, absent: CustomScale.none), patch, context)
                var decoded = DecodedBody(object: try CustomScale.apply(scale.object, to: present, paths))
                decoded.warnings = scale.warnings
                return decoded
            }
        default: throw .methodNotAllowed
        }
        try run(
            Update(
                change: change, scope: .whole, warnings: warnings, show: show,
                takeAdmitted: { (scale, object) throws(APIStatus) in
                    try CustomScale.apply(scale, to: object, paths)
                }, namesRevision: names), context, respond)
    }
}

/// A custom object as a Scale, and back. Pure.
enum CustomScale {
    /// The number of an object that has none, which no client asks for.
    static let none = Int64(Int32.min)

    /// - Parameter absent: The number of an object that has none; nil where there must be one.
    static func show(_ object: JSON, _ paths: ScalePaths, absent: Int64? = nil) throws(APIStatus) -> JSON {
        do {
            guard let replicas = try ScalePaths.integer(paths.replicas, in: object) ?? absent else {
                throw APIStatus.internalError(
                    "the spec replicas field \"\(ScalePaths.text(paths.replicas))\" does not exist")
            }
            var status: JSONObject = [
                "replicas": .integer(try ScalePaths.integer(paths.statusReplicas, in: object) ?? 0)
            ]
            if let path = paths.selector, let selector = try ScalePaths.string(path, in: object), !selector.isEmpty {
                status["selector"] = .string(selector)
            }
            return RequestPipeline.scale(of: object, spec: ["replicas": .integer(replicas)], status: status)
        } catch let error as APIStatus {
            throw error
        } catch let error as ScalePaths.AccessError {
            throw APIStatus(code: 500, reason: "", message: error.message)
        } catch {
            throw .internalError("\(error)")
        }
    }

    static func apply(_ scale: JSON, to present: JSON, _ paths: ScalePaths) throws(APIStatus) -> JSON {
        let replicas = scale["spec"]["replicas"].integerValue ?? 0
        guard replicas != none else {
            throw .badRequest("the spec replicas field \"\(ScalePaths.text(paths.replicas))\" cannot be empty")
        }
        var object = present
        if let version = scale.metadata["resourceVersion"].stringValue, !version.isEmpty {
            object.resourceVersion = version
        }
        object.set(.integer(replicas), at: paths.replicas[...])
        return object
    }
}

extension JSON {
    /// Sets what lies below the members of a path, which are made where they are not there.
    mutating func set(_ new: JSON, at path: ArraySlice<String>) {
        guard let key = path.first else {
            self = new
            return
        }
        if path.count > 1, self[key].isNull { self[key] = [:] }
        self[key].set(new, at: path.dropFirst())
    }
}
