/// A key of etcd with its value and numbers (mvccpb.KeyValue).
struct KeyValue: Sendable {
    var key: [UInt8] = []
    var value: ArraySlice<UInt8> = []
    var createRevision: Int64 = 0
    var modRevision: Int64 = 0
    var version: Int64 = 0
    var lease: Int64 = 0

    init() {}

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 1: key = Array(field.bytes)
            case 2: createRevision = field.integer
            case 3: modRevision = field.integer
            case 4: version = field.integer
            case 5: value = field.bytes
            case 6: lease = field.integer
            default: break
            }
        }
    }
}

/// The revision in a response's header (etcdserverpb.ResponseHeader).
enum ResponseHeader {
    static func revision(_ message: ArraySlice<UInt8>) throws -> Int64 {
        var revision: Int64 = 0
        try ProtobufReader.forEach(message) { if $0.number == 3 { revision = $0.integer } }
        return revision
    }
}
