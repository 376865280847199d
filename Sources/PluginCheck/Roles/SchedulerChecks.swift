import Kernel
import PluginAPI

/// What callers of hostd.scheduler/1 build upon: rules 40 to 43.
enum SchedulerChecks {
    static func run(_ session: Session) {
        guard session.open(), session.description?.provides.contains(HOSTD_SCHEDULER_1) == true,
            let (subject, table) = session.active(HOSTD_SCHEDULER_1)
        else { return }
        let calls = SchedulerCalls(subject: subject, table: table)
        let checks: [(Int, String, (SchedulerCalls) throws(Breach) -> Void)] = [
            (40, "room for CPU", roomForCPU), (40, "room for memory and pods", roomForMemory),
            (40, "nodes that take no pods", unusable), (40, "random arrivals and departures", random),
            (41, "the same pod again", again), (41, "a placement that is confirmed", confirmed),
            (42, "explanations", explanations), (42, "without nodes", withoutNodes),
            (43, "room that is freed", freed), (43, "what is unknown", unknown), (43, "reset", reset),
        ]
        for (rule, name, body) in checks {
            session.check(rule, name, interface: HOSTD_SCHEDULER_1) {
                let outcome = calls.reset()
                try expect(outcome.isOK, "reset failed: \(outcome.words)", rule: 43)
                let empty = calls.schedule("nobody", cpu: 1)
                try expect(empty.node == nil, "after reset a pod was \(empty.words)", rule: 43)
                try body(calls)
            }
        }
        session.judge(subject.deactivate())
        subject.destroy()
    }

    private static func roomForCPU(_ calls: SchedulerCalls) throws(Breach) {
        for node in ["a", "b", "c"] { calls.nodeSet(node, cpu: 2000) }
        var used: [String: Int64] = [:]
        for pod in 0..<20 {
            let decision = calls.schedule("pod-\(pod)", cpu: 700)
            guard let node = decision.node else { continue }
            used[node, default: 0] += 700
            try expect(["a", "b", "c"].contains(node), "it placed a pod on \(node), which it was never told of")
            try expect(
                used[node] ?? 0 <= 2000, "\(node) has 2000 millicores, and pods for \(used[node] ?? 0) are on it")
        }
        try expect(
            used.values.reduce(0, +) == 4200,
            "6 pods of 700 millicores fit on 3 nodes of 2000; it placed \(used.values.reduce(0, +) / 700)")
    }

    private static func roomForMemory(_ calls: SchedulerCalls) throws(Breach) {
        calls.nodeSet("a", cpu: 64_000, memory: 1000)
        calls.nodeSet("b", cpu: 64_000, memory: 65_536, pods: 3)
        var placed: [String: Int] = [:]
        for pod in 0..<12 {
            if let node = calls.schedule("pod-\(pod)", cpu: 1, memory: 300).node { placed[node, default: 0] += 1 }
        }
        try expect(placed["a"] ?? 0 <= 3, "a has 1000 MiB, and \(placed["a"] ?? 0) pods of 300 MiB are on it")
        try expect(placed["b"] ?? 0 <= 3, "b takes 3 pods, and \(placed["b"] ?? 0) are on it")
    }

    private static func unusable(_ calls: SchedulerCalls) throws(Breach) {
        calls.nodeSet("cordoned", cpu: 64_000, flags: UInt32(HOSTD_SCHEDULER_NODE_READY) | 1)
        calls.nodeSet("not-ready", cpu: 64_000, flags: 0)
        let decision = calls.schedule("pod", cpu: 100)
        try expect(decision.node == nil, "no node takes pods, and it was \(decision.words)")
        calls.nodeSet("good", cpu: 1000)
        let second = calls.schedule("pod", cpu: 100)
        try expect(second.node == "good", "one node takes pods, and the pod was \(second.words)")
        calls.nodeRemove("good")
        let third = calls.schedule("other", cpu: 100)
        try expect(third.node == nil, "the node was removed, and a pod was \(third.words)")
    }

    /// A long run against a simple model of who is where.
    private static func random(_ calls: SchedulerCalls) throws(Breach) {
        let nodes = (0..<8).map { "node-\($0)" }
        for node in nodes { calls.nodeSet(node, cpu: 4000, pods: 20) }
        var (placed, used): ([String: (node: String, cpu: Int64)], [String: Int64]) = ([:], [:])
        var seed: UInt64 = 88_172_645_463_325_252
        for step in 0..<600 {
            seed ^= seed << 13
            seed ^= seed >> 7
            seed ^= seed << 17
            if seed % 3 == 0, let uid = placed.keys.sorted().first, let pod = placed.removeValue(forKey: uid) {
                calls.podRemove(uid)
                used[pod.node, default: 0] -= pod.cpu
                continue
            }
            let cpu = Int64(seed >> 20 & 1023) + 1
            guard let node = calls.schedule("pod-\(step)", cpu: cpu).node else { continue }
            placed["pod-\(step)"] = (node, cpu)
            used[node, default: 0] += cpu
            let pods = placed.values.filter { $0.node == node }.count
            try expect(
                used[node] ?? 0 <= 4000 && pods <= 20,
                "\(node) has 4000 millicores and takes 20 pods; \(pods) with \(used[node] ?? 0) are on it after \(step) steps"
            )
        }
    }

