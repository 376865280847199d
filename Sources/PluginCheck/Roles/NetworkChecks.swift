import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// What callers of hostd.network/1 build upon: rules 44 to 46. The pods are empty network namespaces.
enum NetworkChecks {
    static func run(_ session: Session) {
        guard session.isPrivileged else {
            session.reporter.skip(
                "attachments of hostd.network/1", "they need root and namespaces: \(session.sandboxFailure)")
            return
        }
        RoleChecks.run(
            session, HOSTD_NETWORK_1,
            [
                (46, "what is gone already", gone), (44, "attach again", again), (45, "one address each", addresses),
                (46, "detach and check", detach), (46, "collect_garbage", collect),
            ])
    }

    /// A pod that may be attached.
    private static func pod(_ calls: JSONCalls, _ name: String) throws(Breach) -> JSON {
        let path = "\(calls.session.scratch)/work/netns-\(name)"
        if access(path, F_OK) != 0 {
            let status = check_make_network_namespace(path)
            try expect(status == 0, "no network namespace can be made here: \(String(cString: strerror(-status)))")
        }
        return [
            "sandboxID": .string("check-\(name)"), "networkNamespace": .string(path), "interfaceName": "eth0",
            "podNamespace": "default", "podName": .string(name), "podUID": .string("uid-\(name)"),
        ]
    }

    private static func addresses(of result: JSON) -> [String] {
        result["ips"].arrayValue.compactMap { $0["address"].stringValue }
    }

    private static func gone(_ calls: JSONCalls) throws(Breach) {
        let pod = try pod(calls, "never")
        try calls.succeed("detach", pod)
        try calls.succeed("detach", pod)
        try expect(try !calls.call("check", pod).isOK, "check of what was never attached succeeded")
    }

    private static func again(_ calls: JSONCalls) throws(Breach) {
        let pod = try pod(calls, "again")
        let first = try calls.succeed("attach", pod)
        try expect(!addresses(of: first).isEmpty, "the result has no address: \(first.serializedString())", rule: 45)
        let second = try calls.succeed("attach", pod)
        try expect(
            first == second,
            "the first answer was \(first.serializedString()), the second is \(second.serializedString())")
        try calls.succeed("detach", pod)
    }

    private static func addresses(_ calls: JSONCalls) throws(Breach) {
        let range = AddressRange(try calls.succeed("status", [:])["podRange"].stringValue ?? "")
        var taken: [String: String] = [:]
        let names = (0..<12).map { "many-\($0)" }
        for name in names {
            for address in addresses(of: try calls.succeed("attach", try pod(calls, name))) {
                let bare = String(address.prefix { $0 != "/" })
                try expect(taken[bare] == nil, "\(bare) was given to \(taken[bare] ?? "") and to \(name)")
                taken[bare] = name
                if let range { try expect(range.contains(bare), "\(bare) does not lie in \(range.text)") }
            }
        }
        for name in names { try calls.succeed("detach", try pod(calls, name)) }
    }

    private static func detach(_ calls: JSONCalls) throws(Breach) {
        let pod = try pod(calls, "detach")
        try calls.succeed("attach", pod)
        try calls.succeed("check", pod)
        try calls.succeed("detach", pod)
        try expect(try !calls.call("check", pod).isOK, "check succeeded after detach")
        try calls.succeed("detach", pod)
        try calls.succeed("attach", pod)
        try calls.succeed("check", pod)
        try calls.succeed("detach", pod)
    }

    private static func collect(_ calls: JSONCalls) throws(Breach) {
        let (kept, left) = (try pod(calls, "kept"), try pod(calls, "left"))
        for pod in [kept, left] { try calls.succeed("attach", pod) }
        let answer = try calls.succeed("collect_garbage", ["validSandboxIDs": [kept["sandboxID"]]])
        let removed = answer["removed"].arrayValue.compactMap(\.stringValue)
        // What was attached a moment ago may be spared: its caller may not have listed it yet.
        try expect(!removed.contains("check-kept"), "check-kept was named; it removed \(removed)")
        try calls.succeed("check", kept)
        let isAttached = try calls.call("check", left).isOK
        try expect(
            isAttached != removed.contains("check-left"),
            "it tells that it removed \(removed), and check says the opposite")
        for pod in [kept, left] { try calls.succeed("detach", pod) }
    }
}

/// An IPv4 range such as 10.244.0.0/24.
private struct AddressRange {
    let text: String
    private let base: UInt32
    private let mask: UInt32

    init?(_ text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let base = Self.number(String(parts[0])), let bits = UInt32(parts[1]), bits <= 32 else {
            return nil
        }
        self.text = text
        mask = bits == 0 ? 0 : ~UInt32(0) << (32 - bits)
        self.base = base & mask
    }

    func contains(_ address: String) -> Bool { Self.number(address).map { $0 & mask == base } ?? false }

    private static func number(_ address: String) -> UInt32? {
        let bytes = address.split(separator: ".").compactMap { UInt8($0) }
        return bytes.count == 4 ? bytes.reduce(0) { $0 << 8 | UInt32($1) } : nil
    }
}
