import CIsolation
import Glibc
import Objects
import PluginAPI

/// A plugin in a process of its own. Its process is started for the first steps, and again by `configure` when that names the
/// plugin's directory for the first time: a sandbox cannot be widened.
final class IsolatedPlugin: PluginImage, @unchecked Sendable {
    // SAFETY: what changes is under `monitor`.
    private enum Phase { case steps, active, over }

    let path: String
    private let supervisor: PluginSupervisor
    private let find: @Sendable (String) -> UnsafePointer<hostd_interface>?
    private let gates: PluginGates
    private let monitor = Monitor()
    private var session: IsolatedSession?
    private var places: PluginSupervisor.Places?
    private var phase = Phase.steps

    /// Starts the process, and opens and enters the plugin there.
    init(
        path: String, supervisor: PluginSupervisor,
        find: @escaping @Sendable (String) -> UnsafePointer<hostd_interface>?
    ) throws(PluginFailure) {
        self.path = path
        self.find = find
        self.supervisor = supervisor
        gates = supervisor.makeGates()
        try ImageFile(path: path).check()
        try begin(supervisor.places)
    }

    /// Starts a process and takes the plugin through its first steps.
    private func begin(_ places: PluginSupervisor.Places?) throws(PluginFailure) {
        let new = try supervisor.startSession(
            library: path, places: places, resolve: { [gates, find] id in gates.answer(id, base: find(id)) },
            onEnd: { [weak self] failure, uptime, wasKilled in self?.ended(failure, uptime, wasKilled) })
        do throws(PluginFailure) {
            let bytes = Array(path.utf8)
            try run(.open, in: new) { root, this, error in
                root.open(this, bytes, UInt64(bytes.count), error)
            }
            try run(.entry, in: new) { root, this, error in root.enter(this, error) }
        } catch {
            new.close()
            throw error
        }
        monitor.locked {
            session = new
            self.places = places
        }
    }

    private var present: IsolatedSession? { monitor.locked { session } }

    var processID: Int32? { present?.processID }

    /// Whether nobody wants it any more.
    var isDestroyed: Bool { monitor.locked { session == nil } }

    // MARK: Steps

    private typealias Body = (isolation_plugin, UnsafeMutableRawPointer?, UnsafeMutablePointer<hostd_error>) -> Int32

    /// Runs one step; a process that ends in it is the reason of the failure.
    private func run(_ step: PluginFailure.Step, in session: IsolatedSession?, _ body: Body) throws(PluginFailure) {
        guard let session else { throw PluginFailure(step, code: HOSTD_ERROR_WRONG_STATE, "the plugin has been ended") }
        var error = ForeignBytes.emptyError()
        let root = try session.plugin().pointee
        let status = body(root, root.interface.`self`, &error)
        if status == HOSTD_OK { return }
        let message = ForeignBytes.message(of: error)
        if session.hasEnded {
            let failure = session.failure()
            throw PluginFailure(step, code: failure.code, failure.message)
        }
        guard status < 0 else {
            throw PluginFailure(step, "the plugin returned the status \(status); allowed are 0 and negative ones")
        }
        throw PluginFailure(
            step, code: status,
            message.isEmpty ? "the plugin failed with \(statusName(status)) and gave no reason" : message)
    }

    private func bytes(
        _ step: PluginFailure.Step, limit: Int,
        _ body: (
            isolation_plugin, UnsafeMutableRawPointer?, UnsafeMutablePointer<hostd_buffer>,
            UnsafeMutablePointer<hostd_error>
        )
            -> Int32
    ) throws(PluginFailure) -> [UInt8] {
        var buffer = hostd_buffer()
        try run(step, in: present) { root, this, error in body(root, this, &buffer, error) }
        do { return try ForeignBytes.take(buffer, limit: limit) } catch {
            throw PluginFailure(step, "the plugin returned \(error.size) bytes; at most \(error.limit) are allowed")
        }
    }

    func describe() throws(PluginFailure) -> PluginDescription {
        let bytes = try bytes(.describe, limit: PluginDescription.sizeLimit) { $0.describe($1, $2, $3) }
        let description = try PluginDescription(parsing: bytes)
        supervisor.warn(ofMissingGrants: gates.missing(among: description.requires))
        return description
    }

