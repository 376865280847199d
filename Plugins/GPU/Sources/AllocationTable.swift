import Objects
import PluginKit

/// Which device belongs to which container. A pure value; the caller stores it.
struct AllocationTable: Sendable, Equatable {
    struct Allocation: Sendable, Equatable {
        let podUID: String
        let podNamespace: String
        let podName: String
        let container: String
        let resource: String
        let deviceIDs: [String]
    }
    private(set) var allocations: [Allocation] = []

    init() {}

    /// Gives `count` of the `healthy` devices to a container, in their order. The same container gets the same again.
    /// - Throws: RESOURCE_EXHAUSTED saying how many are free, CONFLICT when the container has another number already.
    mutating func allocate(_ request: Allocation, count: Int, healthy: [String]) throws -> Allocation {
        if let existing = allocations.first(where: {
            $0.podUID == request.podUID && $0.container == request.container && $0.resource == request.resource
        }) {
            guard existing.deviceIDs.count == count else {
                throw PluginError.conflict(
                    "container \(request.container) has \(existing.deviceIDs.count) of \(request.resource), not \(count)"
                )
            }
            return existing
        }
        let taken = Set(allocations.flatMap(\.deviceIDs))
        let free = healthy.filter { !taken.contains($0) }
        guard free.count >= count else {
            throw PluginError.exhausted(
                "\(count) of \(request.resource) are asked for, \(free.count) of \(healthy.count) healthy ones are free"
            )
        }
        let made = Allocation(
            podUID: request.podUID, podNamespace: request.podNamespace, podName: request.podName,
            container: request.container, resource: request.resource, deviceIDs: Array(free.prefix(count)))
        allocations.append(made)
        return made
    }

    /// - Returns: the devices that became free.
    mutating func release(podUID: String) -> [String] {
        let freed = allocations.filter { $0.podUID == podUID }.flatMap(\.deviceIDs)
        allocations.removeAll { $0.podUID == podUID }
        return freed
    }

    init(json: JSON) throws {
        guard json["format"].integerValue == 1 else {
            throw PluginError.invalid(
                "the allocations were written by another version; drain the node and remove the file")
        }
        allocations = json["allocations"].arrayValue.map {
            Allocation(
                podUID: $0["podUID"].stringValue ?? "", podNamespace: $0["podNamespace"].stringValue ?? "",
                podName: $0["podName"].stringValue ?? "", container: $0["container"].stringValue ?? "",
                resource: $0["resource"].stringValue ?? "",
                deviceIDs: $0["deviceIDs"].arrayValue.compactMap(\.stringValue))
        }
    }

    var json: JSON { ["format": 1, "allocations": listed] }

    var listed: JSON {
        .array(
            allocations.map {
                [
                    "podUID": .string($0.podUID), "podNamespace": .string($0.podNamespace),
                    "podName": .string($0.podName), "container": .string($0.container),
                    "resource": .string($0.resource), "deviceIDs": .array($0.deviceIDs.map { .string($0) }),
                ]
            })
    }
}
