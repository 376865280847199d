import FieldManagement
import ObjectSchema
import ObjectYAML
import Objects

/// Keys that a body has more than once in an object.
struct RepeatedKeys: Sendable {
    /// The places in JSON: "spec.replicas".
    var fields: [String] = []
    /// What is said of those in YAML, each with its line.
    var lines: [String] = []
    /// Whether the body is YAML, of which Kubernetes makes JSON before it looks for fields that it does not know.
    var isYAML = false

    var isEmpty: Bool { fields.isEmpty && lines.isEmpty }

    /// Those in YAML as clients know them from Kubernetes.
    var text: String { "yaml: unmarshal errors:\n" + lines.map { "  \($0)" }.joined(separator: "\n") }
}

/// A request's body as an object of the resource that it was sent to.
struct DecodedBody: Sendable {
    var object: JSON
    /// Texts for Warning headers.
    var warnings: [String] = []
    /// The managers after the apply that made the object; nil for every other request.
    var applied: ManagedFields?
}

extension RequestPipeline {
    static let bodyTypes = "application/json, application/yaml, \(KubernetesProtobuf.contentType)"

    /// Parses a body in JSON, in YAML, or in the protobuf encoding that clients of built-in types use.
    static func parseBody(_ request: APIRequest) throws(APIStatus) -> JSON {
        var repeated = RepeatedKeys()
        return try parseBody(request, &repeated)
    }

    /// The same; the last value of a key counts.
    static func parseBody(_ request: APIRequest, _ repeated: inout RepeatedKeys) throws(APIStatus) -> JSON {
        if let type = request.contentType, !type.isEmpty {
            let essence = type.split(separator: ";").first.map(String.init)?.lowercased() ?? ""
            if essence == KubernetesProtobuf.contentType { return try parseProtobuf(request.body) }
            if essence == "application/yaml" { return try parseText(request.body, &repeated) }
            guard essence == "application/json" || essence == "*/*" || essence.hasSuffix("+json") else {
                throw .unsupportedMediaType(bodyTypes)
            }
        }
        return try parse(request.body, &repeated)
    }

    static func parseProtobuf(_ body: [UInt8]) throws(APIStatus) -> JSON {
        do {
            return try body.withUnsafeBytes { bytes throws(ProtobufError) in try KubernetesProtobuf.decode(bytes) }
        } catch {
            throw .badRequest("the body of the request is not valid protobuf: \(error)")
        }
    }

