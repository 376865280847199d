import Objects

/// When pods have to go because of what is wrong with devices that they use. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations.
struct DeviceTaints {
    /// The taints that nobody bears for ever, by device.
    private let taints: [DeviceID: [JSON]]

    init(_ inventory: DeviceInventory) {
        var taints: [DeviceID: [JSON]] = [:]
        for device in inventory.pools.flatMap(\.devices) {
            let own = device.json["taints"].arrayValue.filter { $0["effect"] == "NoExecute" }
            if !own.isEmpty { taints[device.id] = own }
        }
        self.taints = taints
    }

    var isEmpty: Bool { taints.isEmpty }

    /// When who uses a claim's devices has to go; nil for never.
    func end(of claim: JSON, now: Timestamp) -> Timestamp? {
        claim["status"]["allocation"]["devices"]["results"].arrayValue.compactMap { result in
            (taints[DeviceID(result)] ?? []).compactMap { Self.end(of: $0, result["tolerations"], now) }.min()
        }.min()
    }

    private static func end(of taint: JSON, _ tolerations: JSON, _ now: Timestamp) -> Timestamp? {
        let since = taint["timeAdded"].timestamp ?? now
        let bearing = tolerations.arrayValue.filter { DeviceRequest.isTolerated(taint, by: [$0]) }
        guard !bearing.isEmpty else { return since }
        // The one that ends first counts.
        return bearing.compactMap { $0["tolerationSeconds"].integerValue }.min().map {
            since.adding(seconds: max(0, $0))
        }
    }
}
