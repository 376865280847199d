import PluginKit

/// The calls that the store is made of.
extension EtcdClient {
    func range(_ request: RangeRequest) throws(PluginError) -> RangeResponse {
        try decode("/etcdserverpb.KV/Range", request.bytes, .repeatable) { try RangeResponse($0) }
    }

    func transaction(_ request: TransactionRequest) throws(PluginError) -> TransactionResponse {
        try decode("/etcdserverpb.KV/Txn", request.bytes, .once) { try TransactionResponse($0) }
    }

    /// Gives up the history before a revision.
    func compact(_ revision: Int64) throws(PluginError) {
        let request = ProtobufWriter.message { $0.integer(1, revision) }
        _ = try call("/etcdserverpb.KV/Compact", request, .repeatable)
    }

    func grantLease(seconds: Int64) throws(PluginError) -> Int64 {
        try decode("/etcdserverpb.Lease/LeaseGrant", LeaseMessages.grant(seconds: seconds), .once) {
            try LeaseMessages.answer($0).lease
        }
    }

    func revokeLease(_ lease: Int64) throws(PluginError) {
        _ = try call("/etcdserverpb.Lease/LeaseRevoke", LeaseMessages.revoke(lease), .once)
    }

    /// The seconds that the lease has from now on; 0 when it is gone.
    func keepLeaseAlive(_ lease: Int64) throws(PluginError) -> Int64 {
        // A stream by its signature, used for one message: the server answers the first and ends with the request.
        try decode("/etcdserverpb.Lease/LeaseKeepAlive", LeaseMessages.keepAlive(lease), .repeatable) {
            try LeaseMessages.answer($0).seconds
        }
    }

    func memberStatus() throws(PluginError) -> MemberStatus {
        try decode("/etcdserverpb.Maintenance/Status", [], .repeatable) { try MemberStatus($0) }
    }

    private func decode<Message>(
        _ method: String, _ request: [UInt8], _ effect: Effect, _ read: (ArraySlice<UInt8>) throws -> Message
    ) throws(PluginError) -> Message {
        let bytes = try call(method, request, effect)
        do { return try read(bytes) } catch { throw EtcdError.malformed("the answer to \(method)") }
    }
}
