import ObjectSchema
import Objects

/// A patch that is no apply: what it makes of an object, and what its text has that it should not.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply.
struct Patch: Sendable {
    /// - Throws: 422 where it does not fit the object.
    let apply: @Sendable (_ present: JSON) throws(APIStatus) -> JSON
    /// What strict field validation has against its text, in Kubernetes' words.
    let faults: [String]
    /// Whether it is merged as the type of its object says, and so cannot say what that is.
    fileprivate let isStrategic: Bool

    static let types =
        "application/json-patch+json, application/merge-patch+json, "
        + "application/strategic-merge-patch+json, application/apply-patch+yaml"

    static let customTypes =
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

    /// - Parameter type: The request's media type.
    /// - Throws: 415 for another type, 400 for a body that is no JSON or no patch of the type, 413 for too many steps.
    init(_ context: RequestContext, type: String, rules: any ObjectRules) throws(APIStatus) {
        let essence = type.split(separator: ";").first.map(String.init)?.lowercased() ?? ""
        let resource = context.resource
        var known = ["application/json-patch+json", "application/merge-patch+json"]
        // The schema of a custom resource says nothing of how lists merge in a strategic patch.
        if resource.custom == nil { known.append("application/strategic-merge-patch+json") }
        guard known.contains(essence) else {
            throw .unsupportedMediaType(resource.custom == nil ? Self.types : Self.customTypes)
        }
        var repeated = RepeatedKeys()
        let body = try RequestPipeline.parse(context.request.body, &repeated)
        let isSteps = essence == "application/json-patch+json"
        isStrategic = essence == "application/strategic-merge-patch+json"
        try Self.checkShape(body, isSteps: isSteps)
        faults = isSteps ? Self.faults(ofSteps: body, repeated) : repeated.fields.map { "duplicate field \"\($0)\"" }
        apply = { (present) throws(APIStatus) in
            do {
                switch essence {
                case "application/json-patch+json": return try JSONPatch.apply(body, to: present)
                case "application/merge-patch+json": return try MergePatch.apply(body, to: present)
                default: return try rules.strategicMerge(body, to: present, resource)
                }
            } catch {
                var status = APIStatus(
                    code: 422, reason: "Invalid",
                    message: "the server rejected our request due to an error in our request: \(error)")
                status.name = context.path.name
                status.group = resource.group
                status.kind = resource.plural
                throw status
            }
        }
    }

    private static func checkShape(_ body: JSON, isSteps: Bool) throws(APIStatus) {
        switch body {
        case .array(let steps) where isSteps:
            guard steps.count > JSONPatch.maximumOperations else { return }
            throw APIStatus(
                code: 413, reason: "RequestEntityTooLarge",
                message: "Request entity is too large: The allowed maximum operations in a JSON patch is "
                    + "\(JSONPatch.maximumOperations), got \(steps.count)")
        case .object where !isSteps: return
        default:
            throw .badRequest(
                "error decoding patch: expected \(isSteps ? "an array of operations" : "an object"), got \(body.typeName)"
            )
        }
    }

    /// Members that steps of a JSON patch do not have, and those that are there twice.
    private static func faults(ofSteps steps: JSON, _ repeated: RepeatedKeys) -> [String] {
        let known: Set = ["op", "path", "from", "value"]
        let unknown = steps.arrayValue.enumerated().flatMap { index, step in
            (step.objectValue ?? [:]).map(\.key).filter { !known.contains($0) }.map {
                "json patch unknown field \"[\(index)].\($0)\""
            }
        }
        return unknown + repeated.fields.map { "json patch duplicate field \"\($0)\"" }
    }
}

extension RequestPipeline {
    /// What a patch has made of an object is of the kind that it was, or is refused. A strategic patch says nothing of that.
    func checkKind(ofPatched object: inout JSON, _ patch: Patch, _ resource: Resource) throws(APIStatus) {
        if patch.isStrategic || object.kind.isEmpty { object.kind = resource.kind }
        if patch.isStrategic || object.apiVersion.isEmpty { object.apiVersion = resource.apiVersion }
        guard object.kind != resource.kind || object.apiVersion != resource.apiVersion else { return }
        if resource.custom != nil {
            var causes: [APIStatus.Cause] = []
            for (field, wanted) in [("kind", resource.kind), ("apiVersion", resource.apiVersion)]
            where object[field].stringValue != wanted {
                causes.append(.invalid(field, object[field], "must be \(wanted)"))
            }
            throw .invalid(kind: object.kind, group: resource.group, object.name, causes)
        }
        let isKnown = resources.find(apiVersion: object.apiVersion, kind: object.kind) != nil
        throw Self.invalidPatch(
            object,
            isKnown
                ? "a \(object.kind) of \(object.apiVersion) cannot be converted to a \(resource.kind) of \(resource.apiVersion)"
                : "no kind \"\(object.kind)\" is registered for version \"\(object.apiVersion)\"")
    }

    /// What a patch has made of an object, without fields that are unknown: those, and the faults of the patch itself, are
    /// refused or warned of, as the query's fieldValidation says.
    func checkFields(
        ofPatched patched: JSON, _ patch: Patch, _ context: RequestContext
    ) throws(APIStatus) -> DecodedBody {
        var decoded = DecodedBody(object: patched)
        let unknown: [String]
        do {
            unknown = try rules.prune(&decoded.object, context.resource)
        } catch {
            throw Self.invalidPatch(patched, error.message)
        }
        let faults =
            patch.faults
            + FieldFaults(ofPatched: patched, unknown: unknown, isCustom: context.resource.custom != nil).texts
        switch context.query["fieldValidation"] ?? "Warn" {
        case "Ignore": break
        case "Strict":
            guard faults.isEmpty else {
                throw Self.invalidPatch(patched, "strict decoding error: \(faults.joined(separator: ", "))")
            }
        default: decoded.warnings = Array(faults.prefix(20))
        }
        return decoded
    }

    private static func invalidPatch(_ patched: JSON, _ why: String) -> APIStatus {
        let cause = APIStatus.Cause.invalid("patch", .string(patched.serializedString()), why)
        // Of no kind, as Kubernetes has it: kubectl then says "The request is invalid".
        var status = APIStatus(
            code: 422, reason: "Invalid", message: " \"\" is invalid: \(cause.field): \(cause.message)")
        status.causes = [cause]
        return status
    }
}
