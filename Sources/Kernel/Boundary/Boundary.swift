import Glibc
import PluginAPI

// The small steps that every function of a host table repeats between C and Swift.

/// Borrowed bytes of a call as a buffer; a NULL pointer is empty.
func borrowed(_ pointer: UnsafePointer<UInt8>?, _ size: UInt64) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(start: pointer, count: pointer == nil ? 0 : Int(clamping: size))
}

/// Bytes as text; invalid UTF-8 is repaired.
func text(_ pointer: UnsafePointer<UInt8>?, _ size: UInt64) -> String {
    String(decoding: borrowed(pointer, size), as: UTF8.self)
}

/// An owned buffer with a copy of `bytes`, released by `free`.
func ownedBuffer<Bytes: Collection<UInt8>>(_ bytes: Bytes) -> hostd_buffer {
    guard !bytes.isEmpty, let memory = malloc(bytes.count) else { return hostd_buffer() }
    let copy = UnsafeMutableRawBufferPointer(start: memory, count: bytes.count)
    copy.copyBytes(from: bytes)
    return hostd_buffer(
        data: UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)), size: UInt64(bytes.count),
        release: { free($0) },
        context: memory)
}

/// Hands `failure` to the caller of a table function and returns its status.
func report(_ failure: StoreError, to error: UnsafeMutablePointer<hostd_error>) -> Int32 {
    guard Int(error.pointee.struct_size) >= MemoryLayout<hostd_error>.size else { return failure.code }
    error.pointee.code = failure.code
    error.pointee.retryable = failure.isRetryable ? 1 : 0
    error.pointee.retry_delay_ms = failure.retryDelay
    error.pointee.message = ownedBuffer(failure.message.utf8.prefix(Int(HOSTD_ERROR_MESSAGE_LIMIT)))
    return failure.code
}

/// Runs `body` for a table function: its error becomes the status.
func answering(_ output: UnsafeMutablePointer<hostd_error>, _ body: () throws(StoreError) -> Void) -> Int32 {
    do throws(StoreError) {
        try body()
        return HOSTD_OK
    } catch {
        return report(error, to: output)
    }
}

/// A table in memory of its own that lives as long as its owner, and the two strings in its head.
final class InterfaceTable<Table>: @unchecked Sendable {  // Written once, before it is shared.
    let table: UnsafeMutablePointer<Table>
    private let id: UnsafeMutablePointer<CChar>
    private let slots: UnsafeMutablePointer<CChar>

    /// `fill` sets the slots; the head is filled here. `owner` is not retained: it owns this.
    init(id: String, slots: String, owner: AnyObject, _ fill: (hostd_interface) -> Table) {
        // SAFETY: strdup fails only when a few dozen bytes cannot be had, at start.
        self.id = strdup(id)!
        self.slots = strdup(slots)!
        table = .allocate(capacity: 1)
        table.initialize(
            to: fill(
                hostd_interface(
                    struct_size: UInt32(MemoryLayout<Table>.size), reserved: 0,
                    self: Unmanaged.passUnretained(owner).toOpaque(),
                    id: self.id, slots: self.slots)))
    }

    deinit {
        table.deallocate()
        free(id)
        free(slots)
    }

    var interface: UnsafePointer<hostd_interface> {
        UnsafePointer(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self))
    }
}

/// The object behind `self` of a table function.
func owner<Object: AnyObject>(_ pointer: UnsafeMutableRawPointer?, as type: Object.Type) -> Object {
    // SAFETY: the host passes the `self` that stands in the table it called through, which is never NULL here.
    Unmanaged<Object>.fromOpaque(pointer!).takeUnretainedValue()
}
