import Objects
import PluginKit

/// The fields of a definition's objects that selectors may name. Each version has its own. Where a webhook converts, an object has
/// the fields of a version that is not stored only when it is converted, so its index has them under the version's name.
struct CustomFields: Sendable {
    /// The fields of a version that is not stored, for which a webhook has to be asked.
    struct Converted: Sendable {
        let version: String
        let fields: [SelectableField]
    }

    /// Those that are read from an object as it is stored.
    let stored: [SelectableField]
    let converted: [Converted]
    private let storage: String
    private let isConverted: Bool

    /// - Parameters:
    ///   - versions: `spec.versions` of the definition
    ///   - isConverted: whether a webhook converts between them
    init(_ versions: [JSON], storage: String, qualified: String, isConverted: Bool) {
        self.storage = storage
        self.isConverted = isConverted
        var stored: [String] = []
        var converted: [Converted] = []
        for version in versions {
            let name = version["name"].stringValue ?? ""
            let fields = Self.names(version)
            if !isConverted || name == storage {
                stored += fields.filter { !stored.contains($0) }
            } else if !fields.isEmpty {
                converted.append(
                    Converted(
                        version: name,
                        fields: fields.map { SelectableField($0, of: qualified, prefix: Self.prefix(name)) }))
            }
        }
        self.stored = stored.map { SelectableField($0, of: qualified) }
        self.converted = converted
    }

    /// The selectable fields of a version, without the leading dot.
    static func names(_ version: JSON) -> [String] {
        version["selectableFields"].arrayValue.compactMap { field in
            let path = (field["jsonPath"].stringValue ?? "").drop { $0 == "." }
            return path.isEmpty ? nil : String(path)
        }
    }

    /// What the index has in front of the names of a version's fields.
    func prefix(of version: String) -> String { isConverted && version != storage ? Self.prefix(version) : "" }

    /// A slash is in no field's path.
    private static func prefix(_ version: String) -> String { version + "/" }
}

extension RequestPipeline {
    /// The index of an object that is about to be stored. [blocking] where a webhook has to be asked.
    /// - Parameters:
    ///   - kept: as it is stored
    ///   - shown: the same in the version of `resource`
    /// - Throws: what keeps the object from being converted; then it is not to be stored, since selectors would not find it.
    func index(of kept: JSON, shown: JSON, _ resource: Resource) throws(APIStatus) -> [UInt8] {
        guard let custom = resource.custom, !custom.fields.converted.isEmpty else {
            return StoredObject.index(of: kept, resource)
        }
        return try indexes(of: [kept], shown: shown, resource)[0]
    }

    /// The indexes of stored objects; all of them are converted in one call for each version. [blocking]
    func indexes(of kept: [JSON], shown: JSON? = nil, _ resource: Resource) throws(APIStatus) -> [[UInt8]] {
        guard let custom = resource.custom, let webhook = custom.conversion else {
            return kept.map { StoredObject.index(of: $0, resource) }
        }
        // What was stored in another version has the fields of that one.
        let stored = try webhook.convert(kept, to: resource.storageAPIVersion)
        var values: [[(name: String, value: String)]] = Array(repeating: [], count: kept.count)
        for wanted in custom.fields.converted {
            let found = resources.find(
                group: resource.group, version: wanted.version, resource: resource.plural, includesUnserved: true)
            guard let other = found, let version = other.custom else { continue }
            try version.prepare(store)
            let objects =
                shown?.apiVersion == other.apiVersion
                ? [shown ?? .null] : try webhook.convert(stored, to: other.apiVersion)
            for (position, object) in objects.enumerated() {
                let settled = CustomConversion.settled(object, other, version)
                values[position] += wanted.fields.map { ($0.name, $0.value(in: settled)) }
            }
        }
        return zip(stored, values).map { StoredObject.index(of: $0, resource, more: $1) }
    }
}

extension StoredObject {
    /// The index of a stored object of which only the metadata is changed: what was found by converting it stays.
    static func index(of object: JSON, _ resource: Resource, before record: StoreRecord) -> [UInt8] {
        guard let custom = resource.custom, !custom.fields.converted.isEmpty else { return index(of: object, resource) }
        let kept = withExtendedLifetime(record) {
            custom.fields.converted.flatMap(\.fields).compactMap { field in
                Selection.value(of: field.name, in: record.indexBytes).map { (name: field.name, value: $0) }
            }
        }
        return index(of: object, resource, more: kept)
    }
}
