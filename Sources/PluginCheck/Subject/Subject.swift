import CInterposer
import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// One instance of the plugin. Every call into it goes through here: with memory that ends where it should, an error of
/// its own, and the ledger told of it.
final class Subject {
    enum Stage { case idle, active, destroyed }

    let session: Session
    let offer: HostOffer
    private let memory: UnsafeMutableRawPointer
    private(set) var stage = Stage.idle
    /// Roles that are bound in the host.
    private var bound: [String] = []
    private(set) var description: PluginDescription?

    private var table: UnsafeMutablePointer<hostd_plugin> { memory.assumingMemoryBound(to: hostd_plugin.self) }
    private var this: UnsafeMutableRawPointer? { table.pointee.`self` }

    private init(session: Session, offer: HostOffer, memory: UnsafeMutableRawPointer) {
        self.session = session
        self.offer = offer
        self.memory = memory
    }

    // MARK: Entry

    /// Runs the entry of an image. nil when it refused.
    static func enter(
        _ session: Session, _ entry: hostd_plugin_entry_function, isJudged: Bool = true,
        offering range: (UInt32, UInt32) = (1, 1), error room: ErrorRoom = ErrorRoom()
    ) -> (subject: Subject?, outcome: Outcome) {
        let offer = HostOffer(session.host, session.reporter, isJudged: isJudged, minimum: range.0, maximum: range.1)
        let memory = check_room(UInt64(MemoryLayout<hostd_plugin>.size))
        memory.storeBytes(of: UInt32(MemoryLayout<hostd_plugin>.size), as: UInt32.self)
        check_ledger_state(offer.ledger, Int32(CHECK_ENTERING))
        check_ledger_enter(offer.ledger)
        let status = entry(
            UnsafePointer(offer.table), memory.assumingMemoryBound(to: hostd_plugin.self),
            room.pointer.assumingMemoryBound(to: hostd_error.self))
        check_ledger_leave(offer.ledger)
        check_ledger_state(offer.ledger, Int32(CHECK_IDLE))
        let outcome = room.take(status)
        guard status == HOSTD_OK else { return (nil, outcome) }
        return (Subject(session: session, offer: offer, memory: memory), outcome)
    }

    var version: UInt32 { table.pointee.abi_version }
    var tableSize: UInt32 { table.pointee.struct_size }
    var missingFunction: String? { interposer_missing_plugin_function(memory).map { String(cString: $0) } }

    // MARK: Life cycle

    private func step(_ body: (UnsafeMutablePointer<hostd_error>) -> Int32) -> Outcome {
        let room = ErrorRoom()
        check_ledger_enter(offer.ledger)
        let status = body(room.pointer.assumingMemoryBound(to: hostd_error.self))
        check_ledger_leave(offer.ledger)
        return room.take(status)
    }

    func describe() -> (outcome: Outcome, bytes: [UInt8]) {
        var buffer = hostd_buffer()
        let outcome = step { table.pointee.describe(this, &buffer, $0) }
        return (outcome, take(buffer, outcome, "describe"))
    }

    func schema() -> (outcome: Outcome, bytes: [UInt8]) {
        var buffer = hostd_buffer()
        let outcome = step { table.pointee.schema(this, &buffer, $0) }
        return (outcome, take(buffer, outcome, "schema"))
    }

    private func take(_ buffer: hostd_buffer, _ outcome: Outcome, _ origin: String) -> [UInt8] {
        guard outcome.isOK else { return [] }
        return session.buffers.take(buffer, origin: origin) { session.reporter.breach($0, rule: 8) }
    }

    /// Configures with bytes as they are; they cannot be read any more afterwards.
    func configure(_ bytes: [UInt8]) -> Outcome {
        let lent = check_lend(bytes, UInt64(bytes.count), 0)
        defer { check_take_back(lent, UInt64(bytes.count)) }
        // SAFETY: a plugin must take NULL with size 0; the C function takes it whatever Swift thinks of it.
        let pointer = unsafeBitCast(lent, to: UnsafePointer<UInt8>.self)
        return step { table.pointee.configure(this, pointer, UInt64(bytes.count), $0) }
    }

    /// With the options of the command line and the defaults of the schema.
    func configure() -> Outcome { configure(session.envelope) }

    func activate() -> Outcome {
        let before = stage
        check_ledger_state(offer.ledger, Int32(CHECK_ACTIVE))
        let outcome = step { table.pointee.activate(this, $0) }
        if outcome.isOK { stage = .active }
        if stage != .active { check_ledger_state(offer.ledger, Int32(CHECK_IDLE)) }
        if outcome.isOK, before != .active { bindRoles() }
        return outcome
    }

    func deactivate() -> Outcome {
        let wasActive = stage == .active
        if wasActive { unbindRoles() }
        let outcome = step { table.pointee.deactivate(this, $0) }
        if wasActive {
            stage = .idle
            check_ledger_state(offer.ledger, Int32(CHECK_IDLE))
        }
        return outcome
    }

    /// The memory of the table goes too: a plugin that still uses it ends the process.
    func destroy() {
        guard stage != .destroyed else { return }
        session.buffers.releaseAll { session.reporter.breach($0, rule: 8) }
        check_ledger_enter(offer.ledger)
        table.pointee.destroy(this)
        check_ledger_leave(offer.ledger)
        check_ledger_state(offer.ledger, Int32(CHECK_ENDED))
        stage = .destroyed
    }

    // MARK: Roles

    /// The table that the plugin answers for an id, given in memory that ends with it.
    func interface(_ id: [UInt8]) -> UnsafePointer<hostd_interface>? {
        let bytes = id + [0]
        let lent = check_lend(bytes, UInt64(bytes.count), 0)
        defer { check_take_back(lent, UInt64(bytes.count)) }
        guard let lent else { return nil }
        check_ledger_enter(offer.ledger)
        defer { check_ledger_leave(offer.ledger) }
        return table.pointee.get_interface(this, UnsafeRawPointer(lent).assumingMemoryBound(to: CChar.self))
    }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? { interface(Array(id.utf8)) }

    /// Reads the description, for what follows; nil when it cannot be read.
    @discardableResult
    func learn() -> PluginDescription? {
        let (outcome, bytes) = describe()
        guard outcome.isOK, let parsed = try? PluginDescription(parsing: bytes) else { return nil }
        description = parsed
        return parsed
    }

    private func bindRoles() {
        for role in description?.provides ?? [] where role != HOSTD_STATE_1 {
            guard let table = interface(role), session.provide(role, by: self, table) else { continue }
            bound.append(role)
        }
    }

    private func unbindRoles() {
        for role in bound { session.host.withdraw(role, plugin: description?.name ?? "") }
        bound = []
    }
}
