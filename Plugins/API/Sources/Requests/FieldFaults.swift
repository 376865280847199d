import Objects

/// What strict field validation has against an object, in the words and the order of Kubernetes.
struct FieldFaults {
    private(set) var texts: [String] = []

    /// Of an object that was sent as such. Where its type is built in, Kubernetes reads JSON from front to back, and tells of both
    /// as it comes to them; a field that it does not know is not told of again when it is repeated.
    init(_ object: JSON, unknown: [String], repeated: RepeatedKeys, isCustom: Bool) {
        let isMixed = !isCustom && !repeated.isYAML && !unknown.isEmpty && !repeated.fields.isEmpty
        if isMixed {
            visit(object, place: "", FaultPlaces(unknown: Set(unknown), repeated: Set(repeated.fields)))
        } else {
            texts = repeated.fields.map { "duplicate field \"\($0)\"" }
            add(unknown, of: object, inOrderOfKeys: !isCustom && repeated.isYAML)
        }
    }

    /// Of what a patch has made of an object; what is repeated is repeated in the patch.
    init(ofPatched object: JSON, unknown: [String], isCustom: Bool) {
        add(unknown, of: object, inOrderOfKeys: !isCustom)
    }

    private mutating func add(_ unknown: [String], of object: JSON, inOrderOfKeys: Bool) {
        guard inOrderOfKeys, unknown.count > 1 else {
            texts += unknown.map { "unknown field \"\($0)\"" }
            return
        }
        visit(object, place: "", FaultPlaces(unknown: Set(unknown), repeated: [], isInOrderOfKeys: true))
    }

    /// Where faults are, and how an object is gone through.
    private struct FaultPlaces {
        var unknown: Set<String>
        var repeated: Set<String>
        var isInOrderOfKeys = false
    }

    private mutating func visit(_ value: JSON, place: String, _ places: FaultPlaces) {
        switch value {
        case .object(let members):
            for (key, member) in places.isInOrderOfKeys ? members.sortedByKey() : members {
                let inner = place.isEmpty ? key : "\(place).\(key)"
                if places.unknown.contains(inner) {
                    texts.append("unknown field \"\(inner)\"")
                    continue
                }
                if places.repeated.contains(inner) { texts.append("duplicate field \"\(inner)\"") }
                visit(member, place: inner, places)
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() { visit(element, place: "\(place)[\(index)]", places) }
        default: break
        }
    }
}
