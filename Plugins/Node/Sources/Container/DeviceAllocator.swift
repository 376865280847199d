import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Extended resources of this node, from all providers of hostd.device/1.
final class DeviceAllocator: Sendable {
    /// One provider and what it offers.
    struct Offer: Sendable {
        let provider: any DeviceProvider
        /// Healthy and all devices, by resource name.
        var resources: [String: (healthy: Int64, all: Int64)]
    }
    private struct Offers {
        var byPlugin: [String: Offer] = [:]
        /// Resources that a plugin offers or has offered.
        var known: Set<String> = []
    }
    private let offers = Mutex(Offers())

    /// Records what a provider offers now; `list` is list_devices' object.
    func update(plugin: String, provider: any DeviceProvider, list: JSON) {
        var resources: [String: (healthy: Int64, all: Int64)] = [:]
        for resource in list["resources"].arrayValue {
            guard let name = resource["name"].stringValue else { continue }
            let devices = resource["devices"].arrayValue
            let healthy = devices.filter { $0["healthy"].boolValue ?? true }.count
            resources[name] = (Int64(healthy), Int64(devices.count))
        }
        offers.withLock { offers in
            offers.byPlugin[plugin] = Offer(provider: provider, resources: resources)
            offers.known.formUnion(resources.keys)
        }
    }

    func remove(plugin: String) { offers.withLock { _ = $0.byPlugin.removeValue(forKey: plugin) } }

    /// Numbers for the node's status: (capacity, allocatable) by resource name.
    var resources: [String: (all: Int64, healthy: Int64)] {
        offers.withLock { offers in
            var result: [String: (all: Int64, healthy: Int64)] = [:]
            for offer in offers.byPlugin.values {
                for (name, count) in offer.resources {
                    let known = result[name] ?? (0, 0)
                    result[name] = (known.all + count.all, known.healthy + count.healthy)
                }
            }
            return result
        }
    }

    /// CDI edits for all extended resources of a container. Idempotent for the same container.
    func allocate(_ container: PodContainer, pod: Pod) throws -> [JSON] {
        var edits: [JSON] = []
        for (resource, count) in ResourceTranslation.extendedResources(container) {
            let (provider, isKnown) = offers.withLock { offers in
                (
                    offers.byPlugin.values.first { $0.resources[resource] != nil }?.provider,
                    offers.known.contains(resource)
                )
            }
            // What somebody else wrote into the node's status is counted by the scheduler, and there is nothing to hand out.
            if provider == nil && !isKnown { continue }
            guard let provider else {
                throw ContainerConfigurationError(
                    reason: "CreateContainerError", message: "no active plugin provides \(resource)")
            }
            let answer = try provider.allocate(
                [
                    "podUID": .string(pod.uid), "podNamespace": .string(pod.namespace), "podName": .string(pod.name),
                    "container": .string(container.name), "resource": .string(resource), "count": .integer(count),
                ], deadline: WallClock.deadline(seconds: 30))
            if answer["edits"].exists { edits.append(answer["edits"]) }
        }
        return edits
    }

    /// Gives back what pods hold that no longer exist: they were removed while nobody looked.
    static func collectGarbage(of provider: any DeviceProvider, keeping pods: Set<String>) throws {
        let deadline = WallClock.deadline(seconds: 30)
        let allocations = try provider.listAllocations([:], deadline: deadline)["allocations"].arrayValue
        for uid in Set(allocations.compactMap { $0["podUID"].stringValue }).subtracting(pods) {
            _ = try provider.release(["podUID": .string(uid)], deadline: deadline)
        }
    }

    func release(podUID: String) throws {
        for provider in offers.withLock({ $0.byPlugin.values.map(\.provider) }) {
            _ = try provider.release(["podUID": .string(podUID)], deadline: WallClock.deadline(seconds: 30))
        }
    }
}
