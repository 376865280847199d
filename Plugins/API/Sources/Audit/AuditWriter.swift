import Objects
import PluginKit

/// Writes the audit log by a thread of its own, out of a bounded queue.
final class AuditWriter: AuditSink, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): what changes is guarded by `monitor`, but `file`, which is the thread's, and `thread`,
    // which is set by `start` and read by `stop`, one after the other.
    private let settings: AuditFileSettings
    private let log: Log
    private let monitor = Monitor()
    private var queue: [[UInt8]] = []
    /// Events taken in, and written or given up, since the start.
    private var taken: UInt64 = 0
    private var done: UInt64 = 0
    private var dropped: UInt64 = 0
    private var reportedDrops: UInt64 = 0
    private var isStopping = false
    private var isFailing = false
    private var file: AuditFile
    private var thread: PluginThread?
    private let errors: Metrics.Series?

    init(_ settings: AuditFileSettings, _ host: Host) throws(PluginError) {
        self.settings = settings
        log = host.log
        file = try AuditFile(settings)
        let metrics = try host.metrics()
        errors = try metrics.define(.counter, "apiserver_audit_error_total", labels: "plugin=\"log\"")
    }

    func start() throws(PluginError) {
        thread = try PluginThread(name: "api-audit") { [self] in serve() }
    }

    /// Events that found no room, or could not be written.
    var droppedCount: UInt64 { monitor.locked { dropped } }

    /// In mode blocking it returns when the event is written, or cannot be.
    func append(_ event: [UInt8]) {
        let line = event + [0x0A]
        monitor.lock()
        defer { monitor.unlock() }
        if settings.mode == .batch {
            guard queue.count < settings.bufferSize, !isStopping else {
                // The thread tells of it: what fills the queue keeps it awake.
                dropped += 1
                errors?.record(1)
                return
            }
            take(line)
            return
        }
        while queue.count >= settings.bufferSize, !isStopping { monitor.wait() }
        guard !isStopping else {
            dropped += 1
            return
        }
        take(line)
        let number = taken
        while done < number { monitor.wait() }
    }

    /// Puts a line into the queue, and wakes the thread where that has nothing to do. With the lock.
    private func take(_ line: [UInt8]) {
        queue.append(line)
        taken += 1
        if queue.count == 1 { monitor.broadcast() }
    }

    /// Writes what waits, and ends the thread.
    func stop() {
        monitor.locked { isStopping = true }
        monitor.broadcast()
        thread?.join()
    }

    private func serve() {
        monitor.lock()
        while true {
            while queue.isEmpty, !isStopping, dropped == reportedDrops { monitor.wait() }
            let lines = queue
            queue = []
            let newDrops = dropped - reportedDrops
            reportedDrops = dropped
            let isLast = isStopping && lines.isEmpty
            monitor.unlock()
            if newDrops > 0 {
                log.warning("events of the audit log were dropped", ["count": .integer(Int64(clamping: newDrops))])
            }
            if !lines.isEmpty { write(lines) }
            monitor.lock()
            done += UInt64(lines.count)
            monitor.broadcast()
            if isLast { break }
        }
        monitor.unlock()
        file.close()
    }

    private func write(_ lines: [[UInt8]]) {
        do throws(PluginError) {
            try file.write(lines)
            if isFailing { log.info("the audit log is written again") }
            isFailing = false
        } catch {
            // Told of once until it is well again; each event is counted.
            if !isFailing { log.error("the audit log cannot be written", ["reason": .string(error.message)]) }
            isFailing = true
            file.close()
            errors?.record(Double(lines.count))
            monitor.locked {
                dropped += UInt64(lines.count)
                reportedDrops += UInt64(lines.count)
            }
        }
    }
}
