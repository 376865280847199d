import Objects
import PluginKit

/// The runtime as pods see it: new sandboxes go to the one that the pod's runtime class names, or else to whichever provider is
/// selected; what is there belongs to the one that made it.
protocol PodRuntime: RuntimeProvider {
    /// The provider of a sandbox, for calls that name neither sandbox nor container: an image is wanted where the container
    /// is to be made.
    func provider(ofSandbox id: String) throws -> any RuntimeProvider

    /// Whether what this sandbox's provider does not list any more is gone; false while that provider is not active.
    func vouches(forSandbox id: String) -> Bool

    /// Makes a sandbox with the provider that a runtime class calls `handler`: the name of its plugin.
    func runSandbox(_ request: JSON, handler: String, deadline: UInt64) throws -> JSON
}

extension PodRuntime {
    func provider(ofSandbox id: String) throws -> any RuntimeProvider { self }
    func vouches(forSandbox id: String) -> Bool { true }
}
