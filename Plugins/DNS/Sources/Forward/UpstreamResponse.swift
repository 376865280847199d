/// A response of an upstream server that has been checked against what was asked.
struct UpstreamResponse: Sendable {
    /// As received; the identifier is replaced for each client.
    private(set) var bytes: [UInt8]
    /// Where times to live stand.
    private let timeToLiveOffsets: [Int]
    let code: UInt16
    let isTruncated: Bool
    let answers: [Record]
    /// How long it may be kept, in seconds.
    let lifetime: UInt32

    /// Longest time in the cache: changes out there show here within half a minute.
    static let longestLifetime: UInt32 = 30

    /// Nil when it is no answer to this question with this identifier, or is malformed.
    init?(_ bytes: [UInt8], identifier: UInt16, question: Question) {
        guard bytes.count >= 12, UInt16(bytes[0]) << 8 | UInt16(bytes[1]) == identifier else { return nil }
        let flags = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        guard flags & HeaderBits.response != 0, flags & HeaderBits.opcodeMask == 0 else { return nil }
        self.bytes = bytes
        code = flags & HeaderBits.codeMask
        isTruncated = flags & HeaderBits.truncated != 0
        do {
            var reader = MessageReader(bytes)
            _ = try reader.number32()
            let questions = try reader.number16()
            let counts = [try reader.number16(), try reader.number16(), try reader.number16()]
            guard questions == 1 else { return nil }
            let asked = Question(
                name: try reader.name(), type: try reader.number16(), recordClass: try reader.number16())
            guard asked == question else { return nil }
            var offsets: [Int] = []
            var answers: [Record] = []
            var lifetime = Self.longestLifetime
            var hasAuthority = false
            for (section, count) in counts.enumerated() {
                for _ in 0..<count {
                    let (record, type, offset) = try reader.record()
                    if type != RecordType.opt { offsets.append(offset) }
                    guard let record else { continue }
                    if section == 0 { answers.append(record) }
                    if section < 2 { lifetime = min(lifetime, record.timeToLive) }
                    if case .authority(_, _, _, let minimum) = record.data {
                        hasAuthority = true
                        lifetime = min(lifetime, minimum)
                    }
                }
            }
            // Absence is kept only when the zone says for how long (RFC 2308, 5).
            let isNegative = code == ResponseCode.nameError.rawValue || answers.isEmpty
            let isUsable = code == 0 || code == ResponseCode.nameError.rawValue
            self.lifetime = !isUsable || isTruncated || (isNegative && !hasAuthority) ? 0 : lifetime
            self.answers = answers
            timeToLiveOffsets = offsets
        } catch {
            guard isTruncated else { return nil }
            // A truncated response may end anywhere; it only says: ask by TCP.
            answers = []
            timeToLiveOffsets = []
            lifetime = 0
        }
    }

    /// The bytes for a client: its identifier and question bytes, and times to live lowered by the age in seconds.
    func bytes(for query: Query, age: UInt32) -> [UInt8] {
        var copy = bytes
        copy[0] = UInt8(query.identifier >> 8)
        copy[1] = UInt8(query.identifier & 255)
        if copy.count >= 12 + query.questionBytes.count {
            copy.replaceSubrange(12..<12 + query.questionBytes.count, with: query.questionBytes)
        }
        for offset in timeToLiveOffsets where age > 0 {
            let old = copy[offset..<offset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let new = old > age ? old - age : 0
            for (index, shift) in [24, 16, 8, 0].enumerated() {
                copy[offset + index] = UInt8(truncatingIfNeeded: new >> UInt32(shift))
            }
        }
        return copy
    }
}

/// Responses kept for a while; the oldest go first when it is full.
struct ResponseCache: Sendable {
    struct Key: Hashable, Sendable {
        let question: Question
        let isExtended: Bool
        let wantsSignatures: Bool
        let isCheckingDisabled: Bool

        init(_ query: Query) {
            question = query.question
            isExtended = query.extended != nil
            wantsSignatures = query.extended?.wantsSignatures ?? false
            isCheckingDisabled = query.isCheckingDisabled
        }
    }
    private struct Entry {
        let response: UpstreamResponse
        let stored: UInt64
        let number: UInt64
    }

    private let capacity: Int
    private var entries: [Key: Entry] = [:]
    private var order: [(key: Key, number: UInt64)] = []
    private var head = 0
    private var nextNumber: UInt64 = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }

    /// A response that is still good, and its age in seconds.
    mutating func find(_ key: Key, now: UInt64) -> (response: UpstreamResponse, age: UInt32)? {
        guard let entry = entries[key] else { return nil }
        let age = (now - entry.stored) / 1_000_000_000
        guard age < UInt64(entry.response.lifetime) else {
            entries[key] = nil
            return nil
        }
        return (entry.response, UInt32(age))
    }

    mutating func store(_ key: Key, _ response: UpstreamResponse, now: UInt64) {
        // Big responses are rare and would crowd out the others.
        guard capacity > 0, response.lifetime > 0, response.bytes.count <= 4096 else { return }
        nextNumber += 1
        entries[key] = Entry(response: response, stored: now, number: nextNumber)
        order.append((key, nextNumber))
        while entries.count > capacity || order.count - head > 2 * capacity {
            let oldest = order[head]
            head += 1
            if entries[oldest.key]?.number == oldest.number { entries[oldest.key] = nil }
        }
        if head > capacity {
            order.removeFirst(head)
            head = 0
        }
    }
}
