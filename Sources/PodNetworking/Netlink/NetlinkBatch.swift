/// Builds netlink requests, one behind the other, for one send.
///
/// Numbers are written in the machine's byte order unless the name of the function says otherwise; every message and
/// attribute is padded to a multiple of 4, as the protocol asks.
struct NetlinkBatch {
    /// The bytes so far.
    private(set) var bytes: [UInt8] = []
    /// One name per message, for errors ("create link veth1234").
    private(set) var labels: [String] = []
    private var messageStart = 0

    init() { bytes.reserveCapacity(512) }

    /// Number of messages.
    var count: Int { labels.count }

    /// Starts a message. Its sequence number is its position; NLM_F_REQUEST is added.
    mutating func message(_ type: UInt16, _ flags: UInt16, label: String) {
        messageStart = bytes.count
        append(UInt32(0))
        append(type)
        append(flags | NetlinkFlag.NLM_F_REQUEST)
        append(UInt32(truncatingIfNeeded: labels.count))
        append(UInt32(0))
        labels.append(label)
    }

    /// Ends the message: fills in its length.
    mutating func end() { patch(UInt32(bytes.count - messageStart), at: messageStart) }

    mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ more: some Collection<UInt8>) {
        bytes.append(contentsOf: more)
        pad()
    }

    mutating func attribute(_ type: UInt16, _ payload: some Collection<UInt8>) {
        append(UInt16(4 + payload.count))
        append(type)
        append(payload)
    }

    mutating func attribute(_ type: UInt16, _ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number) { attribute(type, $0) }
    }

    /// A number in network byte order, as netfilter wants all of them.
    mutating func attribute(_ type: UInt16, networkOrder number: UInt32) { attribute(type, number.bigEndian) }

    /// A text with its terminating zero.
    mutating func attribute(_ type: UInt16, text: String) { attribute(type, Array(text.utf8) + [0]) }

    /// An attribute that holds attributes.
    mutating func nested(_ type: UInt16, _ body: (inout NetlinkBatch) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type | NetlinkAttributeBit.NLA_F_NESTED)
        body(&self)
        patch(UInt16(bytes.count - start), at: start)
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    private mutating func patch(_ number: some FixedWidthInteger, at offset: Int) {
        withUnsafeBytes(of: number) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}