    private static func again(_ calls: SchedulerCalls) throws(Breach) {
        for node in ["a", "b"] { calls.nodeSet(node, cpu: 1000) }
        for _ in 0..<5 {
            let decision = calls.schedule("pod", cpu: 600)
            try expect(decision.node != nil, "the same pod was asked for again, and it was \(decision.words)")
        }
        let other = calls.schedule("other", cpu: 600)
        try expect(other.node != nil, "there is room for one more pod; it was \(other.words)")
        let third = calls.schedule("third", cpu: 600)
        try expect(third.node == nil, "there is no room for a third pod; it was \(third.words)", rule: 40)
    }

    private static func confirmed(_ calls: SchedulerCalls) throws(Breach) {
        calls.nodeSet("a", cpu: 1000)
        guard let node = calls.schedule("pod", cpu: 400).node else {
            throw Breach("a pod that fits was not placed", rule: 40)
        }
        for _ in 0..<3 { calls.podSet("pod", on: node, cpu: 400) }
        let second = calls.schedule("second", cpu: 600)
        try expect(
            second.node != nil,
            "a pod of 400 millicores that was confirmed leaves room for 600 on a node of 1000; it was \(second.words)")
    }

    private static func explanations(_ calls: SchedulerCalls) throws(Breach) {
        for node in 0..<3 { calls.nodeSet("small-\(node)", cpu: 100) }
        calls.nodeSet("cordoned", cpu: 64_000, flags: UInt32(HOSTD_SCHEDULER_NODE_READY) | 1)
        calls.nodeSet("not-ready", cpu: 64_000, flags: 0)
        try judge(calls.schedule("pod", cpu: 5000), nodes: 5)
    }

    private static func judge(_ decision: SchedulerCalls.Decision, nodes expected: Int64) throws(Breach) {
        guard case .refused(let nodes, let refusals) = decision else {
            throw Breach("no node fits, and it was \(decision.words)", rule: decision.node == nil ? 42 : 40)
        }
        try expect(nodes == expected, "there are \(expected) nodes; it speaks of \(nodes)")
        let sum = refusals.reduce(0) { $0 + $1.nodes }
        try expect(sum == nodes, "it speaks of \(nodes) nodes and explains \(sum)")
        try expect(
            !refusals.contains { $0.reason.isEmpty || $0.nodes < 1 }, "a refusal has no reason: \(decision.words)")
    }

    private static func withoutNodes(_ calls: SchedulerCalls) throws(Breach) {
        try judge(calls.schedule("pod", cpu: 1), nodes: 0)
    }

    private static func freed(_ calls: SchedulerCalls) throws(Breach) {
        calls.nodeSet("a", cpu: 1000)
        for round in 0..<5 {
            let decision = calls.schedule("pod-\(round)", cpu: 1000)
            try expect(
                decision.node == "a", "the room was freed \(round) times, and the next pod was \(decision.words)")
            let outcome = calls.podRemove("pod-\(round)")
            try expect(outcome.isOK, "pod_remove failed: \(outcome.words)")
        }
        calls.podSet("bound", on: "a", cpu: 1000)
        try expect(
            calls.schedule("late", cpu: 100).node == nil,
            "a bound pod takes all of a node, and another was placed there", rule: 40)
        calls.podRemove("bound")
        try expect(calls.schedule("late", cpu: 100).node == "a", "a bound pod was removed, and its room is not free")
    }

    private static func unknown(_ calls: SchedulerCalls) throws(Breach) {
        for (name, outcome) in [
            ("pod_remove", calls.podRemove("nobody")), ("node_remove", calls.nodeRemove("nowhere")),
        ] {
            try expect(outcome.isOK, "\(name) of what is unknown answered \(outcome.words)")
        }
    }

    private static func reset(_ calls: SchedulerCalls) throws(Breach) {
        calls.nodeSet("a", cpu: 1000)
        _ = calls.schedule("pod", cpu: 1000)
        try expect(calls.reset().isOK, "reset failed")
        let empty = calls.schedule("pod", cpu: 1)
        try expect(empty.node == nil, "everything was forgotten, and a pod was \(empty.words)")
        calls.nodeSet("a", cpu: 1000)
        let decision = calls.schedule("pod", cpu: 1000)
        try expect(decision.node == "a", "everything was forgotten, and a pod that fits was \(decision.words)")
    }
}
