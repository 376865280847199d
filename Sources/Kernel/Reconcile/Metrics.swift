import Glibc
import PluginAPI
import Synchronization

/// Counters, gauges and histograms: `hostd.metrics/1`. Recording takes no lock.
public final class Metrics: @unchecked Sendable {
    // SAFETY: `table` slots are written once under `lock`, before their handle is known.

    /// Handles are positions in this table plus one.
    private static let capacity = 16_384
    private let series = UnsafeMutablePointer<Unmanaged<MetricSeries>?>.allocate(capacity: Metrics.capacity)
    private let count = Atomic<Int>(0)
    private let lock = Monitor()
    private var handles: [String: UInt64] = [:]
    private var collectors: [@Sendable () -> Void] = []
    private var table: InterfaceTable<hostd_metrics_1>?

    public init() {}

    deinit {
        for position in 0..<count.load(ordering: .acquiring) { series[position]?.release() }
        series.deallocate()
    }

    /// Defines a series or finds it. Fails when the name is not a metric name, when it exists with another kind, or when
    /// 16,384 series exist.
    public func define(_ kind: Int32, _ name: String, labels: String = "") throws(StoreError) -> UInt64 {
        guard (HOSTD_METRIC_COUNTER...HOSTD_METRIC_HISTOGRAM).contains(kind) else {
            throw .invalid("metric \(name): kind \(kind) is none of 1 (counter), 2 (gauge), 3 (histogram)")
        }
        guard MetricSeries.isName(name), labels.utf8.count <= 1024, !labels.utf8.contains(10) else {
            throw .invalid(
                "metric \(name){\(labels)}: names are letters, digits, _ and :, labels at most 1,024 bytes on one line")
        }
        return try lock.locked { () throws(StoreError) in
            let key = "\(name){\(labels)}"
            if let handle = handles[key] {
                guard series[Int(handle) - 1]?.takeUnretainedValue().kind == kind else {
                    throw .invalid("metric \(key) exists with another kind; choose another name")
                }
                return handle
            }
            let position = count.load(ordering: .acquiring)
            guard position < Self.capacity else {
                throw StoreError(
                    HOSTD_ERROR_RESOURCE_EXHAUSTED,
                    "metric \(key): there are \(Self.capacity) series already; use fewer labels")
            }
            (series + position).initialize(to: .passRetained(MetricSeries(kind: kind, name: name, labels: labels)))
            count.store(position + 1, ordering: .releasing)
            handles[key] = UInt64(position + 1)
            return UInt64(position + 1)
        }
    }

    /// Adds to a counter, sets a gauge, observes in a histogram. An unknown handle fails. [any-thread]
    public func record(_ handle: UInt64, _ value: Double) throws(StoreError) {
        guard handle > 0, handle <= UInt64(count.load(ordering: .acquiring)), let found = series[Int(handle) - 1] else {
            throw StoreError(HOSTD_ERROR_NOT_FOUND, "metric \(handle) was never defined; use the handle from define")
        }
        found._withUnsafeGuaranteedRef { $0.record(value) }
    }

    /// Records in a series of the kernel's own.
    func recordKnown(_ handle: UInt64, _ value: Double) { known(handle) { $0.record(value) } }

    /// Adds observations to a histogram of the kernel's own, counted elsewhere in buckets of the same bounds.
    func merge(_ handle: UInt64, buckets: [UInt64], count: UInt64, sum: Double) {
        known(handle) { $0.merge(buckets: buckets, count: count, sum: sum) }
    }

    private func known(_ handle: UInt64, _ body: (MetricSeries) -> Void) {
        guard handle > 0, handle <= UInt64(count.load(ordering: .acquiring)), let found = series[Int(handle) - 1] else {
            // SAFETY: the kernel asks with handles that `define` gave it, and series are never removed.
            preconditionFailure("metric \(handle) was never defined")
        }
        found._withUnsafeGuaranteedRef(body)
    }

    /// Called at the begin of each `collect`, to set gauges that are cheaper to read than to keep. Not from a collector.
    public func onCollect(_ body: @escaping @Sendable () -> Void) {
        lock.locked { collectors.append(body) }
    }

    /// All series as Prometheus text, grouped by name.
    public func collect() -> String {
        for body in lock.locked({ collectors }) { body() }
        var byName: [String: [MetricSeries]] = [:]
        for position in 0..<count.load(ordering: .acquiring) {
            guard let one = series[position]?.takeUnretainedValue() else { continue }
            byName[one.name, default: []].append(one)
        }
        var text = ""
        for (name, group) in byName.sorted(by: { $0.key < $1.key }) {
            text += "# TYPE \(name) \(group[0].kindName)\n"
            for one in group.sorted(by: { $0.labels < $1.labels }) { one.write(to: &text) }
        }
        return text
    }

    /// The table `hostd.metrics/1`: same address at each call, valid as long as this object.
    public func makeInterface() -> UnsafePointer<hostd_interface> {
        lock.locked {
            if let table { return table.interface }
            let new = InterfaceTable(id: HOSTD_METRICS_1, slots: HOSTD_METRICS_1_SLOTS, owner: self) {
                Self.makeTable($0)
            }
            table = new
            return new.interface
        }
    }

    private static func makeTable(_ head: hostd_interface) -> hostd_metrics_1 {
        hostd_metrics_1(
            interface: head,
            define: { this, kind, name, nameSize, labels, labelsSize, metric, error in
                answering(error) { () throws(StoreError) in
                    metric.pointee = try owner(this, as: Metrics.self).define(
                        Int32(clamping: kind), text(name, nameSize), labels: text(labels, labelsSize))
                }
            },
            record: { this, metric, value, error in
                answering(error) { () throws(StoreError) in try owner(this, as: Metrics.self).record(metric, value) }
            },
            collect: { this, output, _ in
                output.pointee = ownedBuffer(owner(this, as: Metrics.self).collect().utf8)
                return HOSTD_OK
            })
    }
}
