import CPluginCheck
import Glibc
import PluginAPI

/// What one call of a slot answered and left behind.
struct SlotAnswer {
    var outcome: Outcome
    /// Bytes of the first `o`.
    var output: [UInt8] = []
    /// What the first `H`, `W` or `I` was set to.
    var number: UInt64 = 0
    var operation: OpaquePointer?
    var stream: OpaquePointer?

    var isOK: Bool { outcome.isOK }
}

extension Subject {
    /// Calls a slot of a table with one value a letter. The memory of the arguments cannot be reached afterwards, the
    /// ledger knows that a call is inside, and what the answer shows of itself is judged.
    @discardableResult
    func call(_ table: CheckedTable, _ slot: CheckedTable.Slot, _ values: [Value]) -> SlotAnswer {
        let arguments = CallArguments(values)
        check_ledger_enter(offer.ledger)
        let status = arguments.call(table, slot)
        check_ledger_leave(offer.ledger)
        let answer = arguments.finish(status, self, slot)
        session.judge(answer.outcome, slot: slot.name)
        return answer
    }
}

/// The arguments of one call as memory.
private final class CallArguments {
    private var arguments: [check_argument] = []
    private var loans: [(bytes: UnsafePointer<UInt8>?, size: UInt64)] = []
    private var outputs: [UnsafeMutablePointer<hostd_buffer>] = []
    private var numbers: [UnsafeMutablePointer<UInt64>] = []
    private var rooms: [(UnsafeMutableRawPointer, UInt64)] = []
    private var files: [LentFile] = []
    private var error = ErrorRoom()
    private var operation: OpaquePointer?
    private var stream: OpaquePointer?

    init(_ values: [Value]) {
        for value in values { arguments.append(argument(value)) }
    }

    private func argument(_ value: Value) -> check_argument {
        var argument = check_argument()
        switch value {
        case .number(let number): argument.number = number
        case .real(let real): argument.real = real
        case .bytes(nil): break
        case .bytes(let bytes?): lend(bytes, isStructure: false, &argument)
        case .structure(let bytes): lend(bytes, isStructure: true, &argument)
        case .room(let size):
            let room = check_room(max(size, 4))
            room.storeBytes(of: UInt32(truncatingIfNeeded: size), as: UInt32.self)
            rooms.append((room, max(size, 4)))
            argument.data = UnsafeRawPointer(room)
        case .output: break  // Which one, the letter says.
        case .error(let size):
            check_room_free(error.pointer, error.size)
            error = ErrorRoom(size: size)
            argument.data = UnsafeRawPointer(error.pointer)
        case .completion:
            operation = check_operation_create()
            argument.function = unsafeBitCast(
                check_operation_completion as hostd_completion, to: (@convention(c) () -> Void).self)
            argument.context = UnsafeMutableRawPointer(operation)
        case .sink:
            stream = check_stream_create()
            argument.function = unsafeBitCast(check_stream_sink as hostd_sink, to: (@convention(c) () -> Void).self)
            argument.context = UnsafeMutableRawPointer(stream)
        case .callback:
            argument.function = unsafeBitCast(check_callback as hostd_callback, to: (@convention(c) () -> Void).self)
        case .file(let kind):
            let file = LentFile(kind)
            files.append(file)
            argument.number = UInt64(bitPattern: Int64(file.descriptor))
        }
        return argument
    }

    private func lend(_ bytes: [UInt8], isStructure: Bool, _ argument: inout check_argument) {
        let size = UInt64(bytes.count)
        // A page's end is a good address for nothing, too.
        let lent = bytes.isEmpty ? check_lend([0], 1, 0).map { $0 + 1 } : check_lend(bytes, size, isStructure ? 1 : 0)
        loans.append(bytes.isEmpty ? (lent.map { $0 - 1 }, 1) : (lent, size))
        argument.data = UnsafeRawPointer(lent)
        argument.size = size
    }

    func call(_ table: CheckedTable, _ slot: CheckedTable.Slot) -> Int32 {
        for (index, letter) in slot.letters.enumerated() {
            switch letter {
            case "o":
                let buffer = UnsafeMutablePointer<hostd_buffer>.allocate(capacity: 1)
                buffer.initialize(to: hostd_buffer())
                outputs.append(buffer)
                arguments[index].data = UnsafeRawPointer(buffer)
            case "H", "W", "I":
                let number = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
                number.initialize(to: 0)
                numbers.append(number)
                arguments[index].data = UnsafeRawPointer(number)
            default: break
            }
        }
        return String(slot.letters).withCString { check_call(table.pointer, slot.index, $0, arguments) }
    }

    /// Takes everything back and judges it.
    func finish(_ status: Int32, _ subject: Subject, _ slot: CheckedTable.Slot) -> SlotAnswer {
        for loan in loans { check_take_back(loan.bytes, loan.size) }
        for room in rooms { check_room_free(room.0, room.1) }
        var answer = SlotAnswer(outcome: error.take(status))
        let reporter = subject.session.reporter
        for (index, buffer) in outputs.enumerated() {
            if status == HOSTD_OK {
                let bytes = subject.session.buffers.take(buffer.pointee, origin: slot.name) {
                    reporter.breach($0, rule: 8, slot: slot.name)
                }
                if index == 0 { answer.output = bytes }
            } else if buffer.pointee.release != nil {
                reporter.breach("it failed and handed out a buffer, which nobody releases", rule: 8, slot: slot.name)
            }
            buffer.deallocate()
        }
        answer.number = numbers.first?.pointee ?? 0
        for number in numbers { number.deallocate() }
        answer.operation = operation
        answer.stream = stream
        for (file, letter) in zip(files, slot.letters.filter { "fF".contains($0) }) {
            if let breach = file.judge(isGiven: letter == "F", isRefused: status != HOSTD_OK) {
                reporter.breach(breach, rule: 15, slot: slot.name)
            }
        }
        return answer
    }
}
