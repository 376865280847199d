import ObjectSchema
import Objects

extension FieldType {
    /// What is said of a value that is not of the type; nil when it is. Null is of every type.
    func mismatch(with value: JSON) -> String? {
        switch node?.shape {
        case nil, .any, .freeObject: nil
        case .string, .bytes, .time, .microTime: value.stringValue == nil ? wanted("string", value) : nil
        case .boolean: value.boolValue == nil ? wanted("boolean", value) : nil
        case .integer32, .integer64, .number: value.isNumber ? nil : wanted("numeric (int or float)", value)
        case .quantity, .intOrString: value.objectValue != nil || value.isArray ? wanted("any scalar", value) : nil
        case .object, .map: value.objectValue == nil ? wanted("map", value) : nil
        case .array: value.isArray ? nil : wanted("list", value)
        }
    }

    private func wanted(_ type: String, _ value: JSON) -> String? {
        value.isNull ? nil : "expected \(type), got \(value.typeName)"
    }
}

extension JSON {
    fileprivate var isNumber: Bool {
        switch self {
        case .integer, .number: true
        default: false
        }
    }
}
