import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// What one instance of a plugin is given at entry: its `hostd_host`, its own log, and tables whose use is kept account of.
/// Lives as long as the process.
final class HostOffer: @unchecked Sendable {
    // SAFETY: written once; the host, the ledger and the reporter are made for any thread.
    let ledger: OpaquePointer
    private let host: CheckHost
    private let reporter: Reporter
    /// Companions are not under check.
    private let isJudged: Bool
    private(set) var table: UnsafeMutablePointer<hostd_host>
    private var log: UnsafePointer<hostd_interface>?

    init(_ host: CheckHost, _ reporter: Reporter, isJudged: Bool, minimum: UInt32 = 1, maximum: UInt32 = 1) {
        self.host = host
        self.reporter = reporter
        self.isJudged = isJudged
        let judgement = Unmanaged.passRetained(Judgement(reporter: reporter, isJudged: isJudged)).toOpaque()
        ledger = check_ledger_create(
            { context, rule, interface, slot, what in
                // SAFETY: the context is the judgement of this offer, retained for ever.
                guard let context else { return }
                let judgement = Unmanaged<Judgement>.fromOpaque(context).takeUnretainedValue()
                guard judgement.isJudged else { return }
                let (interface, slot) = (String(cString: interface), String(cString: slot))
                judgement.reporter.breach(
                    "\(slot) of \(interface) \(String(cString: what))", rule: Int(rule), interface: interface,
                    slot: slot)
            }, judgement)
        table = .allocate(capacity: 1)
        let this = Unmanaged.passRetained(self).toOpaque()
        table.initialize(
            to: hostd_host(
                struct_size: UInt32(MemoryLayout<hostd_host>.size), abi_minimum: minimum, abi_maximum: maximum,
                reserved: 0, self: this,
                get_interface: { this, id in
                    // SAFETY: `self` of the table is the offer that made it, retained for ever.
                    Unmanaged<HostOffer>.fromOpaque(this!).takeUnretainedValue().interface(String(cString: id))
                }))
        let logTable = UnsafeMutablePointer<hostd_log_1>.allocate(capacity: 1)
        logTable.initialize(
            to: hostd_log_1(
                interface: head(hostd_log_1.self, HOSTD_LOG_1, HOSTD_LOG_1_SLOTS, nil),
                log: { _, level, message, size, _, _, _ in
                    guard (1...4).contains(level) else { return HOSTD_ERROR_INVALID_ARGUMENT }
                    if level >= UInt32(HOSTD_LOG_WARNING) { Output.errorLine(text(message, min(size, 512))) }
                    return HOSTD_OK
                }))
        log = UnsafeRawPointer(logTable).assumingMemoryBound(to: hostd_interface.self)
    }

    private func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        guard let real = id == HOSTD_LOG_1 ? log : host.table(id) else { return nil }
        return check_ledger_table(ledger, real, RoleCatalog.services[id] == nil ? 1 : 0, RoleCatalog.ends[id])
    }

    /// What the plugin has begun and not ended, in words; nil when there is nothing.
    var open: String? {
        var text = [CChar](repeating: 0, count: 4096)
        guard check_ledger_open(ledger, &text, UInt64(text.count)) > 0 else { return nil }
        return lines(text)
    }

    /// Buffers that it has not released; nil when there are none.
    var buffers: String? {
        var text = [CChar](repeating: 0, count: 4096)
        guard check_ledger_buffers(ledger, &text, UInt64(text.count)) > 0 else { return nil }
        return lines(text)
    }
}

/// Who is told of breaches that the ledger sees.
private final class Judgement: Sendable {
    let reporter: Reporter
    let isJudged: Bool

    init(reporter: Reporter, isJudged: Bool) {
        self.reporter = reporter
        self.isJudged = isJudged
    }
}

/// A text of C, its lines joined.
func lines(_ text: [CChar]) -> String {
    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .split(separator: "\n").joined(separator: ", ")
}
