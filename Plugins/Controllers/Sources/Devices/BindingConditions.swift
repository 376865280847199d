import Objects

/// What drivers say of devices that have to be made ready for a node before pods are bound to it. Pure.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-binding-conditions.
enum BindingConditions: Equatable {
    case ready
    /// Until this time.
    case pending(Timestamp)
    /// They will not get ready, in Kubernetes' words.
    case failed(String)

    /// Seconds from the allocation on.
    private static let patience: Int64 = 600

    static func areAwaited(by claim: JSON) -> Bool {
        claim["status"]["allocation"]["devices"]["results"].arrayValue.contains { !$0["bindingConditions"].isEmpty }
    }

    init(_ claims: [JSON], now: Timestamp) {
        var deadline: Timestamp?
        for claim in claims where Self.areAwaited(by: claim) {
            let allocation = claim["status"]["allocation"]
            let end = (allocation["allocationTimestamp"].timestamp ?? now).adding(seconds: Self.patience)
            for result in allocation["devices"]["results"].arrayValue where !result["bindingConditions"].isEmpty {
                let conditions: JSON = .array(Self.conditions(of: result, in: claim))
                func holds(_ type: JSON) -> Bool {
                    conditions.condition(type.stringValue ?? "")["status"] == "True"
                }
                if let type = result["bindingFailureConditions"].arrayValue.first(where: holds) {
                    let failure = conditions.condition(type.stringValue ?? "")
                    self = .failed(
                        "claim \(claim.name) binding failed: reason=\(failure["reason"].stringValue ?? ""), "
                            + "message=\(failure["message"].exists ? failure["message"] : "")")
                    return
                }
                if result["bindingConditions"].arrayValue.allSatisfy(holds) { continue }
                if end.seconds <= now.seconds {
                    self = .failed("claim \(claim.name) binding timeout")
                    return
                }
                if deadline.map({ end.seconds < $0.seconds }) ?? true { deadline = end }
            }
        }
        self = deadline.map { .pending($0) } ?? .ready
    }

    private static func conditions(of result: JSON, in claim: JSON) -> [JSON] {
        let status = claim["status"]["devices"].arrayValue.first { status in
            ["driver", "pool", "device", "shareID"].allSatisfy { status[$0] == result[$0] }
        }
        return status?["conditions"].arrayValue ?? []
    }
}
