import Glibc
import Kernel

/// `hostd plugin new`: writes a project that builds into a plugin.
enum PluginNewCommand {
    static func run(_ command: ParsedCommand) -> Int32 {
        do throws(ProjectFailure) {
            let templates = try PluginTemplates.installed()
            let project = try PluginProject(
                role: try option(command, "--role"), language: try option(command, "--language"),
                name: try option(command, "--name"), templates: templates)
            let directory = command.arguments[0]
            try project.write(to: directory)
            Output.line(
                "wrote \(directory): \(project.name), a plugin for \(project.role) in \(project.language)\n"
                    + "Build it: \(directory)/build")
            return ExitCode.success
        } catch {
            Output.errorLine("hostd plugin new: \(error.message)")
            return error.isUsage ? ExitCode.usage : ExitCode.failure
        }
    }

    private static func option(_ command: ParsedCommand, _ name: String) throws(ProjectFailure) -> String {
        guard let value = command[name] else { throw .usage("\(name) is missing; see: hostd plugin new --help") }
        return value
    }
}

/// Why a project was not written.
struct ProjectFailure: Error {
    let message: String
    /// Whether the command line was wrong.
    let isUsage: Bool

    static func usage(_ message: String) -> ProjectFailure { .init(message: message, isUsage: true) }
    static func system(_ what: String, _ path: String) -> ProjectFailure {
        .init(message: "cannot \(what) \(path): \(String(cString: strerror(errno)))", isUsage: false)
    }
}
