import Objects

/// One line of a log file in CRI's format: "2026-01-02T03:04:05.678901234Z stdout F text". The tag P marks a part of a
/// long line that the next entry of the stream goes on with.
struct LogLine: Equatable {
    var time: ArraySlice<UInt8>
    var isStandardError: Bool
    var isPartial: Bool
    var text: ArraySlice<UInt8>

    /// Reads a line without its line break; nil when it is not in the format.
    init?(_ line: ArraySlice<UInt8>) {
        let blank = UInt8(ascii: " ")
        guard let first = line.firstIndex(of: blank), let second = line[(first + 1)...].firstIndex(of: blank) else {
            return nil
        }
        let third = line[(second + 1)...].firstIndex(of: blank) ?? line.endIndex
        let stream = line[(first + 1)..<second]
        let tags = line[(second + 1)..<third]
        guard stream.elementsEqual("stdout".utf8) || stream.elementsEqual("stderr".utf8), let tag = tags.first,
            tag == UInt8(ascii: "F") || tag == UInt8(ascii: "P")
        else { return nil }
        time = line[..<first]
        isStandardError = stream.last == UInt8(ascii: "r")
        isPartial = tag == UInt8(ascii: "P")
        text = third < line.endIndex ? line[(third + 1)...] : []
    }
}

/// Which stream of a container is asked for.
enum LogStream: String, Sendable {
    case all = "All"
    case standardOutput = "Stdout"
    case standardError = "Stderr"

    func contains(_ line: LogLine) -> Bool {
        switch self {
        case .all: return true
        case .standardOutput: return !line.isStandardError
        case .standardError: return line.isStandardError
        }
    }
}

/// What of a log is asked for, as in the query of the log subresource.
struct LogOptions: Sendable, Equatable {
    var follow = false
    var previous = false
    var timestamps = false
    var tailLines: Int?
    var limitBytes: Int?
    /// RFC 3339 in UTC; lines before are left out.
    var since: String?
    var stream = LogStream.all

    init() {}

    /// Reads a query; throws what is wrong with it, in a sentence.
    init(query: JSON, now: Timestamp) throws {
        func value(_ name: String) -> String? { query[name][0].stringValue.flatMap { $0.isEmpty ? nil : $0 } }
        func flag(_ name: String) -> Bool { query.isFlagSet(name) }
        func number(_ name: String, least: Int) throws -> Int? {
            guard let text = value(name) else { return nil }
            guard let number = Int(text), number >= least else {
                throw HookError(description: "\(name) must be a number of at least \(least)")
            }
            return number
        }
        follow = flag("follow")
        previous = flag("previous")
        timestamps = flag("timestamps")
        tailLines = try number("tailLines", least: 0)
        limitBytes = try number("limitBytes", least: 1)
        if let seconds = try number("sinceSeconds", least: 1) {
            since = now.adding(seconds: -Int64(seconds)).formatted(fraction: .nano)
        }
        if let text = value("sinceTime") {
            guard since == nil else {
                throw HookError(description: "at most one of sinceTime and sinceSeconds may be given")
            }
            since = try Timestamp(parsing: text).formatted(fraction: .nano)
        }
        if let name = value("stream") {
            guard let known = LogStream(rawValue: name) else {
                throw HookError(description: "stream must be All, Stdout or Stderr")
            }
            stream = known
            guard known == .all || tailLines == nil else {
                throw HookError(description: "tailLines and a single stream may not be given together")
            }
        }
    }
}

/// Turns the bytes of log files into what a client sees. Feeds may end anywhere; memory is bounded by the longest line.
struct LogFormatter {
    let options: LogOptions
    private var pending: [UInt8] = []
    /// Whether the next text of each stream (standard output, standard error) continues a partial line.
    private var continues = [false, false]
    private var sent = 0
    /// The limit of bytes is reached.
    private(set) var isDone = false

    init(_ options: LogOptions) { self.options = options }

    mutating func format(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        var rest = bytes
        while !isDone, let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            if pending.isEmpty {
                append(rest[..<end], to: &output)
            } else {
                pending += rest[..<end]
                append(pending[...], to: &output)
                pending.removeAll(keepingCapacity: true)
            }
            rest = rest[(end + 1)...]
        }
        if !isDone { pending += rest }
        return output
    }

    private mutating func append(_ raw: ArraySlice<UInt8>, to output: inout [UInt8]) {
        guard let line = LogLine(raw), options.stream.contains(line) else { return }
        // Times in the format are UTC and equally long, or differ in trailing digits only: bytes compare as times do.
        if let since = options.since, line.time.lexicographicallyPrecedes(since.utf8) { return }
        let start = output.count
        let index = line.isStandardError ? 1 : 0
        if options.timestamps, !continues[index] {
            output += line.time
            output.append(UInt8(ascii: " "))
        }
        output += line.text
        continues[index] = line.isPartial
        if !line.isPartial { output.append(UInt8(ascii: "\n")) }
        guard let limit = options.limitBytes else { return }
        sent += output.count - start
        if sent >= limit {
            output.removeLast(sent - limit)
            isDone = true
        }
    }
}
