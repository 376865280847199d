import COpenSSL
import Glibc
import Objects
import PluginKit
import Synchronization

/// Counts how often a file of settings was read anew, and tells which content is in force, by Kubernetes' names.
final class ReloadMetrics: Sendable {
    private let metrics: Metrics
    private let prefix: String
    private let server: String
    private let log: Log
    private let inForce = Mutex<Metrics.Series?>(nil)

    /// - Parameter subject: "authentication" or "authorization".
    init(_ subject: String, _ host: Host) throws(PluginError) {
        metrics = try host.metrics()
        log = host.log
        prefix = "apiserver_\(subject)_config_controller_"
        server = "apiserver_id_hash=\"\(Self.digest(Array(APISettings.hostName.utf8)))\""
    }

    /// - Parameter content: What is in force from now on; nil when what was read is not.
    func record(content: [UInt8]?) {
        do {
            let labels = "\(server),status=\"\(content == nil ? "failure" : "success")\""
            try metrics.define(.counter, prefix + "automatic_reloads_total", labels: labels).record(1)
            try metrics.define(.gauge, prefix + "automatic_reload_last_timestamp_seconds", labels: labels)
                .record(Double(Timestamp.now().seconds))
            if let content { try show(content) }
        } catch {
            log.warning("a reading of settings is not counted", ["reason": .string("\(error)")])
        }
    }

    /// Tells which content is in force.
    func show(_ content: [UInt8]) throws(PluginError) {
        let series = try metrics.define(
            .gauge, prefix + "last_config_info", labels: "\(server),hash=\"\(Self.digest(content))\"")
        inForce.withLock { inForce in
            inForce?.record(0)
            series.record(1)
            inForce = series
        }
    }

    private static func digest(_ bytes: [UInt8]) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil)
        return "sha256:" + Hex.encode(digest)
    }
}