    /// Parses a body that may be JSON or YAML.
    static func parseText(_ body: [UInt8], _ repeated: inout RepeatedKeys) throws(APIStatus) -> JSON {
        repeated.isYAML = true
        // JSON is nearly YAML, and read a hundred times as fast.
        if body.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") {
            do { return try JSON(parsing: body) } catch {
                // Then it may still be YAML's own form of an object, `{a: 1}`.
            }
        }
        do {
            return try YAMLParser.parse(body, duplicates: &repeated.lines)
        } catch {
            throw .badRequest("the body of the request is not valid YAML: \(error)")
        }
    }

    static func parse(_ body: [UInt8]) throws(APIStatus) -> JSON {
        var repeated = RepeatedKeys()
        return try parse(body, &repeated)
    }

    static func parse(_ body: [UInt8], _ repeated: inout RepeatedKeys) throws(APIStatus) -> JSON {
        do {
            return try JSON(parsing: body, duplicates: &repeated.fields)
        } catch {
            throw .badRequest("the body of the request is not valid JSON: \(error)")
        }
    }

    /// The object in the body, checked against the path: kind, version, namespace, name.
    func decodeObject(_ context: RequestContext) throws(APIStatus) -> DecodedBody {
        var repeated = RepeatedKeys()
        var object: JSON
        do throws(APIStatus) {
            object = try Self.parseBody(context.request, &repeated)
        } catch {
            guard error.code == 400 else { throw error }
            // As Kubernetes begins it, since clients look for these words.
            throw .badRequest(
                "the object provided is unrecognized (must be of type \(context.resource.kind)): \(error.message)")
        }
        guard object.objectValue != nil else { throw .badRequest("the body of the request must be a JSON object") }
        if context.resource.custom != nil, !context.request.isInternal {
            try Self.checkKind(ofCustom: object, context.resource)
        }
        try Self.checkKind(&object, context.resource)
        return try checkFields(consume object, context, repeated) { () throws(APIStatus) in
            try Self.parseBody(context.request)
        }
    }

    /// A custom object must say what it is; that it is of another kind is found when it is validated.
    static func checkKind(ofCustom object: JSON, _ resource: Resource) throws(APIStatus) {
        guard !object.kind.isEmpty else {
            throw .badRequest("Object 'Kind' is missing in '\(object.serializedString())'")
        }
        guard object.apiVersion == resource.apiVersion, object.kind != resource.kind else { return }
        throw .invalid(
            kind: object.kind, group: resource.group, object.name,
            [.invalid("kind", .string(object.kind), "must be \(resource.kind)")])
    }

    /// Fills in what an object's type must be, refuses another.
    static func checkKind(_ object: inout JSON, _ resource: Resource) throws(APIStatus) {
        try checkKind(&object, apiVersion: resource.apiVersion, kind: resource.kind)
    }

    static func checkKind(_ object: inout JSON, apiVersion: String, kind: String) throws(APIStatus) {
        if object.kind.isEmpty { object.kind = kind }
        if object.apiVersion.isEmpty { object.apiVersion = apiVersion }
        guard object.apiVersion == apiVersion else {
            throw .badRequest(
                "the API version in the data (\(object.apiVersion)) does not match the expected API version (\(apiVersion))"
            )
        }
        guard object.kind == kind else {
            throw .badRequest("\(object.kind) in version \"\(apiVersion)\" cannot be handled as a \(kind): wrong kind")
        }
    }

    /// Unknown fields are dropped, they and repeated ones refused or warned of, as the query's fieldValidation says; nulls are
    /// dropped, as typed decoding does.
    /// - Parameter asSent: the object once more, to look up the order of what is wrong with it.
    func checkFields(
        _ object: consuming JSON, _ context: RequestContext, _ repeated: RepeatedKeys = RepeatedKeys(),
        asSent: () throws(APIStatus) -> JSON
    ) throws(APIStatus) -> DecodedBody {
        // The only reference to the object, which so is changed where it lies.
        var decoded = DecodedBody(object: object)
        let metadata = decoded.object.metadata
        guard context.resource.custom == nil || metadata.objectValue != nil || metadata.isNull else {
            throw .badRequest("metadata must be an object")
        }
        let unknown = try rules.prune(&decoded.object, context.resource)
        guard !unknown.isEmpty || !repeated.isEmpty else { return decoded }
        let fields = FieldFaults(
            unknown.isEmpty ? .null : try asSent(), unknown: unknown, repeated: repeated,
            isCustom: context.resource.custom != nil
        ).texts
        switch context.query["fieldValidation"] ?? "Warn" {
        case "Ignore": break
        case "Strict":
            let lines = repeated.lines.isEmpty ? [] : [repeated.text]
            let list = (lines + fields).joined(separator: ", ")
            throw .badRequest(
                "\(context.resource.kind) in version \"\(context.resource.version)\" cannot be handled as a "
                    + "\(context.resource.kind): strict decoding error: \(list)")
        case "Warn", "": decoded.warnings = Array((repeated.lines + fields).prefix(20))
        case let other:
            throw .badRequest("fieldValidation must be Ignore, Warn or Strict, not \"\(other)\"")
        }
        return decoded
    }

    /// The namespace of the path is the object's.
    static func checkNamespace(_ object: inout JSON, _ context: RequestContext) throws(APIStatus) {
        guard context.resource.isNamespaced else {
            if !object.namespace.isEmpty { object["metadata"].removeValue(forKey: "namespace") }
            return
        }
        guard !context.path.namespace.isEmpty else {
            throw .badRequest("an empty namespace may not be set during creation")
        }
        guard object.namespace.isEmpty || object.namespace == context.path.namespace else {
            throw .badRequest(
                "the namespace of the provided object does not match the namespace sent on the request")
        }
        object.namespace = context.path.namespace
    }
}

extension HTTPResponse {
    /// Adds Warning headers (RFC 7234, section 5.5), as kubectl shows them: each once, all in full while they are not
    /// too long together.
    func warning(_ texts: [String]) -> HTTPResponse {
        var response = self
        var known = Set<String>()
        let distinct = texts.filter { known.insert($0).inserted }
        let isLong = distinct.reduce(0) { $0 + $1.utf8.count } > Self.warningLimit
        var length = 0
        for text in distinct {
            let shown = isLong ? String(String.UnicodeScalarView(text.unicodeScalars.prefix(256))) : text
            length += shown.utf8.count
            guard length <= Self.warningLimit else { break }
            let escaped = shown.flatMap { character -> [Character] in
                switch character {
                case "\"", "\\": ["\\", character]
                case _ where character.isNewline: [" "]
                default: [character]
                }
            }
            response.headers.append(("Warning", "299 - \"\(String(escaped))\""))
        }
        return response
    }

    /// The bytes that all warnings of a response may have.
    private static let warningLimit = 4096
}

extension JSON {
    /// Whether a null occurs anywhere.
    private var hasNull: Bool {
        switch self {
        case .null: true
        case .array(let elements): elements.contains { $0.hasNull }
        case .object(let members): members.contains { $0.value.hasNull }
        default: false
        }
    }

    /// Removes members whose value is null, at every depth.
    mutating func removeNulls() {
        guard hasNull else { return }
        dropNulls()
    }

    private mutating func dropNulls() {
        switch self {
        case .object(var members):
            self = .null
            members.removeAll { $1.isNull }
            members.updateValues { (_, value: inout JSON) throws(Never) in value.dropNulls() }
            self = .object(members)
        case .array: updateElements { (_, element: inout JSON) throws(Never) in element.dropNulls() }
        default: break
        }
    }
}
