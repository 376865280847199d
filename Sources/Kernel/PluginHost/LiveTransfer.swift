import PluginAPI

/// State that goes to the next generation while calls go on: a copy first, then what has changed since. Callers wait for the
/// last changes alone. Both sides must have the slots for it (rule 24). Runs on the life-cycle thread.
struct LiveTransfer {
    typealias Table = UnsafePointer<hostd_state_1>

    private let from: Table
    private let to: Table
    private let mark: UInt64
    /// What the new one begins with.
    let base: [UInt8]

    /// Takes the copy and has changes remembered from then on, until `end`; nil when a side cannot do this.
    init?(from: Table, to: Table) throws(PluginFailure) {
        guard Self.isOffered(by: from), Self.isOffered(by: to) else { return nil }
        var mark: UInt64 = 0
        base = try StateTransfer.exported { from.pointee.export_base(from.pointee.interface.`self`, &mark, $0, $1) }
        (self.from, self.to, self.mark) = (from, to, mark)
    }

    /// The state of one moment, while calls go on; nil when the plugin cannot do this.
    static func copy(of table: Table) throws(PluginFailure) -> [UInt8]? {
        guard isOffered(by: table) else { return nil }
        var mark: UInt64 = 0
        let state = try StateTransfer.exported {
            table.pointee.export_base(table.pointee.interface.`self`, &mark, $0, $1)
        }
        _ = ended(mark, table)
        return state
    }

    /// What has changed in the old one since the copy, or since the last time.
    func changes() throws(PluginFailure) -> [UInt8] {
        try StateTransfer.exported { from.pointee.export_changes(from.pointee.interface.`self`, mark, $0, $1) }
    }

    /// Tells the new one, which is active, of changes.
    func take(_ changes: [UInt8]) throws(PluginFailure) {
        try StateTransfer.imported(changes) { to.pointee.import_changes(to.pointee.interface.`self`, $0, $1, $2) }
    }

    /// Nobody asks for changes any more.
    func end() { _ = Self.ended(mark, from) }

    private static func ended(_ mark: UInt64, _ table: Table) -> Int32 {
        var error = ForeignBytes.emptyError()
        let status = table.pointee.export_end(table.pointee.interface.`self`, mark, &error)
        error.message.release?(error.message.context)
        return status
    }

    /// A table of an earlier header ends before the slots. One made from its descriptor has them all: the plugin behind it is
    /// asked, with a mark that nobody has.
    private static func isOffered(by table: Table) -> Bool {
        let slots = [\hostd_state_1.export_base, \.export_changes, \.export_end, \.import_changes] as [PartialKeyPath]
        let isThere = slots.allSatisfy { slot in
            guard let offset = MemoryLayout<hostd_state_1>.offset(of: slot),
                table.pointee.interface.struct_size >= UInt32(offset + MemoryLayout<UnsafeRawPointer>.size)
            else { return false }
            return UnsafeRawPointer(table).load(fromByteOffset: offset, as: UnsafeRawPointer?.self) != nil
        }
        return isThere && ended(0, table) == HOSTD_OK
    }
}
