import Glibc
import Kernel
import PluginAPI
import PluginKit
import Synchronization

/// All that a store shows after it was opened.
struct Reopened {
    var revision: UInt64
    /// The history begins after this revision.
    var compacted: UInt64
    var history: [UInt64: [Change]] = [:]
    var records: [String: (revision: UInt64, value: ValueName)] = [:]
    /// Leases of those asked for that are alive.
    var leases: Set<UInt64> = []
    /// Whether a batch that was never acknowledged was dropped.
    var wasTorn = false

    /// Opens the store in `directory`, reads everything, and closes it.
    init(_ directory: String, isGrowing: Bool, leases asked: Set<UInt64>) throws {
        let torn = Mutex(false)
        let options = CrashStore.options(isGrowing: isGrowing) { _, message, _ in
            if message.contains("never acknowledged") { torn.withLock { $0 = true } }
        }
        let store: StateStore
        do throws(StoreError) {
            store = try StateStore(directory: directory, options: options)
        } catch {
            throw CrashFailure("the store does not open: \(error.message)")
        }
        defer { store.close() }
        let client = StoreClient(CrashStore.table(of: store))
        let status = try client.status()
        guard let revision = status["revision"].integerValue, let compacted = status["compactedRevision"].integerValue,
            status["healthy"].boolValue == true
        else { throw CrashFailure("the status is wrong: \(status.serializedString())") }
        (self.revision, self.compacted) = (UInt64(revision), UInt64(compacted))
        wasTorn = torn.withLock { $0 }
        try readRecords(client)
        try readHistory(client)
        for lease in asked {
            do throws(PluginError) {
                try client.leaseKeepAlive(lease)
                leases.insert(lease)
            } catch {
                guard error.code == HOSTD_ERROR_NOT_FOUND else { throw error }
            }
        }
    }

    private mutating func readRecords(_ client: StoreClient) throws {
        let page = try client.list(prefix: "")
        guard page.revision == revision, !page.hasMore else {
            throw CrashFailure("a list shows revision \(page.revision) of a store at \(revision)")
        }
        for record in page.records {
            guard let value = record.withValue({ ValueName(verifying: $0) }) else {
                throw CrashFailure("the value of \(record.key) is damaged")
            }
            records[record.key] = (record.revision, value)
        }
    }

    /// Reads what a watch from the beginning of the history shows, up to the revision of now.
    private mutating func readHistory(_ client: StoreClient) throws {
        let collector = HistoryCollector()
        let watch = try client.watch(prefix: "", from: compacted) { collector.take($0) }
        defer { watch.cancel() }
        history = try collector.changes(upTo: revision)
    }
}

/// Collects a watch up to a revision.
private final class HistoryCollector: Sendable {
    private let monitor = Monitor()
    // SAFETY: all behind `monitor`.
    nonisolated(unsafe) private var changes: [UInt64: [Change]] = [:]
    nonisolated(unsafe) private var reached: UInt64 = 0
    nonisolated(unsafe) private var failure: String?

    func take(_ message: StoreWatchMessage) {
        monitor.locked {
            switch message {
            case .progress(let revision): reached = max(reached, revision)
            case .resync: failure = "the watch was sent back"
            case .ended(let reason): failure = "the watch ended: \(reason)"
            case .events(let events):
                for event in events {
                    let value = event.isDelete ? nil : event.record.withValue { ValueName(verifying: $0) }
                    if value == nil && !event.isDelete {
                        failure = "the history has a damaged value of \(event.record.key)"
                    }
                    if event.record.revision < reached { failure = "the history goes back at \(event.record.revision)" }
                    reached = event.record.revision
                    changes[reached, default: []].append(Change(event.record.key, value))
                }
            }
        }
        monitor.broadcast()
    }

    func changes(upTo revision: UInt64) throws -> [UInt64: [Change]] {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let deadline = UInt64(time.tv_sec + 30) * 1_000_000_000
        return try monitor.locked {
            while failure == nil && reached < revision {
                if !monitor.wait(until: deadline) { failure = "the history stops at \(reached) before \(revision)" }
            }
            if let failure { throw CrashFailure(failure) }
            return changes
        }
    }
}
