import Objects

/// What is wrong with one field of an object, in Kubernetes' words.
public struct FieldError: Error, Sendable, Hashable {
    /// The raw value is the reason of the cause in a Status object.
    public enum Kind: String, Sendable, Hashable {
        case notFound = "FieldValueNotFound"
        case required = "FieldValueRequired"
        case duplicate = "FieldValueDuplicate"
        case invalid = "FieldValueInvalid"
        case typeInvalid = "FieldValueTypeInvalid"
        case notSupported = "FieldValueNotSupported"
        case forbidden = "FieldValueForbidden"
        case tooLong = "FieldValueTooLong"
        case tooMany = "FieldValueTooMany"
        case internalError = "InternalError"
    }

    public let kind: Kind
    /// "spec.containers[0].name".
    public let path: String
    /// The value at fault as it is shown; empty where none is.
    public let value: String
    public let detail: String

    public init(_ kind: Kind, _ path: String, value: JSON? = nil, _ detail: String = "") {
        self.kind = kind
        self.path = path
        self.value = value.map { $0.serializedString() } ?? ""
        self.detail = detail
    }

    private init(_ other: FieldError, path: String) {
        kind = other.kind
        self.path = path
        value = other.value
        detail = other.detail
    }

    /// The same with a path that was relative to an object and now begins where that object is.
    func moved(below parent: FieldPath) -> FieldError {
        let relative = path.hasPrefix(".") ? String(path.dropFirst()) : path
        return FieldError(self, path: parent.appending(relative))
    }

    public static func required(_ path: String, _ detail: String = "") -> FieldError {
        FieldError(.required, path, detail)
    }
    public static func forbidden(_ path: String, _ detail: String) -> FieldError {
        FieldError(.forbidden, path, detail)
    }
    public static func notFound(_ path: String, _ value: JSON) -> FieldError {
        FieldError(.notFound, path, value: value)
    }
    public static func duplicate(_ path: String, _ value: JSON) -> FieldError {
        FieldError(.duplicate, path, value: value)
    }
    public static func invalid(_ path: String, _ value: JSON, _ detail: String) -> FieldError {
        FieldError(.invalid, path, value: value, detail)
    }

    /// An error of a value that is not worth showing.
    public static func invalid(_ path: String, _ detail: String) -> FieldError {
        FieldError(.invalid, path, detail)
    }

    /// - Parameter supported: In the order in which they are told.
    public static func notSupported(_ path: String, _ value: JSON, _ supported: [String]) -> FieldError {
        let list = supported.map { JSON($0).serializedString() }
        return FieldError(.notSupported, path, value: value, "supported values: " + list.joined(separator: ", "))
    }

    public static func tooLong(_ path: String, limit: Int) -> FieldError {
        FieldError(.tooLong, path, "may not be more than \(limit) bytes")
    }

    /// A value below zero; nothing for others, and for one that is absent.
    static func negative(_ path: String, _ value: JSON) -> [FieldError] {
        value.integerValue ?? 0 < 0 ? [.invalid(path, value, "must be greater than or equal to 0")] : []
    }

    public static func tooMany(_ path: String, _ count: Int, limit: Int) -> FieldError {
        FieldError(.tooMany, path, value: JSON(count), "must have at most \(limit) \(limit == 1 ? "item" : "items")")
    }

    /// Without the path: "Invalid value: \"x\": must be …", as the message of a cause has it.
    public var message: String {
        var text: String
        switch kind {
        case .notFound: text = "Not found: \(value)"
        case .required: text = "Required value"
        case .duplicate: text = "Duplicate value: \(value)"
        case .invalid, .typeInvalid: text = value.isEmpty ? "Invalid value" : "Invalid value: \(value)"
        case .notSupported: text = "Unsupported value: \(value)"
        case .forbidden: text = "Forbidden"
        case .tooLong: text = "Too long"
        case .tooMany: text = "Too many: \(value)"
        case .internalError: text = "Internal error"
        }
        if !detail.isEmpty { text += ": " + detail }
        return text
    }
}

extension FieldError: CustomStringConvertible {
    public var description: String { "\(path): \(message)" }
}

extension [FieldError] {
    /// As Kubernetes joins them in the message of a Status: one as it is, several in brackets.
    public var aggregateMessage: String {
        var seen = Set<String>()
        let texts = map(\.description).filter { seen.insert($0).inserted }
        return texts.count == 1 ? texts[0] : "[" + texts.joined(separator: ", ") + "]"
    }
}
