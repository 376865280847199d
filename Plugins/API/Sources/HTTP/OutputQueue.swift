/// Bytes on their way to a client. Small pieces gather in one segment, so that they leave in one write; big ones are
/// taken over as they are, without a copy.
struct OutputQueue {
    private static let gather = 16 * 1024

    private var segments: [[UInt8]] = []
    private var first = 0
    private var offset = 0
    /// Bytes not yet sent.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        count += bytes.count
        if let last = segments.indices.last, segments[last].count + bytes.count <= Self.gather {
            segments[last].append(contentsOf: bytes)
        } else {
            segments.append(bytes)
        }
    }

    /// Writes into the last segment, which is lengthened or begun.
    mutating func append(_ write: (inout [UInt8]) -> Void) {
        if segments.last.map({ $0.count >= Self.gather }) ?? true { segments.append([]) }
        let last = segments.count - 1
        let before = segments[last].count
        write(&segments[last])
        count += segments[last].count - before
    }

    /// The next bytes to send, contiguous. Only when not empty.
    func withNext<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        segments[first].withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    }

    /// Notes that the first `sent` bytes of what `withNext` gave are gone.
    mutating func consume(_ sent: Int) {
        count -= sent
        offset += sent
        guard offset == segments[first].count else { return }
        offset = 0
        segments[first] = []
        first += 1
        if first == segments.count {
            segments = []
            first = 0
        } else if first > 32 {
            segments.removeFirst(first)
            first = 0
        }
    }

    /// Takes the first segment out, nil when there is none. Only of a queue that is never consumed in part.
    mutating func popFirst() -> [UInt8]? {
        while first < segments.count {
            let segment = segments[first]
            segments[first] = []
            first += 1
            count -= segment.count
            if first == segments.count {
                segments = []
                first = 0
            } else if first > 32 {
                segments.removeFirst(first)
                first = 0
            }
            if !segment.isEmpty { return segment }
        }
        return nil
    }

    mutating func removeAll() { self = OutputQueue() }
}
