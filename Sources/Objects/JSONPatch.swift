/// JSON Patch (RFC 6902), bounded: at most 10,000 operations, 3 MiB of copies, and the depth that the parser allows.
public enum JSONPatch {
    public struct PatchError: Error, Sendable, Hashable, CustomStringConvertible {
        public enum Reason: Sendable, Hashable {
            /// The patch itself is malformed.
            case malformed
            /// A path of a well-formed operation does not exist in the object.
            case missingPath
            /// A `test` did not hold.
            case testFailed
            /// A bound was exceeded.
            case tooLarge
        }

        public let reason: Reason
        /// Which operation, from 0.
        public let index: Int
        public let message: String

        public var description: String { "operation \(index) of the JSON patch: \(message)" }
    }

    public static let maximumOperations = 10_000
    public static let maximumCopiedBytes = 3 << 20

    /// Applies all operations or none: on an error the target is as it was.
    public static func apply(_ patch: JSON, to target: JSON) throws -> JSON {
        guard case .array(let operations) = patch else {
            throw PatchError(reason: .malformed, index: 0, message: "a JSON patch must be an array of operations")
        }
        guard operations.count <= maximumOperations else {
            throw PatchError(
                reason: .tooLarge, index: maximumOperations,
                message: "the allowed maximum of \(maximumOperations) operations is exceeded, got \(operations.count)")
        }
        var application = Application(document: target)
        for (index, operation) in operations.enumerated() {
            application.index = index
            try application.perform(operation)
        }
        return application.document
    }

    /// Escapes a name for use in a path.
    public static func escape(_ token: String) -> String { JSONPointer(tokens: [token]).description }
}

private struct Application {
    var document: JSON
    var index = 0
    var copiedBytes = 0

    private func fail(_ reason: JSONPatch.PatchError.Reason, _ message: String) -> JSONPatch.PatchError {
        JSONPatch.PatchError(reason: reason, index: index, message: message)
    }

    mutating func perform(_ operation: JSON) throws(JSONPatch.PatchError) {
        guard let name = operation["op"].stringValue else { throw fail(.malformed, "\"op\" is missing") }
        let path = try pointer(operation, "path")
        switch name {
        case "add": try add(try value(operation), at: path)
        case "remove": _ = try remove(at: path)
        case "replace":
            let new = try value(operation)
            try checkDepth(path, new)
            try update(&document, path.tokens[...], path) { $0 = new }
        case "test":
            let expected = try value(operation)
            let found = try get(path, orNull: expected.isNull)
            if found != expected { throw fail(.testFailed, "testing value \(path) failed") }
        case "move":
            let source = try pointer(operation, "from")
            if path.tokens.count > source.tokens.count, path.tokens.starts(with: source.tokens) {
                throw fail(.malformed, "cannot move \(source) into itself (\(path))")
            }
            let moved = try remove(at: source)
            try add(moved, at: path)
        case "copy":
            let copied = try get(try pointer(operation, "from"), orNull: false)
            copiedBytes += copied.serialized().count
            guard copiedBytes <= JSONPatch.maximumCopiedBytes else {
                throw fail(.tooLarge, "copies more than \(JSONPatch.maximumCopiedBytes) bytes")
            }
            try add(copied, at: path)
        default:
            throw fail(.malformed, "unknown operation \"\(name)\"; it must be add, remove, replace, move, copy or test")
        }
    }

    private func pointer(_ operation: JSON, _ member: String) throws(JSONPatch.PatchError) -> JSONPointer {
        guard let text = operation[member].stringValue else { throw fail(.malformed, "\"\(member)\" is missing") }
        guard let pointer = JSONPointer(text) else {
            throw fail(
                .malformed, "\"\(text)\" is not a path: it must begin with a slash, with ~ and / written as ~0 and ~1")
        }
        return pointer
    }

    private func value(_ operation: JSON) throws(JSONPatch.PatchError) -> JSON {
        guard let value = operation.objectValue?["value"] else { throw fail(.malformed, "\"value\" is missing") }
        return value
    }

