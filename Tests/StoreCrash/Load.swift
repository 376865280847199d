import Glibc
import Kernel
import PluginAPI
import PluginKit

/// What the child does until it is killed: several writers and watchers on one store.
struct Load: Sendable {
    static let sharedKey = "shared//counter"

    var round: Int
    var seed: UInt64
    var writers = 8
    /// A revision that the history still reaches, from which some watches go on; 0 = none.
    var resume: UInt64 = 0
    /// Writes more than it deletes, and larger values, to fill a disk.
    var isGrowing = false

    /// Opens the store in `directory` and never returns: the writers go on until the process is killed.
    func run(in directory: String) -> Never {
        do {
            let store = try StateStore(directory: directory, options: CrashStore.options(isGrowing: isGrowing))
            let client = StoreClient(CrashStore.table(of: store))
            let status = try client.status()
            let revision = UInt64(status["revision"].integerValue ?? 0)
            Journal.report(.opened(revision))
            try withExtendedLifetime(store) { try loadForever(client, from: revision) }
        } catch {
            Journal.report(.failure("\(error)"))
        }
        exit(3)
    }

    private func loadForever(_ client: StoreClient, from revision: UInt64) throws {
        let watchers = Watchers(client)
        let past = resume == 0 ? revision : resume
        try watchers.begin(.everything, from: revision)
        try watchers.begin(.prefix("objects/w3/"), from: past)
        try watchers.begin(.even("objects/"), from: past)
        try watchers.begin(.prefix("objects/"), from: revision, delay: 2000)
        let threads = try (0..<writers).map { number in
            try PluginThread(name: "writer-\(number)") {
                var writer = Writer(load: self, number: number, store: client)
                writer.run()
            }
        }
        for thread in threads { thread.join() }
    }
}

/// How both sides open the store: small pieces, so that rotation, snapshots and compaction happen all the time.
enum CrashStore {
    static func options(isGrowing: Bool = false, log: @escaping KernelLog = { _, _, _ in }) -> StateStoreOptions {
        var options = StateStoreOptions()
        options.firstSegmentSize = 128 << 10
        options.segmentSize = isGrowing ? 512 << 10 : 256 << 10
        options.snapshotThreshold = isGrowing ? 2 << 20 : 1 << 20
        options.historyCount = 1500
        options.historySize = 4 << 20
        options.reservedSpace = 256 << 10
        options.watchQueueSize = 128 << 10
        options.writesPerRound = 2  // Eight writers: often some are checked while others are on their way to the disk.
        options.log = log
        return options
    }

    static func table(of store: StateStore) -> UnsafePointer<hostd_store_1> {
        UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
    }
}

/// The child's watches: each reports what it gets, and is begun anew when it is sent back.
final class Watchers: Sendable {
    private let store: StoreClient
    private let lock = Monitor()
    // SAFETY: behind `lock`.
    nonisolated(unsafe) private var count = 0
    nonisolated(unsafe) private var subscriptions: [Subscription] = []

    init(_ store: StoreClient) { self.store = store }

    /// `delay` in microseconds makes the watcher slow: it sleeps at each delivery.
    func begin(_ filter: StreamFilter, from revision: UInt64, delay: UInt32 = 0) throws(PluginError) {
        let stream = lock.locked {
            count += 1
            return count
        }
        Journal.report(.watching(stream: stream, from: revision, filter))
        do {
            let subscription = try store.watch(prefix: filter.prefix, selector: filter.selector, from: revision) {
                self.receive($0, stream, filter, delay)
            }
            lock.locked { subscriptions.append(subscription) }
        } catch {
            guard error.code == HOSTD_ERROR_COMPACTED else { throw error }
            Journal.report(.ended(stream: stream, "compacted"))
        }
    }

    private func receive(_ message: StoreWatchMessage, _ stream: Int, _ filter: StreamFilter, _ delay: UInt32) {
        switch message {
        case .events(let events):
            if delay > 0 { usleep(delay) }
            Journal.report(
                events.map { event in
                    let value = event.isDelete ? nil : event.record.withValue { ValueName(verifying: $0) }
                    if value == nil && !event.isDelete {
                        return .failure("stream \(stream) got a damaged value of \(event.record.key)")
                    }
                    let flags: StreamFlags = event.record.hasEntered ? .entered : event.record.hasLeft ? .left : []
                    return .event(
                        stream: stream, revision: event.record.revision, flags: flags, Change(event.record.key, value))
                })
        case .progress(let revision): Journal.report(.progress(stream: stream, revision))
        case .ended(let reason): Journal.report(.ended(stream: stream, reason))
        case .resync:
            Journal.report(.ended(stream: stream, "resync"))
            do {
                let revision = try store.status()["revision"].integerValue ?? 0
                try begin(filter, from: UInt64(revision), delay: delay)
            } catch {
                Journal.report(.failure("a watch cannot be begun anew: \(error)"))
            }
        }
    }
}
