import Kernel
import PluginAPI

/// The tables of the roles: there, described, of one address, and as the headers declare them.
enum TableChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for role in session.description?.provides ?? [] {
            session.check(4, "the table", interface: role) {
                let subject = try session.instance()
                defer { subject.destroy() }
                session.judge(subject.configure())
                try look(subject, role)
            }
            session.check(4, "one address", interface: role) { try oneAddress(session, role) }
        }
        unknown(session)
    }

    private static func look(_ subject: Subject, _ role: String) throws(Breach) {
        guard let pointer = subject.interface(role) else { throw Breach("it declares the role and returns no table") }
        let id = String(cString: pointer.pointee.id)
        try expect(id == role, "the table says that it is \(id)")
        let table = try CheckedTable(role, pointer)
        let size = Int(pointer.pointee.struct_size)
        let needed = MemoryLayout<hostd_interface>.size + table.slots.count * MemoryLayout<UnsafeRawPointer>.size
        try expect(
            size >= needed, "struct_size is \(size); the \(table.slots.count) slots that it describes need \(needed)",
            rule: 16)
        try expect(size <= 65_536, "struct_size is \(size)", rule: 16)
        try table.expectAgreement()
    }

    private static func oneAddress(_ session: Session, _ role: String) throws(Breach) {
        let subject = try session.activeInstance()
        let addresses = (0..<3).map { _ in subject.interface(role) }
        session.judge(subject.deactivate())
        let after = subject.interface(role)
        subject.destroy()
        try expect(
            Set(addresses).count == 1 && addresses[0] == after,
            "get_interface answers another address at another call")
    }

    private static func unknown(_ session: Session) {
        let ids: [(String, [UInt8])] = [
            ("an id of another version", Array("hostd.scheduler/999".utf8)), ("an empty id", []),
            ("a foreign id", Array("com.example.nowhere/1".utf8)), ("no id", Array("/".utf8)),
            ("ill-formed UTF-8", [0xFF, 0xC3, 0x28]), ("a long id", [UInt8](repeating: 0x61, count: 100_000)),
        ]
        for (name, id) in ids {
            session.check(4, "get_interface of what it does not provide", detail: name) {
                let subject = try session.instance()
                defer { subject.destroy() }
                try expect(subject.interface(id) == nil, "it answered a table before configure")
                session.judge(subject.configure())
                try expect(subject.interface(id) == nil, "it answered a table")
            }
        }
    }
}
