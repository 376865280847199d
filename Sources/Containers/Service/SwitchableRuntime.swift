import Objects
import PluginKit
import Synchronization

/// What the role's table points to for good: the service of the present activation, or UNAVAILABLE in between.
package final class SwitchableRuntime: RuntimeProvider {
    package let current = Mutex<RuntimeService?>(nil)

    package init() {}

    private func service() throws -> RuntimeService {
        guard let service = current.withLock({ $0 }) else { throw PluginError.unavailable("the runtime is not active") }
        return service
    }

    package func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().status(request, deadline: deadline)
    }
    package func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().runSandbox(request, deadline: deadline)
    }
    package func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().stopSandbox(request, deadline: deadline)
    }
    package func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().removeSandbox(request, deadline: deadline)
    }
    package func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().listSandboxes(request, deadline: deadline)
    }
    package func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().createContainer(request, deadline: deadline)
    }
    package func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().startContainer(request, deadline: deadline)
    }
    package func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().stopContainer(request, deadline: deadline)
    }
    package func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().removeContainer(request, deadline: deadline)
    }
    package func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().listContainers(request, deadline: deadline)
    }
    package func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().updateContainer(request, deadline: deadline)
    }
    package func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().reopenLog(request, deadline: deadline)
    }
    package func execSync(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().execSync(request, deadline: deadline)
    }

    package func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        try service(closing: [standardInput, standardOutput, standardError]).exec(
            request, standardInput: standardInput, standardOutput: standardOutput, standardError: standardError,
            completion: completion)
    }

    package func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws {
        try service().execResize(operation, width: width, height: height)
    }

    package func execCancel(_ operation: UInt64) throws { try service().execCancel(operation) }

    package func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        try service(closing: [standardInput, standardOutput, standardError]).attach(
            request, standardInput: standardInput, standardOutput: standardOutput, standardError: standardError,
            completion: completion)
    }

    /// Descriptors were given away with the call, also when there is nobody to take them.
    private func service(closing descriptors: [Int32]) throws -> RuntimeService {
        do {
            return try service()
        } catch {
            for number in descriptors where number >= 0 { _ = Descriptor(taking: number) }
            throw error
        }
    }

    package func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().containerStats(request, deadline: deadline)
    }
    package func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 { try service().watch(handler) }
    package func watchCancel(_ watch: UInt64) throws { try current.withLock { $0 }?.watchCancel(watch) }
    package func listImages(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().listImages(request, deadline: deadline)
    }
    package func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().imageStatus(request, deadline: deadline)
    }

    package func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON {
        try service(closing: [archive]).loadImage(request, archive: archive, deadline: deadline)
    }

    package func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        try service().pullImage(request, completion: completion)
    }

    package func pullCancel(_ operation: UInt64) throws { try service().pullCancel(operation) }
    package func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().removeImage(request, deadline: deadline)
    }
    package func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON {
        try service().imageFilesystem(request, deadline: deadline)
    }
}
