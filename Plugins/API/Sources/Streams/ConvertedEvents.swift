import Objects
import PluginKit
import Synchronization

/// The events of a watch whose objects a webhook converts. They wait here, in their order, while it is asked on a worker:
/// the store's threads never are.
final class ConvertedEvents: Sendable {
    private enum Item: Sendable {
        case event(WatchEncoder.Kind, StoreRecord, revision: UInt64)
        case bookmark(UInt64)

        /// Bytes that it keeps.
        var size: Int {
            switch self {
            case .event(_, let record, _): record.valueBytes.count
            case .bookmark: 0
            }
        }
    }

    private struct State {
        var items: [Item] = []
        var isRunning = false
    }

    private let state = Mutex(State())
    private let encoder: WatchEncoder
    private let stream: HTTPBodyStream
    private let workers: WorkerPool
    /// A watch that is further behind than this ends, and its client lists again.
    private static let limit = 10_000

    init(_ encoder: WatchEncoder, _ stream: HTTPBodyStream, workers: WorkerPool) {
        self.encoder = encoder
        self.stream = stream
        self.workers = workers
    }

    func add(_ events: [StoreEvent]) {
        let items = events.compactMap { event -> Item? in
            guard let kind = encoder.kind(of: event) else { return nil }
            let shown = kind == .deleted ? event.previous ?? event.record : event.record
            return .event(kind, shown, revision: event.record.revision)
        }
        add(items)
    }

    func add(bookmark revision: UInt64) { add([.bookmark(revision)]) }

    private func add(_ items: [Item]) {
        guard stream.keepElsewhere(Self.size(of: items)) else {
            stream.keepElsewhere(-Self.size(of: items))
            return forget()
        }
        let (mustRun, isOver) = state.withLock { state -> (Bool, Bool) in
            state.items += items
            if state.items.count > Self.limit { return (false, true) }
            defer { state.isRunning = true }
            return (!state.isRunning, false)
        }
        if isOver { return fail(.expired("the watch fell behind the conversion of its objects")) }
        guard mustRun, !workers.run({ [self] in run() }) else { return }
        fail(.tooManyRequests("too many requests wait already, please try again later", retryAfterSeconds: 1))
    }

    private func run() {
        while true {
            let items = state.withLock { state in
                defer { state.items = [] }
                if state.items.isEmpty { state.isRunning = false }
                return state.items
            }
            if items.isEmpty { return }
            defer { stream.keepElsewhere(-Self.size(of: items)) }
            do throws(APIStatus) { try write(items) } catch {
                // Clients list and watch again; by then the webhook may answer.
                return fail(error)
            }
        }
    }

    private func write(_ items: [Item]) throws(APIStatus) {
        let records = items.map { item -> StoreRecord? in
            if case .event(_, let record, _) = item { record } else { nil }
        }
        let converted = try CustomConversion.converted(records.compactMap { $0 }, encoder.resource, encoder.form)
        var position = 0
        stream.write { output in
            for item in items {
                switch item {
                case .bookmark(let revision): encoder.bookmark(revision, into: &output)
                case .event(let kind, let record, let revision):
                    if let bytes = converted[position] {
                        bytes.withUnsafeBytes { encoder.write(kind, $0, revision, into: &output) }
                    } else {
                        record.withValue { encoder.write(kind, $0, revision, into: &output) }
                    }
                    position += 1
                }
            }
        }
    }

    private static func size(of items: [Item]) -> Int { items.reduce(0) { $0 + $1.size } }

    /// Drops what waits: the stream is over.
    private func forget() {
        let items = state.withLock { state in
            defer { state.items = [] }
            return state.items
        }
        stream.keepElsewhere(-Self.size(of: items))
    }

    private func fail(_ status: APIStatus) {
        forget()
        stream.write { encoder.error(status, into: &$0) }
        stream.finish()
    }
}
