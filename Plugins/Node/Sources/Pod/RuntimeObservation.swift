import Objects

/// A sandbox as the runtime reports it.
struct ObservedSandbox: Sendable, Equatable {
    var id: String
    var podUID: String
    var name: String
    var namespace: String
    var attempt: Int64
    var isReady: Bool
    /// RFC 3339 with nanoseconds.
    var createdAt: String
    /// Path of the network namespace; empty when it is the host's.
    var networkNamespace: String

    init?(_ json: JSON) {
        guard let id = json["id"].stringValue, let podUID = json["podUID"].stringValue else { return nil }
        self.id = id
        self.podUID = podUID
        name = json["name"].stringValue ?? ""
        namespace = json["namespace"].stringValue ?? ""
        attempt = json["attempt"].integerValue ?? 0
        isReady = json["state"].stringValue == "ready"
        createdAt = json["createdAt"].stringValue ?? ""
        networkNamespace = json["networkNamespace"].stringValue ?? ""
    }
}

/// State of a container; it only ever moves forward, which lets reports from several threads be merged in any order.
enum ObservedContainerState: Int, Sendable, Comparable {
    case created = 0
    case running = 1
    case exited = 2

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A container as the runtime reports it.
struct ObservedContainer: Sendable, Equatable {
    var id: String
    var sandboxID: String
    var name: String
    var attempt: Int64
    var state: ObservedContainerState
    /// RFC 3339 with nanoseconds; empty when it has not happened.
    var createdAt: String
    var startedAt: String
    var finishedAt: String
    var exitCode: Int64
    var reason: String
    var message: String
    var image: String
    var imageID: String
    var logPath: String
    /// {uid, gid, supplementalGroups} of its first process; null when it is not known.
    var user: JSON
    /// The image that the specification named when the container was made; a change restarts it.
    var specifiedImage: String

    /// Annotation under which the node remembers the specified image.
    static let imageAnnotation = "hostd.dev/specified-image"

    init?(_ json: JSON) {
        guard let id = json["id"].stringValue, let sandboxID = json["sandboxID"].stringValue else { return nil }
        self.id = id
        self.sandboxID = sandboxID
        name = json["name"].stringValue ?? ""
        attempt = json["attempt"].integerValue ?? 0
        switch json["state"].stringValue {
        case "created": state = .created
        case "running": state = .running
        default: state = .exited  // "unknown" too: whatever ran cannot be vouched for any more
        }
        createdAt = json["createdAt"].stringValue ?? ""
        startedAt = json["startedAt"].stringValue ?? ""
        finishedAt = json["finishedAt"].stringValue ?? ""
        exitCode = json["exitCode"].integerValue ?? (json["state"].stringValue == "unknown" ? 137 : 0)
        reason = json["reason"].stringValue ?? ""
        message = json["message"].stringValue ?? ""
        image = json["image"].stringValue ?? ""
        imageID = json["imageID"].stringValue ?? ""
        logPath = json["logPath"].stringValue ?? ""
        user = json["user"]
        specifiedImage = json["annotations"][Self.imageAnnotation].stringValue ?? ""
    }

    /// Takes over a newer report of the same container; an older one changes nothing.
    mutating func merge(_ other: ObservedContainer) {
        if other.state >= state { self = other }
    }

    /// Whether the specification has come to name another image since the container was made.
    func isOfAnotherImage(than container: PodContainer) -> Bool {
        !specifiedImage.isEmpty && specifiedImage != container.image
    }

    /// The containerID of a status: "hostd://ID".
    var qualifiedID: String { "hostd://\(id)" }
}
