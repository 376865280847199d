import Objects
import PluginKit
import Synchronization

/// How long admission takes, in the names, labels and buckets of Kubernetes' API server: the two steps of each write, and those
/// plugins that run what users have stored (`controller_admission_duration_seconds` of the others would cost more than they do).
final class AdmissionMetrics: Sendable {
    enum Step: String, Sendable {
        case admit, validate
    }

    private let metrics: Metrics?
    private let series = Mutex<[String: Metrics.Series]>([:])
    /// Of the steps, by `position`.
    private let steps = Mutex([Metrics.Series?](repeating: nil, count: 16))

    /// Upper bounds in seconds.
    static let bounds = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5]
    static let webhookBounds = bounds + [10, 25]

    /// Without the host's metrics nothing is timed.
    init(_ host: Host) {
        do { metrics = try host.metrics() } catch {
            host.log.warning("admission is not timed", ["reason": .string(error.message)])
            metrics = nil
        }
    }

    /// Times a step of a write.
    func step(
        _ step: Step, _ request: inout AdmissionRequest, _ body: (inout AdmissionRequest) throws(APIStatus) -> Void
    ) throws(APIStatus) {
        guard let metrics else { return try body(&request) }
        let began = monotonicNanoseconds()
        var isRejected = true
        defer {
            let seconds = Double(monotonicNanoseconds() - began) / 1e9
            let position = Self.position(step, request.operation, isRejected: isRejected)
            let operation = request.operation.rawValue
            let found = steps.withLock { steps -> Metrics.Series? in
                if let known = steps[position] { return known }
                // When the host has as many series as it can, admission goes on without it.
                steps[position] = try? metrics.define(
                    .histogram, "apiserver_admission_step_admission_duration_seconds",
                    labels: Self.labels(nil, step, operation, isRejected: isRejected), bounds: Self.bounds)
                return steps[position]
            }
            found?.record(seconds)
        }
        try body(&request)
        isRejected = false
    }

    private static func position(
        _ step: Step, _ operation: AdmissionRequest.Operation, isRejected: Bool
    ) -> Int {
        let number =
            switch operation {
            case .create: 0
            case .update: 1
            case .delete: 2
            case .connect: 3
            }
        return number * 4 + (step == .admit ? 0 : 2) + (isRejected ? 1 : 0)
    }

    private static func labels(_ name: String?, _ step: Step, _ operation: String, isRejected: Bool) -> String {
        (name.map { "name=\"\($0)\"," } ?? "")
            + "operation=\"\(operation)\",rejected=\"\(isRejected)\",type=\"\(step.rawValue)\""
    }

    /// Times one plugin's part in it.
    func controller(
        _ name: String, _ step: Step, _ request: inout AdmissionRequest,
        _ body: (inout AdmissionRequest) throws(APIStatus) -> Void
    ) throws(APIStatus) {
        let (operation, began) = (request.operation.rawValue, monotonicNanoseconds())
        var isRejected = true
        defer {
            record(
                "apiserver_admission_controller_admission_duration_seconds", name, step, operation,
                isRejected: isRejected, since: began, bounds: Self.bounds)
        }
        try body(&request)
        isRejected = false
    }

    /// A webhook has answered, or has not.
    func webhook(_ name: String, _ step: Step, _ operation: String, isRejected: Bool, since began: UInt64) {
        record(
            "apiserver_admission_webhook_admission_duration_seconds", name, step, operation, isRejected: isRejected,
            since: began, bounds: Self.webhookBounds)
    }

    private func record(
        _ metric: String, _ name: String, _ step: Step, _ operation: String, isRejected: Bool, since began: UInt64,
        bounds: [Double]
    ) {
        guard let metrics else { return }
        let seconds = Double(monotonicNanoseconds() - began) / 1e9
        let labels = Self.labels(name, step, operation, isRejected: isRejected)
        let found = series.withLock { series -> Metrics.Series? in
            let key = metric + labels
            if let known = series[key] { return known }
            // When the host has as many series as it can, admission goes on without it.
            let new = try? metrics.define(.histogram, metric, labels: labels, bounds: bounds)
            series[key] = new
            return new
        }
        found?.record(seconds)
    }
}
