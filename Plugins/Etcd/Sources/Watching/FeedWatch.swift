import Glibc
import PluginKit

/// One watch of the store's users. All that changes is behind the feed's lock.
final class FeedWatch: @unchecked Sendable {
    // SAFETY: see above; `sink` is called by one dispatcher at a time, the one that is `runner`.
    let handle: UInt64
    let prefix: [UInt8]
    let selector: IndexSelector
    let sink: StoreSink

    /// Everything up to here was delivered, or does not concern this watch.
    var position: UInt64
    /// The last revision that it was told of as progress.
    var told: UInt64 = 0
    var isScheduled = false
    var isOver = false
    /// The thread that delivers now.
    var runner: pthread_t?
    /// What it reads older history from, to be closed by who cancels.
    var catchUp: EtcdStream?

    init(handle: UInt64, prefix: [UInt8], selector: IndexSelector, sink: StoreSink, from position: UInt64) {
        self.handle = handle
        self.prefix = prefix
        self.selector = selector
        self.sink = sink
        self.position = position
    }

    /// The first part of its prefix, "pods/"; empty for a watch of everything.
    var resource: ArraySlice<UInt8> { FeedWatch.resource(of: prefix) }

    static func resource(of key: [UInt8]) -> ArraySlice<UInt8> {
        key[..<(key.firstIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)]
    }

    func concerns(_ change: Change) -> Bool { change.key.starts(with: prefix) }
}
