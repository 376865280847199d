import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// hostd.store/1 on an etcd cluster, while it is active.
final class EtcdStore: StoreProvider {
    let client: EtcdClient
    let keys: KeySpace
    let feed: ChangeFeed
    private let completions: CompletionThreads
    /// The first revision that can still be read, as far as this process knows; etcd does not tell.
    private let compacted = Mutex<UInt64>(0)

    /// Reads where the store's revisions begin, and starts to follow its changes.
    /// - Parameter report: hears in a sentence of members that are left and of changes that are not followed.
    init(_ options: EtcdOptions, report: @escaping @Sendable (String) -> Void) throws {
        let client = EtcdClient(
            endpoints: options.endpoints, tls: try options.makeTLS(), timeLimit: options.timeLimit, report: report)
        self.client = client
        do {
            keys = try Self.keySpace(client, prefix: options.prefix)
            completions = try CompletionThreads()
            do {
                feed = try ChangeFeed(client: client, keys: keys, historySize: options.historyBytes, report: report)
            } catch {
                completions.close()
                throw error
            }
        } catch {
            client.close()
            throw error
        }
    }

    private static func keySpace(_ client: EtcdClient, prefix: String) throws(PluginError) -> KeySpace {
        let plain = KeySpace(prefix: prefix)
        guard let found = try client.range(RangeRequest(key: plain.beginning)).keyValues.first else { return plain }
        do {
            let value = Array(try KeySpace.unpack(found.value).value)
            guard let text = try JSON(parsing: value)["revision"].stringValue, let offset = UInt64(text) else {
                throw EtcdError.malformed("where the store begins")
            }
            return KeySpace(prefix: prefix, offset: offset)
        } catch {
            throw EtcdError.malformed("where the store begins (\(String(decoding: plain.beginning, as: UTF8.self)))")
        }
    }

    func close() {
        feed.close()
        completions.close()
        client.close()
    }

    // MARK: Reading

    func get(_ key: UnsafeRawBufferPointer, revision: UInt64) throws -> hostd_buffer {
        try KeySpace.check(key: key)
        let response = try client.range(RangeRequest(key: keys.key(key), revision: try keys.etcd(revision)))
        guard let found = response.keyValues.first else {
            throw PluginError.notFound("\(String(decoding: key, as: UTF8.self)) does not exist")
        }
        var writer = StoreRecordWriter()
        try add(found, to: &writer)
        return writer.record()
    }

    func add(_ found: KeyValue, to writer: inout StoreRecordWriter) throws {
        guard let key = keys.object(found.key) else { throw EtcdError.malformed("a key") }
        let (index, value) = try KeySpace.unpack(found.value)
        writer.add(head(of: found), key: key, index: index, value: value)
    }

    func head(of found: KeyValue) -> StoreRecordWriter.Head {
        StoreRecordWriter.Head(
            revision: keys.revision(found.modRevision), createRevision: keys.revision(found.createRevision),
            version: UInt64(bitPattern: found.version), lease: UInt64(bitPattern: found.lease))
    }

    /// Reads in pieces at one revision, so that no answer is large, and takes what the selector matches.
    func list(_ request: StoreListRequest) throws -> hostd_buffer {
        try KeySpace.check(prefix: request.prefix)
        if !request.after.isEmpty { try KeySpace.check(key: request.after) }
        let selector = try IndexSelector(parsing: request.selector)
        let wanted = request.limit == 0 ? Int.max : Int(clamping: request.limit)
        var (next, end) = keys.range(under: request.prefix, after: request.after)
        var revision = try keys.etcd(request.revision)
        var writer = StoreRecordWriter.forPage
        var taken = 0
        while true {
            let step = selector.isEmpty ? min(wanted - taken, Self.pieceSize) : Self.pieceSize
            let piece = try client.range(RangeRequest(key: next, end: end, limit: Int64(step), revision: revision))
            if revision == 0 { revision = piece.revision }
            var left = Int(piece.count) - piece.keyValues.count
            for (position, found) in piece.keyValues.enumerated() {
                let (index, value) = try KeySpace.unpack(found.value)
                guard selector.isEmpty || selector.matches(IndexText(bytes: index).value) else { continue }
                if taken == wanted {
                    left += piece.keyValues.count - position
                    return writer.page(
                        revision: keys.revision(revision), count: taken, hasMore: true, remaining: UInt64(left))
                }
                guard let key = keys.object(found.key) else { continue }
                writer.add(head(of: found), key: key, index: index, value: value)
                taken += 1
            }
            guard piece.hasMore, let last = piece.keyValues.last else {
                return writer.page(revision: keys.revision(revision), count: taken, hasMore: false, remaining: 0)
            }
            if taken == wanted, selector.isEmpty {
                return writer.page(
                    revision: keys.revision(revision), count: taken, hasMore: true, remaining: UInt64(left))
            }
            next = last.key + [0]
        }
    }

