/// What is to be read (etcdserverpb.RangeRequest).
struct RangeRequest: Sendable {
    var key: [UInt8]
    /// Empty: the one key. Otherwise the first key that is not meant any more.
    var end: [UInt8] = []
    var limit: Int64 = 0
    /// 0 = the latest.
    var revision: Int64 = 0
    var countsOnly = false
    var keysOnly = false

    func write(to writer: inout ProtobufWriter) {
        writer.bytes(1, key)
        writer.bytes(2, end)
        writer.integer(3, limit)
        writer.integer(4, revision)
        writer.flag(8, keysOnly)
        writer.flag(9, countsOnly)
    }

    var bytes: [UInt8] { ProtobufWriter.message { write(to: &$0) } }
}

/// What was read (etcdserverpb.RangeResponse).
struct RangeResponse: Sendable {
    /// Of the whole store, when it was read.
    var revision: Int64 = 0
    var keyValues: [KeyValue] = []
    var hasMore = false
    /// Of all keys in the range, whatever the limit.
    var count: Int64 = 0

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 1: revision = try ResponseHeader.revision(field.bytes)
            case 2: keyValues.append(try KeyValue(field.bytes))
            case 3: hasMore = field.isTrue
            case 4: count = field.integer
            default: break
            }
        }
    }
}
