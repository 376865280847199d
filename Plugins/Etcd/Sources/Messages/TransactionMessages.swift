/// A condition on one key (etcdserverpb.Compare).
enum Compare: Sendable, Equatable {
    case isAbsent
    case exists
    /// Last written at this revision.
    case isAt(Int64)

    func write(to writer: inout ProtobufWriter, key: [UInt8]) {
        // result: EQUAL 0, GREATER 1. target: VERSION 0, MOD 2.
        switch self {
        case .isAbsent:
            writer.bytes(3, key)
            writer.explicit(4, 0)
        case .exists:
            writer.integer(1, 1)
            writer.bytes(3, key)
            writer.explicit(4, 0)
        case .isAt(let revision):
            writer.integer(2, 2)
            writer.bytes(3, key)
            writer.explicit(6, revision)
        }
    }
}

/// One effect of a transaction (etcdserverpb.RequestOp).
enum Effect: Sendable {
    case put(key: [UInt8], value: [UInt8], lease: Int64)
    case delete(key: [UInt8])
    case read(RangeRequest)

    func write(to writer: inout ProtobufWriter) {
        switch self {
        case .read(let request): writer.message(1) { request.write(to: &$0) }
        case .put(let key, let value, let lease):
            writer.message(2) { put in
                put.bytes(1, key)
                put.bytes(2, value)
                put.integer(3, lease)
            }
        case .delete(let key): writer.message(3) { $0.bytes(1, key) }
        }
    }
}

/// Effects that happen together when all conditions hold (etcdserverpb.TxnRequest).
struct TransactionRequest: Sendable {
    var conditions: [(key: [UInt8], compare: Compare)] = []
    var effects: [Effect] = []
    /// What is done when a condition does not hold.
    var otherwise: [Effect] = []

    var bytes: [UInt8] {
        ProtobufWriter.message { writer in
            for (key, compare) in conditions { writer.message(1) { compare.write(to: &$0, key: key) } }
            for effect in effects { writer.message(2) { effect.write(to: &$0) } }
            for effect in otherwise { writer.message(3) { effect.write(to: &$0) } }
        }
    }
}

/// Its outcome (etcdserverpb.TxnResponse).
struct TransactionResponse: Sendable {
    var revision: Int64 = 0
    var hasSucceeded = false
    /// Of the effects that read, in their order.
    var reads: [RangeResponse] = []

    init(_ message: ArraySlice<UInt8>) throws {
        try ProtobufReader.forEach(message) { field in
            switch field.number {
            case 1: revision = try ResponseHeader.revision(field.bytes)
            case 2: hasSucceeded = field.isTrue
            case 3:
                try ProtobufReader.forEach(field.bytes) { response in
                    if response.number == 1 { reads.append(try RangeResponse(response.bytes)) }
                }
            default: break
            }
        }
    }
}
