/// Reads the parts of a message. Every read is checked against the message's end; compression pointers must lead
/// backwards, strictly further at each step, so that no name can loop.
struct MessageReader {
    let bytes: [UInt8]
    private(set) var offset = 0

    /// Why a message cannot be read.
    enum Failure: Error, Equatable {
        case truncated
        case badLabel
        case badPointer
        case nameTooLong
        case badRecord
    }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func byte() throws(Failure) -> UInt8 {
        guard offset < bytes.count else { throw .truncated }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func number16() throws(Failure) -> UInt16 { UInt16(try byte()) << 8 | UInt16(try byte()) }

    mutating func number32() throws(Failure) -> UInt32 { UInt32(try number16()) << 16 | UInt32(try number16()) }

    mutating func take(_ count: Int) throws(Failure) -> [UInt8] {
        guard count >= 0, bytes.count - offset >= count else { throw .truncated }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    /// A name; compressed ones are followed unless `allowsPointers` is false.
    mutating func name(allowsPointers: Bool = true) throws(Failure) -> DomainName {
        var labels: [[UInt8]] = []
        var size = 1
        var position = offset
        var lowest = offset
        var end: Int?
        while true {
            guard position < bytes.count else { throw .truncated }
            let length = Int(bytes[position])
            switch length >> 6 {
            case 0 where length == 0:
                offset = end ?? position + 1
                return DomainName(unchecked: labels)
            case 0:
                guard position + 1 + length <= bytes.count else { throw .truncated }
                size += length + 1
                guard size <= DomainName.maximumWireSize else { throw .nameTooLong }
                labels.append(bytes[position + 1..<position + 1 + length].map(DomainName.lowercase))
                position += 1 + length
            case 3:
                guard allowsPointers else { throw .badPointer }
                guard position + 1 < bytes.count else { throw .truncated }
                let target = (length & 0x3f) << 8 | Int(bytes[position + 1])
                guard target < lowest else { throw .badPointer }
                end = end ?? position + 2
                lowest = target
                position = target
            default: throw .badLabel
            }
        }
    }

    /// A record and where its time to live stands; nil for one of another class than IN.
    mutating func record() throws(Failure) -> (record: Record?, type: UInt16, timeToLiveOffset: Int) {
        let name = try name()
        let type = try number16()
        let recordClass = try number16()
        let timeToLiveOffset = offset
        let timeToLive = try number32()
        let length = Int(try number16())
        guard bytes.count - offset >= length else { throw .truncated }
        let end = offset + length
        guard type != RecordType.opt, recordClass == 1 else {
            offset = end
            return (nil, type, timeToLiveOffset)
        }
        let data = try data(type, end: end)
        guard offset == end else { throw .badRecord }
        // A time beyond 31 bits counts as zero (RFC 2181, 8).
        let record = Record(name: name, timeToLive: timeToLive > 0x7fff_ffff ? 0 : timeToLive, data: data)
        return (record, type, timeToLiveOffset)
    }

    private mutating func data(_ type: UInt16, end: Int) throws(Failure) -> RecordData {
        switch type {
        case RecordType.a:
            guard end - offset == 4 else { throw .badRecord }
            return .address(try number32())
        case RecordType.cname: return .canonicalName(try name())
        case RecordType.ptr: return .pointer(try name())
        case RecordType.ns: return .nameServer(try name())
        case RecordType.srv:
            return .service(
                priority: try number16(), weight: try number16(), port: try number16(), target: try name())
        case RecordType.soa:
            let primary = try name()
            let mailbox = try name()
            let serial = try number32()
            _ = try take(12)
            return .authority(primary: primary, mailbox: mailbox, serial: serial, minimum: try number32())
        default: return .opaque(type, try take(end - offset))
        }
    }
}

/// Reads queries.
enum QueryReader {
    enum Outcome: Equatable {
        case query(Query)
        /// Answer with this code; the question is repeated when it could be read.
        case refuse(identifier: UInt16, ResponseCode, recursionDesired: Bool)
        /// Not worth an answer: too short, or itself a response.
        case ignore
    }

    /// Reads a whole message as a query with exactly one question and at most one EDNS record.
    static func read(_ bytes: [UInt8]) -> Outcome {
        guard bytes.count >= 12 else { return .ignore }
        let identifier = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        let flags = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        guard flags & HeaderBits.response == 0 else { return .ignore }
        let recursion = flags & HeaderBits.recursionDesired != 0
        guard flags & HeaderBits.opcodeMask == 0 else {
            return .refuse(identifier: identifier, .notImplemented, recursionDesired: recursion)
        }
        do {
            return .query(try query(bytes, identifier: identifier, flags: flags))
        } catch {
            return .refuse(identifier: identifier, .formatError, recursionDesired: recursion)
        }
    }

    private static func query(
        _ bytes: [UInt8], identifier: UInt16, flags: UInt16
    ) throws(MessageReader.Failure) -> Query {
        var reader = MessageReader(bytes)
        _ = try reader.number32()
        let counts = (
            try reader.number16(), try reader.number16(), try reader.number16(), try reader.number16()
        )
        // Cookies and signatures come as additional records; nothing else belongs into a query.
        guard counts.0 == 1, counts.1 == 0, counts.2 == 0, counts.3 <= 4 else { throw .badRecord }
        let start = reader.offset
        let name = try reader.name(allowsPointers: false)
        let question = Question(name: name, type: try reader.number16(), recordClass: try reader.number16())
        let questionBytes = Array(bytes[start..<reader.offset])
        var extended: ExtendedQuery?
        for _ in 0..<counts.3 {
            let isRoot = reader.offset < bytes.count && bytes[reader.offset] == 0
            _ = try reader.name()
            let type = try reader.number16()
            let size = try reader.number16()
            let settings = try reader.number32()
            _ = try reader.take(Int(try reader.number16()))
            guard type == RecordType.opt else { continue }
            guard extended == nil, isRoot else { throw .badRecord }
            extended = ExtendedQuery(
                datagramSize: max(512, Int(size)), version: UInt8(settings >> 16 & 255),
                wantsSignatures: settings & 0x8000 != 0)
        }
        return Query(
            identifier: identifier, question: question, questionBytes: questionBytes,
            wantsRecursion: flags & HeaderBits.recursionDesired != 0,
            isCheckingDisabled: flags & HeaderBits.checkingDisabled != 0, extended: extended)
    }
}
