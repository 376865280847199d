import COpenSSL

/// Why a connection's records cannot be gone on with.
enum TLSRecordError: Error, Equatable {
    /// The peer broke the protocol; it is told the alert.
    case violation(TLSAlert, String)
    /// The peer gave up with an alert of this number.
    case alert(UInt8)
    /// OpenSSL failed; it has no memory.
    case cipher
}

/// What one side tells the other when it ends (RFC 8446, section 6).
enum TLSAlert: UInt8 {
    case closeNotify = 0
    case unexpectedMessage = 10
    case badRecordMAC = 20
    case recordOverflow = 22
    case decodeError = 50
    case internalError = 80
    case userCanceled = 90
}

/// The records of a TLS 1.3 connection after its handshake (RFC 8446, section 5), a few hundred bytes where OpenSSL's own state
/// takes 22 KB: that is what lets thousands of watches be open. The ciphers are OpenSSL's. Pure: bytes in, bytes out.
///
/// Of the messages that may come after a handshake a server that asks for no certificate later gets KeyUpdate alone.
struct TLSRecords {
    private enum Content {
        static let alert: UInt8 = 21
        static let handshake: UInt8 = 22
        static let application: UInt8 = 23
    }

    static let headerSize = 5
    /// Most bytes of a record's content (section 5.1).
    static let contentLimit = 1 << 14
    /// What a record is longer than its content: header, type, tag.
    static let overhead = headerSize + 1 + RecordCiphers.tagSize
    /// Most bytes behind the header of a record that comes (section 5.2).
    private static let sealedLimit = contentLimit + 256
    /// Records in a row that bring no data; more are not taken.
    private static let emptyLimit = 32
    private static let keyUpdate: UInt8 = 24

    private var reading: TrafficKey
    private var writing: TrafficKey
    /// The beginning of a handshake message.
    private var message: [UInt8] = []
    private var emptyRecords = 0
    /// Whether the peer is to be told that the key changes before anything else is written.
    private var mustUpdate = false
    /// Whether the peer has said that nothing more comes.
    private(set) var isClosed = false

    init(reading: TrafficKey, writing: TrafficKey) {
        self.reading = reading
        self.writing = writing
    }

    /// Overwrites the keys. Nothing else may follow.
    mutating func wipe() {
        reading.wipe()
        writing.wipe()
    }

    // MARK: Reading

