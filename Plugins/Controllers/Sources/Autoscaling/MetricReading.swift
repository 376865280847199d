import Objects

/// What was measured for one metric of an autoscaler by somebody else than the nodes: by the servers behind custom.metrics.k8s.io
/// and external.metrics.k8s.io.
enum MetricReading: Equatable {
    /// Of each pod, by its name.
    case pods([String: ReplicaCalculator.Sample])
    /// Of one object, or the sum of an external metric's series; thousandths.
    case value(Int64)
    case failure(String)

    /// The values of a MetricValueList, one a pod.
    static func pods(in list: JSON) -> MetricReading {
        var samples: [String: ReplicaCalculator.Sample] = [:]
        for item in list["items"].arrayValue {
            guard let name = item["describedObject"]["name"].stringValue, let value = milliValue(item),
                let time = item["timestamp"].timestamp
            else { continue }
            let window = item["windowSeconds"].integerValue ?? item["window"].integerValue ?? 60
            samples[name] = ReplicaCalculator.Sample(value: value, time: time, window: window)
        }
        return samples.isEmpty ? .failure("no metrics returned from custom metrics API") : .pods(samples)
    }

    /// The one value of a MetricValueList.
    static func object(in list: JSON) -> MetricReading {
        let values = list["items"].arrayValue
        guard let value = values.first.flatMap(milliValue), values.count == 1 else {
            return .failure("\(values.count) values were returned for one object, or one that is no quantity")
        }
        return .value(value)
    }

    /// The sum over the series of an ExternalMetricValueList.
    static func external(in list: JSON) -> MetricReading {
        let items = list["items"].arrayValue
        let values = items.compactMap(milliValue)
        if items.isEmpty { return .failure("no metrics returned from external metrics API") }
        guard values.count == items.count else { return .failure("a value that is no quantity was returned") }
        return .value(values.reduce(0) { $0.addingReportingOverflow($1).partialValue })
    }

    /// Whoever measures may write what it wants; what cannot be read was not measured.
    private static func milliValue(_ item: JSON) -> Int64? {
        item["value"].exists ? (try? Quantity(item["value"]))?.milliValue : nil
    }
}
