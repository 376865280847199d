import Glibc
import Kernel

/// Commands on the files of a store while hostd does not run, or on a copy.
extension StoreCommands {
    /// The encryption of the configuration that a command names; nil without one.
    static func encryption(_ command: ParsedCommand) throws(ConfigurationError) -> EncryptionSettings? {
        guard let file = command["--config"] else { return nil }
        return try HostConfiguration(file: file).store.encryption
    }

    /// Runs `body`, prints what fails, and turns it into an exit code.
    static func reporting(_ name: String, _ body: () throws -> Int32) -> Int32 {
        do { return try body() } catch let error as ConfigurationError {
            Output.errorLine("hostd: \(error)")
            return ExitCode.usage
        } catch let error as StoreError {
            Output.errorLine("hostd \(name): \(error.message)")
            return error.isAboutData ? ExitCode.data : ExitCode.failure
        } catch let error as DataDirectory.Failure {
            Output.errorLine("hostd \(name): \(error)")
            return ExitCode.data
        } catch {
            Output.errorLine("hostd \(name): \(error)")
            return ExitCode.failure
        }
    }

    static func verify(_ command: ParsedCommand) -> Int32 {
        reporting("store verify") {
            var verifier = try StoreVerifier(encryption: try encryption(command))
            if let file = command.arguments.first {
                guard access(file, R_OK) == 0 else {
                    Output.errorLine("hostd store verify: \(file): \(String(cString: strerror(errno)))")
                    return ExitCode.usage
                }
                verifier.check(backup: file)
            } else {
                guard let data = Client.dataDirectory(command), !data.isEmpty else {
                    Output.errorLine(
                        "hostd store verify: name a FILE, or a data directory with --data DIR or HOSTD_DATA")
                    return ExitCode.usage
                }
                guard access("\(data)/store", F_OK) == 0 else {
                    Output.errorLine("hostd store verify: \(data) has no store")
                    return ExitCode.data
                }
                let directory = try DataDirectory(data)
                try verifier.check(dataDirectory: directory.path)
            }
            return show(verifier.report, command)
        }
    }

    private static func show(_ report: StoreVerifier.Report, _ command: ParsedCommand) -> Int32 {
        let status = report.problems.isEmpty ? ExitCode.success : ExitCode.data
        if Client.isJSON(command) {
            let problems = report.problems.map { problem -> JSON in
                [
                    "file": .string(problem.file), "offset": JSON(problem.offset), "message": .string(problem.message),
                ]
            }
            let json: JSON = [
                "files": JSON(report.files), "records": JSON(report.records), "revision": JSON(report.revision),
                "problems": .array(problems), "notes": .array(report.notes.map { .string($0) }),
            ]
            Output.line(json.serializedString())
            return status
        }
        for problem in report.problems {
            Output.errorLine("\(problem.file): offset \(problem.offset): \(problem.message)")
        }
        for note in report.notes { Output.line("note: \(note)") }
        let found = report.problems.isEmpty ? "nothing wrong" : "\(report.problems.count) wrong"
        Output.line(
            "checked \(report.files) files, \(report.records) records, revision \(report.revision): \(found)")
        return status
    }

    static func restore(_ command: ParsedCommand) -> Int32 {
        reporting("store restore") {
            guard let data = Client.dataDirectory(command), !data.isEmpty else {
                Output.errorLine("hostd store restore: --data DIR is missing (or HOSTD_DATA)")
                return ExitCode.usage
            }
            let file = command.arguments[0]
            guard access(file, R_OK) == 0 else {
                Output.errorLine("hostd store restore: \(file): \(String(cString: strerror(errno)))")
                return ExitCode.usage
            }
            let encryption = try encryption(command)
            let directory = try DataDirectory(data)
            let report = try StoreRestore.run(
                backup: file, dataDirectory: directory.path, replaces: command.flags.contains("--replace"),
                encryption: encryption)
            if Client.isJSON(command) {
                let json: JSON = ["revision": JSON(report.revision), "kept": .string(report.kept ?? "")]
                Output.line(json.serializedString())
                return ExitCode.success
            }
            Output.line("restored \(file) to \(directory.path): revision \(report.revision)")
            if let kept = report.kept { Output.line("the store that was there is kept in \(kept)") }
            return ExitCode.success
        }
    }

    static func rotateKeys(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            _ = try client.request(["command": "rotateKeys"])
            let status = try client.call(role, "status", [])["value"]
            let key = status["encryptingKey"].stringValue ?? ""
            let needed = status["neededKeys"].arrayValue.compactMap(\.stringValue).joined(separator: ", ")
            Output.line(
                key.isEmpty
                    ? "nothing is encrypted: store.encryption is not configured"
                    : "the key \(key) encrypts; keys that are needed: \(needed.isEmpty ? "none" : needed)")
        }
    }
}
