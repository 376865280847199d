import Kernel

enum PluginCommands {
    static func list(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            let answer = try client.request(["command": "plugins"])
            Output.line(Client.isJSON(command) ? answer.serializedString() : text(answer["plugins"].arrayValue))
        }
    }

    /// One line a role; the plugin's own columns in its first line, what went wrong below it.
    static func text(_ plugins: [JSON]) -> String {
        var rows = [["NAME", "VERSION", "STATE", "ROLE", "CALLS", "ERRORS", "P50", "P99", "PATH"]]
        var notes: [String] = []
        for plugin in plugins {
            let text = { (key: String) in plugin[key].stringValue ?? "" }
            var head = [text("name"), text("version").isEmpty ? "-" : text("version"), text("state")]
            let path = text("path").isEmpty ? "-" : text("path")
            let roles = plugin["roles"].arrayValue
            if roles.isEmpty { rows.append(head + ["-", "-", "-", "-", "-", path]) }
            for (index, role) in roles.enumerated() {
                rows.append(head + figures(role) + [index == 0 ? path : ""])
                head = ["", "", ""]
            }
            if !text("reason").isEmpty { notes.append("\(text("name")): \(text("reason"))") }
        }
        return ([Client.table(rows)] + notes).joined(separator: "\n")
    }

    private static func figures(_ role: JSON) -> [String] {
        let id = (role["id"].stringValue ?? "") + (role["selected"].boolValue == true ? "*" : "")
        guard let calls = role["calls"].integerValue else { return [id, "-", "-", "-", "-"] }
        let latency = { (key: String) in calls == 0 ? "-" : Client.duration(role[key].integerValue ?? 0) }
        return [
            id, "\(calls)", "\(role["errors"].integerValue ?? 0)", latency("p50Nanoseconds"), latency("p99Nanoseconds"),
        ]
    }
}
