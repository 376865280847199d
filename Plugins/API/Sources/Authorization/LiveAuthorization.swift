import Objects
import PluginKit
import Synchronization

/// Has those decide what users may do whom a file names, and others when the file changes.
final class LiveAuthorization: Sendable {
    private let file: AuthorizationFile
    private let authorizer: Authorizer
    private let step: @Sendable (AuthorizationSettings.Step) -> Authorizer.Step
    private let log: Log
    private let metrics: ReloadMetrics
    private let follower = Mutex<FileFollower?>(nil)

    /// - Parameter step: Makes who decides out of what the settings say.
    init(
        _ file: AuthorizationFile, _ authorizer: Authorizer, host: Host,
        step: @escaping @Sendable (AuthorizationSettings.Step) -> Authorizer.Step
    ) throws(PluginError) {
        self.file = file
        self.authorizer = authorizer
        self.step = step
        log = host.log
        metrics = try ReloadMetrics("authorization", host)
    }

    func start() throws(PluginError) {
        let content = try file.read()
        let follower = try FileFollower(file.path, name: "api-authz-file", content: content, log: log) {
            [weak self] content in
            self?.reload(content)
        }
        // It may have changed since the settings were read.
        authorizer.replace(try file.steps(content).map(step))
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

    /// Puts a new content in force, or says why what was in force stays.
    func reload(_ content: [UInt8]) {
        do throws(PluginError) {
            authorizer.replace(try file.steps(content).map(step))
            log.info("the file of authorization was read anew", ["file": .string(file.path)])
            metrics.record(content: content)
        } catch {
            log.error(
                "the new file of authorization cannot be used; what it said before holds",
                ["file": .string(file.path), "reason": .string(error.message)])
            metrics.record(content: nil)
        }
    }
}
