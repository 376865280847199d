import Glibc

/// What a child reports about itself, line by line, through a pipe that outlives it. A line of at most `PIPE_BUF` bytes is
/// in the pipe as a whole or not at all; what was reported before the kill can be read after it.
enum JournalLine: Equatable {
    /// The store is open, at this revision.
    case opened(UInt64)
    /// A write is about to be handed to the store.
    case intent(writer: Int, number: Int, Intent)
    /// It was acknowledged; the number is its revision, or the lease that was granted, or 0 for a revoked lease.
    case acknowledged(writer: Int, number: Int, UInt64)
    /// It was refused with this code, so nothing of it may be found.
    case refused(writer: Int, number: Int, code: Int, message: String)
    case watching(stream: Int, from: UInt64, StreamFilter)
    case event(stream: Int, revision: UInt64, flags: StreamFlags, Change)
    case progress(stream: Int, UInt64)
    /// The stream ended from the store's side, for this reason.
    case ended(stream: Int, String)
    /// Reads while the disk was full showed all that the writer had written.
    case readWhileFull(writer: Int)
    /// Something that must not happen.
    case failure(String)

    enum Intent: Equatable {
        case changes([Change])
        case grant
        /// The keys under the lease go with it.
        case revoke(UInt64, [Change])
    }

    var text: String {
        switch self {
        case .opened(let revision): "o \(revision)"
        case .intent(let writer, let number, .changes(let changes)): "i \(writer) \(number)\(Self.list(changes))"
        case .intent(let writer, let number, .grant): "g \(writer) \(number)"
        case .intent(let writer, let number, .revoke(let lease, let changes)):
            "v \(writer) \(number) \(lease)\(Self.list(changes))"
        case .acknowledged(let writer, let number, let result): "a \(writer) \(number) \(result)"
        case .refused(let writer, let number, let code, let message): "r \(writer) \(number) \(code) \(message)"
        case .watching(let stream, let from, let filter): "w \(stream) \(from) \(filter.text)"
        case .event(let stream, let revision, let flags, let change):
            "e \(stream) \(revision) \(flags.rawValue) \(change.text)"
        case .progress(let stream, let revision): "p \(stream) \(revision)"
        case .ended(let stream, let reason): "x \(stream) \(reason)"
        case .readWhileFull(let writer): "n \(writer)"
        case .failure(let message): "f \(message)"
        }
    }

    private static func list(_ changes: [Change]) -> String { changes.map { " " + $0.text }.joined() }

    init?(_ line: some StringProtocol) {
        let words = line.split(separator: " ")
        func number(_ position: Int) -> Int? { position < words.count ? Int(words[position]) : nil }
        func revision(_ position: Int) -> UInt64? { position < words.count ? UInt64(words[position]) : nil }
        func rest(_ position: Int) -> String { words.dropFirst(position).joined(separator: " ") }
        func changes(_ position: Int) -> [Change] { words.dropFirst(position).compactMap { Change($0) } }
        switch (words.first, number(1), number(2)) {
        case ("o", let at?, _): self = .opened(UInt64(at))
        case ("i", let writer?, let count?): self = .intent(writer: writer, number: count, .changes(changes(3)))
        case ("g", let writer?, let count?): self = .intent(writer: writer, number: count, .grant)
        case ("v", let writer?, let count?):
            guard let lease = revision(3) else { return nil }
            self = .intent(writer: writer, number: count, .revoke(lease, changes(4)))
        case ("a", let writer?, let count?):
            guard let result = revision(3) else { return nil }
            self = .acknowledged(writer: writer, number: count, result)
        case ("r", let writer?, let count?):
            guard let code = number(3) else { return nil }
            self = .refused(writer: writer, number: count, code: code, message: rest(4))
        case ("w", let stream?, let from?):
            guard words.count > 3, let filter = StreamFilter(words[3]) else { return nil }
            self = .watching(stream: stream, from: UInt64(from), filter)
        case ("e", let stream?, let at?):
            guard words.count == 5, let flags = number(3), let change = Change(words[4]) else { return nil }
            self = .event(stream: stream, revision: UInt64(at), flags: StreamFlags(rawValue: flags), change)
        case ("p", let stream?, let at?): self = .progress(stream: stream, UInt64(at))
        case ("x", let stream?, _): self = .ended(stream: stream, rest(2))
        case ("n", let writer?, _): self = .readWhileFull(writer: writer)
        case ("f", _, _): self = .failure(rest(1))
        default: return nil
        }
    }
}

/// The writing end, on the descriptor that `ChildProcess` gives to its child. [any-thread]
enum Journal {
    static let descriptor: Int32 = 3
    private static let atomicSize = 4096

    static func report(_ lines: JournalLine...) { report(lines) }

    /// Reports in order; lines that fit one atomic write go together. When nobody reads any more, the process ends.
    static func report(_ lines: [JournalLine]) {
        var text: [UInt8] = []
        for line in lines {
            let line = Array(line.text.utf8) + [10]
            if text.count + line.count > atomicSize { flush(&text) }
            text += line
        }
        flush(&text)
    }

    private static func flush(_ text: inout [UInt8]) {
        guard !text.isEmpty else { return }
        while write(descriptor, text, text.count) < 0 {
            if errno != EINTR { exit(3) }
        }
        text.removeAll(keepingCapacity: true)
    }
}
