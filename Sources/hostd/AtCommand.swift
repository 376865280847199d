import Glibc
import Kernel

/// `hostd at TIME get …`: objects as they were.
enum AtCommand {
    static func run(_ command: ParsedCommand) -> Int32 {
        func usage(_ message: String) -> Int32 {
            Output.errorLine("hostd at: \(message)")
            Output.errorLine("See: hostd at --help")
            return ExitCode.usage
        }
        guard command.arguments[1] == "get" else {
            return usage("\"\(command.arguments[1])\" is not possible at a past time; there is: get")
        }
        guard let moment = Moment(command.arguments[0]) else {
            return usage(
                "\"\(command.arguments[0])\" is not a time: a revision such as 1234, 2026-01-02T03:04:05Z, or 10m for ten minutes ago"
            )
        }
        return StoreCommands.withStore("at", command) { store in
            let revision: UInt64
            switch moment {
            case .revision(let number): revision = number
            case .time(let milliseconds): revision = try store.revision(at: milliseconds)
            }
            let asked = command.arguments[2].lowercased()
            let resources = try store.resources(revision: revision)
            guard let resource = match(asked, resources) else {
                Output.errorLine(
                    "hostd at: nothing was stored under \"\(asked)\" at revision \(revision); there were "
                        + (resources.isEmpty ? "no objects" : resources.joined(separator: ", ")))
                return ExitCode.failure
            }
            return try show(try objects(store, resource, revision, command), resource, revision, command)
        }
    }

    private enum Moment {
        case revision(UInt64)
        /// Milliseconds since 1970.
        case time(UInt64)

        init?(_ text: String) {
            if let number = UInt64(text), number > 0 {
                self = .revision(number)
            } else if let ago = try? GoDuration(parsing: text), ago.nanoseconds >= 0 {
                self.init(Timestamp.now().adding(nanoseconds: -ago.nanoseconds))
            } else if let time = try? Timestamp(parsing: text), time <= Timestamp.now() {
                self.init(time)
            } else {
                return nil
            }
        }

        private init(_ time: Timestamp) {
            self = .time(UInt64(max(time.seconds, 0)) * 1000 + UInt64(time.nanoseconds / 1_000_000))
        }
    }

    /// The resource that is meant: "pods", "pod", "deployments", "deployments.apps".
    private static func match(_ asked: String, _ resources: [String]) -> String? {
        if resources.contains(asked) { return asked }
        let singular = asked.hasSuffix("y") ? asked.dropLast() + "ies" : asked + (asked.hasSuffix("s") ? "es" : "s")
        for name in [asked, String(singular)] {
            if let found = resources.first(where: { $0.prefix { $0 != "." } == name }) { return found }
        }
        return nil
    }

    private static func objects(
        _ store: StoreAccess, _ resource: String, _ revision: UInt64, _ command: ParsedCommand
    ) throws(StoreError) -> [JSON] {
        let name = command.arguments.count > 3 ? command.arguments[3] : nil
        let namespace = command["-n"]
        let isEverywhere = command.flags.contains("-A")
        var found: [JSON] = []
        try store.forEach(under: resource + "/", revision: revision) { record throws(StoreError) in
            var object = record["value"]
            let place = object["metadata"]["namespace"].stringValue ?? ""
            guard isEverywhere || place.isEmpty || place == namespace ?? "default" else { return }
            guard name == nil || object["metadata"]["name"].stringValue == name else { return }
            object["metadata"]["resourceVersion"] = .string(record["revision"].serializedString())
            found.append(object)
        }
        return found
    }

    private static func show(
        _ objects: [JSON], _ resource: String, _ revision: UInt64, _ command: ParsedCommand
    ) throws -> Int32 {
        let name = command.arguments.count > 3 ? command.arguments[3] : nil
        if objects.isEmpty {
            let what = name.map { "\(resource) \"\($0)\" was not there" } ?? "no \(resource) were there"
            Output.errorLine("hostd at: \(what) at revision \(revision)")
            return name == nil ? ExitCode.success : ExitCode.failure
        }
        let whole: JSON =
            name != nil
            ? objects[0]
            : [
                "apiVersion": "v1", "kind": "List",
                "metadata": ["resourceVersion": .string(String(revision))], "items": .array(objects),
            ]
        switch command["-o"] ?? "table" {
        case "json": Output.line(whole.serializedString())
        case "yaml": Output.line(YAMLText.lines(whole).joined(separator: "\n"))
        default: Output.line(Client.table(rows(objects)))
        }
        return ExitCode.success
    }

    private static func rows(_ objects: [JSON]) -> [[String]] {
        let hasNamespaces = objects.contains { $0["metadata"]["namespace"].exists }
        let head = (hasNamespaces ? ["NAMESPACE"] : []) + ["NAME", "STATUS", "REVISION", "CREATED"]
        return [head]
            + objects.map { object in
                let metadata = object["metadata"]
                let status = object["status"]["phase"].stringValue ?? "-"
                return (hasNamespaces ? [metadata["namespace"].stringValue ?? ""] : []) + [
                    metadata["name"].stringValue ?? "", status, metadata["resourceVersion"].stringValue ?? "",
                    metadata["creationTimestamp"].stringValue ?? "",
                ]
            }
    }
}

/// JSON as YAML in block style; texts are written as JSON writes them, which YAML 1.2 reads.
enum YAMLText {
    static func lines(_ value: JSON) -> [String] {
        if let object = value.objectValue, !object.isEmpty {
            return object.flatMap { key, member in
                entry("\(JSON.string(key).serializedString()):", member, indent: "  ")
            }
        }
        if case .array(let elements) = value, !elements.isEmpty {
            return elements.flatMap { element in
                let nested = lines(element)
                return ["- " + (nested.first ?? "")] + nested.dropFirst().map { "  " + $0 }
            }
        }
        return [value.serializedString()]
    }

    private static func entry(_ name: String, _ value: JSON, indent: String) -> [String] {
        let nested = lines(value)
        let isNested = !(value.objectValue?.isEmpty ?? true) || !value.arrayValue.isEmpty
        return isNested ? [name] + nested.map { indent + $0 } : [name + " " + (nested.first ?? "")]
    }
}
