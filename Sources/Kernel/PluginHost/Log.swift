import Glibc
import Objects
import PluginAPI
import Synchronization

/// The log of the whole process: one line an event, on standard error. Any thread.
public final class Log: Sendable {
    public enum Format: String, Sendable, CaseIterable { case text, json }

    public enum Level: UInt32, Sendable, CaseIterable, Comparable {
        case debug = 1
        case info, warning, error

        public var name: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            }
        }

        public init?(name: String) {
            guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
            self = level
        }

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// Bytes of a message that are written; what is longer is cut with a mark.
    public static let messageLimit = 4096
    /// Bytes of all fields of one event.
    public static let fieldsLimit = 8192

    private let format: Format
    private let level: Level
    private let descriptor: Int32
    /// Held during the write, so that lines of several threads do not mix when the kernel takes them in parts.
    private let writing = Mutex<Void>(())

    public init(format: Format = .text, level: Level = .info, descriptor: Int32 = STDERR_FILENO) {
        self.format = format
        self.level = level
        self.descriptor = descriptor
    }

    public func debug(_ message: String, _ fields: JSONObject = [:]) { write(.debug, "host", message, fields) }
    public func info(_ message: String, _ fields: JSONObject = [:]) { write(.info, "host", message, fields) }
    public func warning(_ message: String, _ fields: JSONObject = [:]) { write(.warning, "host", message, fields) }
    public func error(_ message: String, _ fields: JSONObject = [:]) { write(.error, "host", message, fields) }

    public func isEnabled(_ level: Level) -> Bool { level >= self.level }

    /// Writes one event of `component` (a plugin's name, or a part of the host).
    public func write(_ level: Level, _ component: String, _ message: String, _ fields: JSONObject = [:]) {
        guard level >= self.level else { return }
        var line: [UInt8] = []
        line.reserveCapacity(256)
        let time = Timestamp.now().formatted(fraction: .micro)
        let message = Self.cut(message)
        switch format {
        case .json:
            var event: JSONObject = [
                "time": .string(time), "level": .string(level.name), "component": .string(component),
                "message": .string(message),
            ]
            for (key, value) in fields { event[event.contains(key) ? "field_\(key)" : key] = value }
            JSON.object(event).write(into: &line)
        case .text:
            line += "\(time) \(level.name.uppercased()) \(component): ".utf8
            Self.appendPrintable(message, to: &line)
            for (key, value) in fields {
                line.append(UInt8(ascii: " "))
                Self.appendPrintable(key, to: &line)
                line.append(UInt8(ascii: "="))
                Self.appendValue(value, to: &line)
            }
        }
        line.append(UInt8(ascii: "\n"))
        put(line)
    }

    private func put(_ line: [UInt8]) {
        writing.withLock { _ in
            var start = 0
            while start < line.count {
                let count = line.withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress! + start, line.count - start)
                }
                if count > 0 { start += count } else if errno != EINTR { return }  // Nowhere left to say so.
            }
        }
    }

    static func cut(_ message: String) -> String {
        guard message.utf8.count > messageLimit else { return message }
        return String(decoding: message.utf8.prefix(messageLimit), as: UTF8.self) + "… (\(message.utf8.count) bytes)"
    }

    /// Control characters would break "one line an event", or drive a terminal: they are escaped.
    private static func appendPrintable(_ text: String, to line: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case 0x0A: line += "\\n".utf8
            case 0x00..<0x20, 0x7F: line += "\\x\(hexadecimal(byte))".utf8
            default: line.append(byte)
            }
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.utf8.count == 1 ? "0" + digits : digits
    }

    private static func appendValue(_ value: JSON, to line: inout [UInt8]) {
        if case .string(let text) = value, !text.isEmpty,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x7F })
        {
            line += text.utf8
        } else {
            value.write(into: &line)
        }
    }
}