    func schema() throws(PluginFailure) -> OptionSchema {
        let bytes = try bytes(.schema, limit: OpenPlugin.schemaLimit) { $0.schema($1, $2, $3) }
        if bytes.isEmpty { return .none }
        do { return try OptionSchema(try JSON(parsing: bytes)) } catch let error as JSONParseError {
            throw PluginFailure(.schema, "the schema is not JSON: \(error)")
        } catch {
            throw PluginFailure(.schema, "\(error)")
        }
    }

    func configure(_ envelope: JSON) throws(PluginFailure) {
        let wanted = PluginSupervisor.Places(
            data: envelope["paths"]["data"].stringValue ?? "", directory: envelope["paths"]["plugin"].stringValue ?? "")
        if monitor.locked({ places }) != wanted { try move(to: wanted) }
        let bytes = envelope.serialized()
        try run(.configure, in: present) { root, this, error in
            root.configure(this, bytes, UInt64(bytes.count), error)
        }
    }

    /// To a process whose sandbox has these places.
    private func move(to places: PluginSupervisor.Places) throws(PluginFailure) {
        if let old = monitor.locked({ () -> IsolatedSession? in
            defer { session = nil }
            return session
        }) {
            end(old)
        }
        supervisor.places = places
        try begin(places)
    }

    func activate() throws(PluginFailure) {
        try run(.activate, in: present) { root, this, error in root.activate(this, error) }
        guard let session = present else { return }
        let isUp = monitor.locked {
            // An end from here on is told to the supervisor.
            phase = .active
            return !session.hasEnded
        }
        guard isUp else {
            monitor.locked { phase = .over }
            let failure = session.failure()
            throw PluginFailure(.activate, code: failure.code, failure.message)
        }
        supervisor.activated(self)
        session.everySecond { [weak self] in
            if let self { self.supervisor.tick(self) }
        }
    }

    func deactivate() throws(PluginFailure) {
        let isUp = monitor.locked {
            defer { phase = .over }
            return phase == .active
        }
        // What has ended by itself has nothing left to finish.
        guard isUp, let session = present, !session.hasEnded else { return }
        try run(.deactivate, in: session) { root, this, error in root.deactivate(this, error) }
        monitor.locked { phase = .steps }
    }

    func destroy() {
        let old = monitor.locked {
            defer {
                phase = .over
                session = nil
            }
            return session
        }
        if let old { end(old) }
        supervisor.keep(gates)
    }

    private func end(_ session: IsolatedSession) {
        if !session.hasEnded {
            do throws(PluginFailure) {
                try run(.deactivate, in: session) { root, this, error in root.destroy(this, error) }
            } catch {
                supervisor.warn("a plugin did not end well", error.message)
            }
        }
        session.close()
    }

    // MARK: Interfaces

    func interface(_ id: String) throws(PluginFailure) -> (UnsafePointer<hostd_interface>, SlotDescriptor) {
        func failure(_ message: String) -> PluginFailure { PluginFailure(.interface, "\(id): \(message)") }
        guard let session = present else { throw failure("the plugin has been ended") }
        var table: UnsafePointer<hostd_interface>?
        var error = ForeignBytes.emptyError()
        let status = isolation_peer_import(session.peer, id, InterfaceEnds.text(id), &table, &error)
        guard status == HOSTD_OK, let table else {
            let message = ForeignBytes.message(of: error)
            if session.hasEnded { throw failure(session.failure().message) }
            throw failure(
                status == HOSTD_ERROR_NOT_FOUND ? "the plugin declares the role and returns no table for it" : message)
        }
        let descriptor: SlotDescriptor
        do { descriptor = try SlotDescriptor(table.pointee.slots) } catch { throw failure(error.description) }
        if let slots = RoleCatalog.slots(id) {
            let expected: SlotDescriptor
            do { expected = try SlotDescriptor(slots) } catch { throw failure(error.description) }
            if let reason = expected.disagreement(of: descriptor) { throw failure(reason) }
        }
        return (table, descriptor)
    }

    // MARK: The end of the process

    /// From the thread that watched over the process, which may be kept.
    private func ended(_ failure: PluginFailure, _ uptime: UInt64, _ wasKilled: Bool) {
        let wasActive = monitor.locked {
            defer { if phase == .active { phase = .over } }
            return phase == .active
        }
        // Before activation the step that runs brings the reason; after deactivation nobody needs it.
        if wasActive { supervisor.fell(self, failure, uptime, wasKilled: wasKilled) }
    }
}
