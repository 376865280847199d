/// Requests on a watch stream (etcdserverpb.WatchRequest).
enum WatchRequest {
    /// All changes of a range from a revision on (0 = from now on), with previous values.
    static func create(key: [UInt8], end: [UInt8], from revision: Int64) -> [UInt8] {
        ProtobufWriter.message { writer in
            writer.message(1) { create in
                create.bytes(1, key)
                create.bytes(2, end)
                create.integer(3, revision)
                create.flag(6, true)
            }
        }
    }
}

/// One change (mvccpb.Event).
struct WatchEvent: Sendable {
    var isDelete = false
    var keyValue = KeyValue()
    var previous: KeyValue?

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 1: isDelete = field.integer == 1
            case 2: keyValue = try KeyValue(field.bytes)
            case 3: previous = try KeyValue(field.bytes)
            default: break
            }
        }
    }
}

/// What a watch stream brings (etcdserverpb.WatchResponse). All events of one revision come in one response.
struct WatchResponse: Sendable {
    var revision: Int64 = 0
    var isCreated = false
    var isCancelled = false
    /// When the wanted history is gone: the first revision that is still there.
    var compactRevision: Int64 = 0
    var reason = ""
    var events: [WatchEvent] = []

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 1: revision = try ResponseHeader.revision(field.bytes)
            case 3: isCreated = field.isTrue
            case 4: isCancelled = field.isTrue
            case 5: compactRevision = field.integer
            case 6: reason = field.text
            case 11: events.append(try WatchEvent(field.bytes))
            default: break
            }
        }
    }
}
