import Objects
import PluginKit

/// Has those decide what users may do whom a file names, and others when the file changes.
final class LiveAuthorization: Sendable {
    private let file: AuthorizationFile
    private let followed: FollowedFile
    private let authorizer: Authorizer
    private let step: @Sendable (AuthorizationSettings.Step) -> Authorizer.Step

    /// - Parameter step: Makes who decides out of what the settings say.
    init(
        _ file: AuthorizationFile, _ authorizer: Authorizer, host: Host,
        step: @escaping @Sendable (AuthorizationSettings.Step) -> Authorizer.Step
    ) throws(PluginError) {
        self.file = file
        self.authorizer = authorizer
        self.step = step
        followed = try FollowedFile(
            file.path, of: "authorization", thread: "api-authz-file", host: host
        ) { () throws(PluginError) in try file.read() }
    }

    func start() throws(PluginError) {
        try followed.start { [file, authorizer, step] content throws(PluginError) in
            authorizer.replace(try file.steps(content).map(step))
        }
    }

    /// Idempotent. [blocking]
    func stop() { followed.stop() }
}
