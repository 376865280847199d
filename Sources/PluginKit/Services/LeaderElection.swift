import Objects
import PluginAPI
import Synchronization

/// Elections (hostd.election/1): of several candidates at one key of the store, in this hostd and in others that share the
/// store, one leads at a time. Any thread.
public struct LeaderElection: @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_election_1>

    public init(_ host: Host) throws(PluginError) {
        table = try host.table(HOSTD_ELECTION_1, as: hostd_election_1.self)
    }

    /// What a candidate is told.
    public enum News: Sendable, Equatable {
        /// It leads; the token fences its writes (`StoreTransaction.check`).
        case leading(token: UInt64)
        case following(reason: String)
    }

    /// Stands for election.
    /// - Parameters:
    ///   - key: where candidates meet, RESOURCE/NAMESPACE/NAME.
    ///   - value: what the key holds while this candidate leads, with its index.
    ///   - timeToLiveMilliseconds: how long the key outlives a leader that is gone; 100 to 3,600,000.
    ///   - handler: runs serially on host threads whenever this candidate begins or ends to lead.
    public func campaign(
        at key: String, value: [UInt8], index: [UInt8] = [], timeToLiveMilliseconds: UInt64,
        handler: @escaping @Sendable (News) -> Void
    ) throws(PluginError) -> Candidate {
        let table = table
        let address = UInt(bitPattern: table)
        let candidate = Candidate(table)
        candidate.subscription = try SinkBox.subscribe(
            handler: { message in
                guard case .data(let bytes) = message, let json = try? JSON(parsing: bytes) else { return }
                if json["leading"] == .bool(true) {
                    handler(.leading(token: UInt64(json["token"].integerValue ?? 0)))
                } else {
                    handler(.following(reason: json["reason"].stringValue ?? ""))
                }
            },
            start: { context, handle, error in
                lend(key) { keyData, keySize in
                    lend(value) { valueData, valueSize in
                        lend(index) { indexData, indexSize in
                            let status = table.pointee.campaign(
                                table.pointee.interface.`self`, keyData, keySize, valueData, valueSize, indexData,
                                indexSize, timeToLiveMilliseconds, SinkBox.sink, context, handle, error)
                            candidate.handle.store(handle.pointee, ordering: .releasing)
                            return status
                        }
                    }
                }
            },
            stop: { handle in
                guard let table = UnsafePointer<hostd_election_1>(bitPattern: address) else { return }
                cancelQuietly { table.pointee.resign(table.pointee.interface.`self`, handle, $0) }
            })
        return candidate
    }

    /// One candidacy. Dropping the last reference does not resign.
    public final class Candidate: @unchecked Sendable {
        // SAFETY: `subscription` is written once, before the object is handed out.
        private let table: UnsafePointer<hostd_election_1>
        fileprivate var subscription: Subscription?
        fileprivate let handle = Atomic<UInt64>(0)

        fileprivate init(_ table: UnsafePointer<hostd_election_1>) { self.table = table }

        /// The revision that fences this candidate's writes.
        /// - Throws: WRONG_STATE when it does not lead.
        public func token() throws(PluginError) -> UInt64 {
            var token: UInt64 = 0
            let handle = handle.load(ordering: .acquiring)
            try checked { table.pointee.token(table.pointee.interface.`self`, handle, &token, $0) }
            return token
        }

        /// Stops to stand and to lead; when it returns the handler is not running, unless it is the caller. Idempotent.
        public func resign() { subscription?.cancel() }
    }
}
