import Objects

/// What the server itself sees to in CertificateSigningRequests: who asks, and that whoever approves or denies them says only
/// that. Pure.
/// See https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/.
enum CertificateRequest {
    static let resource = "certificatesigningrequests.certificates.k8s.io"
    /// Conditions that stay once they are there.
    private static let verdicts = ["Approved", "Denied", "Failed"]

    /// Writes down who asks, whatever the request says.
    static func sign(_ object: inout JSON, as user: UserInfo) {
        for field in ["username", "uid", "groups", "extra"] { object["spec"].removeValue(forKey: field) }
        object["spec"]["username"] = .string(user.name)
        if !user.uid.isEmpty { object["spec"]["uid"] = .string(user.uid) }
        if !user.groups.isEmpty { object["spec"]["groups"] = JSON(user.groups) }
        for (key, values) in user.extra.sorted(by: { $0.key < $1.key }) { object["spec"]["extra"][key] = JSON(values) }
    }

    /// The present request with the wanted one's conditions: nothing else is a matter of approval.
    static func approved(_ present: JSON, as wanted: JSON, now: Timestamp) -> JSON {
        var object = present
        let before = present["status"]["conditions"].arrayValue
        var conditions = wanted["status"]["conditions"]
        let time = JSON.string(now.formatted(fraction: .none))
        conditions.updateElements { (_, condition: inout JSON) throws(Never) in
            if !condition["lastUpdateTime"].exists { condition["lastUpdateTime"] = time }
            guard !condition["lastTransitionTime"].exists else { return }
            let known = before.first { $0["type"] == condition["type"] && $0["status"] == condition["status"] }
            let since = known?["lastTransitionTime"] ?? .null
            condition["lastTransitionTime"] = since.exists ? since : time
        }
        if conditions.exists {
            object["status"]["conditions"] = conditions
        } else {
            object["status"].removeValue(forKey: "conditions")
        }
        return object
    }

    /// What has become of a request: "Pending", "Approved,Issued", "Approved,Failed", "Denied".
    static func summary(_ status: JSON) -> String {
        let types = Set(status["conditions"].arrayValue.compactMap { $0["type"].stringValue })
        var words = [types.contains("Denied") ? "Denied" : types.contains("Approved") ? "Approved" : "Pending"]
        if types.contains("Failed") { words.append("Failed") }
        if !(status["certificate"].stringValue ?? "").isEmpty { words.append("Issued") }
        return words.joined(separator: ",")
    }

    /// What is wrong with conditions that were changed.
    /// - Parameter isApproval: the change is one of approval; else verdicts on the request may not be added.
    static func faults(in object: JSON, from before: JSON, isApproval: Bool) -> [APIStatus.Cause] {
        let place = "status.conditions"
        let new = object["status"]["conditions"].arrayValue
        let old = before["status"]["conditions"].arrayValue
        func has(_ conditions: [JSON], _ type: String) -> Bool {
            conditions.contains { $0["type"].stringValue == type }
        }
        var causes: [APIStatus.Cause] = []
        for type in verdicts where has(old, type) && !has(new, type) {
            causes.append(.forbidden(place, "updates may not remove a condition of type \"\(type)\""))
        }
        for (index, condition) in new.enumerated() {
            let type = condition["type"].stringValue ?? ""
            guard verdicts.contains(type), condition["status"].stringValue != "True" else { continue }
            causes.append(.notSupported("\(place)[\(index)].status", condition["status"], ["True"]))
        }
        if has(new, "Approved"), has(new, "Denied") {
            causes.append(.invalid(place, .array(new), "Approved and Denied conditions are mutually exclusive"))
        }
        guard !isApproval else { return causes }
        for type in ["Approved", "Denied"] where has(new, type) && !has(old, type) {
            causes.append(.forbidden(place, "updates may not add a condition of type \"\(type)\""))
        }
        return causes
    }
}
