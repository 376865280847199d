import Objects
import PluginKit

/// The option `audit`, read.
struct AuditSettings: Sendable {
    let policy: AuditPolicy
    /// Nil where events go to a webhook alone.
    let file: AuditFileSettings?
    let webhook: AuditWebhookSettings?

    /// Nil where nothing is to be written.
    /// - Throws: what cannot be, with its place.
    init?(_ json: JSON, directory: String) throws(PluginError) {
        guard let policyFile = json["policyFile"].stringValue, !policyFile.isEmpty else {
            guard !json.exists || json.isEmpty else {
                throw PluginError.invalid("option audit.policyFile must name the file with the audit policy")
            }
            return nil
        }
        policy = try AuditPolicy(file: policyFile)
        webhook = json["webhook"].exists ? try AuditWebhookSettings(json["webhook"]) : nil
        let path = json["path"].stringValue ?? ""
        file = webhook != nil && path.isEmpty ? nil : AuditFileSettings(json, directory: directory)
    }
}

/// How events are written to a file.
struct AuditFileSettings: Sendable {
    enum Mode: String, Sendable {
        /// Requests go on at once; events that come faster than they can be written are dropped, and counted.
        case batch
        /// A request is answered when its events are with the file's system.
        case blocking
    }

    /// The log's file; "-" = standard output.
    let path: String
    let mode: Mode
    /// Events that may wait.
    let bufferSize: Int
    /// A file of more bytes is put aside; 0 = never.
    let maximumBytes: Int
    /// Most files put aside, and how many days they are kept; 0 = without end.
    let maximumBackups: Int
    let maximumAgeDays: Int

    init(_ json: JSON, directory: String) {
        path = json["path"].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? directory + "/audit.log"
        mode = Mode(rawValue: json["mode"].stringValue ?? "") ?? .batch
        func count(_ key: String, _ fallback: Int64) -> Int { Int(clamping: json[key].integerValue ?? fallback) }
        bufferSize = max(count("bufferSize", 10_000), 1)
        maximumBytes = count("maximumSizeMiB", 100) << 20
        maximumBackups = count("maximumBackups", 10)
        maximumAgeDays = count("maximumAgeDays", 0)
    }
}
