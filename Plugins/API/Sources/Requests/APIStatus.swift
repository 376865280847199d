import Objects

/// A failed request as Kubernetes reports it: an object of kind Status, with reasons and words that clients know.
/// See https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/.
struct APIStatus: Error, Sendable {
    /// One detail of a failure: what is wrong at which field.
    struct Cause: Sendable, Hashable {
        /// FieldValueRequired, FieldValueInvalid, FieldValueDuplicate, FieldValueNotSupported, FieldValueForbidden, …
        var reason: String
        var message: String
        var field: String
    }

    /// HTTP status code.
    var code: Int
    var reason: String
    var message: String
    var name = ""
    var group = ""
    /// The plural resource, or for an invalid object its kind.
    var kind = ""
    var uid = ""
    var causes: [Cause] = []
    var retryAfterSeconds = 0
    /// Of a failure for a method that is not served: those that are.
    var allowedMethods: [String] = []
    /// Where a list whose state is gone can go on as things are now; empty elsewhere.
    var continuation = ""
    /// Whether there are details although they say nothing.
    var hasDetails = false
    /// What the client is warned of besides; no part of the object.
    var warnings: [String] = []

    init(code: Int, reason: String, message: String, hasDetails: Bool = false) {
        self.code = code
        self.reason = reason
        self.message = message
        self.hasDetails = hasDetails
    }

    var json: JSON {
        var details: JSONObject = [:]
        if !name.isEmpty { details["name"] = .string(name) }
        if !group.isEmpty { details["group"] = .string(group) }
        if !kind.isEmpty { details["kind"] = .string(kind) }
        if !uid.isEmpty { details["uid"] = .string(uid) }
        if !causes.isEmpty {
            details["causes"] = .array(
                causes.map { cause in
                    var json: JSONObject = [:]
                    if !cause.reason.isEmpty { json["reason"] = .string(cause.reason) }
                    if !cause.message.isEmpty { json["message"] = .string(cause.message) }
                    if !cause.field.isEmpty { json["field"] = .string(cause.field) }
                    return .object(json)
                })
        }
        if retryAfterSeconds > 0 { details["retryAfterSeconds"] = .integer(Int64(retryAfterSeconds)) }
        var status: JSONObject = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
        ]
        if !continuation.isEmpty { status["metadata"] = ["continue": .string(continuation)] }
        if !reason.isEmpty { status["reason"] = .string(reason) }
        if !details.isEmpty || hasDetails { status["details"] = .object(details) }
        status["code"] = .integer(Int64(code))
        return .object(status)
    }

    /// The Status of a success that has no object to show.
    static func success(name: String, resource: Resource, uid: String) -> JSON {
        var details: JSONObject = ["name": .string(name)]
        if !resource.group.isEmpty { details["group"] = .string(resource.group) }
        details["kind"] = .string(resource.plural)
        if !uid.isEmpty { details["uid"] = .string(uid) }
        return [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": .object(details),
        ]
    }
}

// MARK: - The failures of requests

extension APIStatus {
    /// This, with warnings for the client.
    func warning(_ texts: [String]) -> APIStatus {
        var status = self
        status.warnings += texts
        return status
    }

    private func about(_ resource: Resource, _ name: String) -> APIStatus {
        var status = self
        status.name = name
        status.group = resource.group
        status.kind = resource.plural
        return status
    }

    static func badRequest(_ message: String) -> APIStatus { .init(code: 400, reason: "BadRequest", message: message) }

    static let unauthorized = APIStatus(code: 401, reason: "Unauthorized", message: "Unauthorized")

    static func notFound(_ resource: Resource, _ name: String) -> APIStatus {
        APIStatus(code: 404, reason: "NotFound", message: "\(resource.qualified) \"\(name)\" not found")
            .about(resource, name)
    }

    /// No such path.
    static let unknownPath = APIStatus(
        code: 404, reason: "NotFound", message: "the server could not find the requested resource", hasDetails: true)

    static let methodNotAllowed = APIStatus(
        code: 405, reason: "MethodNotAllowed",
        message: "the server does not allow this method on the requested resource", hasDetails: true)

    static func alreadyExists(_ resource: Resource, _ name: String) -> APIStatus {
        APIStatus(code: 409, reason: "AlreadyExists", message: "\(resource.qualified) \"\(name)\" already exists")
            .about(resource, name)
    }

    static func conflict(_ resource: Resource, _ name: String, _ why: String? = nil) -> APIStatus {
        let text =
            why ?? "the object has been modified; please apply your changes to the latest version and try again"
        return APIStatus(
            code: 409, reason: "Conflict",
            message: "Operation cannot be fulfilled on \(resource.qualified) \"\(name)\": \(text)"
        ).about(resource, name)
    }

