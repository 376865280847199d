import CYAML

/// Reads one YAML document into a tree with places. Strict: no anchors, aliases, tags, duplicate keys, keys that are not
/// text, or second document; at most 1 MiB and 64 levels.
struct YAMLReader {
    static let sizeLimit = 1 << 20
    static let depthLimit = 64

    private let file: String
    private var parser = yaml_parser_t()

    /// The tree of `text`; an empty document is an empty mapping. `file` is for messages.
    static func read(_ text: [UInt8], file: String) throws(ConfigurationError) -> YAMLNode {
        if text.count > sizeLimit {
            throw ConfigurationError(
                file: file, mark: .none, keyPath: "", message: "is longer than \(sizeLimit) bytes")
        }
        // libyaml keeps a pointer to the text for as long as the parser lives.
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(text.count, 1))
        defer { copy.deallocate() }
        _ = copy.initialize(from: text)
        var reader = YAMLReader(file: file)
        guard yaml_parser_initialize(&reader.parser) == 1 else {
            throw reader.failure(.none, "there is no memory for a YAML parser")
        }
        defer { yaml_parser_delete(&reader.parser) }
        yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(&reader.parser, copy.baseAddress, text.count)
        return try reader.readStream()
    }

    private init(file: String) { self.file = file }

    private func failure(_ mark: YAMLNode.Mark, _ message: String, keyPath: String = "") -> ConfigurationError {
        ConfigurationError(file: file, mark: mark, keyPath: keyPath, message: message)
    }

    /// One event of libyaml, copied out so that it can be deleted at once.
    private enum Event {
        case streamStart, streamEnd, documentStart, documentEnd
        case scalar(text: String, isPlain: Bool), sequenceStart, sequenceEnd, mappingStart, mappingEnd
        case refused(String)
    }

    private mutating func next() throws(ConfigurationError) -> (Event, YAMLNode.Mark) {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else { throw parseFailure() }
        defer { yaml_event_delete(&event) }
        let mark = YAMLNode.Mark(line: Int(event.start_mark.line) + 1, column: Int(event.start_mark.column) + 1)
        return (convert(event), mark)
    }

    private func convert(_ event: yaml_event_t) -> Event {
        switch event.type {
        case YAML_STREAM_START_EVENT: return .streamStart
        case YAML_STREAM_END_EVENT: return .streamEnd
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_ALIAS_EVENT: return .refused("aliases (*name) are not allowed: write the value out")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            if scalar.anchor != nil || scalar.tag != nil { return Self.decorated }
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(
                text: String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            return start.anchor != nil || start.tag != nil ? Self.decorated : .sequenceStart
        case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            return start.anchor != nil || start.tag != nil ? Self.decorated : .mappingStart
        case YAML_MAPPING_END_EVENT: return .mappingEnd
        default: return .refused("unknown YAML event")
        }
    }

    private static let decorated = Event.refused("anchors (&name) and tags (!name) are not allowed")

    private func parseFailure() -> ConfigurationError {
        let problem = parser.problem.map { String(cString: $0) } ?? "not YAML"
        let context = parser.context.map { ", " + String(cString: $0) } ?? ""
        // A reader error (bad UTF-8) has an offset in place of a mark.
        if parser.error == YAML_READER_ERROR {
            return failure(.none, "is not UTF-8 text: \(problem) at byte \(parser.problem_offset)")
        }
        let mark = YAMLNode.Mark(line: Int(parser.problem_mark.line) + 1, column: Int(parser.problem_mark.column) + 1)
        return failure(mark, "is not YAML: \(problem)\(context)")
    }

    private mutating func readStream() throws(ConfigurationError) -> YAMLNode {
        _ = try next()  // stream start
        let (first, firstMark) = try next()
        guard case .documentStart = first else { return .emptyMapping(at: firstMark) }
        let (event, mark) = try next()
        var root = try node(event, mark, depth: 0, keyPath: "")
        if case .scalar("", true) = root.content { root = .emptyMapping(at: mark) }
        _ = try next()  // document end
        let (last, lastMark) = try next()
        guard case .streamEnd = last else { throw failure(lastMark, "a second document is not allowed") }
        return root
    }

    private mutating func node(
        _ event: Event, _ mark: YAMLNode.Mark, depth: Int, keyPath: String
    ) throws(ConfigurationError) -> YAMLNode {
        guard depth <= Self.depthLimit else {
            throw failure(mark, "is nested deeper than \(Self.depthLimit) levels", keyPath: keyPath)
        }
        switch event {
        case .scalar(let text, let isPlain):
            return YAMLNode(mark: mark, content: .scalar(text: text, isPlain: isPlain))
        case .sequenceStart:
            var elements: [YAMLNode] = []
            while true {
                let (event, mark) = try next()
                if case .sequenceEnd = event { break }
                elements.append(try node(event, mark, depth: depth + 1, keyPath: "\(keyPath)[\(elements.count)]"))
            }
            return YAMLNode(mark: mark, content: .sequence(elements))
        case .mappingStart:
            return YAMLNode(mark: mark, content: .mapping(try entries(depth: depth, keyPath: keyPath)))
        case .refused(let reason): throw failure(mark, reason, keyPath: keyPath)
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            throw failure(mark, "the document ends in the middle of a value", keyPath: keyPath)
        }
    }

    private mutating func entries(depth: Int, keyPath: String) throws(ConfigurationError) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var known: [String: YAMLNode.Mark] = [:]
        while true {
            let (event, mark) = try next()
            if case .mappingEnd = event { return entries }
            if case .refused(let reason) = event { throw failure(mark, reason, keyPath: keyPath) }
            guard case .scalar(let key, _) = event else {
                throw failure(mark, "a key must be plain text", keyPath: keyPath)
            }
            let path = keyPath.isEmpty ? key : "\(keyPath).\(key)"
            if let earlier = known.updateValue(mark, forKey: key) {
                throw failure(mark, "the key is there twice, first in line \(earlier.line)", keyPath: path)
            }
            let (valueEvent, valueMark) = try next()
            let value = try node(valueEvent, valueMark, depth: depth + 1, keyPath: path)
            entries.append(YAMLNode.Entry(key: key, mark: mark, value: value))
        }
    }
}
