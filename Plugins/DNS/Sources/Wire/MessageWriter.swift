/// An answer before it is written.
public struct Answer: Hashable, Sendable {
    public var code: ResponseCode
    public var isAuthoritative: Bool
    public var answers: [Record]
    public var authority: [Record]
    public var additional: [Record]

    public init(
        code: ResponseCode = .noError, isAuthoritative: Bool = true, answers: [Record] = [], authority: [Record] = [],
        additional: [Record] = []
    ) {
        self.code = code
        self.isAuthoritative = isAuthoritative
        self.answers = answers
        self.authority = authority
        self.additional = additional
    }
}

/// Writes messages, with compressed names (RFC 1035, 4.1.4).
struct MessageWriter {
    private(set) var bytes: [UInt8] = []
    private var positions: [ArraySlice<[UInt8]>: Int] = [:]

    /// Largest datagram that the server sends: fits every path without fragments (the flag day value of 2020).
    static let largestDatagram = 1232
    static let largestStreamMessage = 65535

    init() { bytes.reserveCapacity(512) }

    /// The whole response to a query, at most `limit` bytes: what does not fit is left out, answers first the last ones,
    /// and the response says that it is truncated. `recursion` says whether the server would recurse.
    static func response(to query: Query, _ answer: Answer, limit: Int, recursion: Bool) -> [UInt8] {
        var writer = MessageWriter()
        var flags = HeaderBits.response | answer.code.rawValue & HeaderBits.codeMask
        if answer.isAuthoritative { flags |= HeaderBits.authoritative }
        if query.wantsRecursion { flags |= HeaderBits.recursionDesired }
        if recursion { flags |= HeaderBits.recursionAvailable }
        if query.isCheckingDisabled { flags |= HeaderBits.checkingDisabled }
        writer.header(query.identifier, flags, questions: 1)
        writer.rememberName(query.question.name, at: 12)
        writer.bytes += query.questionBytes
        let reserved = query.extended == nil ? 0 : 11
        let room = limit - reserved
        let answers = writer.append(answer.answers, room: room)
        let isTruncated = answers < answer.answers.count
        let authority = isTruncated ? 0 : writer.append(answer.authority, room: room)
        let additional =
            isTruncated || authority < answer.authority.count ? 0 : writer.append(answer.additional, room: room)
        if isTruncated || authority < answer.authority.count { writer.set16(at: 2, flags | HeaderBits.truncated) }
        writer.set16(at: 6, UInt16(answers))
        writer.set16(at: 8, UInt16(authority))
        writer.set16(at: 10, UInt16(additional))
        if let extended = query.extended { writer.extended(answer.code, extended, additional: additional) }
        return writer.bytes
    }

    /// A response without question, for queries that cannot be read.
    static func refusal(identifier: UInt16, _ code: ResponseCode, recursionDesired: Bool) -> [UInt8] {
        var writer = MessageWriter()
        let flags = HeaderBits.response | code.rawValue | (recursionDesired ? HeaderBits.recursionDesired : 0)
        writer.header(identifier, flags, questions: 0)
        return writer.bytes
    }

    /// A response without records that says: ask by TCP.
    static func truncated(_ query: Query, code: UInt16) -> [UInt8] {
        var answer = response(to: query, Answer(isAuthoritative: false), limit: largestDatagram, recursion: true)
        answer[2] |= UInt8(HeaderBits.truncated >> 8)
        answer[3] |= UInt8(code & HeaderBits.codeMask)
        return answer
    }

    /// A query for an upstream server, with EDNS when the client's had it: the response is passed on as it comes.
    static func query(identifier: UInt16, _ query: Query) -> [UInt8] {
        var writer = MessageWriter()
        var flags = HeaderBits.recursionDesired
        if query.isCheckingDisabled { flags |= HeaderBits.checkingDisabled }
        writer.header(identifier, flags, questions: 1)
        writer.bytes += query.questionBytes
        if let extended = query.extended {
            writer.set16(at: 10, 1)
            writer.optRecord(size: UInt16(largestDatagram), settings: extended.wantsSignatures ? 0x8000 : 0)
        }
        return writer.bytes
    }

    private mutating func header(_ identifier: UInt16, _ flags: UInt16, questions: UInt16) {
        for number in [identifier, flags, questions, 0, 0, 0] { append16(number) }
    }

    private mutating func extended(_ code: ResponseCode, _ query: ExtendedQuery, additional: Int) {
        let settings = UInt32(code.rawValue >> 4) << 24 | (query.wantsSignatures ? 0x8000 : 0)
        optRecord(size: UInt16(Self.largestDatagram), settings: settings)
        set16(at: 10, UInt16(additional + 1))
    }

    private mutating func optRecord(size: UInt16, settings: UInt32) {
        bytes.append(0)
        append16(RecordType.opt)
        append16(size)
        append32(settings)
        append16(0)
    }

    /// Writes as many records as fit and returns their number.
    private mutating func append(_ records: [Record], room: Int) -> Int {
        for (index, record) in records.enumerated() {
            let before = (bytes.count, positions)
            append(record)
            if bytes.count > room {
                bytes.removeLast(bytes.count - before.0)
                positions = before.1
                return index
            }
        }
        return records.count
    }

    mutating func append(_ record: Record) {
        append(record.name)
        append16(record.data.type)
        append16(1)
        append32(record.timeToLive)
        let lengthAt = bytes.count
        append16(0)
        switch record.data {
        case .address(let address): append32(address)
        case .canonicalName(let name), .pointer(let name), .nameServer(let name): append(name)
        case .service(let priority, let weight, let port, let target):
            append16(priority)
            append16(weight)
            append16(port)
            // The target of a service record is not compressed (RFC 2782).
            append(target, compressed: false)
        case .text(let text):
            bytes.append(UInt8(text.prefix(255).count))
            bytes += text.prefix(255)
        case .authority(let primary, let mailbox, let serial, let minimum):
            append(primary)
            append(mailbox)
            for number in [serial, 7200, 1800, 86400, minimum] { append32(number) }
        case .opaque(_, let data): bytes += data
        }
        set16(at: lengthAt, UInt16(truncatingIfNeeded: bytes.count - lengthAt - 2))
    }

    private mutating func append(_ name: DomainName, compressed: Bool = true) {
        var rest = name.labels[...]
        while let label = rest.first {
            if compressed, let position = positions[rest] {
                append16(0xc000 | UInt16(position))
                return
            }
            if bytes.count < 0x4000, positions[rest] == nil { positions[rest] = bytes.count }
            bytes.append(UInt8(label.count))
            bytes += label
            rest = rest.dropFirst()
        }
        bytes.append(0)
    }

    private mutating func rememberName(_ name: DomainName, at offset: Int) {
        var rest = name.labels[...]
        var position = offset
        while let label = rest.first {
            positions[rest] = position
            position += label.count + 1
            rest = rest.dropFirst()
        }
    }

    private mutating func append16(_ number: UInt16) {
        bytes.append(UInt8(number >> 8))
        bytes.append(UInt8(number & 255))
    }

    private mutating func append32(_ number: UInt32) {
        append16(UInt16(number >> 16))
        append16(UInt16(number & 0xffff))
    }

    private mutating func set16(at offset: Int, _ number: UInt16) {
        bytes[offset] = UInt8(number >> 8)
        bytes[offset + 1] = UInt8(number & 255)
    }
}
