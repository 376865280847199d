import Objects
import PluginKit

/// The runtime as pods see it: new sandboxes go to whichever provider is selected, what is there belongs to the one that
/// made it.
protocol PodRuntime: RuntimeProvider {
    /// The provider of a sandbox, for calls that name neither sandbox nor container: an image is wanted where the container
    /// is to be made.
    func provider(ofSandbox id: String) throws -> any RuntimeProvider

    /// Whether what this sandbox's provider does not list any more is gone; false while that provider is not active.
    func vouches(forSandbox id: String) -> Bool
}

extension PodRuntime {
    func provider(ofSandbox id: String) throws -> any RuntimeProvider { self }
    func vouches(forSandbox id: String) -> Bool { true }
}
