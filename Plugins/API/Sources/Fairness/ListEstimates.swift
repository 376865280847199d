import Objects
import PluginKit
import Synchronization

/// How many seats a request takes: one, but for lists, which take one for each hundred objects that they go through.
final class ListEstimates: Sendable {
    private static let objectsPerSeat: UInt64 = 100
    /// How long a count is taken for true, in nanoseconds.
    private static let age: UInt64 = 10_000_000_000
    private static let mostSeats = 10

    private let count: @Sendable (RequestInfo) -> UInt64?
    private let counts = VerdictCache<String, UInt64>(limit: 1024)

    /// - Parameter count: How many objects there are of what a request is about; nil when that is not known.
    init(count: @escaping @Sendable (RequestInfo) -> UInt64?) { self.count = count }

    /// Counts in the store.
    convenience init(store: StoreClient, resources: ResourceTable, log: Log) {
        self.init { info in
            guard let resource = resources.find(group: info.group, version: info.version, resource: info.resource),
                !resource.isVirtual
            else { return nil }
            do {
                let page = try store.list(prefix: resource.prefix(info.namespace), limit: 1)
                return UInt64(page.records.count) + page.remaining
            } catch {
                log.warning("objects cannot be counted", ["reason": .string("\(error)")])
                return nil
            }
        }
    }

    func seats(_ info: RequestInfo, _ request: APIRequest) -> Int {
        guard info.isResource, info.name.isEmpty else { return 1 }
        switch info.verb {
        case "list", "deletecollection": break
        case "watch":
            // Only one that begins with what there is goes through it.
            let version = request.query["resourceVersion"] ?? ""
            guard version.isEmpty || version == "0" || request.query.flag("sendInitialEvents") else { return 1 }
        default: return 1
        }
        let query = request.query
        let hasSelector = [query["labelSelector"], query["fieldSelector"]].contains { !($0 ?? "").isEmpty }
        if (query["fieldSelector"] ?? "").hasPrefix("metadata.name=") { return 1 }
        var objects = stored(info)
        // Without a selector no more is gone through than is shown.
        if !hasSelector, let limit = query["limit"].flatMap({ UInt64($0) }), limit > 0 { objects = min(objects, limit) }
        return min(max(Int(clamping: (objects + Self.objectsPerSeat - 1) / Self.objectsPerSeat), 1), Self.mostSeats)
    }

    private func stored(_ info: RequestInfo) -> UInt64 {
        let key = "\(info.group)/\(info.version)/\(info.resource)/\(info.namespace)"
        let now = monotonicNanoseconds()
        if let known = counts.value(key, now: now) { return known }
        let found = count(info) ?? 0
        counts.keep(found, for: key, now: now, duration: Self.age)
        return found
    }
}
