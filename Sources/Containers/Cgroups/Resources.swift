import Objects
import PluginKit

/// Limits of a container or pod: the Resources message of the role. Nil leaves the kernel's default.
package struct Resources: Sendable, Equatable {
    /// v1's scale, 2 to 262144, 1024 per core.
    package var cpuShares: Int64?
    /// Microseconds per period; 0 or less is no limit.
    package var cpuQuota: Int64?
    /// Microseconds, 100000 when absent.
    package var cpuPeriod: Int64?
    package var memoryLimitBytes: Int64?
    package var cpusetCPUs: String?
    package var cpusetMemoryNodes: String?
    package var pidsLimit: Int64?
    /// -1000 to 1000.
    package var oomScoreAdjust: Int64?
    /// By page size as the kernel writes it: 2MB, 1GB.
    package var hugepageLimits: [(pageSize: String, limit: Int64)] = []

    package init() {}

    package init(_ json: JSON) throws(PluginError) {
        cpuShares = try Self.integer(json, "cpuShares", 0...262_144)
        cpuQuota = try Self.integer(json, "cpuQuota", -1...Int64.max)
        cpuPeriod = try Self.integer(json, "cpuPeriod", 0...1_000_000)
        memoryLimitBytes = try Self.integer(json, "memoryLimitBytes", -1...Int64.max)
        pidsLimit = try Self.integer(json, "pidsLimit", -1...Int64.max)
        oomScoreAdjust = try Self.integer(json, "oomScoreAdjust", -1000...1000)
        cpusetCPUs = try Self.list(json, "cpusetCPUs")
        cpusetMemoryNodes = try Self.list(json, "cpusetMemoryNodes")
        for limit in json["hugepageLimits"].arrayValue {
            let size = limit["pageSize"].stringValue ?? ""
            guard !size.isEmpty, size.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) }) else {
                throw .invalid("\"\(size)\" is not a huge page size such as 2MB")
            }
            hugepageLimits.append((size, limit["limit"].integerValue ?? 0))
        }
    }

    package static func == (left: Resources, right: Resources) -> Bool {
        left.cpuShares == right.cpuShares && left.cpuQuota == right.cpuQuota && left.cpuPeriod == right.cpuPeriod
            && left.memoryLimitBytes == right.memoryLimitBytes && left.cpusetCPUs == right.cpusetCPUs
            && left.cpusetMemoryNodes == right.cpusetMemoryNodes && left.pidsLimit == right.pidsLimit
            && left.oomScoreAdjust == right.oomScoreAdjust
            && left.hugepageLimits.elementsEqual(right.hugepageLimits) {
                $0.pageSize == $1.pageSize && $0.limit == $1.limit
            }
    }

    /// The controllers in v1 that these limits need beyond those every container joins.
    package var extraControllers: [String] {
        (cpusetCPUs != nil || cpusetMemoryNodes != nil ? ["cpuset"] : []) + (hugepageLimits.isEmpty ? [] : ["hugetlb"])
    }

    /// v2's cpu.weight for v1's shares, as the kernel's documentation and Kubernetes map them: 2…262144 to 1…10000.
    package static func weight(shares: Int64) -> Int64 {
        let bounded = min(max(shares, 2), 262_144)
        return 1 + (bounded - 2) * 9_999 / 262_142
    }

    private static func integer(_ json: JSON, _ name: String, _ range: ClosedRange<Int64>) throws(PluginError) -> Int64?
    {
        guard json[name].exists else { return nil }
        guard let value = json[name].integerValue, range.contains(value) else {
            throw .invalid("resources.\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func list(_ json: JSON, _ name: String) throws(PluginError) -> String? {
        guard let value = json[name].stringValue, !value.isEmpty else { return nil }
        guard value.utf8.allSatisfy({ (48...57).contains($0) || $0 == 44 || $0 == 45 }) else {
            throw .invalid("resources.\(name) must be a list such as 0-3,7")
        }
        return value
    }
}
