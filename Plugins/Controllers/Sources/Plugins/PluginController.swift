import Objects
import PluginKit
import Synchronization

/// Keeps a Plugin object (plugins.hostd.dev) for each plugin of the host, and swaps what somebody edits.
final class PluginController: Controller {
    /// How often counters that changed alone are written. Seconds.
    private static let counterPeriod: Int64 = 60

    private let cluster: Cluster
    private let platform: PluginPlatform
    private let queue: ControllerQueue
    private let subscription = Mutex<Subscription?>(nil)
    /// When the status of each plugin was last written with its counters, monotonic nanoseconds.
    private let counted = Mutex<[String: UInt64]>([:])

    init(_ cluster: Cluster, _ platform: PluginPlatform) throws {
        self.cluster = cluster
        self.platform = platform
        let box = Unowned<PluginController>()
        queue = try cluster.queue("plugin", workers: 1) { key in
            try box.value?.synchronize(key) ?? .done
        }
        box.value = self
        cluster.plugins.onObject { [queue] in queue.add($0.name) }
    }

    func start() throws {
        queue.open()
        let watch = try platform.watch { [queue] in queue.add($0) }
        subscription.withLock { $0 = watch }
    }

    func stop() {
        subscription.withLock { $0 }?.cancel()
        queue.stop()
    }

    private func synchronize(_ name: String) throws -> Requeue {
        let plugin = try platform.describe().first { $0["name"].stringValue == name }
        let now = monotonicNanoseconds()
        let period = UInt64(Self.counterPeriod) * 1_000_000_000
        let isDue = counted.withLock { counted in counted[name].map { now >= $0 + period } ?? true }
        let object = cluster.plugins.get("", name)
        switch PluginPlan.of(object, plugin, countsCalls: isDue) {
        case .create(let object):
            do { try cluster.writer.create(.plugins, object) } catch let error as APIError where error.isAlreadyExists {
                // Its event brings it here.
            }
        case .swap(let request, let status):
            guard let object else { return .done }
            // The status first: whatever the request brings about, this wish is not tried twice.
            try write(status, to: object, now)
            do { try platform.request(request) } catch let error as PluginError {
                try refuse(object.name, error)
            }
        case .follow(let specification):
            guard var object else { return .done }
            object["spec"] = specification
            let next = (object.metadata["generation"].integerValue ?? 0) + 1
            var annotations = object.metadata["annotations"].objectValue ?? [:]
            annotations[PluginPlan.followedAnnotation] = .string(String(next))
            object["metadata"]["annotations"] = .object(annotations)
            try cluster.writer.update(.plugins, object.typed(.plugins))
        case .updateStatus(let status):
            if let object { try write(status, to: object, now) }
        case .delete:
            if let object { try cluster.writer.delete(.plugins, object) }
        case .none: break
        }
        return plugin == nil ? .done : .afterSeconds(Self.counterPeriod)
    }

    private func write(_ status: JSON, to object: JSON, _ now: UInt64) throws {
        try cluster.writer.updateStatus(.plugins, object, status: status)
        counted.withLock { $0[object.name] = now }
    }

    /// A request that the host did not even take becomes an event, where `kubectl describe` shows it.
    private func refuse(_ name: String, _ error: PluginError) throws {
        guard let object = cluster.plugins.get("", name) else { return }
        cluster.recorder.record(
            object.typed(.plugins), .warning, reason: "SwapRefused", message: error.message,
            component: "plugin-controller")
    }
}
