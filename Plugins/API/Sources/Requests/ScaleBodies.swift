import Objects

/// Scales that clients send, or make by a patch: of the type that they are to have, for the object of their path.
extension RequestPipeline {
    /// The Scale in a request's body.
    func scaleBody(_ context: RequestContext) throws(APIStatus) -> DecodedBody {
        var repeated = RepeatedKeys()
        var scale = try Self.parseBody(context.request, &repeated)
        try Self.checkKind(&scale, apiVersion: "autoscaling/v1", kind: "Scale")
        if context.request.isInternal, scale.name.isEmpty { scale.name = context.path.name }
        var decoded = try checkFields(scale, Self.ofScale(context), repeated) { () throws(APIStatus) in
            try Self.parseBody(context.request)
        }
        try Self.checkNames(&decoded.object, context)
        return decoded
    }

    /// What a patch makes of a Scale.
    func patched(scale: JSON, _ patch: Patch, _ context: RequestContext) throws(APIStatus) -> DecodedBody {
        var decoded = try checkFields(ofPatched: try patch.apply(scale), patch, Self.ofScale(context))
        try Self.checkNames(&decoded.object, context)
        return decoded
    }

    private static let (namespaced, spanning) = (scales(isNamespaced: true), scales(isNamespaced: false))

    private static func scales(isNamespaced: Bool) -> Resource {
        Resource(
            group: "autoscaling", version: "v1", kind: "Scale", plural: "scales", singular: "",
            isNamespaced: isNamespaced, verbs: [])
    }

    /// The request as one of Scales themselves, whose fields are those of that type.
    private static func ofScale(_ context: RequestContext) -> RequestContext {
        RequestContext(
            request: context.request, path: context.path,
            resource: context.resource.isNamespaced ? namespaced : spanning)
    }
}
