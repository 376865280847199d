import PluginKit

/// What is counted of watches: `hostd_api_watch_bytes`, the bytes that all keep for their clients;
/// `hostd_api_watches_ended_total` by reason, those that a bound ended; and `hostd_api_watches_refused_total`, those that did
/// not begin because too much waited already.
enum WatchMetrics {
    /// The budget of all watches, which tells the host's metrics. Without them it bounds all the same.
    static func budget(limit: Int, _ host: Host) -> StreamBudget {
        do {
            return StreamBudget(limit: limit, report: try report(try host.metrics()))
        } catch {
            host.log.warning("watches are not counted", ["reason": .string(error.message)])
            return StreamBudget(limit: limit)
        }
    }

    private static func report(_ metrics: Metrics) throws(PluginError) -> StreamBudget.Report {
        let bytes = try metrics.define(.gauge, "hostd_api_watch_bytes")
        let refused = try metrics.define(.counter, "hostd_api_watches_refused_total")
        var ended: [HTTPBodyStream.Ending: Metrics.Series] = [:]
        for ending in HTTPBodyStream.Ending.allCases {
            ended[ending] = try metrics.define(
                .counter, "hostd_api_watches_ended_total", labels: "reason=\"\(ending.rawValue)\"")
        }
        let series = ended
        return StreamBudget.Report(
            held: { bytes.record(Double($0)) }, ended: { series[$0]?.record(1) }, refused: { refused.record(1) })
    }
}
