import CEpoll
import Glibc

/// What a loop lends its TLS connections while it serves one of them.
final class RecordSpace {
    /// Records that leave in one system call.
    private static let batch = 4

    let ciphers = RecordCiphers()
    /// Where records are sealed.
    let output = UnsafeMutableRawBufferPointer.allocate(
        byteCount: batch * (TLSRecords.contentLimit + TLSRecords.overhead), alignment: 16)

    deinit { output.deallocate() }
}

/// A connection of TLS 1.3 after its handshake: records over a socket that does not block. While it idles it has its keys and
/// no buffer. Confined to its loop's thread.
final class TLSConnection {
    private let descriptor: Int32
    private let space: RecordSpace
    private var records: TLSRecords
    /// Records that have come and were not looked at, or the beginning of one.
    private var received: [UInt8]
    /// Whether `received` may hold whole records.
    private var mustLook: Bool
    /// Sealed bytes that the socket had no room for, and how many of them are sent.
    private var unsent: [UInt8] = []
    private var sent = 0
    /// Bytes of the caller's that `unsent` stands for.
    private var promised = 0
    private var failure: String?
    /// Whether the socket gave less than there was room for when it was read last: nothing more had come then.
    private(set) var isDrained = false

    /// - Parameter received: what came behind the handshake.
    init(descriptor: Int32, space: RecordSpace, records: TLSRecords, received: [UInt8]) {
        self.descriptor = descriptor
        self.space = space
        self.records = records
        self.received = received
        mustLook = !received.isEmpty
    }

    deinit { records.wipe() }

    /// Reads into `buffer`, which has room for two records at least.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Transport.Result {
        while true {
            if let failure { return .failed(failure) }
            if records.isClosed { return .end }
            let kept = received.count
            var count = 0
            if !mustLook {
                let room = buffer.count - kept
                count = recv(descriptor, buffer.baseAddress.map { $0 + kept }, room, 0)
                guard count > 0 else { return count == 0 ? .end : .ofErrno(errno, or: .wantsRead) }
                isDrained = count < room
            }
            mustLook = false
            buffer.copyBytes(from: received)
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(kept + count)])
            do throws(TLSRecordError) {
                let (content, rest) = try records.open(bytes, space.ciphers)
                received = rest == bytes.count ? [] : Array(bytes[rest...])
                // The end that came behind the content is to be looked for.
                if records.isClosed { isDrained = false }
                if content > 0 { return .count(content) }
            } catch {
                fail(error)
            }
        }
    }

    /// Sends from the front of `bytes`. After `.wantsWrite` it must be called with the same bytes again, wherever they lie.
    func write(_ bytes: UnsafeRawBufferPointer) -> Transport.Result {
        if let failure { return .failed(failure) }
        if !unsent.isEmpty {
            if let result = sendRest() { return result }
            return .count(promised)
        }
        do throws(TLSRecordError) {
            let (taken, size) = try records.seal(bytes, into: space.output, space.ciphers)
            let count = Glibc.send(descriptor, space.output.baseAddress, size, Int32(MSG_NOSIGNAL))
            if count == size { return .count(taken) }
            let code = errno
            // A record that was begun is finished, whatever becomes of the connection: the next has the next number.
            unsent = Array(space.output[max(0, count)..<size])
            sent = 0
            promised = taken
            return count < 0 ? .ofErrno(code, or: .wantsWrite) : .wantsWrite
        } catch {
            fail(error)
            return .failed(failure ?? "")
        }
    }

    /// Sends what is left; nil when nothing is.
    private func sendRest() -> Transport.Result? {
        while sent < unsent.count {
            let count = unsent.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count >= 0 else { return .ofErrno(errno, or: .wantsWrite) }
            sent += count
        }
        unsent = []
        sent = 0
        return nil
    }

    /// Tells the peer that nothing more comes; its answer is not awaited.
    func shutdown() { tell(.closeNotify) }

    /// Sends an alert if that is possible at once.
    private func tell(_ alert: TLSAlert) {
        guard failure == nil, unsent.isEmpty else { return }
        do throws(TLSRecordError) {
            let size = try records.seal(alert: alert, into: space.output, space.ciphers)
            // Where there is no room for it the end of the connection says enough.
            _ = Glibc.send(descriptor, space.output.baseAddress, size, Int32(MSG_NOSIGNAL))
        } catch {
            // The connection ends all the same.
        }
    }

    private func fail(_ error: TLSRecordError) {
        switch error {
        case .violation(let alert, let reason):
            tell(alert)
            failure = reason
        case .alert(let number): failure = "the client ended with TLS alert \(number)"
        case .cipher:
            tell(.internalError)
            failure = "OpenSSL: \(OpenSSLError.last())"
        }
    }
}
