import Kernel
import PluginAPI

/// Calls of hostd.scheduler/1 with amounts in millicores and MiB.
struct SchedulerCalls {
    let subject: Subject
    let table: CheckedTable

    enum Decision: Equatable {
        case placed(String)
        case refused(nodes: Int64, refusals: [(reason: String, nodes: Int64)])
        case failed(Outcome)
        case unreadable(String)

        static func == (left: Decision, right: Decision) -> Bool { "\(left)" == "\(right)" }

        var node: String? { if case .placed(let node) = self { node } else { nil } }

        var words: String {
            switch self {
            case .placed(let node): "placed on \(node)"
            case .refused(let nodes, let refusals):
                "refused by \(nodes) nodes: \(refusals.map { "\($0.nodes) × \($0.reason)" }.joined(separator: ", "))"
            case .failed(let outcome): outcome.words
            case .unreadable(let text): "answered \(text)"
            }
        }
    }

    private static let errorValue = Value.error(UInt64(MemoryLayout<hostd_error>.size))
    private static let mebibyte: Int64 = 1 << 20

    private func call(_ slot: String, _ values: [Value]) -> SlotAnswer {
        guard let slot = table.slot(slot), table.isThere(slot) else {
            return SlotAnswer(outcome: Outcome(status: HOSTD_ERROR_NOT_SUPPORTED, message: "\(slot) is missing"))
        }
        return subject.call(table, slot, values + [Self.errorValue])
    }

    private func bytes<Struct>(_ value: Struct) -> Value { .structure(withUnsafeBytes(of: value) { Array($0) }) }

    @discardableResult
    func nodeSet(
        _ name: String, cpu: Int64, memory: Int64 = 65_536, pods: Int64 = 110,
        flags: UInt32 = UInt32(HOSTD_SCHEDULER_NODE_READY)
    ) -> Outcome {
        let node = hostd_scheduler_node(
            struct_size: UInt32(MemoryLayout<hostd_scheduler_node>.size), flags: flags, milli_cpu: cpu,
            memory_bytes: memory * Self.mebibyte, ephemeral_storage_bytes: 1 << 40, pods: pods)
        let object = """
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"\(name)","labels":{"kubernetes.io/hostname":"\(name)"}},
             "spec":{\(flags & 1 != 0 ? "\"unschedulable\":true" : "")},"status":{"conditions":[]}}
            """
        return call("node_set", [bytes(node), .text(name), .text(object)]).outcome
    }

    @discardableResult
    func nodeRemove(_ name: String) -> Outcome { call("node_remove", [.text(name)]).outcome }

    private func pod(cpu: Int64, memory: Int64) -> hostd_scheduler_pod {
        hostd_scheduler_pod(
            struct_size: UInt32(MemoryLayout<hostd_scheduler_pod>.size), priority: 0, milli_cpu: cpu,
            memory_bytes: memory * Self.mebibyte, ephemeral_storage_bytes: 0)
    }

    private func object(_ uid: String, cpu: Int64, memory: Int64, node: String? = nil) -> String {
        let place = node.map { "\"nodeName\":\"\($0)\"," } ?? ""
        return """
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"\(uid)","namespace":"default","uid":"\(uid)"},
             "spec":{\(place)"containers":[{"name":"c","image":"i","resources":{"requests":
             {"cpu":"\(cpu)m","memory":"\(memory)Mi"}}}]}}
            """
    }

    @discardableResult
    func podSet(_ uid: String, on node: String, cpu: Int64, memory: Int64 = 64) -> Outcome {
        let object = object(uid, cpu: cpu, memory: memory, node: node)
        return call("pod_set", [bytes(pod(cpu: cpu, memory: memory)), .text(uid), .text(node), .text(object)]).outcome
    }

    @discardableResult
    func podRemove(_ uid: String) -> Outcome { call("pod_remove", [.text(uid)]).outcome }

    @discardableResult
    func reset() -> Outcome { call("reset", []).outcome }

    func schedule(_ uid: String, cpu: Int64, memory: Int64 = 64) -> Decision {
        let deadline = Value.number(monotonicNanoseconds() + 5_000_000_000)
        let object = object(uid, cpu: cpu, memory: memory)
        let answer = call(
            "schedule", [deadline, bytes(pod(cpu: cpu, memory: memory)), .text(uid), .text(object), .output])
        guard answer.isOK else { return .failed(answer.outcome) }
        guard let json = try? JSON(parsing: answer.output), json.objectValue != nil else {
            return .unreadable(Value.bytes(answer.output).words)
        }
        if let node = json["node"].stringValue { return .placed(node) }
        guard let nodes = json["nodes"].integerValue else { return .unreadable(Value.bytes(answer.output).words) }
        return .refused(
            nodes: nodes,
            refusals: json["refusals"].arrayValue.map {
                ($0["reason"].stringValue ?? "", $0["nodes"].integerValue ?? 0)
            })
    }
}
