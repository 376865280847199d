import CPluginCheck
import Glibc
import Kernel
import PluginAPI
import Synchronization

/// One run of calls by many threads.
final class StressRun: @unchecked Sendable {
    // SAFETY: what the threads share is immutable, or under a mutex.
    private let offer: HostOffer
    private let table: UnsafePointer<hostd_interface>
    private let slots: [(slot: CheckedTable.Slot, texts: [[UInt8]], size: Int)]
    private let closers: [UInt32?]
    private let ledger: OpaquePointer
    private let state = Mutex(Findings())

    private struct Findings: @unchecked Sendable {
        // SAFETY: the recorders are made for any thread.
        var operations: [OpaquePointer] = []
        var problem: Breach?
    }

    init(_ session: Session, _ subject: Subject, _ table: CheckedTable) {
        offer = subject.offer
        ledger = subject.offer.ledger
        self.table = session.host.table(table.id) ?? table.pointer
        // Without files: a thousand of them would be a check of something else.
        let usable = table.slots.filter { slot in
            table.isThere(slot) && slot.letters.allSatisfy { "tbihuwldoHWIecsv".contains($0) } && slot.name != "reset"
        }
        slots = usable.map { slot in
            let texts = Samples.texts(role: table.id, slot: slot.name, scratch: session.scratch)
            let count = slot.letters.filter { $0 == "b" }.count
            let padded = texts + Array(repeating: "{}", count: max(0, count - texts.count))
            return (slot, padded.map { Array($0.utf8) }, Samples.structureSize(role: table.id, slot: slot.name))
        }
        closers = usable.map(\.closer)
    }

    var problem: Breach? { state.withLock { $0.problem } }

    private func found(_ rule: Int, _ what: String) {
        state.withLock { if $0.problem == nil { $0.problem = Breach(what, rule: rule) } }
    }

    func work(_ number: UInt32, calls: Int) {
        guard !slots.isEmpty else { return }
        var random = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 | 1
        for _ in 0..<calls {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            let index = Int(random % UInt64(slots.count))
            call(slots[index].slot, slots[index].texts, slots[index].size)
        }
    }

    /// One call with memory of its own.
    private func call(_ slot: CheckedTable.Slot, _ texts: [[UInt8]], _ structure: Int) {
        var arguments = [check_argument](repeating: check_argument(), count: slot.letters.count)
        var (buffer, error, number) = (hostd_buffer(), hostd_error(), UInt64(0))
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        var flat = [UInt64](repeating: 0, count: max(structure / 8, 1))
        flat[0] = UInt64(structure)
        let stream = slot.has("v") ? check_stream_create() : nil
        let operation = slot.has("c") ? check_operation_create() : nil
        var next = 0
        let status = withUnsafeMutablePointer(to: &buffer) { buffer in
            withUnsafeMutablePointer(to: &error) { error in
                withUnsafeMutablePointer(to: &number) { number in
                    flat.withUnsafeBytes { flat in
                        for (index, letter) in slot.letters.enumerated() {
                            switch letter {
                            case "b":
                                let bytes = texts[next]
                                next += 1
                                arguments[index].data = UnsafeRawPointer(check_lend(bytes, UInt64(bytes.count), 0))
                                arguments[index].size = UInt64(bytes.count)
                            case "o": arguments[index].data = UnsafeRawPointer(buffer)
                            case "e": arguments[index].data = UnsafeRawPointer(error)
                            case "H", "W", "I": arguments[index].data = UnsafeRawPointer(number)
                            case "s": arguments[index].data = flat.baseAddress
                            case "t": arguments[index].number = monotonicNanoseconds() + 2_000_000_000
                            case "c":
                                arguments[index].function = unsafeBitCast(
                                    check_operation_completion as hostd_completion,
                                    to: (@convention(c) () -> Void).self)
                                arguments[index].context = UnsafeMutableRawPointer(operation)
                            case "v":
                                arguments[index].function = unsafeBitCast(
                                    check_stream_sink as hostd_sink, to: (@convention(c) () -> Void).self)
                                arguments[index].context = UnsafeMutableRawPointer(stream)
                            default: break
                            }
                        }
                        return enter(slot, arguments)
                    }
                }
            }
        }
        for (index, letter) in slot.letters.enumerated() where letter == "b" {
            check_take_back(arguments[index].data?.assumingMemoryBound(to: UInt8.self), arguments[index].size)
        }
        finish(slot, status, buffer, error, number, operation, stream)
    }

    private func enter(_ slot: CheckedTable.Slot, _ arguments: [check_argument]) -> Int32 {
        check_ledger_enter(ledger)
        defer { check_ledger_leave(ledger) }
        return String(slot.letters).withCString { check_call(table, slot.index, $0, arguments) }
    }

    private func finish(
        _ slot: CheckedTable.Slot, _ status: Int32, _ buffer: hostd_buffer, _ error: hostd_error, _ number: UInt64,
        _ operation: OpaquePointer?, _ stream: OpaquePointer?
    ) {
        if status == HOSTD_OK, buffer.data == nil, buffer.size > 0 {
            found(8, "\(slot.name): it handed out a buffer that is NULL with a size of \(buffer.size)")
        } else if status == HOSTD_OK {
            let hash = check_hash(buffer.data, buffer.size)
            sched_yield()
            if check_hash(buffer.data, buffer.size) != hash {
                found(8, "\(slot.name): the bytes that it handed out changed before they were released")
            }
            buffer.release?(buffer.context)
        } else if error.code != 0, error.code != status {
            found(9, "\(slot.name) returned \(statusName(status)), its error says \(statusName(error.code))")
        }
        error.message.release?(error.message.context)
        guard status == HOSTD_OK, operation != nil || stream != nil else { return }
        if let operation { state.withLock { $0.operations.append(operation) } }
        if let closer = slot.closer, slot.has("H") {
            close(closer, number)
            if let stream { check_stream_cancelled(stream) }
        }
        guard let stream else { return }
        var seen = check_stream_state()
        check_stream_look(stream, &seen)
        if seen.after_cancel > 0 { found(13, "\(slot.name): a message came after the cancel had returned") }
        if seen.overlapping > 0 { found(13, "\(slot.name): the sink was called while it was running") }
    }

    private func close(_ slot: UInt32, _ handle: UInt64) {
        var error = hostd_error()
        error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
        withUnsafeMutablePointer(to: &error) { error in
            var arguments = [check_argument(), check_argument()]
            arguments[0].number = handle
            arguments[1].data = UnsafeRawPointer(error)
            check_ledger_enter(ledger)
            _ = check_call(table, slot, "he", arguments)
            check_ledger_leave(ledger)
        }
        error.message.release?(error.message.context)
    }

    /// Every operation that was accepted completes once.
    func wait() {
        let operations = state.withLock { $0.operations }
        let deadline = monotonicNanoseconds() + 3_000_000_000
        for operation in operations {
            let now = monotonicNanoseconds()
            let times = check_operation_wait(operation, 1, now < deadline ? deadline - now : 0)
            if times != 1 { found(12, "an operation completed \(times) times") }
        }
    }
}
