import Objects

/// Kubernetes' strategic merge patch: as a JSON merge patch, but lists that the schema calls mergeable are merged
/// element by element.
/// See https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/ and
/// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md.
///
/// Directives: `$patch: replace | delete | merge`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and
/// `$setElementOrder/FIELD`.
public struct StrategicMergePatch: Sendable {
    public struct PatchError: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    public init() {}

    /// Applies a patch to an object of the given type. Objects of no known type merge as JSON merge patches do.
    public func apply(_ patch: JSON, to target: JSON, schema: SchemaNode?) throws(PatchError) -> JSON {
        guard case .object(let changes) = patch else {
            throw PatchError(description: "invalid strategic merge patch: expected an object, got \(patch.typeName)")
        }
        return try mergeObject(changes, target.objectValue ?? JSONObject(), schema).map(JSON.object) ?? [:]
    }

    // MARK: Objects

    private static let setOrder = "$setElementOrder/"
    private static let deleteFrom = "$deleteFromPrimitiveList/"

    /// Nil when the patch deletes the object.
    private func mergeObject(_ patch: JSONObject, _ target: JSONObject, _ schema: SchemaNode?) throws(PatchError)
        -> JSONObject?
    {
        switch patch["$patch"] {
        case nil, .string("merge")?: break
        case .string("replace")?:
            var replacement = patch
            replacement.removeValue(forKey: "$patch")
            return try cleaned(replacement)
        case .string("delete")?: return nil
        case let directive?:
            throw PatchError(
                description: "unrecognized value of \"$patch\": \(directive); it must be replace, delete or merge")
        }
        var result = try retainKeys(patch, target)
        var removed: Set<String> = []
        for (key, value) in patch where !key.hasPrefix("$") {
            if value.isNull {
                removed.insert(key)
                continue
            }
            let property = schema?.property(key)
            let node = property?.node ?? schema?.additionalProperties
            if let merged = try mergeMember(key, value, result[key], property, node, patch) {
                result[key] = merged
            } else {
                removed.insert(key)
            }
        }
        if !removed.isEmpty { result.removeAll { key, _ in removed.contains(key) } }
        try applyListDirectives(patch, &result, target, schema)
        return result
    }

    /// `$retainKeys` names the only members that the object may keep; all that the patch sets must be among them.
    private func retainKeys(_ patch: JSONObject, _ target: JSONObject) throws(PatchError) -> JSONObject {
        guard let directive = patch["$retainKeys"] else { return target }
        guard case .array(let names) = directive else {
            throw PatchError(description: "invalid strategic merge patch: $retainKeys must be a list of field names")
        }
        let kept = Set(names.compactMap(\.stringValue))
        for (key, value) in patch where !key.hasPrefix("$") && !value.isNull && !kept.contains(key) {
            throw PatchError(description: "the field \"\(key)\" is set but missing from $retainKeys")
        }
        var result = target
        result.removeAll { key, _ in !kept.contains(key) }
        return result
    }

    private func mergeMember(
        _ key: String, _ value: JSON, _ current: JSON?, _ property: SchemaProperty?, _ node: SchemaNode?,
        _ patch: JSONObject
    ) throws(PatchError) -> JSON? {
        switch value {
        case .object(let changes):
            if property?.replaces == true { return .object(try cleaned(changes)) }
            return try mergeObject(changes, current?.objectValue ?? JSONObject(), node).map(JSON.object)
        case .array(let changes):
            guard let property, property.mergesList else { return .array(try cleaned(changes)) }
            return .array(try mergeList(changes, current?.arrayValue ?? [], property))
        default: return value
        }
    }

    /// Directives about lists, which hold for those that the patch does not otherwise mention as well.
    private func applyListDirectives(
        _ patch: JSONObject, _ result: inout JSONObject, _ target: JSONObject, _ schema: SchemaNode?
    ) throws(PatchError) {
        for (key, value) in patch {
            if key.hasPrefix(Self.deleteFrom) {
                let field = String(key.dropFirst(Self.deleteFrom.count))
                guard case .array(let doomed) = value else {
                    throw PatchError(description: "invalid strategic merge patch: \(key) must be a list")
                }
                if let current = result[field]?.arrayValue {
                    result[field] = .array(current.filter { !doomed.contains($0) })
                }
            } else if key.hasPrefix(Self.setOrder) {
                let field = String(key.dropFirst(Self.setOrder.count))
                guard case .array(let order) = value else {
                    throw PatchError(description: "invalid strategic merge patch: \(key) must be a list")
                }
                guard let property = schema?.property(field), let current = result[field]?.arrayValue else { continue }
                result[field] = .array(ordered(current, by: order, live: target[field]?.arrayValue ?? [], property))
            } else if key.hasPrefix("$"), key != "$patch", key != "$retainKeys" {
                throw PatchError(description: "invalid strategic merge patch: unknown directive \(key)")
            }
        }
    }

