import PluginAPI
import Synchronization

/// One series. Values are doubles kept as bits in atomics.
final class MetricSeries: @unchecked Sendable {  // Everything that changes is atomic.
    let kind: Int32
    let name: String
    let labels: String
    /// The counter's or gauge's value; the sum of a histogram.
    private let value = Atomic<UInt64>(0)
    private let observations = Atomic<UInt64>(0)
    private let bounds: [Double]
    private let buckets: UnsafeMutablePointer<Atomic<UInt64>>

    /// Upper bounds in seconds.
    static let secondBounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// Upper bounds in bytes, for names that end in `_bytes`.
    static let byteBounds: [Double] = [
        64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
    ]

    init(kind: Int32, name: String, labels: String) {
        self.kind = kind
        self.name = name
        if kind == HOSTD_METRIC_HISTOGRAM {
            let usual = name.hasSuffix("_bytes") ? Self.byteBounds : Self.secondBounds
            (self.labels, bounds) = Self.withoutBounds(labels) ?? (labels, usual)
        } else {
            (self.labels, bounds) = (labels, [])
        }
        buckets = .allocate(capacity: bounds.count)
        for position in bounds.indices { (buckets + position).initialize(to: Atomic(0)) }
    }

    deinit {
        buckets.deinitialize(count: bounds.count)
        buckets.deallocate()
    }

    /// The upper bounds that a histogram's definition names as its last label, `le="0.5,1,2"`, and the labels without it; nil
    /// where it names none that rise.
    private static func withoutBounds(_ labels: String) -> (labels: String, bounds: [Double])? {
        let mark = "le=\""
        guard labels.hasSuffix("\""), let start = labels.lastIndex(of: "=").map({ labels.index($0, offsetBy: 2) }),
            labels[..<start].hasSuffix(mark)
        else { return nil }
        let before = labels[..<labels.index(start, offsetBy: -mark.count)]
        guard before.isEmpty || before.hasSuffix(",") else { return nil }
        let parts = labels[start..<labels.index(before: labels.endIndex)].split(separator: ",")
        let bounds = parts.compactMap { Double($0) }
        guard !bounds.isEmpty, bounds.count == parts.count, zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 })
        else {
            return nil
        }
        return (String(before.dropLast()), bounds)
    }

    var kindName: String {
        kind == HOSTD_METRIC_COUNTER ? "counter" : kind == HOSTD_METRIC_GAUGE ? "gauge" : "histogram"
    }

    func record(_ amount: Double) {
        if kind == HOSTD_METRIC_GAUGE { return value.store(amount.bitPattern, ordering: .relaxed) }
        if kind == HOSTD_METRIC_HISTOGRAM {
            observations.wrappingAdd(1, ordering: .relaxed)
            if let bucket = bounds.firstIndex(where: { amount <= $0 }) {
                buckets[bucket].wrappingAdd(1, ordering: .relaxed)
            }
        } else if amount < 0 {
            return  // A counter never falls.
        }
        add(amount)
    }

    /// Adds observations that were counted in buckets of the same bounds.
    func merge(buckets counts: [UInt64], count: UInt64, sum: Double) {
        for (position, count) in counts.prefix(bounds.count).enumerated() where count > 0 {
            buckets[position].wrappingAdd(count, ordering: .relaxed)
        }
        observations.wrappingAdd(count, ordering: .relaxed)
        add(sum)
    }

    private func add(_ amount: Double) {
        var current = value.load(ordering: .relaxed)
        while true {
            let sum = (Double(bitPattern: current) + amount).bitPattern
            let (exchanged, original) = value.weakCompareExchange(expected: current, desired: sum, ordering: .relaxed)
            if exchanged { return }
            current = original
        }
    }

    func write(to text: inout String) {
        let number = Self.format(Double(bitPattern: value.load(ordering: .relaxed)))
        let braces = labels.isEmpty ? "" : "{\(labels)}"
        guard kind == HOSTD_METRIC_HISTOGRAM else { return text += "\(name)\(braces) \(number)\n" }
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: UInt64 = 0
        for (position, bound) in bounds.enumerated() {
            total += buckets[position].load(ordering: .relaxed)
            text += "\(name)_bucket{\(prefix)le=\"\(Self.format(bound))\"} \(total)\n"
        }
        let count = max(total, observations.load(ordering: .relaxed))
        text +=
            "\(name)_bucket{\(prefix)le=\"+Inf\"} \(count)\n\(name)_sum\(braces) \(number)\n\(name)_count\(braces) \(count)\n"
    }

    private static func format(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }

    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 255, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte) || byte == 95
                || byte == 58
        }
    }
}
