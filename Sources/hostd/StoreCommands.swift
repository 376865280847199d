import Glibc
import Kernel

enum StoreCommands {
    static let role = "hostd.store/1"

    static func status(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            let status = try client.call(role, "status", [])["value"]
            if Client.isJSON(command) { return Output.line(status.serializedString()) }
            for (key, value) in status.objectValue ?? [:] {
                Output.line(Help.padded(key, to: 20) + (value.stringValue ?? value.serializedString()))
            }
        }
    }

    /// Writes beside the final name and renames, so that a file of that name is always whole.
    static func backup(_ command: ParsedCommand) -> Int32 {
        let name = command.arguments[0]
        let draft = name + ".part"
        guard access(name, F_OK) != 0 else {
            Output.errorLine("hostd store backup: \(name) exists: name a new file, or remove it first")
            return ExitCode.failure
        }
        let file = open(draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            Output.errorLine("hostd store backup: cannot make \(draft): \(String(cString: strerror(errno)))")
            return ExitCode.failure
        }
        defer { close(file) }
        let status = Client.with(command) { client throws(ControlFailure) in
            let answer = try client.call(role, "backup", [], files: [file])["value"]
            guard fsync(file) == 0, link(draft, name) == 0 else {
                throw ControlFailure("cannot finish \(name): \(String(cString: strerror(errno)))")
            }
            if Client.isJSON(command) { return Output.line(answer.serializedString()) }
            let revision = answer["revision"].integerValue ?? 0
            Output.line("wrote \(name): revision \(revision), \(Client.size(answer["bytes"].integerValue ?? 0))")
        }
        unlink(draft)
        return status
    }

    static func migrate(_ command: ParsedCommand) -> Int32 {
        func usage(_ message: String) -> Int32 {
            Output.errorLine("hostd store migrate: \(message)")
            Output.errorLine("See: hostd store migrate --help")
            return ExitCode.usage
        }
        guard let file = command["--config"] else { return usage("--config FILE is missing") }
        guard let data = Client.dataDirectory(command), !data.isEmpty else {
            return usage("--data DIR is missing (or HOSTD_DATA)")
        }
        guard let target = command["--to"] else { return usage("--to ENGINE is missing: embedded, or a plugin's name") }
        let configuration: HostConfiguration
        do throws(ConfigurationError) { configuration = try HostConfiguration(file: file) } catch {
            Output.errorLine("hostd: \(error)")
            return ExitCode.usage
        }
        let engine = configuration.store.engine
        let source = command["--from"] ?? (engine != target ? engine : "embedded")
        guard source != target else { return usage("the state is in \(target) already; name its place with --from") }
        return migrate(command, configuration, data, from: source, to: target)
    }

    private static func migrate(
        _ command: ParsedCommand, _ configuration: HostConfiguration, _ data: String, from source: String,
        to target: String
    ) -> Int32 {
        let search = PluginSearch.beside()
        do {
            let directory = try DataDirectory(data)
            let report = try StoreMigration.run(
                configuration: configuration, directory: directory.path, from: source, to: target, search: search,
                libexec: search.libexecDirectory, log: Log(format: .text, level: .warning))
            if Client.isJSON(command) {
                let json: JSON = [
                    "from": .string(source), "to": .string(target), "keys": JSON(report.keys),
                    "bytes": JSON(report.bytes), "leased": JSON(report.leased), "revision": JSON(report.revision),
                ]
                Output.line(json.serializedString())
            } else {
                let left = report.leased == 0 ? "" : "; \(report.leased) under leases were left"
                Output.line(
                    "moved \(report.keys) keys (\(Client.size(Int64(report.bytes)))) from \(source) to \(target), "
                        + "at revision \(report.revision)\(left)")
                Output.line("now set store.engine to \(target) in \(configuration.file)")
            }
            return ExitCode.success
        } catch let error as StoreError {
            Output.errorLine("hostd store migrate: \(error.message)")
            return ExitCode.failure
        } catch {
            Output.errorLine("hostd store migrate: \(error)")
            return ExitCode.data
        }
    }
}
