import Kernel

/// One breach of a rule.
struct Finding: Equatable {
    var rule: Int
    /// What was tried.
    var check: String
    /// Id of the interface, "" when it is about the plugin itself.
    var interface = ""
    var slot = ""
    /// The arguments, where they matter.
    var detail = ""
    var what: String
    /// How often it was seen.
    var times = 1

    func isSame(as other: Finding) -> Bool {
        rule == other.rule && check == other.check && interface == other.interface && slot == other.slot
    }

    var json: JSON {
        let rule = Rule.named(rule)
        return [
            "rule": .integer(Int64(rule.number)), "title": .string(rule.title), "check": .string(check),
            "interface": .string(interface), "slot": .string(slot), "detail": .string(detail), "what": .string(what),
            "remedy": .string(rule.remedy), "times": .integer(Int64(times)),
        ]
    }
}

/// What came of one group of checks.
struct GroupReport {
    let name: String
    /// Checks that were made.
    var checks = 0
    var findings: [Finding] = []
    /// What was not checked, with the reason.
    var skips: [(check: String, reason: String)] = []
    var milliseconds = 0

    mutating func add(_ finding: Finding) {
        if let index = findings.firstIndex(where: { $0.isSame(as: finding) }) {
            findings[index].times += 1
        } else {
            findings.append(finding)
        }
    }

    var json: JSON {
        [
            "name": .string(name), "checks": .integer(Int64(checks)), "milliseconds": .integer(Int64(milliseconds)),
            "findings": .array(findings.map(\.json)),
            "skipped": .array(skips.map { ["check": .string($0.check), "reason": .string($0.reason)] }),
        ]
    }
}
