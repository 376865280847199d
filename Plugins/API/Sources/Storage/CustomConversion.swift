import CEpoll
import Glibc
import ObjectSchema
import Objects
import PluginKit

/// Between the version in which a custom object is stored and the one in which it is looked at. Each version has a schema
/// of its own, so what is shown is pruned and defaulted by it.
enum CustomConversion {
    /// Whether stored bytes are what the version shows: they are of that version, and were written under its present
    /// schema.
    static func isCurrent(
        _ value: UnsafeRawBufferPointer, _ revision: UInt64, _ resource: Resource, _ custom: CustomVersion
    ) -> Bool {
        revision > custom.settledRevision && isOf(resource.apiVersion, value)
    }

    private static let opening = Array("{\"apiVersion\":\"".utf8)

    /// Whether stored bytes begin with this `apiVersion`, as all that this server writes do.
    private static func isOf(_ apiVersion: String, _ value: UnsafeRawBufferPointer) -> Bool {
        let version = apiVersion.utf8
        let end = opening.count + version.count
        guard value.count > end, value[end] == 0x22, value.prefix(opening.count).elementsEqual(opening) else {
            return false
        }
        return value[opening.count..<end].elementsEqual(version)
    }

    /// A stored object, or one of another version, in the version of a resource; a webhook may be asked for it. [blocking]
    static func shown(
        _ object: JSON, _ resource: Resource, _ custom: CustomVersion
    ) throws(APIStatus) -> JSON {
        guard let webhook = custom.conversion, object.apiVersion != resource.apiVersion else {
            return settled(object, resource, custom)
        }
        return settled(try webhook.convert([object], to: resource.apiVersion)[0], resource, custom)
    }

    /// An object whose content is that of the version, pruned and defaulted by its schema. Idempotent.
    static func settled(_ object: JSON, _ resource: Resource, _ custom: CustomVersion) -> JSON {
        var object = object
        object.apiVersion = resource.apiVersion
        guard let schema = custom.schema else { return object }
        do {
            _ = try Schema.shared.prune(&object, as: schema)
        } catch {
            // Metadata that no schema has is shown as it is stored.
            return object
        }
        Schema.shared.applyDefaults(&object, as: schema)
        return object
    }

    /// An object in the version of a request as it is stored; a webhook may be asked for it. [blocking]
    static func stored(_ object: JSON, _ resource: Resource) throws(APIStatus) -> JSON {
        if let webhook = resource.custom?.conversion {
            return StoredObject.normalized(try webhook.convert([object], to: resource.storageAPIVersion)[0])
        }
        var object = object
        object.apiVersion = resource.storageAPIVersion
        return object
    }

    /// What records that lie in another version are in the version of a resource, by their positions; all are converted in
    /// one call. Empty when no webhook has to be asked. [blocking]
    static func converted(
        _ records: [StoreRecord], _ resource: Resource, _ form: ResponseForm
    ) throws(APIStatus) -> [Int: [UInt8]] {
        guard let custom = resource.custom, let webhook = custom.conversion else { return [:] }
        if case .metadata = form { return [:] }
        if case .protobufMetadata = form { return [:] }
        var positions: [Int] = []
        var objects: [JSON] = []
        for (position, record) in records.enumerated() {
            let isOther = record.withValue { !isOf(resource.apiVersion, $0) }
            guard isOther else { continue }
            positions.append(position)
            do { objects.append(try record.object()) } catch {
                throw .internalError("the stored object \(record.key) is damaged: \(error)")
            }
        }
        let shown = try webhook.convert(objects, to: resource.apiVersion)
        return Dictionary(
            zip(positions, shown).map {
                ($0, StoredObject.normalized(settled($1, resource, custom)).serialized())
            },
            uniquingKeysWith: { first, _ in first })
    }
}

extension Conversion {
    // The pipeline looks at the server's own objects in the version in which they are stored, and at custom objects in the
    // version of the request. These are the ways in and out.

    /// From the version of the request.
    static func toWorking(_ object: JSON, _ resource: Resource) -> JSON {
        resource.custom == nil ? toStorage(object, resource) : object
    }

    /// To the version of the request.
    static func fromWorking(_ object: JSON, _ resource: Resource) -> JSON {
        resource.custom == nil ? fromStorage(object, resource) : object
    }

    /// From the store. [blocking] where a webhook converts
    static func present(_ object: JSON, _ resource: Resource) throws(APIStatus) -> JSON {
        guard let custom = resource.custom else { return object }
        return try CustomConversion.shown(object, resource, custom)
    }

    /// To the store. [blocking] where a webhook converts
    static func stored(_ object: JSON, _ resource: Resource) throws(APIStatus) -> JSON {
        resource.custom == nil ? object : try CustomConversion.stored(object, resource)
    }
}
