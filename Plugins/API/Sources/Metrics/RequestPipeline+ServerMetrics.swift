import Objects
import PluginKit

/// What the server tells of itself at /metrics.
extension RequestPipeline {
    /// [blocking]
    func metrics() throws(APIStatus) -> HTTPResponse {
        do {
            fairness?.publish()
            watchBudget.reportNow()
            var text = String(decoding: try host.metrics().collect().array, as: UTF8.self)
            text += ProcessMetrics.read()?.text ?? ""
            text += requestMetrics.text + health.counts.text
            if let bytes = MetricTexts.value(of: "hostd_store_object_bytes", in: text) {
                text +=
                    "# TYPE apiserver_storage_size_bytes gauge\n"
                    + "apiserver_storage_size_bytes{storage_cluster_id=\"embedded\"} \(bytes)\n"
            }
            text += try objectCounts()
            return HTTPResponse(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: .bytes(Array(MetricTexts.withHelp(text).utf8)))
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// How many objects are stored of each resource, under the names of before and of today.
    private func objectCounts() throws -> String {
        var old = "# TYPE apiserver_storage_objects gauge\n"
        var new = "# TYPE apiserver_resource_objects gauge\n"
        var seen: Set<String> = []
        for resource in resources.all
        where !resource.isVirtual && !resource.isMeasured && seen.insert(resource.qualified).inserted {
            let page = try store.list(prefix: resource.prefix(""), limit: 1)
            let count = UInt64(page.records.count) + page.remaining
            old += "apiserver_storage_objects{resource=\"\(resource.qualified)\"} \(count)\n"
            new += "apiserver_resource_objects{group=\"\(resource.group)\",resource=\"\(resource.plural)\"} \(count)\n"
        }
        return old + new
    }
}
