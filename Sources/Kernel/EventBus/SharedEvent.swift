import Glibc
import PluginAPI
import Synchronization

/// One event on its way to any number of watches: its records, and each form in which it crosses, made at most once.
final class SharedEvent: @unchecked Sendable {  // The records do not change; the forms are behind `forms`.
    let event: Event
    /// What it counts for in a watch's queue, bytes.
    let size: Int
    private let forms = Mutex<[(flags: UInt32, bytes: UnsafeMutableRawBufferPointer)]>([])

    /// Retains the records.
    init(_ event: Event) {
        self.event = event
        event.retain()
        size = event.record.size + (event.record.isPut ? 0 : event.previous?.size ?? 0)
    }

    /// Takes over the caller's references to the records.
    init(taking event: Event) {
        self.event = event
        size = event.record.size + (event.record.isPut ? 0 : event.previous?.size ?? 0)
    }

    deinit {
        event.release()
        for form in forms.withLock({ $0 }) { form.bytes.deallocate() }
    }

    var revision: UInt64 { event.record.revision }

    /// The event with these flags as a watch gets it: the record, and behind it the previous one if the flags say so. Valid
    /// as long as this object. A plain put is shown where it lies in the store.
    func bytes(_ flags: UInt32) -> UnsafeRawBufferPointer {
        if flags == 0 { return event.record.raw }
        return forms.withLock { forms in
            if let known = forms.first(where: { $0.flags == flags }) { return UnsafeRawBufferPointer(known.bytes) }
            let made = make(flags)
            forms.append((flags, made))
            return UnsafeRawBufferPointer(made)
        }
    }

    private func make(_ flags: UInt32) -> UnsafeMutableRawBufferPointer {
        let wanted = flags & HOSTD_STORE_RECORD_HAS_PREVIOUS != 0
        let previous = wanted ? event.previous : nil
        let size = event.record.size + (previous?.size ?? 0)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        guard let base = buffer.baseAddress else { return buffer }
        memcpy(base, event.record.bytes, event.record.size)
        base.assumingMemoryBound(to: hostd_store_record.self).pointee.flags =
            previous == nil ? flags & ~HOSTD_STORE_RECORD_HAS_PREVIOUS : flags
        if let previous { memcpy(base + event.record.size, previous.bytes, previous.size) }
        return buffer
    }
}
