/// Series in the text format of Prometheus, each metric once with its help and type.
/// See https://prometheus.io/docs/instrumenting/exposition_formats/.
struct MetricPage {
    /// A metric: what its series have in common.
    struct Metric {
        var name: String
        var type: String
        var help: String

        init(_ name: String, _ type: String, _ help: String) {
            self.name = name
            self.type = type
            self.help = help
        }
    }

    typealias Labels = [(String, String)]

    private var order: [String] = []
    private var heads: [String: String] = [:]
    private var lines: [String: String] = [:]

    /// - Parameter time: Milliseconds since 1970 at which it was measured; nil: now.
    mutating func add(_ metric: Metric, _ labels: Labels, _ value: String, at time: Int64? = nil) {
        if heads[metric.name] == nil {
            order.append(metric.name)
            heads[metric.name] = "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.type)\n"
        }
        let list = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        lines[metric.name, default: ""] +=
            "\(metric.name)\(list.isEmpty ? "" : "{\(list)}") \(value)\(time.map { " \($0)" } ?? "")\n"
    }

    private static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x22 || $0 == 0x5C || $0 == 0x0A }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    var text: String { order.map { (heads[$0] ?? "") + (lines[$0] ?? "") }.joined() }
}
