// InterposerBenchmark: what it costs that the host stands between a caller and a provider.
//
// Calls slots of hostd.scheduler/1 through the provider's own table and through an interposed one, by turns, so that what
// else the machine does meets both: `reset`, which takes no argument, and `node_set` with an object of 64 bytes and of 4 KB.
// One provider is written in C, one in Swift with PluginKit. Slots have their costs, as in a running host. Prints lines of
// name, value, unit and bar, separated by tabs; times are of the processor, the median of many rounds.
import CIdleScheduler
import CInterposer
import Glibc
import PluginAPI
import PluginKit

final class IdleScheduler: SchedulerProvider {
    func nodeSet(_ node: hostd_scheduler_node, name: String, object: UnsafeRawBufferPointer) throws {}
    func nodeRemove(_ name: String) throws {}
    func podSet(_ pod: hostd_scheduler_pod, uid: String, node: String, object: UnsafeRawBufferPointer) throws {}
    func podRemove(_ uid: String) throws {}
    func schedule(
        _ pod: hostd_scheduler_pod, uid: String, object: UnsafeRawBufferPointer, deadline: UInt64
    ) throws -> SchedulingDecision { .refuse(nodes: 0, refusals: []) }
    func reset() throws {}
}

/// Nanoseconds of processor time, so that other work on the machine counts less.
func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Nanoseconds a call of each of two ways, and between them: medians of rounds, taken by turns.
struct Comparison {
    let bare: Double
    let interposed: Double
    let difference: Double

    private static let calls = 50_000
    private static let rounds = 61

    init(_ first: () -> Int32, _ second: () -> Int32) {
        var (bare, interposed): ([Double], [Double]) = ([], [])
        for _ in 0..<Self.rounds {
            bare.append(Self.round(first))
            interposed.append(Self.round(second))
        }
        difference = Self.median(zip(interposed, bare).map { $0 - $1 })
        self.bare = Self.median(bare)
        self.interposed = Self.median(interposed)
    }

    private static func round(_ call: () -> Int32) -> Double {
        let start = now()
        for _ in 0..<calls where call() != HOSTD_OK { fatalError("a call failed") }  // SAFETY: a benchmark may stop.
        return Double(now() - start) / Double(calls)
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

func text(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

func report(_ name: String, _ comparison: Comparison, bar: Int) {
    print("interposed call, \(name): over the bare call\t\(text(comparison.difference))\tns\t<= \(bar)")
    print("the same: bare, interposed\t\(text(comparison.bare)), \(text(comparison.interposed))\tns\t")
}

/// The interposed table over a provider's, with the costs that its header declares.
func interposed(_ provider: UnsafePointer<hostd_interface>) -> UnsafePointer<hostd_interface> {
    var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
    guard let descriptor = interposer_descriptor_create(HOSTD_SCHEDULER_1_SLOTS, &message),
        let binding = interposer_binding_create(HOSTD_SCHEDULER_1, descriptor)
    else {
        print("the interposer cannot be set up")
        exit(1)
    }
    let target = interposer_target_create(descriptor, provider)
    for slot in 0..<interposer_descriptor_count(descriptor) {
        interposer_target_set_cost(target, slot, 10_000_000, "benchmark")
    }
    _ = interposer_binding_set(binding, target)
    return interposer_binding_table(binding)
}

func measure(_ name: String, _ provider: UnsafePointer<hostd_interface>, bar: Int) {
    let error = UnsafeMutablePointer<hostd_error>.allocate(capacity: 1)
    error.initialize(to: hostd_error())
    error.pointee.struct_size = UInt32(MemoryLayout<hostd_error>.size)
    let tables = [provider, interposed(provider)].map {
        (this: $0.pointee.`self`, slots: UnsafeRawPointer($0).assumingMemoryBound(to: hostd_scheduler_1.self))
    }
    let resets = tables.map { ($0.this, $0.slots.pointee.reset) }
    report(
        "\(name), no argument", Comparison({ resets[0].1(resets[0].0, error) }, { resets[1].1(resets[1].0, error) }),
        bar: bar)
    var node = hostd_scheduler_node()
    node.struct_size = UInt32(MemoryLayout<hostd_scheduler_node>.size)
    let sets = tables.map { ($0.this, $0.slots.pointee.node_set) }
    let label = Array("node-1".utf8)
    for (amount, size) in [("64 B", 64), ("4 KB", 4096)] {
        let object = [UInt8](repeating: 0x20, count: size)
        label.withUnsafeBufferPointer { label in
            object.withUnsafeBufferPointer { object in
                withUnsafePointer(to: node) { node in
                    func call(_ index: Int) -> Int32 {
                        sets[index].1(
                            sets[index].0, node, label.baseAddress!, UInt64(label.count), object.baseAddress!,
                            UInt64(size), error)
                    }
                    report("\(name), \(amount)", Comparison({ call(0) }, { call(1) }), bar: bar)
                }
            }
        }
    }
}

@main
enum InterposerBenchmark {
    static func main() {
        measure("C plugin", idle_scheduler(), bar: 100)
        measure("Swift plugin", RoleTable.scheduler(IdleScheduler()), bar: 130)
    }
}
