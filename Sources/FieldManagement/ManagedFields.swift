import Objects

/// Who wrote fields, and how: two writers with the same identity are one.
public struct FieldManagerIdentity: Sendable, Hashable {
    public enum Operation: String, Sendable, Hashable {
        case apply = "Apply"
        case update = "Update"
    }

    /// As the client names itself, at most 128 characters.
    public var name: String
    public var operation: Operation
    /// Of an update the version that the client wrote in; empty for those who apply.
    public var apiVersion: String
    /// Empty for the object itself, or "status", "scale", ….
    public var subresource: String

    public init(name: String, operation: Operation, apiVersion: String, subresource: String = "") {
        self.name = name
        self.operation = operation
        self.apiVersion = operation == .apply ? "" : apiVersion
        self.subresource = subresource
    }

    /// For changes of before the object had managers.
    static let beforeFirstApply = "before-first-apply"
    /// For the oldest updates of an object with too many managers.
    static let ancientChanges = "ancient-changes"
}

/// The managers of an object and what each of them owns: `metadata.managedFields`.
/// See https://kubernetes.io/docs/reference/using-api/server-side-apply/.
public struct ManagedFields: Sendable, Equatable {
    public struct Ownership: Sendable, Equatable {
        /// The version that the paths of `fields` are of.
        public var apiVersion: String
        public var fields: FieldSet
        /// RFC 3339; empty when unknown.
        public var time: String

        public init(apiVersion: String, fields: FieldSet, time: String) {
            self.apiVersion = apiVersion
            self.fields = fields
            self.time = time
        }
    }

    public var managers: [FieldManagerIdentity: Ownership] = [:]

    public init() {}

    public var isEmpty: Bool { managers.isEmpty }

    /// Reads `metadata.managedFields`. Throws with the entry that is not understood.
    public init(decoding value: JSON) throws(FieldSet.DecodingFailure) {
        for entry in value.arrayValue {
            let text = entry["operation"].stringValue ?? ""
            guard let operation = FieldManagerIdentity.Operation(rawValue: text) else {
                throw FieldSet.DecodingFailure(description: "operation must be Apply or Update, not \"\(text)\"")
            }
            let fieldsType = entry["fieldsType"].stringValue ?? ""
            guard fieldsType == "FieldsV1" || entry["fieldsV1"].isNull else {
                throw FieldSet.DecodingFailure(description: "fieldsType must be FieldsV1, not \"\(fieldsType)\"")
            }
            let version = entry["apiVersion"].stringValue ?? ""
            guard !version.isEmpty else {
                throw FieldSet.DecodingFailure(description: "apiVersion must not be empty")
            }
            let identity = FieldManagerIdentity(
                name: entry["manager"].stringValue ?? "", operation: operation, apiVersion: version,
                subresource: entry["subresource"].stringValue ?? "")
            let fields = entry["fieldsV1"].isNull ? FieldSet() : try FieldSet(fieldsV1: entry["fieldsV1"])
            managers[identity] = Ownership(
                apiVersion: version, fields: fields, time: entry["time"].stringValue ?? "")
        }
    }

    /// `metadata.managedFields`: those who apply first, then by time.
    public var encoded: JSON {
        let sorted = managers.sorted { left, right in
            (left.key.operation.rawValue, left.value.time, left.key.name, left.value.apiVersion, left.key.subresource)
                < (
                    right.key.operation.rawValue, right.value.time, right.key.name, right.value.apiVersion,
                    right.key.subresource
                )
        }
        return .array(
            sorted.map { identity, ownership in
                var entry: JSONObject = [
                    "manager": .string(identity.name), "operation": .string(identity.operation.rawValue),
                    "apiVersion": .string(ownership.apiVersion),
                ]
                if !ownership.time.isEmpty { entry["time"] = .string(ownership.time) }
                entry["fieldsType"] = "FieldsV1"
                entry["fieldsV1"] = ownership.fields.fieldsV1
                if !identity.subresource.isEmpty { entry["subresource"] = .string(identity.subresource) }
                return .object(entry)
            })
    }

    /// Whether two encoded ones differ in nothing but the times at which fields were written.
    public static func areSame(_ left: JSON, _ right: JSON) -> Bool {
        guard left.arrayValue.count == right.arrayValue.count else { return false }
        func withoutTimes(_ value: JSON) -> Set<JSON> {
            Set(
                value.arrayValue.map { entry in
                    var entry = entry
                    entry.removeValue(forKey: "time")
                    return entry
                })
        }
        return withoutTimes(left) == withoutTimes(right)
    }

    /// Forgets managers without fields.
    mutating func dropEmpty() { managers = managers.filter { !$0.value.fields.isEmpty } }

    /// Puts the oldest updates together until at most `limit` managers of updates are left.
    mutating func limitUpdates(to limit: Int) {
        let updates = managers.filter { $0.key.operation == .update }
        guard updates.count > limit else { return }
        let oldestFirst = updates.sorted {
            ($0.value.time, $0.value.apiVersion, $0.key.name, $0.key.subresource)
                < ($1.value.time, $1.value.apiVersion, $1.key.name, $1.key.subresource)
        }
        var firstOfVersion: [String: FieldManagerIdentity] = [:]
        var count = updates.count
        for (identity, ownership) in oldestFirst where count > limit {
            let version = ownership.apiVersion
            guard let first = firstOfVersion[version] else {
                firstOfVersion[version] = identity
                continue
            }
            let bucket = FieldManagerIdentity(
                name: FieldManagerIdentity.ancientChanges, operation: .update, apiVersion: version)
            var merged = managers[bucket] ?? ownership
            if managers[bucket] == nil, let old = managers.removeValue(forKey: first) {
                merged.fields = merged.fields.union(old.fields)
            }
            merged.fields = merged.fields.union(ownership.fields)
            merged.time = ownership.time
            if identity != bucket { managers[identity] = nil }
            managers[bucket] = merged
            count -= 1
        }
    }
}