    /// The same where Kubernetes names the kind in the resource's place.
    static func conflict(kind resource: Resource, _ name: String, _ why: String) -> APIStatus {
        let qualified = resource.group.isEmpty ? resource.kind : "\(resource.kind).\(resource.group)"
        var status = APIStatus(
            code: 409, reason: "Conflict",
            message: "Operation cannot be fulfilled on \(qualified) \"\(name)\": \(why)")
        (status.name, status.group, status.kind) = (name, resource.group, resource.kind)
        return status
    }

    static func forbidden(_ resource: Resource, _ name: String, _ why: String) -> APIStatus {
        let subject = name.isEmpty ? resource.qualified : "\(resource.qualified) \"\(name)\""
        return APIStatus(code: 403, reason: "Forbidden", message: "\(subject) is forbidden: \(why)")
            .about(resource, name)
    }

    static func invalid(_ resource: Resource, _ name: String, _ causes: [Cause]) -> APIStatus {
        invalid(kind: resource.kind, group: resource.group, name, causes)
    }

    static func invalid(kind: String, group: String, _ name: String, _ causes: [Cause]) -> APIStatus {
        let full = group.isEmpty ? kind : "\(kind).\(group)"
        let texts = causes.map { $0.field.isEmpty ? $0.message : "\($0.field): \($0.message)" }
        let text = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
        var status = APIStatus(code: 422, reason: "Invalid", message: "\(full) \"\(name)\" is invalid: \(text)")
        status.name = name
        status.group = group
        status.kind = kind
        status.causes = causes
        return status
    }

    static func notAcceptable(_ types: String) -> APIStatus {
        APIStatus(
            code: 406, reason: "NotAcceptable", message: "only the following media types are accepted: \(types)")
    }

    static func unsupportedMediaType(_ types: String) -> APIStatus {
        APIStatus(
            code: 415, reason: "UnsupportedMediaType",
            message: "the body of the request was in an unknown format - accepted media types include: \(types)")
    }

    static func expired(_ message: String) -> APIStatus { .init(code: 410, reason: "Expired", message: message) }

    static func tooLargeResourceVersion(_ asked: UInt64, current: UInt64) -> APIStatus {
        var status = APIStatus(
            code: 504, reason: "Timeout", message: "Too large resource version: \(asked), current: \(current)")
        status.causes = [
            .init(reason: "ResourceVersionTooLarge", message: "Too large resource version", field: "")
        ]
        status.retryAfterSeconds = 1
        return status
    }

    static func internalError(_ message: String) -> APIStatus {
        APIStatus(code: 500, reason: "InternalError", message: "Internal error occurred: \(message)")
    }

    static func unavailable(_ message: String) -> APIStatus {
        var status = APIStatus(code: 503, reason: "ServiceUnavailable", message: message)
        status.retryAfterSeconds = 1
        return status
    }

    /// Another server cannot be reached, or does not answer as it should.
    static func unreachable(_ error: UpstreamError) -> APIStatus {
        APIStatus(
            code: 503, reason: "ServiceUnavailable", message: "error trying to reach service: \(error.description)")
    }

    static func tooManyRequests(_ message: String, retryAfterSeconds: Int) -> APIStatus {
        var status = APIStatus(code: 429, reason: "TooManyRequests", message: message)
        status.retryAfterSeconds = retryAfterSeconds
        return status
    }

    static func timeout(_ message: String) -> APIStatus { .init(code: 504, reason: "Timeout", message: message) }
}

extension APIStatus.Cause {
    static func required(_ field: String, _ detail: String = "") -> APIStatus.Cause {
        .init(
            reason: "FieldValueRequired", message: detail.isEmpty ? "Required value" : "Required value: \(detail)",
            field: field)
    }

    static func invalid(_ field: String, _ value: JSON, _ detail: String) -> APIStatus.Cause {
        .init(reason: "FieldValueInvalid", message: "Invalid value: \(shown(value)): \(detail)", field: field)
    }

    static func forbidden(_ field: String, _ detail: String) -> APIStatus.Cause {
        .init(reason: "FieldValueForbidden", message: "Forbidden: \(detail)", field: field)
    }

    static func duplicate(_ field: String, _ value: JSON) -> APIStatus.Cause {
        .init(reason: "FieldValueDuplicate", message: "Duplicate value: \(shown(value))", field: field)
    }

    static func notFound(_ field: String, _ value: JSON) -> APIStatus.Cause {
        .init(reason: "FieldValueNotFound", message: "Not found: \(shown(value))", field: field)
    }

    static func notSupported(_ field: String, _ value: JSON, _ supported: [String]) -> APIStatus.Cause {
        let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
        return .init(
            reason: "FieldValueNotSupported", message: "Unsupported value: \(shown(value)): supported values: \(list)",
            field: field)
    }

    /// A value as messages show it: strings quoted, the rest as JSON, within bounds.
    private static func shown(_ value: JSON) -> String {
        let text = value.serializedString()
        return text.utf8.count <= 256 ? text : String(text.prefix(253)) + "..."
    }
}
