import Containers
import Glibc
import Objects
import PluginKit

/// System call filters in the OCI runtime specification's form, which the runtime compiles.
enum SeccompProfile {
    private static let allow: JSON = "SCMP_ACT_ALLOW"

    /// RuntimeDefault: the table that every hostd runtime follows.
    static func runtimeDefault(_ capabilities: CapabilitySet) -> JSON {
        var names = SeccompTable.always.split(separator: " ").map(String.init)
        for entry in SeccompTable.withCapability where capabilities.contains(entry.capability) {
            names += entry.calls.split(separator: " ").map(String.init)
        }
        var rules: [JSON] = [["names": JSON(Set(names).sorted()), "action": allow]]
        if !capabilities.contains("SYS_ADMIN") {
            let flags = condition(0, "SCMP_CMP_MASKED_EQ", SeccompTable.cloneNamespaceFlags, second: 0)
            rules.append(rule("clone", [flags]))
            // clone3's flags lie in memory, out of a filter's sight: C libraries fall back to clone.
            rules.append(["names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": .integer(Int64(ENOSYS))])
        }
        for value in SeccompTable.personalities {
            rules.append(rule("personality", [condition(0, "SCMP_CMP_EQ", value)]))
        }
        let refused = SeccompTable.refusedSocketFamilies
        rules.append(rule("socket", [condition(0, "SCMP_CMP_LT", refused[0])]))
        for (low, high) in zip(refused, refused.dropFirst()) where high > low + 1 {
            for family in low + 1..<high { rules.append(rule("socket", [condition(0, "SCMP_CMP_EQ", family)])) }
        }
        if let last = refused.last { rules.append(rule("socket", [condition(0, "SCMP_CMP_GT", last)])) }
        return [
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": .integer(Int64(EPERM)),
            "architectures": JSON(architectures), "syscalls": .array(rules),
        ]
    }

    /// 32-bit programs run too.
    private static var architectures: [String] {
        #if arch(x86_64)
            ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
        #elseif arch(arm64)
            ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
        #else
            []
        #endif
    }

    private static func rule(_ name: String, _ conditions: [JSON]) -> JSON {
        ["names": [.string(name)], "action": allow, "args": .array(conditions)]
    }

    private static func condition(_ index: Int, _ comparison: String, _ value: UInt64, second: UInt64? = nil) -> JSON {
        var condition: JSON = ["index": JSON(index), "value": JSON(value), "op": .string(comparison)]
        if let second { condition["valueTwo"] = JSON(second) }
        return condition
    }

    /// A profile of the node's administrator, in the specification's form or Docker's (`includes`/`excludes` on
    /// capabilities, `name` beside `names`).
    static func localhost(path: String, _ capabilities: CapabilitySet) throws(PluginError) -> JSON {
        let profile: JSON
        do {
            profile = try JSON(parsing: try AtomicFile.read(path, limit: 1 << 20))
        } catch {
            throw .invalid("the seccomp profile \(path) cannot be read: \(error)")
        }
        guard profile["defaultAction"].stringValue != nil else {
            throw .invalid("the seccomp profile \(path) has no defaultAction")
        }
        return resolved(profile, capabilities)
    }

    /// Drops what does not apply, and the members that only Docker knows.
    static func resolved(_ profile: JSON, _ capabilities: CapabilitySet) -> JSON {
        func has(_ name: JSON) -> Bool { capabilities.contains(String((name.stringValue ?? "").dropFirst(4))) }
        var result: JSON = ["defaultAction": profile["defaultAction"]]
        for member in ["defaultErrnoRet", "flags"] where profile[member].exists { result[member] = profile[member] }
        result["architectures"] = profile["architectures"].exists ? profile["architectures"] : JSON(architectures)
        var rules: [JSON] = []
        for rule in profile["syscalls"].arrayValue {
            guard rule["includes"]["caps"].arrayValue.allSatisfy(has),
                !rule["excludes"]["caps"].arrayValue.contains(where: has)
            else { continue }
            let single: [JSON] = rule["name"].exists ? [rule["name"]] : []
            var kept: JSON = ["names": .array(rule["names"].arrayValue + single), "action": rule["action"]]
            for member in ["errnoRet", "args"] where rule[member].exists { kept[member] = rule[member] }
            rules.append(kept)
        }
        result["syscalls"] = .array(rules)
        return result
    }
}
