import Objects

/// The controlling owner reference of an object, and what it takes to be controlled.
struct ControllerReference: Equatable {
    var apiVersion: String
    var kind: String
    var name: String
    var uid: String

    init(apiVersion: String, kind: String, name: String, uid: String) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
    }

    /// The reference to `object` itself.
    init(_ type: ResourceType, _ object: JSON) {
        self.init(
            apiVersion: type.apiVersion, kind: type.kind, name: object["metadata"]["name"].stringValue ?? "",
            uid: object["metadata"]["uid"].stringValue ?? "")
    }

    /// The owner that controls `object`, nil when none does.
    init?(controlling object: JSON) {
        let owners = object["metadata"]["ownerReferences"].arrayValue
        guard let owner = owners.first(where: { $0["controller"].boolValue == true }) else { return nil }
        self.init(
            apiVersion: owner["apiVersion"].stringValue ?? "", kind: owner["kind"].stringValue ?? "",
            name: owner["name"].stringValue ?? "", uid: owner["uid"].stringValue ?? "")
    }

    var json: JSON {
        [
            "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
            "controller": true, "blockOwnerDeletion": true,
        ]
    }
}

/// Which of the candidates belong to a controller: kept ones, orphans to adopt, and its own that match no longer.
struct Claim {
    var owned: [JSON] = []
    var adopt: [JSON] = []
    var release: [JSON] = []

    /// - Parameters:
    ///   - owner: the controller object; while it is being deleted it adopts nothing.
    ///   - candidates: the objects in its namespace that could be its own.
    init(_ candidates: [JSON], owner: JSON, selector: LabelSelector) {
        let uid = owner["metadata"]["uid"].stringValue ?? ""
        let isDeleted = owner["metadata"]["deletionTimestamp"].exists
        for candidate in candidates {
            let metadata = candidate["metadata"]
            let matches = selector.matches(labels: metadata["labels"])
            if let controller = ControllerReference(controlling: candidate) {
                guard controller.uid == uid else { continue }
                if matches {
                    owned.append(candidate)
                } else if !isDeleted {
                    release.append(candidate)
                }
            } else if matches && !isDeleted && !metadata["deletionTimestamp"].exists {
                adopt.append(candidate)
            }
        }
    }

    /// The merge patch that makes `object` controlled by `owner`; guarded by the uid of the object.
    static func adoption(of object: JSON, by owner: ControllerReference) -> JSON {
        let owners = object["metadata"]["ownerReferences"].arrayValue + [owner.json]
        return patch(object, owners)
    }

    /// The merge patch that takes the owner off `object`.
    static func releasing(_ object: JSON, from uid: String) -> JSON {
        patch(object, object["metadata"]["ownerReferences"].arrayValue.filter { $0["uid"].stringValue != uid })
    }

    private static func patch(_ object: JSON, _ owners: [JSON]) -> JSON {
        [
            "metadata": [
                "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"],
                "ownerReferences": .array(owners),
            ]
        ]
    }
}

extension JSON {
    /// Whether this controller's selector matches the labels. A selector that does not parse matches nothing here; its
    /// controller reports it when it comes to it.
    func selects(_ labels: JSON) -> Bool {
        do {
            return try LabelSelector(object: self["spec"]["selector"]).matches(labels: labels)
        } catch {
            return false
        }
    }
}
