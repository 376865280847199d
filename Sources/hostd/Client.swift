import Glibc
import Kernel

/// How client commands reach the running hostd, and what they do with its answers. (JSON is the kernel's re-export.)
enum Client {
    /// The data directory of `--data` or the environment.
    static func dataDirectory(_ command: ParsedCommand) -> String? {
        command["--data"] ?? getenv("HOSTD_DATA").map { String(cString: $0) }
    }

    /// Runs `body` with a connection; prints what fails.
    static func with(
        _ command: ParsedCommand, _ body: (ControlClient) throws(ControlFailure) -> Void
    ) -> Int32 {
        guard let directory = dataDirectory(command), !directory.isEmpty else {
            Output.errorLine("hostd: which one? Name its data directory with --data DIR or HOSTD_DATA.")
            return ExitCode.usage
        }
        do throws(ControlFailure) {
            try body(ControlClient(directory: directory))
            return ExitCode.success
        } catch {
            Output.errorLine("hostd: \(error.message)")
            return ExitCode.failure
        }
    }

    /// A path as it is seen from anywhere.
    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return String(cString: directory) + "/" + path
    }

    static func isJSON(_ command: ParsedCommand) -> Bool { command["--output"] == "json" }

    /// "12.3 MiB".
    static func size(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (Double(bytes), 0)
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : "\(Double(Int64(value * 10)) / 10) \(units[unit])"
    }

    /// "12.3 µs".
    static func duration(_ nanoseconds: Int64) -> String {
        switch nanoseconds {
        case ..<1000: "\(nanoseconds) ns"
        case ..<1_000_000: "\(Double(nanoseconds / 100) / 10) µs"
        case ..<1_000_000_000: "\(Double(nanoseconds / 100_000) / 10) ms"
        default: "\(Double(nanoseconds / 100_000_000) / 10) s"
        }
    }

    /// Columns of equal width; the first row is the head.
    static func table(_ rows: [[String]]) -> String {
        let widths = (0..<(rows.first?.count ?? 0)).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : Help.padded(cell, to: widths[index] + 2)
            }
            return cells.joined()
        }.joined(separator: "\n")
    }
}