    /// Opens all whole records of `bytes` in place.
    /// - Returns: how many bytes of content now lie at the front, and where the first record that is not whole begins; what
    ///   comes behind the peer's last word is dropped.
    mutating func open(
        _ bytes: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> (content: Int, rest: Int) {
        var content = 0
        var position = 0
        while !isClosed, let size = try Self.size(UnsafeRawBufferPointer(rebasing: bytes[position...])) {
            let record = UnsafeMutableRawBufferPointer(rebasing: bytes[position..<(position + size)])
            position += size
            let opened = try open(record: record, ciphers)
            guard !opened.isEmpty, let target = bytes.baseAddress else { continue }
            (target + content).copyMemory(from: opened.baseAddress ?? UnsafeRawPointer(target), byteCount: opened.count)
            content += opened.count
        }
        return (content, isClosed ? bytes.count : position)
    }

    /// The size of the record at the front, nil when it is not whole.
    private static func size(_ bytes: UnsafeRawBufferPointer) throws(TLSRecordError) -> Int? {
        guard bytes.count >= headerSize else { return nil }
        guard bytes[0] == Content.application else {
            throw .violation(.unexpectedMessage, "a record of type \(bytes[0]) is not protected")
        }
        let length = Int(bytes[3]) << 8 | Int(bytes[4])
        guard length <= sealedLimit else { throw .violation(.recordOverflow, "a record has \(length) bytes") }
        guard length > RecordCiphers.tagSize else { throw .violation(.decodeError, "a record has \(length) bytes") }
        return bytes.count >= headerSize + length ? headerSize + length : nil
    }

    /// - Returns: its data, in place; empty when it is about something else.
    private mutating func open(
        record: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> UnsafeRawBufferPointer {
        let size = record.count - Self.headerSize - RecordCiphers.tagSize
        let inner = UnsafeRawBufferPointer(rebasing: record[Self.headerSize..<(Self.headerSize + size)])
        let header = UnsafeRawBufferPointer(rebasing: record[..<Self.headerSize])
        guard let base = record.baseAddress,
            ciphers.open(base + Self.headerSize, size: size, header: header, key: &reading)
        else { throw .violation(.badRecordMAC, "a record was not made with the connection's key") }
        // Behind the content are its type and zeros, as many as the peer likes.
        var end = size - 1
        while end >= 0, inner[end] == 0 { end -= 1 }
        guard end >= 0 else { throw .violation(.unexpectedMessage, "a record has no type") }
        guard end <= Self.contentLimit else {
            throw .violation(.recordOverflow, "a record has \(end) bytes of content")
        }
        let content = UnsafeRawBufferPointer(rebasing: inner[..<end])
        if inner[end] == Content.application, !content.isEmpty {
            guard message.isEmpty else { throw .violation(.unexpectedMessage, "data came within a message") }
            emptyRecords = 0
            return content
        }
        emptyRecords += 1
        guard emptyRecords <= Self.emptyLimit else {
            throw .violation(.unexpectedMessage, "too many records in a row bring no data")
        }
        switch inner[end] {
        case Content.application: break
        case Content.alert: try take(alert: content)
        case Content.handshake: try take(handshake: content)
        default: throw .violation(.unexpectedMessage, "a record is of the unknown type \(inner[end])")
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func take(alert: UnsafeRawBufferPointer) throws(TLSRecordError) {
        guard alert.count == 2 else { throw .violation(.decodeError, "an alert has \(alert.count) bytes") }
        switch alert[1] {
        case TLSAlert.closeNotify.rawValue: isClosed = true
        // A close follows.
        case TLSAlert.userCanceled.rawValue: break
        default: throw .alert(alert[1])
        }
    }

    private mutating func take(handshake: UnsafeRawBufferPointer) throws(TLSRecordError) {
        guard !handshake.isEmpty else { throw .violation(.unexpectedMessage, "a piece of a message is empty") }
        message.append(contentsOf: handshake)
        guard message[0] == Self.keyUpdate else {
            throw .violation(.unexpectedMessage, "a message of type \(message[0]) came after the handshake")
        }
        guard message.count >= 4 else { return }
        guard message[1...3].elementsEqual([0, 0, 1]) else {
            throw .violation(.decodeError, "a KeyUpdate is not 1 byte")
        }
        guard message.count >= 5 else { return }
        // The next message would be of the next key, and so of another record.
        guard message.count == 5 else {
            throw .violation(.unexpectedMessage, "something follows a KeyUpdate in its record")
        }
        guard message[4] <= 1 else { throw .violation(.decodeError, "a KeyUpdate asks for \(message[4])") }
        if message[4] == 1 { mustUpdate = true }
        message = []
        guard let next = reading.next() else { throw .cipher }
        reading.wipe()
        reading = next
    }

    // MARK: Writing

    /// Seals bytes from the front of `plain`, as many as `output` has room for.
    /// - Returns: how many were taken, and the bytes that are to be sent for them.
    mutating func seal(
        _ plain: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> (taken: Int, size: Int) {
        var taken = 0
        var size = 0
        if mustUpdate || writing.sequence >= writing.suite.recordLimit {
            size += try sealKeyUpdate(into: output, ciphers)
        }
        while taken < plain.count, output.count - size > Self.overhead {
            let count = min(plain.count - taken, Self.contentLimit, output.count - size - Self.overhead)
            let content = UnsafeRawBufferPointer(rebasing: plain[taken..<(taken + count)])
            size += try seal(
                content, Content.application, UnsafeMutableRawBufferPointer(rebasing: output[size...]), ciphers)
            taken += count
        }
        return (taken, size)
    }

    /// Seals an alert.
    /// - Returns: its size, at most 32 bytes.
    mutating func seal(
        alert: TLSAlert, into output: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> Int {
        // Of the levels only the one of the end and of `userCanceled` is "warning" (section 6).
        let bytes: [UInt8] = [alert == .closeNotify || alert == .userCanceled ? 1 : 2, alert.rawValue]
        return try seal(bytes, Content.alert, output, ciphers)
    }

    /// Tells the peer that the next record has the next key, and takes that.
    private mutating func sealKeyUpdate(
        into output: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> Int {
        let size = try seal([Self.keyUpdate, 0, 0, 1, 0], Content.handshake, output, ciphers)
        guard let next = writing.next() else { throw .cipher }
        writing.wipe()
        writing = next
        mustUpdate = false
        return size
    }

    private mutating func seal(
        _ bytes: [UInt8], _ type: UInt8, _ output: UnsafeMutableRawBufferPointer, _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> Int {
        var size = 0
        let plain = bytes
        var failure: TLSRecordError?
        plain.withUnsafeBytes { plain in
            do throws(TLSRecordError) { size = try seal(plain, type, output, ciphers) } catch { failure = error }
        }
        if let failure { throw failure }
        return size
    }

    private mutating func seal(
        _ plain: UnsafeRawBufferPointer, _ type: UInt8, _ output: UnsafeMutableRawBufferPointer,
        _ ciphers: RecordCiphers
    ) throws(TLSRecordError) -> Int {
        let length = plain.count + 1 + RecordCiphers.tagSize
        output[0] = Content.application
        (output[1], output[2]) = (3, 3)
        (output[3], output[4]) = (UInt8(length >> 8), UInt8(length & 0xFF))
        let header = UnsafeRawBufferPointer(rebasing: output[..<Self.headerSize])
        guard let base = output.baseAddress,
            ciphers.seal(plain, type: type, header: header, key: &writing, into: base + Self.headerSize)
        else { throw .cipher }
        return Self.headerSize + length
    }
}
