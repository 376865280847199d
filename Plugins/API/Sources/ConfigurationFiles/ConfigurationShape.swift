import Objects

/// Which members a file of settings may have, and of which type: what is written in vain is a mistake that nobody would notice.
indirect enum ConfigurationShape: Sendable {
    case text
    case flag
    case list(ConfigurationShape)
    case object([String: ConfigurationShape])

    /// What does not fit, as Kubernetes' strict decoding tells it.
    /// - Parameter path: Of the value; empty at the top.
    func faults(in json: JSON, at path: String = "") -> [String] {
        // Null stands for what is not there.
        if json.isNull { return [] }
        switch (self, json) {
        case (.text, .string), (.flag, .bool): return []
        case (.list(let element), .array(let elements)):
            return elements.enumerated().flatMap { element.faults(in: $1, at: "\(path)[\($0)]") }
        case (.object(let members), .object(let object)):
            return object.flatMap { name, value -> [String] in
                let place = path.isEmpty ? name : "\(path).\(name)"
                guard let member = members[name] else { return ["unknown field \"\(place)\""] }
                return member.faults(in: value, at: place)
            }
        default: return ["\(path.isEmpty ? "the document" : path) must be \(name)"]
        }
    }

    private var name: String {
        switch self {
        case .text: "a text"
        case .flag: "true or false"
        case .list: "a list"
        case .object: "an object"
        }
    }
}
