import Objects

/// What one node says of its use of CPU and memory at one moment: the part of its /stats/summary that is measured here.
struct UsageSummary: Sendable, Equatable {
    /// What has been used since it began, and what is used now.
    struct Sample: Sendable, Equatable {
        var time: Timestamp
        /// Since `start`.
        var cpuNanoseconds: Int64
        var memoryBytes: Int64
        /// When it began; nil where that is not known.
        var start: Timestamp?
    }

    struct Container: Sendable, Hashable {
        var podUID: String
        var name: String
    }

    let node: String
    /// When it was asked for, in monotonic nanoseconds.
    let taken: UInt64
    let host: Sample?
    let containers: [Container: Sample]

    /// Nil for a document that names no node.
    init?(_ document: JSON, taken: UInt64) {
        guard let name = document["node"]["nodeName"].stringValue, !name.isEmpty else { return nil }
        node = name
        self.taken = taken
        host = Self.sample(document["node"])
        var containers: [Container: Sample] = [:]
        for pod in document["pods"].arrayValue {
            let uid = pod["podRef"]["uid"].stringValue ?? ""
            for container in pod["containers"].arrayValue {
                guard let name = container["name"].stringValue, let sample = Self.sample(container) else { continue }
                containers[Container(podUID: uid, name: name)] = sample
            }
        }
        self.containers = containers
    }

    private static func sample(_ entry: JSON) -> Sample? {
        guard let used = entry["cpu"]["usageCoreNanoSeconds"].integerValue,
            let memory = entry["memory"]["workingSetBytes"].integerValue,
            let time = time(entry["cpu"]["time"])
        else { return nil }
        return Sample(time: time, cpuNanoseconds: used, memoryBytes: memory, start: Self.time(entry["startTime"]))
    }

    private static func time(_ value: JSON) -> Timestamp? {
        // A time that cannot be read is as good as none.
        value.stringValue.flatMap { try? Timestamp(parsing: $0) }
    }
}
