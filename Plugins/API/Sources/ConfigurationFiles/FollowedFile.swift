import PluginKit
import Synchronization

/// A file of settings that are in force as it says, also when it changes: another content is put in force, or why it cannot be is
/// told by the log and the metrics, and what was in force stays.
final class FollowedFile: Sendable {
    private let path: String
    private let what: String
    private let thread: String
    private let read: @Sendable () throws(PluginError) -> [UInt8]
    private let log: Log
    private let metrics: ReloadMetrics
    private let follower = Mutex<FileFollower?>(nil)

    /// - Parameters:
    ///   - what: What it is the file of, a word.
    ///   - thread: The name of the thread that follows it, 15 bytes at most.
    init(
        _ path: String, of what: String, thread: String, host: Host,
        read: @escaping @Sendable () throws(PluginError) -> [UInt8]
    ) throws(PluginError) {
        self.path = path
        self.what = what
        self.thread = thread
        self.read = read
        log = host.log
        metrics = try ReloadMetrics(what, host)
    }

    /// Puts what it says now in force, and follows it. `apply` is called by the thread, and throws when a content cannot be used.
    func start(_ apply: @escaping @Sendable ([UInt8]) throws(PluginError) -> Void) throws(PluginError) {
        let content = try read()
        let follower = try FileFollower(path, name: thread, content: content, log: log) { [weak self] content in
            self?.reload(content, apply)
        }
        // It may have changed since the settings were read.
        try apply(content)
        try metrics.show(content)
        try follower.start()
        self.follower.withLock { $0 = follower }
    }

    /// Idempotent. [blocking]
    func stop() {
        let follower = follower.withLock { follower in
            defer { follower = nil }
            return follower
        }
        follower?.stop()
    }

    private func reload(_ content: [UInt8], _ apply: ([UInt8]) throws(PluginError) -> Void) {
        do throws(PluginError) {
            try apply(content)
            log.info("the file of \(what) was read anew", ["file": .string(path)])
            metrics.record(content: content)
        } catch {
            log.error(
                "the new file of \(what) cannot be used; what it said before holds",
                ["file": .string(path), "reason": .string(error.message)])
            metrics.record(content: nil)
        }
    }
}
