import Objects
import PluginKit

/// The ranges that services get their addresses from: the configured one, and those of ServiceCIDR objects that are ready.
/// See https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/.
final class ServiceRanges: Sendable {
    /// One ServiceCIDR.
    struct Entry: Sendable, Equatable {
        /// Those of IPv4, which alone services have.
        var ranges: [AddressRange]
        var isReady: Bool
        var isLeaving: Bool

        init(_ object: JSON) {
            ranges = object["spec"]["cidrs"].arrayValue.compactMap {
                $0.stringValue.flatMap(AddressRange.init(parsing:))
            }
            let condition = object["status"]["conditions"].arrayValue.first { $0["type"] == "Ready" } ?? .null
            isReady = condition["status"] == "True"
            isLeaving = object.deletionTimestamp != nil
        }
    }

    /// The ServiceCIDR that stands for the configured range.
    private static let configuredName = "kubernetes"

    let objects: AdmissionCache<Entry>
    private let configured: AddressRange

    init(host: Host, configured: AddressRange) {
        self.configured = configured
        objects = AdmissionCache(host, resource: "servicecidrs.networking.k8s.io") { Entry($0) }
    }

    /// Those that new addresses may be of, the configured one first.
    var open: [AddressRange] {
        Self.open(
            configured: configured, isLeaving: objects.value(named: Self.configuredName)?.isLeaving == true,
            objects.values())
    }

    static func open(configured: AddressRange, isLeaving: Bool, _ entries: [Entry]) -> [AddressRange] {
        var ranges = isLeaving ? [] : [configured]
        for entry in entries where entry.isReady && !entry.isLeaving {
            ranges += entry.ranges.filter { !ranges.contains($0) && !(isLeaving && $0 == configured) }
        }
        return ranges
    }
}
