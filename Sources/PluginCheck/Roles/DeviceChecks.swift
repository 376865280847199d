import Kernel
import PluginAPI

/// What callers of hostd.device/1 build upon: rules 52 and 53.
enum DeviceChecks {
    static func run(_ session: Session) {
        RoleChecks.run(
            session, HOSTD_DEVICE_1,
            [
                (53, "status and lists", lists), (53, "the same request again", again),
                (53, "release of what is unknown", release), (52, "a resource that nobody has", unknown),
                (52, "exclusive", exclusive),
            ])
    }

    private static func resources(_ calls: JSONCalls) throws(Breach) -> [(name: String, free: Int)] {
        let json = try calls.succeed("list_devices", [:])
        return json["resources"].arrayValue.map { resource in
            let healthy = resource["devices"].arrayValue.filter { $0["healthy"].boolValue != false }
            return (resource["name"].stringValue ?? "", healthy.count)
        }
    }

    private static func request(_ pod: String, _ resource: String, _ count: Int) -> JSON {
        [
            "podUID": .string(pod), "podNamespace": "default", "podName": .string(pod), "container": "main",
            "resource": .string(resource), "count": .integer(Int64(count)),
        ]
    }

    private static func ids(_ json: JSON) -> [String] { json["deviceIDs"].arrayValue.compactMap(\.stringValue) }

    private static func lists(_ calls: JSONCalls) throws(Breach) {
        try calls.succeed("status", [:])
        for resource in try resources(calls) { try expect(!resource.name.isEmpty, "a resource has no name") }
        try expect(
            try allocations(calls).isEmpty, "devices are allocated before anybody asked for one")
    }

    private static func allocations(_ calls: JSONCalls) throws(Breach) -> [JSON] {
        try calls.succeed("list_allocations", [:])["allocations"].arrayValue
    }

    private static func unknown(_ calls: JSONCalls) throws(Breach) {
        let before = try allocations(calls).count
        let answer = try calls.call("allocate", request("check-pod", "example.com/nothing", 1))
        try expect(!answer.isOK, "it allocated \(answer.words) of a resource that it does not list")
        try expect(try allocations(calls).count == before, "the refused request took devices")
    }

    /// One device a pod until there is none; then all at once is refused, and takes nothing.
    private static func exclusive(_ calls: JSONCalls) throws(Breach) {
        for resource in try resources(calls) {
            var taken: Set<String> = []
            for pod in 0..<resource.free {
                let json = try calls.succeed("allocate", request("pod-\(pod)", resource.name, 1))
                try expect(ids(json).count == 1, "one device was asked for; it gave \(ids(json))")
                try expect(taken.isDisjoint(with: ids(json)), "\(ids(json)) was given to two pods")
                taken.formUnion(ids(json))
            }
            let answer = try calls.call("allocate", request("late", resource.name, 1))
            try expect(
                answer.outcome.status == HOSTD_ERROR_RESOURCE_EXHAUSTED,
                "every device is taken, and allocate answered \(answer.words)")
            try releaseAll(calls, resource.free)
            let tooMany = try calls.call("allocate", request("greedy", resource.name, resource.free + 1))
            try expect(!tooMany.isOK, "more devices than there are were given: \(tooMany.words)")
            try expect(try allocations(calls).isEmpty, "a refused request took devices")
        }
        if try resources(calls).isEmpty {
            calls.session.reporter.skip("exclusive allocation", "it has no devices here")
        }
    }

    private static func releaseAll(_ calls: JSONCalls, _ count: Int) throws(Breach) {
        for pod in 0..<count { try calls.succeed("release", ["podUID": .string("pod-\(pod)")]) }
        let left = try allocations(calls)
        try expect(left.isEmpty, "after all releases \(left.count) allocations are left", rule: 53)
    }

    private static func again(_ calls: JSONCalls) throws(Breach) {
        for resource in try resources(calls) where resource.free > 0 {
            let first = ids(try calls.succeed("allocate", request("pod-0", resource.name, 1)))
            let second = ids(try calls.succeed("allocate", request("pod-0", resource.name, 1)))
            let shown = try allocations(calls)
            // First of all given back, so that a breach here leaves the checks that follow all devices.
            try releaseAll(calls, 1)
            try expect(first == second, "the same request was answered \(first), then \(second)")
            try expect(
                shown.count == 1 && ids(shown[0]) == first && shown[0]["podUID"] == "pod-0",
                "list_allocations shows \(JSON.array(shown).serializedString())")
        }
    }

    private static func release(_ calls: JSONCalls) throws(Breach) {
        try calls.succeed("release", ["podUID": "nobody"])
        try calls.succeed("release", ["podUID": "nobody"])
    }
}
