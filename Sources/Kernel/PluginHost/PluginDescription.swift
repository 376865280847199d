import Objects

/// What a plugin says of itself, checked.
public struct PluginDescription: Sendable, Equatable {
    public var name: String
    public var version: String
    public var summary: String
    public var provides: [String]
    public var requires: [String]
    public var optional: [String]
    /// How the next generation takes over from this one.
    public var handover = Handover.overlap

    /// What keeps it in the host's own process, a sentence; "" when nothing does.
    public var sharedOnly = ""

    /// How long calls of its own roles may take, by role.
    var costs: [String: SlotCosts] = [:]

    public enum Handover: String, Sendable, CaseIterable {
        /// The new one is activated beside the old one.
        case overlap
        /// The old one is deactivated first: there is something that only one can have, such as a port.
        case exclusive
    }

    /// Bytes of the JSON that `describe` may return.
    static let sizeLimit = 64 << 10
    static let roleLimit = 64

    public init(parsing bytes: [UInt8]) throws(PluginFailure) {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch {
            throw PluginFailure(.describe, "the description is not JSON: \(error)")
        }
        guard json.objectValue != nil else { throw PluginFailure(.describe, "the description is not a JSON object") }
        name = try Self.text(json, "name", limit: 63)
        guard isLabel(name[...]) else {
            throw PluginFailure(.describe, "the name \"\(name)\" is not 1 to 63 of a-z, 0-9 and -")
        }
        version = try Self.text(json, "version", limit: 64)
        summary = json["description"].isNull ? "" : try Self.text(json, "description", limit: 1024)
        provides = try Self.roles(json, "provides")
        requires = try Self.roles(json, "requires")
        optional = try Self.roles(json, "optional")
        if !json["sharedOnly"].isNull { sharedOnly = try Self.text(json, "sharedOnly", limit: 512) }
        for (role, value) in json["costs"].objectValue ?? [:] {
            do throws(SlotCosts.Malformed) { costs[role] = try SlotCosts(parsing: value.stringValue ?? "?") } catch {
                throw PluginFailure(
                    .describe, "\"costs\" of \(role) has \"\(error.part)\", which is not slot:TIME such as get:10ms")
            }
        }
        if !json["handover"].isNull {
            let words = Handover.allCases.map(\.rawValue)
            guard let handover = Handover(rawValue: try Self.text(json, "handover", limit: 64)) else {
                throw PluginFailure(
                    .describe, "\"handover\" is \(json["handover"].serializedString()); allowed: \(list(words))")
            }
            self.handover = handover
        }
    }

    private static func text(_ json: JSON, _ key: String, limit: Int) throws(PluginFailure) -> String {
        guard let text = json[key].stringValue else {
            throw PluginFailure(.describe, "the description lacks the text \"\(key)\"")
        }
        guard text.utf8.count <= limit else {
            throw PluginFailure(.describe, "\"\(key)\" has \(text.utf8.count) bytes; at most \(limit) are allowed")
        }
        return text
    }

    private static func roles(_ json: JSON, _ key: String) throws(PluginFailure) -> [String] {
        let value = json[key]
        if value.isNull { return [] }
        guard case .array(let elements) = value, elements.count <= roleLimit else {
            throw PluginFailure(.describe, "\"\(key)\" is not a list of at most \(roleLimit) ids")
        }
        var ids: [String] = []
        for element in elements {
            guard let id = element.stringValue, isRoleIdentifier(id) else {
                let text = String(element.serializedString().prefix(128))
                throw PluginFailure(
                    .describe, "\"\(key)\" has \(text), which is not the id of a role such as hostd.scheduler/1")
            }
            if !ids.contains(id) { ids.append(id) }
        }
        return ids
    }
}
