import CProcess
import Glibc

/// What a plugin's program answered.
struct PluginOutput: Sendable {
    var status: Int32
    var output: [UInt8]
    var errors: String
}

/// Runs programs of CNI plugins. The real one is `ProgramRunner`; tests of the logic above use a recorded fake.
protocol PluginRunner: Sendable {
    /// Where programs are looked for; plugins look for others there, too.
    var directories: [String] { get }
    /// - Parameter limit: milliseconds.
    func run(
        _ type: String, _ command: CNICommand, environment: [String: String], input: [UInt8], limit: Int64
    ) throws(CNIError) -> PluginOutput
}

/// Runs the program named like the plugin from the first directory that has it, in the calling thread's network namespace.
struct ProgramRunner: PluginRunner {
    let directories: [String]
    /// Of what a program writes so many bytes are read.
    private static let outputLimit = 1 << 20

    private func find(_ type: String) throws(CNIError) -> String {
        for directory in directories where access("\(directory)/\(type)", X_OK) == 0 { return "\(directory)/\(type)" }
        throw .noProgram(type: type, directories: directories)
    }

    func run(
        _ type: String, _ command: CNICommand, environment: [String: String], input: [UInt8], limit: Int64
    ) throws(CNIError) -> PluginOutput {
        let path = try find(type)
        var files: [Int32] = []
        defer { for file in files { close(file) } }
        for name in ["input", "output", "errors"] {
            let file = process_memory_file(name)
            guard file >= 0 else { throw Self.failure(type, command, "a file in memory cannot be made", errno) }
            files.append(file)
        }
        guard Glibc.write(files[0], input, input.count) == input.count, lseek(files[0], 0, SEEK_SET) == 0 else {
            throw Self.failure(type, command, "its input cannot be written", errno)
        }
        var status: Int32 = 0
        let variables = Self.inherited.merging(environment) { _, new in new }
        let code = Self.withTexts([path]) { arguments in
            Self.withTexts(variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) { environment in
                process_run(path, arguments, environment, files[0], files[1], files[2], limit, &status)
            }
        }
        if code == ETIMEDOUT { throw .timeout(type: type, command: command.rawValue, milliseconds: limit) }
        guard code == 0 else { throw Self.failure(type, command, "\(path) cannot be run", code) }
        return PluginOutput(
            status: status, output: Self.content(files[1]),
            errors: String(decoding: Self.content(files[2]), as: UTF8.self))
    }

    private static func failure(_ type: String, _ command: CNICommand, _ what: String, _ code: Int32) -> CNIError {
        .noAnswer(type: type, command: command.rawValue, reason: "\(what): \(String(cString: strerror(code)))")
    }

    /// Plugins run programs of their own, such as iptables.
    private static var inherited: [String: String] {
        [
            "PATH": getenv("PATH").map { String(cString: $0) }
                ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ]
    }

    private static func content(_ file: Int32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: outputLimit)
        let count = pread(file, &bytes, bytes.count, 0)
        return Array(bytes.prefix(max(0, count)))
    }

    /// Texts as a C array that ends with null.
    private static func withTexts<Result>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { buffer in
            // SAFETY: the array has at least the closing null, so it has an address.
            body(UnsafePointer(buffer.baseAddress!))
        }
    }
}
