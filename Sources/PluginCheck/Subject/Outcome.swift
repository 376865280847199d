import CPluginCheck
import Kernel
import PluginAPI

/// What a call into the plugin answered.
struct Outcome {
    var status: Int32
    var message = ""
    var isRetryable = false
    /// Breaches that the answer itself shows.
    var breaches: [(rule: Int, what: String)] = []

    var isOK: Bool { status == HOSTD_OK }
    var words: String { message.isEmpty ? statusName(status) : "\(statusName(status)): \(message)" }
}

/// A `hostd_error` for one call, at the end of a page: whoever writes behind it ends the process.
struct ErrorRoom {
    /// Bytes that the callee is given; less than the struct's size is what an older caller gives.
    let size: UInt64
    let pointer: UnsafeMutableRawPointer

    init(size: UInt64 = UInt64(MemoryLayout<hostd_error>.size)) {
        self.size = max(size, 4)
        pointer = check_room(self.size)
        pointer.storeBytes(of: UInt32(size), as: UInt32.self)
    }

    /// Judges what the callee wrote, releases it and the room.
    func take(_ status: Int32) -> Outcome {
        defer { check_room_free(pointer, size) }
        var outcome = Outcome(status: status)
        if status > 0 { outcome.breaches.append((9, "it returned the positive status \(status)")) }
        guard size >= UInt64(MemoryLayout<hostd_error>.size) else { return outcome }
        let error = pointer.load(as: hostd_error.self)
        outcome.isRetryable = error.retryable != 0
        if status < 0, error.code != 0, error.code != status {
            outcome.breaches.append((9, "it returned \(statusName(status)), its error says \(statusName(error.code))"))
        }
        if status == HOSTD_OK, error.message.release != nil {
            outcome.breaches.append((9, "it returned HOSTD_OK and an error message, which nobody releases"))
        }
        takeMessage(error.message, &outcome)
        return outcome
    }

    private func takeMessage(_ buffer: hostd_buffer, _ outcome: inout Outcome) {
        if buffer.size > UInt64(HOSTD_ERROR_MESSAGE_LIMIT) {
            outcome.breaches.append(
                (9, "the error's message has \(buffer.size) bytes; at most \(HOSTD_ERROR_MESSAGE_LIMIT) are allowed"))
        }
        if let data = buffer.data, buffer.size > 0 {
            let bytes = UnsafeBufferPointer(start: data, count: Int(min(buffer.size, 1 << 20)))
            _ = check_hash(data, UInt64(bytes.count))
            outcome.message = String(decoding: bytes.prefix(512), as: UTF8.self)
            if String(validating: bytes, as: UTF8.self) == nil {
                outcome.breaches.append((9, "the error's message is not UTF-8"))
            }
        } else if buffer.size > 0 {
            outcome.breaches.append((8, "the error's message is NULL with a size of \(buffer.size)"))
        }
        buffer.release?(buffer.context)
    }
}

/// A breach that ends a check.
struct Breach: Error {
    let what: String
    var rule: Int?

    init(_ what: String, rule: Int? = nil) {
        self.what = what
        self.rule = rule
    }
}

func expect(_ condition: Bool, _ what: @autoclosure () -> String, rule: Int? = nil) throws(Breach) {
    if !condition { throw Breach(what(), rule: rule) }
}
