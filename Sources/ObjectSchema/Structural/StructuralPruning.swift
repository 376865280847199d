import Objects

/// Removes what the schema of a custom resource does not know, and gives metadata the form in which Kubernetes decodes it.
struct StructuralPruning {
    private var removed: [String] = []
    private var ofMetadata: [String] = []
    private var ofEmbedded: [String] = []
    private var path = FieldPath()

    /// The paths of what is not known in the order in which Kubernetes finds it: in the object's metadata, in the object, in the
    /// metadata of objects within it.
    var unknown: [String] { ofMetadata.sorted() + removed.sorted() + ofEmbedded.sorted() }

    mutating func prune(_ value: inout JSON, _ node: SchemaNode) throws(SchemaTypeError) {
        switch node.shape {
        case .object: try pruneObject(&value, node)
        case .map:
            guard let element = node.additionalProperties, element.isPrunable, case .object(var members) = value else {
                return
            }
            value = .null
            for key in members.keys {
                path.push(.field(key))
                try members.withMutableValue(of: key) { (member) throws(SchemaTypeError) in try prune(&member, element)
                }
                path.pop()
            }
            value = .object(members)
        case .array:
            guard let element = node.items, element.isPrunable else { return }
            try value.updateElements { (index, member) throws(SchemaTypeError) in
                path.push(.index(index))
                try prune(&member, element)
                path.pop()
            }
        default: break
        }
    }

    private mutating func pruneObject(_ value: inout JSON, _ node: SchemaNode) throws(SchemaTypeError) {
        guard case .object(var members) = value else { return }
        value = .null
        defer { value = .object(members) }
        var hasExtra = false
        for key in members.keys {
            guard let property = node.property(key) else {
                if node.keepsUnknown { continue }
                hasExtra = true
                path.push(.field(key))
                removed.append(path.text)
                path.pop()
                continue
            }
            guard property.node.isPrunable || !property.node.name.isEmpty else { continue }
            path.push(.field(key))
            defer { path.pop() }
            try members.withMutableValue(of: key) { (member) throws(SchemaTypeError) in
                if property.node.name.isEmpty {
                    try prune(&member, property.node)
                } else {
                    try pruneMetadata(&member, property.node)
                }
            }
        }
        if hasExtra { members.removeAll { key, _ in node.property(key) == nil } }
    }

    private mutating func pruneMetadata(_ value: inout JSON, _ node: SchemaNode) throws(SchemaTypeError) {
        guard value.exists else { return }
        let place = path.text
        let given = path.steps.count == 1 ? .null : value
        do {
            let found = try Schema.shared.prune(&value, as: node).map { "\(place).\($0)" }
            if path.steps.count == 1 { ofMetadata += found } else { ofEmbedded += found }
        } catch {
            // Of an object within another it is said where, and what all of it is.
            let description =
                given.isNull
                ? error.description : "\(place): Invalid value: \(given.serializedString()): \(error.description)"
            throw SchemaTypeError(path: "\(place).\(error.path)", description: description)
        }
    }
}

extension SchemaNode {
    /// Whether there may be something below that is not known.
    fileprivate var isPrunable: Bool { isContainer && name.isEmpty }
}

extension JSONObject {
    /// In-place access to the value of a key that is there.
    mutating func withMutableValue<E: Error>(
        of key: String, _ body: (inout JSON) throws(E) -> Void
    ) throws(E) {
        guard var value = self[key] else { return }
        self[key] = .null
        defer { self[key] = value }
        try body(&value)
    }
}
