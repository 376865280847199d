import Containers
import Glibc
import Objects
import PluginKit

/// The program that makes containers: its command line (opencontainers/runtime-tools' convention, which runc, crun and
/// youki share), and what it says about itself and about failures.
struct OCIRuntime: Sendable {
    let program: String
    /// Its `--root`.
    let stateDirectory: String
    let name: String
    let version: String

    /// Asks the program for its version, which also tells whether it runs at all.
    init(program: String, stateDirectory: String) throws(PluginError) {
        let result = try OCICommand.run([program, "--version"])
        guard result.code == 0 else {
            throw .unavailable("\(program) --version failed: \(result.output); set the option `runtime` to another one")
        }
        let (name, version) = Self.parse(version: result.output)
        self.init(program: program, stateDirectory: stateDirectory, name: name, version: version)
        try AtomicFile.makeDirectory(stateDirectory, mode: 0o711)
    }

    init(program: String, stateDirectory: String, name: String, version: String) {
        self.program = program
        self.stateDirectory = stateDirectory
        self.name = name
        self.version = version
    }

    /// The path of a program by its name.
    /// - Parameter path: the value of $PATH; the places for administrators' programs are looked at as well.
    static func find(_ name: String, path: String) throws(PluginError) -> String {
        if name.contains("/") {
            guard name.hasPrefix("/") else {
                throw .invalid("the option `runtime` is a name or an absolute path, not \"\(name)\"")
            }
            guard access(name, X_OK) == 0 else { throw missing(name, "there is no program \(name)") }
            return name
        }
        let directories = path.split(separator: ":").map(String.init) + ["/usr/local/sbin", "/usr/sbin", "/sbin"]
        for directory in directories where access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
        throw missing(name, "there is no program \(name) in \(path.isEmpty ? "/usr/sbin" : path)")
    }

    private static func missing(_ name: String, _ what: String) -> PluginError {
        .unavailable(
            "\(what): install the package runc (apt-get install runc), or name another OCI runtime with the option "
                + "`runtime` of the plugin runtime-oci")
    }

    /// "runc version 1.1.5+ds1" and lines about other things.
    static func parse(version text: String) -> (name: String, version: String) {
        let words = text.prefix { $0 != "\n" }.split(separator: " ").map(String.init)
        guard words.count >= 3, words[1] == "version" else {
            return (words.first ?? "unknown", words.last ?? "unknown")
        }
        return (words[0], words[2])
    }

    // MARK: Commands

    func run(_ id: String, hasTerminal: Bool) -> [String] {
        common() + ["run", "--detach", "--bundle", ".", "--pid-file", OCIFile.process]
            + (hasTerminal ? ["--console-socket", OCIFile.console] : []) + [id]
    }

    func exec(_ id: String, hasTerminal: Bool) -> [String] {
        common() + ["exec", "--detach", "--process", OCIFile.specification, "--pid-file", OCIFile.process]
            + (hasTerminal ? ["--console-socket", OCIFile.console] : []) + [id]
    }

    private func common() -> [String] {
        [program, "--root", stateDirectory, "--log", OCIFile.log, "--log-format", "json"]
    }

    /// Makes the runtime forget a container. One that it does not know is success.
    func delete(_ id: String) throws(PluginError) {
        guard access("\(stateDirectory)/\(id)", F_OK) == 0 else { return }
        let result = try OCICommand.run([program, "--root", stateDirectory, "delete", "--force", id])
        if result.code == 0 || access("\(stateDirectory)/\(id)", F_OK) != 0 { return }
        throw .unavailable("\(name) cannot delete the container \(id): \(result.output)")
    }

    // MARK: Failures

    /// The last error of a log in JSON lines; nil when there is none.
    static func message(log: String) -> String? {
        log.split(separator: "\n").reversed().lazy.compactMap { line -> String? in
            guard let entry = try? JSON(parsing: Array(line.utf8)), entry["level"].stringValue == "error" else {
                return nil
            }
            return entry["msg"].stringValue
        }.first
    }

    /// The sentence for users: what of the runtime's words is about the command stands alone, as other runtimes say it.
    func error(_ message: String?, code: Int32, subject: String) -> PluginError {
        if code == 127, message == nil {
            return .unavailable("\(subject): \(program) cannot be executed; is it still installed?")
        }
        guard let message else { return .internal("\(subject): \(name) ended with exit code \(code) without a word") }
        if let found = message.firstRange(of: "exec: \"") {
            let text = message[found.lowerBound...]
            // `exec: "/x": stat /x: no such file or directory`
            let parts = text.parts(separatedBy: ": ")
            if parts.count == 4, parts[2].hasPrefix("stat ") { return .invalid("exec: \(parts[1]): \(parts[3])") }
            return .invalid(String(text))
        }
        if message.contains("no space left on device") { return .noSpace("\(subject): \(name): \(message)") }
        return .invalid("\(subject): \(name): \(message)")
    }
}

/// Names of the files between hostd, its helper and the runtime, in a container's or an exec's directory.
enum OCIFile {
    static let configuration = "config.json"
    static let specification = "process.json"
    static let log = "runtime.log"
    static let process = "process"
    static let console = "console"
}
