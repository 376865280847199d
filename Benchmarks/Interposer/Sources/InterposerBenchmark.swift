// InterposerBenchmark: what it costs that the host stands between a caller and a provider in Swift.
//
// Calls slots of hostd.scheduler/1 directly through the provider's C table, and through an interposed one, and prints
// nanoseconds a call, the median of several rounds: first of a slot that does nothing (`reset`, one argument), then of one
// with three (`node_remove`), each with a bare C-callable Swift function and with a provider made by PluginKit.
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

/// Nanoseconds a call: the median of the rounds.
func measure(_ call: () -> Int32) -> Double {
    let calls = 300_000
    var rounds: [Double] = []
    for _ in 0..<15 {
        let start = now()
        for _ in 0..<calls where call() != HOSTD_OK { fatalError("a call failed") }  // SAFETY: a benchmark may stop.
        rounds.append(Double(now() - start) / Double(calls))
    }
    return rounds.sorted()[rounds.count / 2]
}

func report(_ name: String, _ nanoseconds: Double) {
    print("\(name): \(Double(Int(nanoseconds * 10)) / 10) ns")
}

func measure(_ name: String, _ provider: UnsafePointer<hostd_interface>) {
    var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
    guard let descriptor = interposer_descriptor_create(HOSTD_SCHEDULER_1_SLOTS, &message),
        let binding = interposer_binding_create(HOSTD_SCHEDULER_1, descriptor)
    else {
        print("the interposer cannot be set up")
        exit(1)
    }
    _ = interposer_binding_set(binding, interposer_target_create(descriptor, provider))
    let error = UnsafeMutablePointer<hostd_error>.allocate(capacity: 1)
    error.initialize(to: hostd_error())
    error.pointee.struct_size = UInt32(MemoryLayout<hostd_error>.size)
    let node = Array("node-1".utf8)
    for (label, table) in [("direct", provider), ("interposed", interposer_binding_table(binding))] {
        let scheduler = UnsafeRawPointer(table).assumingMemoryBound(to: hostd_scheduler_1.self)
        let this = table.pointee.`self`
        let (reset, remove) = (scheduler.pointee.reset, scheduler.pointee.node_remove)
        report("\(name), no arguments, \(label)", measure { reset(this, error) })
        node.withUnsafeBufferPointer { bytes in
            report(
                "\(name), bytes, \(label)",
                measure { remove(this, bytes.baseAddress!, UInt64(bytes.count), error) })
        }
    }
}

@main
enum InterposerBenchmark {
    static func main() {
        let bare = UnsafeMutablePointer<hostd_scheduler_1>.allocate(capacity: 1)
        bare.initialize(to: bareProvider())
        measure("Swift function", UnsafeRawPointer(bare).assumingMemoryBound(to: hostd_interface.self))
        measure("PluginKit provider", RoleTable.scheduler(IdleScheduler()))
    }

    /// A provider without PluginKit: functions that return at once.
    static func bareProvider() -> hostd_scheduler_1 {
        hostd_scheduler_1(
            interface: hostd_interface(
                struct_size: UInt32(MemoryLayout<hostd_scheduler_1>.size), reserved: 0, self: nil,
                id: strdup(HOSTD_SCHEDULER_1),
                slots: strdup(HOSTD_SCHEDULER_1_SLOTS)),
            node_set: { _, _, _, _, _, _, _ in HOSTD_OK }, node_remove: { _, _, _, _ in HOSTD_OK },
            pod_set: { _, _, _, _, _, _, _, _, _ in HOSTD_OK }, pod_remove: { _, _, _, _ in HOSTD_OK },
            schedule: { _, _, _, _, _, _, _, _, _ in HOSTD_OK }, reset: { _, _ in HOSTD_OK },
            revision: { _, _, _ in HOSTD_OK })
    }
}
