import Objects
import PluginKit

/// What differs between runtimes that share everything else: how a container's processes come to be. Images, sandboxes,
/// cgroups, records, logs, ends and adoption are `RuntimeService`'s.
package protocol ContainerEngine: Sendable {
    /// Members of the role's status that name this runtime: name, version, features.
    var status: JSONObject { get }

    /// Finds whatever is wrong with a container before anything of it is made.
    func check(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError)

    /// The container's cgroup is there: sets what else must hold in it, such as the devices that may be used.
    func prepareGroup(_ container: Container) throws(PluginError)

    /// Starts the container's monitor, which leaves `control`, `started` and `exit` in its directory and reports.
    func start(_ container: Container, _ sandbox: Sandbox, _ image: StoredImage) throws(PluginError) -> Launcher.Helper

    /// Who a container runs as that has been started, where its monitor does not say so; read after a restart of hostd.
    func user(of container: Container) -> ContainerUser?

    /// Starts a further process of a running container and the helper that looks after it.
    func execute(_ call: ExecCall) throws(PluginError) -> Launcher.Helper

    /// The sentence for a start that was reported as failed.
    /// - Parameter subject: what was being started, for instance `container web`.
    func failure(_ report: InitReport, of container: Container, subject: String) -> PluginError

    /// Nothing of the container runs any more: gives back what `start` made. Idempotent, also after a restart of hostd. On
    /// the event thread, so quick.
    func ended(_ container: Container) throws(PluginError)

    /// The container, which has ended or was never started, goes for good: forgets what is known of it. Idempotent.
    func remove(_ container: Container) throws(PluginError)
}

extension ContainerEngine {
    package func user(of container: Container) -> ContainerUser? { nil }
}

/// A further process that is wanted in a running container.
package struct ExecCall: Sendable {
    package let container: Container
    package let sandbox: Sandbox
    package let image: StoredImage
    /// The container's first process.
    package let target: ProcessIdentity
    package let command: [String]
    package let hasTerminal: Bool
    /// USER[:GROUP], names or numbers; nil is the container's.
    package let user: String?
    /// Standard input, output and error; with a terminal the first carries it both ways.
    package let streams: [Descriptor?]
    /// The helper's end of the socket that takes resize and kill.
    package let control: Descriptor
}

/// What an engine works with; made by the service.
package struct EngineServices: Sendable {
    package let images: ImageStore
    package let cgroups: CgroupDriver
    package let launcher: Launcher
    package let log: RuntimeService.Log
}