    private static let pieceSize = 500

    // MARK: Writing

    func write(_ step: StoreStep) throws -> UInt64 {
        let commit = try commit([step])
        if let error = commit.error { throw error }
        return commit.revision
    }

    func transaction(_ steps: [StoreStep], completion: @escaping @Sendable (StoreCommit) -> Void) throws {
        try transaction(steps, by: "", completion: completion)
    }

    func transaction(
        _ steps: [StoreStep], by writer: String, completion: @escaping @Sendable (StoreCommit) -> Void
    ) throws {
        try TransactionPlan.check(steps)
        guard writer.utf8.count <= 512 else {
            throw PluginError.invalid("a writer has at most 512 bytes: the user, NUL, the field manager")
        }
        try completions.add { [self] in
            do { completion(try commit(steps, by: writer)) } catch {
                completion(StoreCommit(revision: 0, failedOperation: nil, error: PluginError(error)))
            }
        }
    }

    private func commit(_ steps: [StoreStep], by writer: String = "") throws -> StoreCommit {
        try TransactionPlan.check(steps)
        let now = Timestamp.now()
        let milliseconds = UInt64(max(now.seconds, 0)) * 1000 + UInt64(now.nanoseconds / 1_000_000)
        let response = try client.transaction(
            try TransactionPlan.request(steps, keys, provenance: Provenance(time: milliseconds, writer: writer)))
        if response.hasSucceeded {
            return StoreCommit(revision: keys.revision(response.revision), failedOperation: nil, error: nil)
        }
        return TransactionPlan.refusal(steps, response.reads.map { $0.keyValues.first }, keys)
    }

    // MARK: Watching

    func watch(
        prefix: UnsafeRawBufferPointer, selector: String, from: UInt64, sink: StoreSink
    ) throws -> UInt64 {
        try feed.watch(prefix: Array(prefix), selector: selector, from: from, sink: sink)
    }

    func cancelWatch(_ watch: UInt64) { feed.cancel(watch) }

    // MARK: Leases

    /// Etcd counts in seconds: a lease lives at least as long as asked for.
    func grantLease(timeToLiveMilliseconds: UInt64) throws -> UInt64 {
        guard timeToLiveMilliseconds > 0 else { throw PluginError.invalid("a lease needs a time to live") }
        let seconds = Int64(clamping: timeToLiveMilliseconds / 1000 + (timeToLiveMilliseconds % 1000 == 0 ? 0 : 1))
        return UInt64(bitPattern: try client.grantLease(seconds: seconds))
    }

    func keepLeaseAlive(_ lease: UInt64) throws {
        guard try client.keepLeaseAlive(Int64(bitPattern: lease)) > 0 else {
            throw PluginError.notFound("lease \(lease) does not exist: it has ended, or was revoked")
        }
    }

    func revokeLease(_ lease: UInt64) throws { try client.revokeLease(Int64(bitPattern: lease)) }

    // MARK: Upkeep

    /// A copy of the whole state is made by the host, which reads it through `list`; copies of the cluster by etcdctl.
    func backup(to descriptor: Int32) throws -> JSON {
        if descriptor >= 0 { Glibc.close(descriptor) }
        throw PluginError.notSupported("etcd's own copies are made with: etcdctl snapshot save FILE")
    }

    func compact(to revision: UInt64) throws {
        do { try client.compact(try keys.etcd(revision)) } catch {
            // As old as that is gone already, which is what was asked for.
            if error.code != HOSTD_ERROR_COMPACTED { throw error }
        }
        compacted.withLock { $0 = max($0, revision) }
    }

    var compactedRevision: UInt64 { compacted.withLock { $0 } }

    func status() throws -> JSON {
        let (key, end) = keys.range(under: [], after: [])
        do {
            let count = try client.range(RangeRequest(key: key, end: end, countsOnly: true))
            let member = try client.memberStatus()
            return [
                "revision": JSON(keys.revision(count.revision)),
                "compactedRevision": JSON(compacted.withLock { $0 }), "keys": JSON(count.count),
                "bytes": JSON(member.databaseSize), "engine": "etcd", "healthy": .bool(member.errors.isEmpty),
                "reason": .string(member.errors.joined(separator: "; ")), "version": .string(member.version),
                "members": .array(client.endpoints.map { .string($0.description) }),
            ]
        } catch {
            return [
                "revision": JSON(feed.revision), "compactedRevision": JSON(compacted.withLock { $0 }), "keys": 0,
                "bytes": 0, "engine": "etcd", "healthy": false, "reason": .string(error.message),
                "members": .array(client.endpoints.map { .string($0.description) }),
            ]
        }
    }
}
