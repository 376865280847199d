import CEpoll
import Glibc
import Objects

/// Between the version in which an object is stored and the one in which it is asked for. Most resources have one, and
/// then the bytes go out as they are.
enum Conversion {
    static func write(
        _ value: UnsafeRawBufferPointer, _ revision: UInt64, _ resource: Resource, into output: inout [UInt8]
    ) {
        let isAsStored =
            resource.custom.map { CustomConversion.isCurrent(value, revision, resource, $0) }
            ?? (resource.apiVersion == resource.storageAPIVersion)
        if isAsStored {
            StoredObject.write(value, revision: revision, into: &output)
            return
        }
        do {
            var object = fromStorage(try JSON(parsing: value), resource)
            object.resourceVersion = String(revision)
            object.write(into: &output)
        } catch {
            // What this server stored it can parse; damaged bytes are shown as they are, and clients refuse them.
            StoredObject.write(value, revision: revision, into: &output)
        }
    }

    static func bytes(_ value: UnsafeRawBufferPointer, _ revision: UInt64, _ resource: Resource) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(value.count + 64)
        write(value, revision, resource, into: &output)
        return output
    }

    static func fromStorage(_ object: JSON, _ resource: Resource) -> JSON {
        // What a webhook converts has been converted before.
        if let custom = resource.custom { return CustomConversion.settled(object, resource, custom) }
        guard resource.apiVersion != resource.storageAPIVersion else { return object }
        var object = object
        object.apiVersion = resource.apiVersion
        switch (resource.qualified, resource.apiVersion) {
        case ("events", "events.k8s.io/v1"): return EventConversion.toEventsGroup(object)
        case ("horizontalpodautoscalers.autoscaling", "autoscaling/v1"): return AutoscalerConversion.toV1(object)
        default: return object
        }
    }

    static func toStorage(_ object: JSON, _ resource: Resource) -> JSON {
        guard resource.apiVersion != resource.storageAPIVersion else { return object }
        var object = object
        object.apiVersion = resource.storageAPIVersion
        switch (resource.qualified, resource.apiVersion) {
        case ("events", "events.k8s.io/v1"): return EventConversion.toCore(object)
        case ("horizontalpodautoscalers.autoscaling", "autoscaling/v1"): return AutoscalerConversion.toV2(object)
        default: return object
        }
    }
}

/// Events have one store and two shapes: core/v1 and events.k8s.io/v1.
enum EventConversion {
    private static let names = [
        ("involvedObject", "regarding"), ("message", "note"), ("reportingComponent", "reportingController"),
        ("source", "deprecatedSource"), ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"), ("count", "deprecatedCount"),
    ]

    static func toEventsGroup(_ event: JSON) -> JSON { rename(event, Dictionary(names) { a, _ in a }) }

    static func toCore(_ event: JSON) -> JSON { rename(event, Dictionary(names.map { ($1, $0) }) { a, _ in a }) }

    private static func rename(_ event: JSON, _ names: [String: String]) -> JSON {
        guard let members = event.objectValue else { return event }
        var result = JSONObject(minimumCapacity: members.count)
        for (key, value) in members { result[names[key] ?? key] = value }
        return .object(result)
    }
}