    private mutating func add(_ value: JSON, at path: JSONPointer) throws(JSONPatch.PatchError) {
        try checkDepth(path, value)
        guard let last = path.tokens.last else {
            document = value
            return
        }
        let index = index
        try update(&document, path.tokens.dropLast(), path) { (parent) throws(JSONPatch.PatchError) in
            switch parent {
            case .object: parent[last] = value
            case .array(var elements):
                let position = last == "-" ? elements.count : Self.position(last)
                guard let position, position <= elements.count else {
                    throw JSONPatch.PatchError(
                        reason: .missingPath, index: index,
                        message: "\(path): no such position in an array of \(elements.count)")
                }
                parent = .null
                elements.insert(value, at: position)
                parent = .array(elements)
            default:
                throw JSONPatch.PatchError(
                    reason: .missingPath, index: index, message: "\(path): cannot add to \(parent.typeName)")
            }
        }
    }

    private mutating func remove(at path: JSONPointer) throws(JSONPatch.PatchError) -> JSON {
        guard let last = path.tokens.last else {
            defer { document = .null }
            return document
        }
        let index = index
        var removed = JSON.null
        try update(&document, path.tokens.dropLast(), path) { (parent) throws(JSONPatch.PatchError) in
            let missing = JSONPatch.PatchError(
                reason: .missingPath, index: index, message: "unable to remove nonexistent \(path)")
            switch parent {
            case .object:
                guard let value = parent.removeValue(forKey: last) else { throw missing }
                removed = value
            case .array(var elements):
                guard let position = Self.position(last), position < elements.count else { throw missing }
                parent = .null
                removed = elements.remove(at: position)
                parent = .array(elements)
            default: throw missing
            }
        }
        return removed
    }

    private func get(_ path: JSONPointer, orNull: Bool) throws(JSONPatch.PatchError) -> JSON {
        var current = document
        for token in path.tokens {
            let next: JSON? =
                switch current {
                case .object(let object): object[token]
                case .array(let elements):
                    Self.position(token).flatMap { elements.indices.contains($0) ? .some(elements[$0]) : nil }
                default: nil
                }
            guard let next else {
                if orNull { return .null }
                throw fail(.missingPath, "\(path) does not exist")
            }
            current = next
        }
        return current
    }

    /// Changes the value at a path in place; the whole path must exist.
    private func update(
        _ value: inout JSON, _ tokens: ArraySlice<String>, _ path: JSONPointer,
        _ change: (inout JSON) throws(JSONPatch.PatchError) -> Void
    ) throws(JSONPatch.PatchError) {
        guard let token = tokens.first else { return try change(&value) }
        switch value {
        case .object(let object) where object.contains(token):
            try update(&value[token], tokens.dropFirst(), path, change)
        case .array(let elements):
            guard let position = Self.position(token), position < elements.count else {
                throw fail(.missingPath, "\(path) does not exist")
            }
            try update(&value[position], tokens.dropFirst(), path, change)
        default: throw fail(.missingPath, "\(path) does not exist")
        }
    }

    private func checkDepth(_ path: JSONPointer, _ value: JSON) throws(JSONPatch.PatchError) {
        guard path.tokens.count + value.depth <= JSON.maximumDepth else {
            throw fail(.tooLarge, "the result is nested more than \(JSON.maximumDepth) levels deep")
        }
    }

    private static func position(_ token: String) -> Int? {
        guard let first = token.utf8.first, first != UInt8(ascii: "0") || token.utf8.count == 1,
            token.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 })
        else { return nil }
        return Int(token)
    }
}

extension JSON {
    /// Levels of containers: 0 for a scalar.
    public var depth: Int {
        switch self {
        case .array(let elements): 1 + (elements.lazy.map(\.depth).max() ?? 0)
        case .object(let object): 1 + (object.members.lazy.map(\.value.depth).max() ?? 0)
        default: 0
        }
    }
}
