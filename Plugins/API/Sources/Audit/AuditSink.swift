import PluginKit

/// Where events of the audit log go.
protocol AuditSink: Sendable {
    func start() throws(PluginError)
    /// Takes in an event: JSON without a line's end. [any-thread]
    func append(_ event: [UInt8])
    /// Sees to what it has taken in, and ends. Idempotent. [blocking]
    func stop()
}
