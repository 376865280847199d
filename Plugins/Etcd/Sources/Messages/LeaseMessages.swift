/// Requests and answers about leases; seconds throughout.
enum LeaseMessages {
    static func grant(seconds: Int64) -> [UInt8] { ProtobufWriter.message { $0.integer(1, seconds) } }
    static func revoke(_ lease: Int64) -> [UInt8] { ProtobufWriter.message { $0.integer(1, lease) } }
    static func keepAlive(_ lease: Int64) -> [UInt8] { ProtobufWriter.message { $0.integer(1, lease) } }

    /// Of LeaseGrantResponse and LeaseKeepAliveResponse; a kept-alive lease that is gone has no time left.
    static func answer(_ message: ArraySlice<UInt8>) throws -> (lease: Int64, seconds: Int64) {
        var answer: (lease: Int64, seconds: Int64) = (0, 0)
        try ProtobufReader.forEach(message) { field in
            if field.number == 2 { answer.lease = field.integer }
            if field.number == 3 { answer.seconds = field.integer }
        }
        return answer
    }
}

/// Etcd's own view of a member (etcdserverpb.StatusResponse).
struct MemberStatus: Sendable {
    var version = ""
    var databaseSize: Int64 = 0
    var errors: [String] = []

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 2: version = field.text
            case 3: databaseSize = field.integer
            case 8: errors.append(field.text)
            default: break
            }
        }
    }
}
