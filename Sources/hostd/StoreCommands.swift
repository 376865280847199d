import Glibc
import Kernel

enum StoreCommands {
    private static let role = "hostd.store/1"

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
}
