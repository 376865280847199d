import PluginKit

extension ChangeFeed {
    /// Brings a watch from a revision of before the history to where the history begins, with a watch of etcd's own. True
    /// when the watch is over. The lock is held, and given up meanwhile.
    func catchUp(_ watch: FeedWatch) -> Bool {
        let start = watch.position
        monitor.unlock()
        let outcome: Outcome
        do throws(PluginError) {
            let range = keys.all
            let from = try keys.etcd(start) + 1
            let stream = try client.stream(
                "/etcdserverpb.Watch/Watch", WatchRequest.create(key: range.key, end: range.end, from: from))
            outcome = read(stream, for: watch)
            stream.close()
        } catch {
            // Whatever it was: who lists again misses nothing.
            outcome = .resync
        }
        monitor.lock()
        watch.catchUp = nil
        if watch.isOver || isClosed { return true }
        guard case .resync = outcome else { return false }
        forget(watch)
        monitor.unlock()
        watch.sink.resync()
        monitor.lock()
        return true
    }

    private enum Outcome {
        case reached
        case resync
    }

    /// Without the lock.
    private func read(_ stream: EtcdStream, for watch: FeedWatch) -> Outcome {
        let isWanted = monitor.locked {
            watch.catchUp = stream
            return !watch.isOver && !isClosed
        }
        guard isWanted else { return .resync }
        while true {
            guard case .message(let message) = stream.next() else { return .resync }
            do {
                let response = try WatchResponse(message[...])
                if response.isCancelled { return .resync }
                var changes: [Change] = []
                var last: UInt64 = 0
                for event in response.events {
                    last = max(last, keys.revision(event.keyValue.modRevision))
                    if let change = try Change(event, keys) { changes.append(change) }
                }
                if monitor.locked({ watch.isOver }) { return .resync }
                _ = send(changes, to: watch)
                let isReached = monitor.locked {
                    watch.position = max(watch.position, last)
                    return watch.position >= history.floor
                }
                if isReached { return .reached }
            } catch {
                return .resync
            }
        }
    }
}
