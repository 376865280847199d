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
        /// Whether a directive has not the form of one, which the client is to blame for.
        public var isMalformed = false
    }

    public init() {}

    /// Applies a patch to an object of the given type. Objects of no known type merge as JSON merge patches do.
    public func apply(_ patch: JSON, to target: JSON, schema: SchemaNode?) throws(PatchError) -> JSON {
        guard case .object(let changes) = patch else {
            throw PatchError(
                description: "invalid strategic merge patch: expected an object, got \(patch.typeName)",
                isMalformed: true)
        }
        return .object(try mergeObject(changes, target.objectValue ?? JSONObject(), schema))
    }

    // MARK: Objects

    private static let setOrder = "$setElementOrder/"
    private static let deleteFrom = "$deleteFromPrimitiveList/"

    /// What a patch deletes stays as an empty object.
    private func mergeObject(_ patch: JSONObject, _ target: JSONObject, _ schema: SchemaNode?) throws(PatchError)
        -> JSONObject
    {
        switch patch["$patch"] {
        case nil: break
        case .string("replace")?:
            var replacement = patch
            replacement.removeValue(forKey: "$patch")
            return try cleaned(replacement)
        case .string("delete")?: return [:]
        case let directive?: throw Self.unknown(directive, in: patch)
        }
        var result = try retainKeys(patch, target)
        var removed: Set<String> = []
        for (key, value) in patch where !key.hasPrefix("$") {
            let property = schema?.property(key)
            let node = property?.node ?? schema?.additionalProperties
            // A map without members is none.
            if value.isNull || node?.shape == .map && value["$patch"] == "delete" {
                removed.insert(key)
                continue
            }
            if case .array(let changes) = value, let property, let order = patch[Self.setOrder + key]?.arrayValue {
                try Self.check(changes, against: order, property)
            }
            result[key] = try mergeMember(value, result[key], property, node)
        }
        if !removed.isEmpty { result.removeAll { key, _ in removed.contains(key) } }
        try applyListDirectives(patch, &result, target, schema)
        return result
    }

    /// `$retainKeys` names the only members that the object may keep; all that the patch sets must be among them.
    private func retainKeys(_ patch: JSONObject, _ target: JSONObject) throws(PatchError) -> JSONObject {
        guard let directive = patch["$retainKeys"] else { return target }
        let malformed = PatchError(description: "invalid patch format of retainKeys", isMalformed: true)
        guard case .array(let names) = directive else { throw malformed }
        let kept = Set(names.compactMap(\.stringValue))
        for (key, value) in patch where !key.hasPrefix("$") && !value.isNull && !kept.contains(key) { throw malformed }
        var result = target
        result.removeAll { key, _ in !kept.contains(key) }
        return result
    }

    private func mergeMember(
        _ value: JSON, _ current: JSON?, _ property: SchemaProperty?, _ node: SchemaNode?
    ) throws(PatchError) -> JSON {
        switch value {
        case .object(let changes):
            if property?.replaces == true { return .object(try cleaned(changes)) }
            return .object(try mergeObject(changes, current?.objectValue ?? JSONObject(), node))
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
                    throw PatchError(description: "invalid patch format of primitive list", isMalformed: true)
                }
                if let current = result[field]?.arrayValue {
                    let doomed = Set(doomed)
                    result[field] = .array(current.filter { !doomed.contains($0) })
                }
            } else if key.hasPrefix(Self.setOrder) {
                let field = String(key.dropFirst(Self.setOrder.count))
                guard case .array(let order) = value else { throw Self.notList(value) }
                guard let property = schema?.property(field), let current = result[field]?.arrayValue else { continue }
                result[field] = .array(ordered(current, by: order, live: target[field]?.arrayValue ?? [], property))
            } else if key.hasPrefix("$"), key != "$patch", key != "$retainKeys" {
                throw PatchError(
                    description: "invalid strategic merge patch: unknown directive \(key)", isMalformed: true)
            }
        }
    }

    // MARK: What is wrong

    private static func unknown(_ directive: JSON, in patch: JSONObject) -> PatchError {
        PatchError(
            description: "unknown patch type: \(directive.printedText) in map: \(JSON.object(patch).printedText)")
    }

    private static func notList(_ value: JSON) -> PatchError {
        PatchError(description: "expected a []interface {}, but received a \(value.goTypeName)")
    }

    /// What a list's patch sets comes in the order that `$setElementOrder` gives, which names all of it.
    private static func check(_ changes: [JSON], against order: [JSON], _ property: SchemaProperty) throws(PatchError) {
        guard !order.isEmpty, property.mergesList else { return }
        var next = 0
        for element in changes where !element["$patch"].exists {
            while next < order.count, !agree(element, order[next], property) { next += 1 }
            guard next < order.count else {
                throw PatchError(
                    description: "The order in patch list:\n\(JSON.array(changes).printedText)\n doesn't match "
                        + "$setElementOrder list:\n\(JSON.array(order).printedText)\n")
            }
            next += 1
        }
    }

    private static func agree(_ left: JSON, _ right: JSON, _ property: SchemaProperty) -> Bool {
        guard let mergeKey = property.mergeKey else { return left == right }
        return left[mergeKey] == right[mergeKey]
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
        var result: [JSON?] = target
        var places = ElementPlaces(target, property)
        for element in patch {
            guard case .object(let changes) = element else {
                throw PatchError(
                    description:
                        "invalid strategic merge patch: an element of \(property.name) must be an object, got \(element.typeName)"
                )
            }
            let key = element[mergeKey]
            guard key.exists else {
                throw PatchError(
                    description: "map: \(element.printedText) does not contain declared merge key: \(mergeKey)")
            }
            switch changes["$patch"] {
            case nil: break
            case .string("delete")?:
                for index in places.remove(key) { result[index] = nil }
                continue
            case .string("merge")?:
                throw PatchError(description: "merging lists cannot yet be specified in the patch")
            case let directive?: throw Self.unknown(directive, in: changes)
            }
            if let index = places.first(element) {
                let merged = JSON.object(try mergeObject(changes, result[index]?.objectValue ?? JSONObject(), items))
                result[index] = merged
                places.replace(at: index, by: merged)
            } else {
                let added = JSON.object(try mergeObject(changes, JSONObject(), items))
                result.append(added)
                places.append(added)
            }
        }
        return ordered(result.compactMap { $0 }, by: patch, live: target, property)
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
        let orderPlaces = ElementPlaces(order, property)
        var named: [(position: Int, element: JSON)] = []
        var others: [JSON] = []
        for element in list {
            if let position = orderPlaces.first(element) {
                named.append((position, element))
            } else {
                others.append(element)
            }
        }
        let sorted = named.enumerated().sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }
        if others.isEmpty { return sorted.map(\.element.element) }
        let livePlaces = ElementPlaces(live, property)
        let places = others.map { livePlaces.first($0) }
        var result: [JSON] = []
        var next = 0
        for (_, entry) in sorted {
            if let place = livePlaces.first(entry.element) {
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
