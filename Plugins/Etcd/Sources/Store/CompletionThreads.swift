import PluginKit

/// Threads that carry out transactions whose callers do not wait. As many as have work, up to a limit.
final class CompletionThreads: @unchecked Sendable {
    // SAFETY: everything that changes is behind `monitor`.
    private static let limit = 16
    /// How many transactions may wait.
    private static let queueLimit = 10_000

    private let monitor = Monitor()
    private var queue: [@Sendable () -> Void] = []
    private var threads: [PluginThread] = []
    private var idle = 0
    private var isClosed = false

    init() throws(PluginError) { try grow() }

    private func grow() throws(PluginError) {
        threads.append(try PluginThread(name: "etcd-writer") { [self] in run() })
    }

    /// - Throws: RESOURCE_EXHAUSTED when too many wait.
    func add(_ work: @escaping @Sendable () -> Void) throws(PluginError) {
        monitor.lock()
        defer { monitor.unlock() }
        guard !isClosed else { throw .unavailable("the etcd plugin is not active") }
        guard queue.count < Self.queueLimit else {
            throw .exhausted("\(queue.count) transactions wait for etcd already: try later")
        }
        // Without another thread the ones there are come to it.
        if idle <= queue.count, threads.count < Self.limit {
            do { try grow() } catch { if threads.isEmpty { throw error } }
        }
        queue.append(work)
        monitor.broadcast()
    }

    private func run() {
        monitor.lock()
        while true {
            if !queue.isEmpty {
                let work = queue.removeFirst()
                monitor.unlock()
                work()
                monitor.lock()
            } else if isClosed {
                break
            } else {
                idle += 1
                monitor.wait()
                idle -= 1
            }
        }
        monitor.unlock()
    }

    /// Carries out what waits, then ends the threads.
    func close() {
        let threads = monitor.locked {
            isClosed = true
            monitor.broadcast()
            return self.threads
        }
        for thread in threads { thread.join() }
    }
}
