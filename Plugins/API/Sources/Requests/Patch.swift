import ObjectSchema
import Objects

/// A patch that is no apply: what it makes of an object, and what its text has that it should not.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply.
struct Patch: Sendable {
    /// - Throws: 400 for a body that is no JSON or no patch of the type, 413 for too many steps, 422 where it does not fit the
    ///   object: all of which is told only of an object that is there.
    let apply: @Sendable (_ present: JSON) throws(APIStatus) -> JSON
    /// What strict field validation has against its text, in Kubernetes' words.
    let faults: [String]
    /// Whether it is merged as the type of its object says, and so cannot say what that is.
    fileprivate let isStrategic: Bool
    /// The body of a strategic patch, as failures show it.
    fileprivate let text: String

    static let types =
        "application/json-patch+json, application/merge-patch+json, "
        + "application/strategic-merge-patch+json, application/apply-patch+yaml"

    static let customTypes =
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

    /// - Parameter type: The request's media type.
    /// - Throws: 415 for a type that is not known.
    init(_ context: RequestContext, type: String, rules: any ObjectRules) throws(APIStatus) {
        let essence = type.split(separator: ";").first.map(String.init)?.lowercased() ?? ""
        let resource = context.resource
        var known = ["application/json-patch+json", "application/merge-patch+json"]
        // The schema of a custom resource says nothing of how lists merge in a strategic patch.
        if resource.custom == nil { known.append("application/strategic-merge-patch+json") }
        guard known.contains(essence) else {
            throw .unsupportedMediaType(resource.custom == nil ? Self.types : Self.customTypes)
        }
        let isSteps = essence == "application/json-patch+json"
        isStrategic = essence == "application/strategic-merge-patch+json"
        var repeated = RepeatedKeys()
        let body: JSON
        do throws(APIStatus) {
            body = try Self.decode(context.request.body, isSteps: isSteps, isStrategic: isStrategic, &repeated)
        } catch {
            faults = []
            text = ""
            apply = { (_) throws(APIStatus) in throw error }
            return
        }
        text = isStrategic ? body.printedText : ""
        faults = isSteps ? Self.faults(ofSteps: body, repeated) : repeated.fields.map { "duplicate field \"\($0)\"" }
        apply = { (present) throws(APIStatus) in
            do {
                switch essence {
                case "application/json-patch+json": return try JSONPatch.apply(body, to: present)
                case "application/merge-patch+json": return try MergePatch.apply(body, to: present)
                default: return try rules.strategicMerge(body, to: present, resource)
                }
            } catch let error as StrategicMergePatch.PatchError {
                throw error.isMalformed
                    ? .badRequest(error.description) : APIStatus(code: 500, reason: "", message: error.description)
            } catch {
                // What does not fit is not said, as Kubernetes has it.
                throw APIStatus(
                    code: 422, reason: "Invalid",
                    message: "the server rejected our request due to an error in our request", hasDetails: true)
            }
        }
    }

    /// The body of a patch, in the words of Kubernetes' decoder where it is none.
    private static func decode(
        _ bytes: [UInt8], isSteps: Bool, isStrategic: Bool, _ repeated: inout RepeatedKeys
    ) throws(APIStatus) -> JSON {
        let prefix = isStrategic ? "" : "error decoding patch: "
        let body: JSON
        do {
            body = try JSON(parsing: bytes, duplicates: &repeated.fields)
        } catch {
            throw .badRequest(prefix + (bytes.isEmpty ? "unexpected end of JSON input" : "\(error)"))
        }
        func wrong(_ value: JSON, _ type: String) -> APIStatus {
            .badRequest("\(prefix)json: cannot unmarshal \(value.encodedTypeName) into Go \(type)")
        }
        switch body {
        case .null where isSteps: return []
        case .null where isStrategic: return [:]
        case .null: throw .badRequest("Invalid JSON Patch")
        case .array(let steps) where isSteps:
            for step in steps {
                guard let members = step.objectValue else { throw wrong(step, "value of type handlers.jsonPatchOp") }
                for name in ["op", "path", "from"] {
                    guard let member = members[name], member.stringValue == nil, !member.isNull else { continue }
                    throw wrong(member, "struct field jsonPatchOp.\(name) of type string")
                }
            }
            guard steps.count > JSONPatch.maximumOperations else { return body }
            throw APIStatus(
                code: 413, reason: "RequestEntityTooLarge",
                message: "Request entity too large: The allowed maximum operations in a JSON patch is "
                    + "\(JSONPatch.maximumOperations), got \(steps.count)")
        case .object where !isSteps: return body
        default:
            throw wrong(
                body, isSteps ? "value of type []handlers.jsonPatchOp" : "value of type map[string]interface {}")
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
        throw Self.invalid(
            patch, object,
            isKnown
                ? "a \(object.kind) of \(object.apiVersion) cannot be converted to a \(resource.kind) of \(resource.apiVersion)"
                : "no kind \"\(object.kind)\" is registered for version \"\(object.apiVersion)\"")
    }

    /// What is to be in an object's place has the names of its path.
    static func checkNames(_ object: inout JSON, _ context: RequestContext) throws(APIStatus) {
        try checkNamespace(&object, context)
        guard object.name != context.path.name else { return }
        throw .badRequest(
            object.name.isEmpty
                ? "the name of the object (\(context.path.name) based on URL) was undeterminable: name must be provided"
                : "the name of the object (\(object.name)) does not match the name on the URL (\(context.path.name))")
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
            throw Self.invalid(patch, patched, error.message)
        }
        let faults =
            patch.faults
            + FieldFaults(ofPatched: patched, unknown: unknown, isCustom: context.resource.custom != nil).texts
        switch context.query["fieldValidation"] ?? "Warn" {
        case "Ignore": break
        case "Strict":
            guard faults.isEmpty else {
                throw Self.invalid(patch, patched, "strict decoding error: \(faults.joined(separator: ", "))")
            }
        default: decoded.warnings = Array(faults.prefix(20))
        }
        return decoded
    }

    private static func invalid(_ patch: Patch, _ patched: JSON, _ why: String) -> APIStatus {
        let shown = patch.isStrategic ? patch.text : patched.serializedString()
        let cause = APIStatus.Cause.invalid("patch", .string(shown), why)
        // Of no kind, as Kubernetes has it: kubectl then says "The request is invalid".
        var status = APIStatus(
            code: 422, reason: "Invalid", message: " \"\" is invalid: \(cause.field): \(cause.message)")
        status.causes = [cause]
        return status
    }
}
