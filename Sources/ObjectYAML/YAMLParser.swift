import CYAML
import Objects

/// A document that is no YAML, or none that stands for an object.
public struct YAMLError: Error, Sendable, Equatable, CustomStringConvertible {
    /// From 1; 0 when the place is unknown.
    public let line: Int
    public let message: String

    public var description: String { line > 0 ? "line \(line): \(message)" : message }
}

/// Reads one YAML document as the JSON value that it stands for (https://yaml.org/spec/1.1/), by libyaml.
///
/// Aliases are expanded; as what comes from a client may be hostile, values are counted after expansion, and at most
/// `valueLimit` of them and `depthLimit` levels are taken. Keys must be scalars, and each may occur once. Tags other than
/// those of JSON's types are refused.
public struct YAMLParser: ~Copyable {
    /// Values of a document, expanded aliases included.
    public static let valueLimit = 1_000_000
    public static let depthLimit = 128

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private var anchors: [String: (value: JSON, count: Int)] = [:]
    private var count = 0
    /// The line in which the last event begins.
    private var eventLine = 0
    /// What is said of keys that were there before; nil where that is an error.
    private var duplicates: [String]?

    private init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) {
        parser = .allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw YAMLError(line: 0, message: "there is no memory for a YAML parser")
        }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// The value of the only document in `text`; null for an empty one. Complexity: O(size), after expansion.
    public static func parse(_ text: [UInt8]) throws(YAMLError) -> JSON {
        let outcome: Result<JSON, YAMLError> = text.withUnsafeBufferPointer { bytes in
            do throws(YAMLError) {
                var parser = try YAMLParser(bytes)
                return .success(try parser.document())
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    /// The same for a document in which keys may be repeated, as Kubernetes lets them: the last value counts.
    /// - Parameter duplicates: Gets a text for each repeated key, `line 7: key "a" already set in map`, as clients know it.
    public static func parse(_ text: [UInt8], duplicates: inout [String]) throws(YAMLError) -> JSON {
        let outcome: Result<(JSON, [String]), YAMLError> = text.withUnsafeBufferPointer { bytes in
            do throws(YAMLError) {
                var parser = try YAMLParser(bytes)
                parser.duplicates = []
                return .success((try parser.document(), parser.duplicates ?? []))
            } catch {
                return .failure(error)
            }
        }
        let (value, found) = try outcome.get()
        duplicates += found
        return value
    }

    // MARK: - Events

    /// One event of libyaml, copied out.
    private enum Event {
        case scalar(text: String, isPlain: Bool, tag: String?, anchor: String?)
        case sequence(anchor: String?), mapping(anchor: String?), end
        case alias(String)
        case documentStart, documentEnd, streamStart, streamEnd
    }

    private var line: Int { Int(parser.pointee.mark.line) + 1 }

    private func failure(_ message: String) -> YAMLError { YAMLError(line: line, message: message) }

    private mutating func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
            throw YAMLError(line: Int(parser.pointee.problem_mark.line) + 1, message: problem)
        }
        defer { yaml_event_delete(&event) }
        eventLine = Int(event.start_mark.line) + 1
        func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? { pointer.map { String(cString: $0) } }
        switch event.type {
        case YAML_STREAM_START_EVENT: return .streamStart
        case YAML_STREAM_END_EVENT: return .streamEnd
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_ALIAS_EVENT: return .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SEQUENCE_START_EVENT: return .sequence(anchor: text(event.data.sequence_start.anchor))
        case YAML_MAPPING_START_EVENT: return .mapping(anchor: text(event.data.mapping_start.anchor))
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(
                text: String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                tag: text(scalar.tag), anchor: text(scalar.anchor))
        default: return .end
        }
    }

    // MARK: - Values

    private mutating func document() throws(YAMLError) -> JSON {
        _ = try next()
        guard case .documentStart = try next() else { return .null }
        let value = try value(try next(), depth: 0)
        _ = try next()
        guard case .streamEnd = try next() else { throw failure("a second document is not expected here") }
        return value
    }

    private mutating func value(_ event: Event, depth: Int) throws(YAMLError) -> JSON {
        guard depth <= Self.depthLimit else { throw failure("nested deeper than \(Self.depthLimit) levels") }
        let before = count
        try take(1)
        let result: JSON
        let anchor: String?
        switch event {
        case .scalar(let text, let isPlain, let tag, let name):
            result = try scalar(text, isPlain, tag)
            anchor = name
        case .sequence(let name):
            result = .array(try elements(depth))
            anchor = name
        case .mapping(let name):
            result = .object(try members(depth))
            anchor = name
        case .alias(let name):
            guard let known = anchors[name] else { throw failure("the alias *\(name) has no anchor before it") }
            try take(known.count)
            return known.value
        case .end, .documentStart, .documentEnd, .streamStart, .streamEnd:
            throw failure("the document ends in the middle of a value")
        }
        if let anchor { anchors[anchor] = (result, count - before) }
        return result
    }

    private mutating func take(_ values: Int) throws(YAMLError) {
        count += values
        guard count <= Self.valueLimit else {
            throw failure("the document has more than \(Self.valueLimit) values, aliases expanded")
        }
    }

    private func scalar(_ text: String, _ isPlain: Bool, _ tag: String?) throws(YAMLError) -> JSON {
        switch tag {
        case nil: return isPlain ? YAMLScalar.resolve(text) : .string(text)
        case "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:binary": return .string(text)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
            "tag:yaml.org,2002:null":
            return YAMLScalar.resolve(text)
        case let tag?: throw failure("the tag \(tag) is not known")
        }
    }

    private mutating func elements(_ depth: Int) throws(YAMLError) -> [JSON] {
        var result: [JSON] = []
        while true {
            let event = try next()
            if case .end = event { return result }
            result.append(try value(event, depth: depth + 1))
        }
    }

    private mutating func members(_ depth: Int) throws(YAMLError) -> JSONObject {
        var result = JSONObject()
        var merged: [JSONObject] = []
        while true {
            let event = try next()
            if case .end = event { break }
            guard case .scalar(let key, let isPlain, _, _) = event else { throw failure("a key must be a scalar") }
            let keyLine = eventLine
            let content = try value(try next(), depth: depth + 1)
            if isPlain, key == "<<" {
                merged += try Self.merged(content) { failure($0) }
                continue
            }
            if result.contains(key) {
                guard duplicates != nil else {
                    throw YAMLError(line: keyLine, message: "the key \"\(key)\" is there twice")
                }
                duplicates?.append("line \(keyLine): key \"\(key)\" already set in map")
            }
            result[key] = content
        }
        for object in merged { for (key, value) in object where !result.contains(key) { result[key] = value } }
        return result
    }

    /// The objects of a merge key (https://yaml.org/type/merge.html).
    private static func merged(_ value: JSON, _ failure: (String) -> YAMLError) throws(YAMLError) -> [JSONObject] {
        if let object = value.objectValue { return [object] }
        let objects = value.arrayValue.compactMap(\.objectValue)
        guard !objects.isEmpty, objects.count == value.arrayValue.count else {
            throw failure("what is merged by << must be a mapping or a list of mappings")
        }
        return objects
    }
}
