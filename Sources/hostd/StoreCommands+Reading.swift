import Glibc
import Kernel

/// Commands that read a store, of the hostd that runs or, when none does, from its files.
extension StoreCommands {
    /// Runs `body` with the store of the data directory that a command names.
    static func withStore(
        _ name: String, _ command: ParsedCommand, _ body: (StoreAccess) throws -> Int32
    ) -> Int32 {
        reporting(name) {
            guard let data = Client.dataDirectory(command), !data.isEmpty else {
                Output.errorLine("hostd \(name): which one? Name its data directory with --data DIR or HOSTD_DATA.")
                return ExitCode.usage
            }
            let client = ControlClient(directory: data)
            do throws(ControlFailure) {
                _ = try client.request(["command": "version"])
            } catch {
                guard access("\(data)/store", F_OK) == 0 else {
                    Output.errorLine("hostd \(name): \(error.message), and \(data) has no store to read instead")
                    return ExitCode.data
                }
                let directory = try DataDirectory(data)
                let store = try StoreAccess(dataDirectory: directory.path, encryption: try encryption(command))
                defer { store.close() }
                return try body(store)
            }
            return try body(StoreAccess(running: client))
        }
    }

    static func dump(_ command: ParsedCommand) -> Int32 {
        guard let revision = UInt64(command["--revision"] ?? "0") else {
            Output.errorLine("hostd store dump: --revision needs a number")
            return ExitCode.usage
        }
        return withStore("store dump", command) { store in
            var isMissing = false
            for key in command.arguments.isEmpty ? [""] : command.arguments {
                var count = 0
                try store.forEach(under: key, revision: revision) { record throws(StoreError) in
                    var record = record
                    for member in ["kind", "time", "user", "manager"] { record.removeValue(forKey: member) }
                    Output.line(record.serializedString())
                    count += 1
                }
                if count == 0, !key.isEmpty {
                    Output.errorLine("hostd store dump: nothing lies at \(key)")
                    isMissing = true
                }
            }
            return isMissing ? ExitCode.failure : ExitCode.success
        }
    }

    static func history(_ command: ParsedCommand) -> Int32 {
        guard let limit = UInt64(command["--limit"] ?? "0") else {
            Output.errorLine("hostd store history: --limit needs a number")
            return ExitCode.usage
        }
        return withStore("store history", command) { store in
            let history = try store.history(of: command.arguments[0], limit: limit)
            if Client.isJSON(command) {
                Output.line(history.serializedString())
                return ExitCode.success
            }
            var before = JSON.null
            for version in history["versions"].arrayValue {
                Output.line(line(version))
                let value = version["kind"] == "delete" ? JSON.null : version["value"]
                for change in JSONDifference.lines(from: before, to: value) { Output.line("    " + change) }
                before = value
            }
            return ExitCode.success
        }
    }

    /// "12  2026-01-02T03:04:05.678Z  put     alice (kubectl)".
    private static func line(_ version: JSON) -> String {
        let user = version["user"].stringValue ?? ""
        let manager = version["manager"].stringValue ?? ""
        let writer = user.isEmpty ? "unknown writer" : manager.isEmpty ? user : "\(user) (\(manager))"
        let time = version["time"].stringValue ?? ""
        return Help.padded(version["revision"].serializedString(), to: 10)
            + Help.padded(time.isEmpty ? "unknown time" : time, to: 26)
            + Help.padded(version["kind"].stringValue ?? "", to: 8) + writer
    }
}

/// What differs between two JSON values, one line a leaf: "+ .a.b: 1", "- .a.b: 1", "~ .a.b: 1 → 2".
enum JSONDifference {
    static func lines(from old: JSON, to new: JSON) -> [String] {
        var before: [(String, String)] = []
        var after: [(String, String)] = []
        flatten(old, "", into: &before)
        flatten(new, "", into: &after)
        let known = Dictionary(before, uniquingKeysWith: { first, _ in first })
        let present = Set(after.map(\.0))
        var lines: [String] = []
        for (path, text) in before where !present.contains(path) { lines.append("- \(path): \(text)") }
        for (path, text) in after {
            guard let old = known[path] else {
                lines.append("+ \(path): \(text)")
                continue
            }
            if old != text { lines.append("~ \(path): \(old) → \(text)") }
        }
        return lines
    }

    private static func flatten(_ value: JSON, _ path: String, into leaves: inout [(String, String)]) {
        if value.isNull { return }
        if let object = value.objectValue, !object.isEmpty {
            for (key, member) in object { flatten(member, "\(path).\(key)", into: &leaves) }
        } else if case .array(let elements) = value, !elements.isEmpty {
            for (index, element) in elements.enumerated() { flatten(element, "\(path)[\(index)]", into: &leaves) }
        } else {
            leaves.append((path.isEmpty ? "." : path, value.serializedString()))
        }
    }
}
