import CPluginCheck
import Glibc
import Kernel

/// Runs each group of checks in a worker of its own and gathers what they say. Never opens the plugin itself.
final class Supervisor {
    private let options: CommandLineOptions
    private var report: Report

    /// Workers that may end badly in one group before the rest of it is given up.
    private static let patience = 12

    init(_ options: CommandLineOptions) {
        self.options = options
        report = Report(file: options.file)
    }

    func run() throws(Worker.Failure) -> Report {
        if options.groups.isEmpty || options.groups.contains("image") { report.groups.append(imageGroup()) }
        for group in Group.all where group.name != "image" {
            guard options.groups.isEmpty || options.groups.contains(group.name) else { continue }
            // There is nothing to say of a role that the plugin does not provide.
            if let role = group.role, !report.plugin.isEmpty, !report.provides.contains(role) { continue }
            let result = try run(group)
            report.groups.append(result)
            if group.isGate, !result.findings.isEmpty, report.plugin.isEmpty { break }
        }
        return report
    }

    // MARK: Without opening

    private func imageGroup() -> GroupReport {
        let start = monotonicNanoseconds()
        var group = GroupReport(name: "image", checks: 1)
        var finding = Finding(rule: 1, check: "exported symbols", what: "")
        do throws(ExportedSymbols.Unreadable) {
            let names = try ExportedSymbols.read(Files.contents(options.file))
            let others = names.filter { $0 != "hostd_plugin_entry" }
            if !names.contains("hostd_plugin_entry") {
                finding.what = "the image exports no hostd_plugin_entry"
                group.add(finding)
            }
            if !others.isEmpty {
                finding.what =
                    "the image exports \(others.count) more: \(others.sorted().prefix(5).joined(separator: ", "))"
                group.add(finding)
            }
        } catch {
            finding.what = "the image cannot be read: \(error)"
            group.add(finding)
        }
        group.milliseconds = Int((monotonicNanoseconds() - start) / 1_000_000)
        return group
    }

    // MARK: Workers

    private func run(_ group: Group) throws(Worker.Failure) -> GroupReport {
        let start = monotonicNanoseconds()
        var result = GroupReport(name: group.name)
        var done = 0
        for attempt in 0..<Self.patience {
            var current = Finding(rule: group.rule, check: "start of the checks", what: "")
            var fault: (rule: Int, what: String)?
            var number = done
            let worker = Worker()
            let scratch = try Files.scratchDirectory()
            defer { Files.remove(scratch) }
            let words = options.words(for: group.name, scratch: scratch, done: done)
            let end = try worker.run(words, timeout: options.timeout) { message in
                if let begun = message["number"].integerValue {
                    number = Int(begun)
                    current = Finding(message["begin"])
                    result.checks += 1
                }
                if let what = message["fault"]["what"].stringValue {
                    fault = (Int(message["fault"]["rule"].integerValue ?? 0), what)
                }
                take(message, into: &result)
            }
            if !worker.printed.isEmpty { result.add(Self.printedFinding(worker.printed, current)) }
            if end == .finished { break }
            current.what = fault?.what ?? Self.words(for: end, timeout: options.timeout, worker.errors)
            current.rule = fault?.rule ?? current.rule
            // Without progress a next worker would end at the same place, which is known already.
            let isStuck = number == done
            if !isStuck || done == 0 { result.add(current) }
            guard !isStuck, attempt + 1 < Self.patience else {
                result.skips.append(
                    (check: "the rest of \(group.name)", reason: "the plugin ended the process too often"))
                break
            }
            done = number
        }
        result.milliseconds = Int((monotonicNanoseconds() - start) / 1_000_000)
        return result
    }

    private func take(_ message: JSON, into result: inout GroupReport) {
        if message["finding"].objectValue != nil { result.add(Finding(message["finding"])) }
        if let check = message["skip"]["check"].stringValue {
            let reason = message["skip"]["reason"].stringValue ?? ""
            if !result.skips.contains(where: { $0.check == check }) { result.skips.append((check, reason)) }
        }
        if let name = message["plugin"].stringValue {
            report.plugin = name
            report.version = message["version"].stringValue ?? ""
            report.provides = message["provides"].arrayValue.compactMap(\.stringValue)
        }
    }

    private static func printedFinding(_ printed: [UInt8], _ current: Finding) -> Finding {
        let text = String(decoding: printed.prefix(80), as: UTF8.self)
        return Finding(
            rule: 23, check: "standard output", what: "the plugin wrote to standard output: \(text.debugDescription)")
    }

    private static func words(for end: Worker.End, timeout: Int, _ errors: [UInt8]) -> String {
        let last = String(decoding: errors, as: UTF8.self).split(separator: "\n").suffix(3).joined(separator: " | ")
        let said = last.isEmpty ? "" : "; the last on standard error: \(last)"
        return switch end {
        case .finished: ""
        case .silent: "the plugin did not return within \(timeout) seconds\(said)"
        case .exited(let code): "the plugin ended the process with exit code \(code)\(said)"
        case .killed(let signal):
            "the plugin ended the process with signal \(signal) (\(String(cString: strsignal(signal))))\(said)"
        }
    }
}

extension Finding {
    /// As a worker wrote it.
    init(_ json: JSON) {
        rule = Int(json["rule"].integerValue ?? 0)
        check = json["check"].stringValue ?? ""
        interface = json["interface"].stringValue ?? ""
        slot = json["slot"].stringValue ?? ""
        detail = json["detail"].stringValue ?? ""
        what = json["what"].stringValue ?? ""
    }
}
