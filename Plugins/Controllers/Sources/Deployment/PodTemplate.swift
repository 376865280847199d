import Objects

/// Comparison and hash of pod templates, which tie a ReplicaSet to the Deployment revision that it stands for.
enum PodTemplate {
    static let hashLabel = "pod-template-hash"

    /// The template without what says nothing: nulls, empty arrays, the hash label, the time of creation, and the mark that a
    /// revision's template has for strategic merge patches.
    static func normalized(_ template: JSON) -> JSON {
        var copy = template
        copy.removeValue(forKey: "$patch")
        copy["metadata"]["labels"].removeValue(forKey: hashLabel)
        copy["metadata"].removeValue(forKey: "creationTimestamp")
        for member in ["labels", "annotations"] where copy["metadata"][member].isEmpty {
            copy["metadata"].removeValue(forKey: member)
        }
        return stripped(copy)
    }

    private static func stripped(_ value: JSON) -> JSON {
        switch value {
        case .object(let members):
            var kept = JSONObject()
            for (key, member) in members {
                if member.isNull { continue }
                if case .array(let elements) = member, elements.isEmpty { continue }
                kept[key] = stripped(member)
            }
            return .object(kept)
        case .array(let elements): return .array(elements.map(stripped))
        case .null, .bool, .integer, .number, .string: return value
        }
    }

    static func areEqual(_ one: JSON, _ other: JSON) -> Bool { normalized(one) == normalized(other) }

    /// A short name-safe hash of a template; `collisions` makes another one when a name is taken.
    static func hash(_ template: JSON, collisions: Int64?) -> String {
        // FNV-1a, 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/), over a canonical text.
        var hash: UInt32 = 2_166_136_261
        func mix(_ byte: UInt8) { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        sorted(normalized(template)).serialized().forEach(mix)
        if let collisions, collisions > 0 { "\(collisions)".utf8.forEach(mix) }
        return safeNameEncoding("\(hash)")
    }

    private static func sorted(_ value: JSON) -> JSON {
        switch value {
        case .object(let members):
            let pairs = members.map { ($0.key, sorted($0.value)) }
            return .object(JSONObject(pairs).sortedByKey())
        case .array(let elements): return .array(elements.map(sorted))
        case .null, .bool, .integer, .number, .string: return value
        }
    }
}
