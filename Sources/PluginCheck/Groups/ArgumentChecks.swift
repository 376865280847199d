import CPluginCheck
import Kernel
import PluginAPI

/// Every slot with ordinary, boundary and hostile arguments, made from its letters.
enum ArgumentChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] {
            guard let (subject, table) = session.active(role) else { continue }
            for slot in table.slots where table.isThere(slot) {
                var patience: UInt64 = 5_000_000_000
                let hostile = HostileValues(role: role, slot: slot, scratch: session.scratch)
                for variant in hostile.variants {
                    session.check(variant.rule, "a call", interface: role, slot: slot.name, detail: variant.detail) {
                        try call(subject, table, slot, variant.values, &patience)
                    }
                }
            }
            session.check(8, "buffers until they are released", interface: role) {
                session.buffers.releaseAll { session.reporter.breach($0, rule: 8) }
            }
            session.check(11, "deactivate after all that", interface: role) {
                let outcome = subject.deactivate()
                session.judge(outcome)
                try expect(outcome.isOK, "deactivate failed: \(outcome.words)")
                subject.destroy()
            }
        }
    }

    /// A call whose operation and stream are ended at once; nanoseconds of `patience` for its completion.
    private static func call(
        _ subject: Subject, _ table: CheckedTable, _ slot: CheckedTable.Slot, _ values: [Value],
        _ patience: inout UInt64
    ) throws(Breach) {
        let start = monotonicNanoseconds()
        let wasPast = slot.letters.first == "t" && isPast(values[0])
        let answer = subject.call(table, slot, values)
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        try expect(
            !wasPast || seconds < 2,
            "it took \(seconds) s with a deadline of the past", rule: 14)
        guard answer.isOK else {
            if let operation = answer.operation {
                try expect(
                    check_operation_wait(operation, 1, 0) == 0, "it refused an operation and completed it", rule: 12)
            }
            return
        }
        subject.end(table, slot, answer)
        if let operation = answer.operation {
            let times = check_operation_wait(operation, 1, patience)
            // Where one never came none will: there is no need to wait as long for the others.
            if times == 0 { patience = 0 }
            try expect(times > 0, "an accepted operation that was ended was not completed", rule: 12)
        }
    }

    private static func isPast(_ value: Value) -> Bool {
        if case .number(let number) = value { number > 0 && number < monotonicNanoseconds() } else { false }
    }
}

extension Session {
    /// An active instance and its table of a role; nil, with a finding, when they cannot be had.
    func active(_ role: String) -> (Subject, CheckedTable)? {
        prepare(11, "an active instance", interface: role) { () throws(Breach) in
            let subject = try activeInstance()
            guard let pointer = subject.interface(role) else { throw Breach("it returns no table", rule: 4) }
            let table = try CheckedTable(role, pointer)
            try table.expectAgreement()
            return (subject, table)
        }
    }
}

extension Subject {
    /// Ends what a call began, by the slot that does so.
    @discardableResult
    func end(_ table: CheckedTable, _ slot: CheckedTable.Slot, _ answer: SlotAnswer) -> SlotAnswer? {
        guard let closer = slot.closer, slot.has("H"), answer.operation != nil || answer.stream != nil else {
            return nil
        }
        let ended = call(
            table, table.slots[Int(closer)], [.number(answer.number), .error(UInt64(MemoryLayout<hostd_error>.size))])
        if let stream = answer.stream { check_stream_cancelled(stream) }
        return ended
    }
}
