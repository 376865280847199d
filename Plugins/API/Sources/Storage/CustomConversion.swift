import CEpoll
import Glibc
import ObjectSchema
import Objects

/// Between the version in which a custom object is stored and the one in which it is looked at. Each version has a schema
/// of its own, so what is shown is pruned and defaulted by it.
enum CustomConversion {
    /// Whether stored bytes are what the version shows: they are of that version, and were written under its present
    /// schema.
    static func isCurrent(
        _ value: UnsafeRawBufferPointer, _ revision: UInt64, _ resource: Resource, _ custom: CustomVersion
    ) -> Bool {
        revision > custom.schemaRevision && isOf(resource.apiVersion, value)
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

    /// A stored object, or one of another version, in the version of a resource. Idempotent.
    static func shown(_ object: JSON, _ resource: Resource, _ custom: CustomVersion) -> JSON {
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

    /// An object in the version of a request as it is stored.
    static func stored(_ object: JSON, _ resource: Resource) -> JSON {
        var object = object
        object.apiVersion = resource.storageAPIVersion
        return object
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

    /// From the store.
    static func present(_ object: JSON, _ resource: Resource) -> JSON {
        resource.custom.map { CustomConversion.shown(object, resource, $0) } ?? object
    }

    /// To the store.
    static func stored(_ object: JSON, _ resource: Resource) -> JSON {
        resource.custom == nil ? object : CustomConversion.stored(object, resource)
    }
}
