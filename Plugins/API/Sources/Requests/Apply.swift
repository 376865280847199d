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
        let manager = context.query["fieldManager"] ?? ""
        guard !manager.isEmpty else {
            throw Self.invalidOptions([.required("fieldManager", "is required for apply patch")])
        }
        guard manager.unicodeScalars.count <= 128 else {
            throw Self.invalidOptions([
                .init(
                    reason: "FieldValueTooLong", message: "Too long: may not be more than 128 bytes",
                    field: "fieldManager")
            ])
        }
        var repeated = RepeatedKeys()
        config = try RequestPipeline.parseText(context.request.body, &repeated)
        guard config.objectValue != nil else { throw .badRequest("the body of an apply must be an object") }
        guard config.metadata["managedFields"].isNull else {
            throw .badRequest("metadata.managedFields must be nil")
        }
        if context.path.subresource != "scale" { try Self.check(&config, context) }
        self.manager = manager
        force = context.query.flag("force")
        warnings = try Self.judge(repeated, context)
    }

    /// Refuses keys that are there more than once, or warns of them, as the query says.
    private static func judge(_ repeated: RepeatedKeys, _ context: RequestContext) throws(APIStatus) -> [String] {
        guard !repeated.isEmpty else { return [] }
        let text = "error converting YAML to JSON: \(repeated.text)"
        switch context.query["fieldValidation"] ?? "Warn" {
        case "Strict": throw .badRequest("error strict decoding YAML: \(text)")
        case "Ignore": return []
        default: return [text]
        }
    }

    private static func check(_ config: inout JSON, _ context: RequestContext) throws(APIStatus) {
        guard !config.apiVersion.isEmpty, !config.kind.isEmpty else {
            throw .badRequest("invalid object type: apiVersion and kind must be set in what is applied")
        }
        try RequestPipeline.checkKind(&config, context.resource)
        if config.name.isEmpty { config.name = context.path.name }
        guard config.name == context.path.name else {
            throw .badRequest(
                "the name of the object (\(config.name)) does not match the name on the URL (\(context.path.name))")
        }
        try RequestPipeline.checkNamespace(&config, context)
    }

    static func invalidOptions(_ causes: [APIStatus.Cause]) -> APIStatus {
        let text = causes.map { "\($0.field): \($0.message)" }.joined(separator: ", ")
        var status = APIStatus(
            code: 422, reason: "Invalid", message: "PatchOptions.meta.k8s.io \"\" is invalid: \(text)")
        status.group = "meta.k8s.io"
        status.kind = "PatchOptions"
        status.causes = causes
        return status
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
                    change: { (present) throws(APIStatus) in present }, applied: apply, unchanged: request,
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
        var decoded = try checkFields(outcome.object, context)
        decoded.applied = outcome.managed
        decoded.warnings += apply.warnings
        let form = try context.form
        try create(decoded, context, form, isDryRun: context.request.isDryRun, respond)
    }
}
