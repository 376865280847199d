import FieldManagement
import Objects

/// A server-side apply: a configuration, and who applies it.
/// See https://kubernetes.io/docs/reference/using-api/server-side-apply/.
struct Apply: Sendable {
    var config: JSON
    var manager: String
    /// Whether fields of others are taken over.
    var force: Bool
    /// Texts for Warning headers.
    var warnings: [String] = []

    static let mediaType = "application/apply-patch+yaml"

    static func isAsked(by type: String) -> Bool {
        type.split(separator: ";").first?.lowercased() == mediaType
    }

    /// Reads an apply from a request.
    init(_ context: RequestContext) throws(APIStatus) {
        var repeated = RepeatedKeys()
        config = try RequestPipeline.parseText(context.request.body, &repeated)
        if config.isNull { config = [:] }
        guard config.objectValue != nil else {
            throw .badRequest(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
                    + "\(config.encodedTypeName) into Go value of type map[string]interface {}")
        }
        guard config.metadata["managedFields"].isNull else {
            throw .badRequest("metadata.managedFields must be nil")
        }
        if context.path.subresource != "scale" { try Self.check(&config, context) }
        manager = context.query["fieldManager"] ?? ""
        force = context.query.flag("force")
        warnings = try Self.judge(repeated, context)
    }

    /// An apply of a Scale as one of the object that it is of.
    /// - Parameter path: Where that object has the number of replicas.
    func ofScale(_ context: RequestContext, at path: [String]) throws(APIStatus) -> Apply {
        let scale = config
        try Self.checkKind(of: scale, apiVersion: "autoscaling/v1", kind: "Scale")
        guard scale.name.isEmpty || scale.name == context.path.name else {
            throw .badRequest(
                "the name of the object (\(scale.name)) does not match the name on the URL (\(context.path.name))")
        }
        var replicas = scale["spec"]["replicas"]
        if replicas.exists { for name in path.reversed() { replicas = .object([name: replicas]) } }
        var object = replicas.exists ? replicas : [:]
        object.apiVersion = context.resource.apiVersion
        object.kind = context.resource.kind
        object.name = context.path.name
        if !scale.resourceVersion.isEmpty { object.resourceVersion = scale.resourceVersion }
        var apply = self
        apply.config = object
        return apply
    }

    /// Refuses keys that are there more than once, or warns of them, as the query says.
    private static func judge(_ repeated: RepeatedKeys, _ context: RequestContext) throws(APIStatus) -> [String] {
        guard !repeated.isEmpty else { return [] }
        switch context.query["fieldValidation"] ?? "Warn" {
        case "Strict":
            throw .badRequest("error strict decoding YAML: error converting YAML to JSON: \(repeated.text)")
        case "Ignore": return []
        default: return repeated.lines
        }
    }

    /// What is applied says what it is.
    private static func checkKind(of config: JSON, apiVersion: String, kind: String) throws(APIStatus) {
        guard config.apiVersion != apiVersion || config.kind != kind else { return }
        // Written as Kubernetes writes them: with the slash of a group even where there is none.
        let version = config.apiVersion.contains("/") ? config.apiVersion : "/\(config.apiVersion)"
        throw .badRequest("invalid object type: \(version), Kind=\(config.kind)")
    }

    private static func check(_ config: inout JSON, _ context: RequestContext) throws(APIStatus) {
        try checkKind(of: config, apiVersion: context.resource.apiVersion, kind: context.resource.kind)
        if config.name.isEmpty { config.name = context.path.name }
        guard config.name == context.path.name else {
            throw .badRequest(
                "the name of the object (\(config.name)) does not match the name on the URL (\(context.path.name))")
        }
        try RequestPipeline.checkNamespace(&config, context)
    }
}

extension RequestPipeline {
    /// Applies to the object, which is created when there is none.
    func apply(
        _ context: RequestContext, _ scope: Strategy.Scope, _ respond: @escaping Responder
    ) throws(APIStatus) {
        let exists: Bool
        do { exists = try store.get(context.key) != nil } catch {
            throw APIStatus(error, context.resource, context.path.name)
        }
        let request = exists ? UnchangedApplies.request(context, scope, rules.schema(of: context.resource)) : nil
        if let request, try respondUnchanged(request, context, respond) { return }
        let apply = try Apply(context)
        guard !exists, scope == .main else {
            return try run(
                Update(
                    change: { (present) throws(APIStatus) in DecodedBody(object: present) }, applied: apply,
                    unchanged: request,
                    scope: scope, warnings: apply.warnings, namesRevision: !apply.config.resourceVersion.isEmpty),
                context, respond)
        }
        guard context.resource.has("create") else { throw .methodNotAllowed }
        guard apply.config.uid.isEmpty else {
            throw .conflict(
                context.resource, context.path.name,
                "uid mismatch: the provided object specified uid \(apply.config.uid), and no existing object was found")
        }
        var creation = context
        creation.request.method = .post
        _ = try isAuthorized(creation, mayWait: true)
        let outcome = try FieldOwnership(self, context, .main).apply(apply, to: nil, .null)
        var decoded = try checkFields(outcome.object, context) { outcome.object }
        decoded.applied = outcome.managed
        decoded.warnings += apply.warnings
        let form = try context.form
        try create(decoded, context, form, isDryRun: context.request.isDryRun, respond)
    }
}
