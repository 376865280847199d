import Kernel

/// Everything that is known of one plugin in the end.
struct Report {
    let file: String
    var plugin = ""
    var version = ""
    var provides: [String] = []
    var groups: [GroupReport] = []

    var findings: [Finding] { groups.flatMap(\.findings) }
    var brokenRules: [Int] { Set(findings.map(\.rule)).sorted() }
    var hasPassed: Bool { findings.isEmpty }

    var json: JSON {
        [
            "file": .string(file), "plugin": .string(plugin), "version": .string(version),
            "provides": JSON(provides), "result": .string(hasPassed ? "passed" : "failed"),
            "brokenRules": .array(brokenRules.map { .integer(Int64($0)) }),
            "checks": .integer(Int64(groups.reduce(0) { $0 + $1.checks })),
            "skipped": .integer(Int64(groups.reduce(0) { $0 + $1.skips.count })),
            "groups": .array(groups.map(\.json)),
        ]
    }

    var text: String {
        var lines = ["\(plugin.isEmpty ? "plugin" : plugin) \(version) (\(file))"]
        if !provides.isEmpty { lines.append("provides \(provides.joined(separator: ", "))") }
        for group in groups {
            let outcome = group.findings.isEmpty ? "ok    " : "FAIL  "
            lines.append("  \(outcome)\(group.name): \(group.checks) checks, \(group.milliseconds) ms")
            for skip in group.skips { lines.append("        skipped: \(skip.check): \(skip.reason)") }
        }
        for finding in findings { lines += [""] + Self.lines(of: finding) }
        lines += ["", summary]
        return lines.joined(separator: "\n")
    }

    private static func lines(of finding: Finding) -> [String] {
        let rule = Rule.named(finding.rule)
        let place = [finding.interface, finding.slot].filter { !$0.isEmpty }.joined(separator: " ")
        var lines = ["Rule \(rule.number) (\(rule.title))\(place.isEmpty ? "" : ": \(place)")"]
        lines.append("  check:   \(finding.check)" + (finding.detail.isEmpty ? "" : ": \(finding.detail)"))
        lines.append("  found:   \(finding.what)" + (finding.times > 1 ? " (\(finding.times) times)" : ""))
        lines.append("  remedy:  \(rule.remedy)")
        return lines
    }

    private var summary: String {
        let checks = groups.reduce(0) { $0 + $1.checks }
        let skips = groups.reduce(0) { $0 + $1.skips.count }
        let skipped = skips == 0 ? "" : "; \(skips) skipped, which proves nothing of them"
        if hasPassed { return "Passed: \(checks) checks\(skipped)." }
        let rules = brokenRules.map(String.init).joined(separator: ", ")
        return
            "Failed: \(findings.count) findings against the rules \(rules) of docs/abi.md, in \(checks) checks\(skipped)."
    }
}
