/// Response codes (RFC 1035, 4.1.1; RFC 6891, 9).
public enum ResponseCode: UInt16, Sendable {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
    case badVersion = 16
}

/// Types of records that the server knows.
public enum RecordType {
    public static let a: UInt16 = 1
    public static let ns: UInt16 = 2
    public static let cname: UInt16 = 5
    public static let soa: UInt16 = 6
    public static let ptr: UInt16 = 12
    public static let txt: UInt16 = 16
    public static let aaaa: UInt16 = 28
    public static let srv: UInt16 = 33
    public static let opt: UInt16 = 41
    public static let any: UInt16 = 255
    public static let axfr: UInt16 = 252
    public static let ixfr: UInt16 = 251
}

/// What a record says.
public enum RecordData: Hashable, Sendable {
    /// IPv4 address in the machine's byte order.
    case address(UInt32)
    case canonicalName(DomainName)
    case pointer(DomainName)
    case nameServer(DomainName)
    case service(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName)
    case text([UInt8])
    case authority(primary: DomainName, mailbox: DomainName, serial: UInt32, minimum: UInt32)
    /// Any other type, its bytes as they are; they hold no compressed names.
    case opaque(UInt16, [UInt8])

    public var type: UInt16 {
        switch self {
        case .address: RecordType.a
        case .canonicalName: RecordType.cname
        case .pointer: RecordType.ptr
        case .nameServer: RecordType.ns
        case .service: RecordType.srv
        case .text: RecordType.txt
        case .authority: RecordType.soa
        case .opaque(let type, _): type
        }
    }
}

/// A resource record of class IN.
public struct Record: Hashable, Sendable {
    public var name: DomainName
    /// Seconds.
    public var timeToLive: UInt32
    public var data: RecordData

    public init(name: DomainName, timeToLive: UInt32, data: RecordData) {
        self.name = name
        self.timeToLive = timeToLive
        self.data = data
    }
}

/// The one question of a query.
public struct Question: Hashable, Sendable {
    public let name: DomainName
    public let type: UInt16
    public let recordClass: UInt16

    public init(name: DomainName, type: UInt16, recordClass: UInt16 = 1) {
        self.name = name
        self.type = type
        self.recordClass = recordClass
    }
}

/// What EDNS(0) adds to a query (RFC 6891).
public struct ExtendedQuery: Hashable, Sendable {
    /// Bytes of the largest datagram that the client takes, at least 512.
    public var datagramSize: Int
    public var version: UInt8
    /// The client wants signatures (DO).
    public var wantsSignatures: Bool
}

/// A query that has been read.
public struct Query: Hashable, Sendable {
    public var identifier: UInt16
    public var question: Question
    /// The name's bytes as the client wrote them, for the answer: some clients check the case that they sent.
    public var questionBytes: [UInt8]
    public var wantsRecursion: Bool
    public var isCheckingDisabled: Bool
    public var extended: ExtendedQuery?
}

/// Bits of the second word of the header.
enum HeaderBits {
    static let response: UInt16 = 0x8000
    static let opcodeMask: UInt16 = 0x7800
    static let authoritative: UInt16 = 0x0400
    static let truncated: UInt16 = 0x0200
    static let recursionDesired: UInt16 = 0x0100
    static let recursionAvailable: UInt16 = 0x0080
    static let checkingDisabled: UInt16 = 0x0010
    static let codeMask: UInt16 = 0x000f
}