    // MARK: Lists

    private func mergeList(
        _ patch: [JSON], _ target: [JSON], _ property: SchemaProperty
    ) throws(PatchError) -> [JSON] {
        guard let mergeKey = property.mergeKey else {
            return ordered(mergeScalars(patch, target), by: patch, live: target, property)
        }
        if patch.contains(where: { $0["$patch"] == "replace" }) {
            return try cleaned(patch.filter { $0["$patch"] != "replace" })
        }
        let items = property.node.items
        var result = target
        for element in patch {
            guard case .object(let changes) = element else {
                throw PatchError(
                    description:
                        "invalid strategic merge patch: an element of \(property.name) must be an object, got \(element.typeName)"
                )
            }
            let key = element[mergeKey]
            guard key.exists else {
                throw PatchError(description: "map: \(element) does not contain declared merge key: \(mergeKey)")
            }
            if element["$patch"] == "delete" {
                result.removeAll { $0[mergeKey] == key }
            } else if let index = result.firstIndex(where: { Self.isSame($0, element, property) }) {
                let merged = try mergeObject(changes, result[index].objectValue ?? JSONObject(), items)
                result[index] = .object(merged ?? JSONObject())
            } else {
                result.append(.object(try mergeObject(changes, JSONObject(), items) ?? JSONObject()))
            }
        }
        return ordered(result, by: patch, live: target, property)
    }

    /// Elements are the same when their merge keys are; of a list with several map keys, when all of those agree that
    /// both elements have (a port number may be used by TCP and by UDP).
    private static func isSame(_ left: JSON, _ right: JSON, _ property: SchemaProperty) -> Bool {
        guard let mergeKey = property.mergeKey, left[mergeKey] == right[mergeKey] else { return false }
        return property.mapKeys.allSatisfy { left[$0].isNull || right[$0].isNull || left[$0] == right[$0] }
    }

    private func mergeScalars(_ patch: [JSON], _ target: [JSON]) -> [JSON] {
        var seen = Set(target)
        return target + patch.filter { seen.insert($0).inserted }
    }

    /// Puts the elements that `order` names into its order, and those that it does not name, which others have added to the
    /// live list, between them: each before the first that the live list has behind it. Where the live list says nothing, as
    /// of an element that is new, those that are named go first.
    private func ordered(
        _ list: [JSON], by order: [JSON], live: [JSON], _ property: SchemaProperty
    ) -> [JSON] {
        func position(_ element: JSON, in list: [JSON]) -> Int? {
            guard let mergeKey = property.mergeKey else { return list.firstIndex(of: element) }
            return list.firstIndex { Self.isSame($0, element, property) && $0[mergeKey].exists }
        }
        var named: [(position: Int, element: JSON)] = []
        var others: [JSON] = []
        for element in list {
            if let position = position(element, in: order) {
                named.append((position, element))
            } else {
                others.append(element)
            }
        }
        let sorted = named.enumerated().sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }
        if others.isEmpty { return sorted.map(\.element.element) }
        let places = others.map { position($0, in: live) }
        var result: [JSON] = []
        var next = 0
        for (_, entry) in sorted {
            if let place = position(entry.element, in: live) {
                while next < others.count, let other = places[next], other < place {
                    result.append(others[next])
                    next += 1
                }
            }
            result.append(entry.element)
        }
        return result + others[next...]
    }

    // MARK: What is taken over as it is

    /// Directives have no meaning in what replaces or is new, and nulls there remove nothing: both are dropped.
    private func cleaned(_ object: JSONObject) throws(PatchError) -> JSONObject {
        var result = JSONObject(minimumCapacity: object.count)
        for (key, value) in object where !value.isNull && !key.hasPrefix("$") { result[key] = try cleaned(value) }
        return result
    }

    private func cleaned(_ list: [JSON]) throws(PatchError) -> [JSON] {
        var result: [JSON] = []
        for element in list where element["$patch"] != "delete" { result.append(try cleaned(element)) }
        return result
    }

    private func cleaned(_ value: JSON) throws(PatchError) -> JSON {
        switch value {
        case .object(let object): .object(try cleaned(object))
        case .array(let list): .array(try cleaned(list))
        default: value
        }
    }
}

extension StrategicMergePatch {
    /// Applies a patch to an object of a kind.
    public static func apply(_ patch: JSON, to target: JSON, schema: SchemaNode?) throws(PatchError) -> JSON {
        try StrategicMergePatch().apply(patch, to: target, schema: schema)
    }
}
