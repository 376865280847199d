import Glibc
import Kernel

/// A container's log in CRI's format: time, stream, F for a full line or P for a part of one, the line.
enum LogFile {
    struct Line {
        let stream: String
        let isPartial: Bool
        let text: String
    }

    static func lines(_ path: String) throws(Breach) -> [Line] {
        var lines: [Line] = []
        let text = String(decoding: Files.contents(path), as: UTF8.self)
        for row in text.split(separator: "\n") {
            let parts = row.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
            try expect(
                parts.count == 4 && parts[0].hasPrefix("20") && parts[0].contains("T")
                    && ["stdout", "stderr"].contains(parts[1]) && ["F", "P"].contains(parts[2]),
                "the log has the line \(row.prefix(80).debugDescription), where \"TIME stdout|stderr F|P TEXT\" is due")
            lines.append(Line(stream: parts[1], isPartial: parts[2] == "P", text: parts[3]))
        }
        return lines
    }

    /// Waits until a log has so many lines. A file tells nobody of its growth across namespaces, so it is looked at.
    static func wait(_ path: String, forLines count: Int) throws(Breach) {
        let deadline = monotonicNanoseconds() + RuntimeCalls.patience
        while try lines(path).count < count {
            try expect(
                monotonicNanoseconds() < deadline, "the log \(path) has no line of a container that wrote one", rule: 49
            )
            usleep(20_000)
        }
    }

    /// What comes from a descriptor until its end, for so many nanoseconds at most.
    static func readToEnd(_ file: Int32, _ patience: UInt64) -> String {
        let deadline = monotonicNanoseconds() + patience
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 4096)
        while monotonicNanoseconds() < deadline {
            var wait = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, Int32((deadline - monotonicNanoseconds()) / 1_000_000)) > 0 else { break }
            let count = read(file, &block, block.count)
            guard count > 0 else { break }
            bytes += block[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
