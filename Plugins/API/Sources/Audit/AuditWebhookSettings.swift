import Objects
import PluginKit

/// The option `audit.webhook`, read. The defaults are Kubernetes'.
struct AuditWebhookSettings: Sendable {
    let connection: KubeconfigConnection
    /// Events that may wait.
    let bufferSize: Int
    /// Most events of a batch.
    let batchMaximumSize: Int
    /// How long an event waits for a batch to fill, in nanoseconds.
    let batchMaximumWait: UInt64
    /// Batches a second, and how many at once.
    let throttleRate: Double
    let throttleBurst: Int
    /// Before a second attempt, in nanoseconds.
    let initialBackoff: UInt64

    init(_ json: JSON) throws(PluginError) {
        let place = "option audit.webhook"
        guard let file = json["configFile"].stringValue, !file.isEmpty else {
            throw PluginError.invalid("\(place).configFile must name a kubeconfig with the server that events go to")
        }
        connection = try KubeconfigConnection(file: file)
        func count(_ key: String, _ fallback: Int64) -> Int {
            max(Int(clamping: json[key].integerValue ?? fallback), 1)
        }
        bufferSize = count("bufferSize", 10_000)
        batchMaximumSize = count("batchMaximumSize", 400)
        throttleRate = Double(count("throttleRate", 10))
        throttleBurst = count("throttleBurst", 15)
        batchMaximumWait = try WebhookConnectionSettings.duration(
            json["batchMaximumWait"], at: place + ".batchMaximumWait", fallback: "30s")
        initialBackoff = try WebhookConnectionSettings.duration(
            json["initialBackoff"], at: place + ".initialBackoff", fallback: "10s")
    }
}
