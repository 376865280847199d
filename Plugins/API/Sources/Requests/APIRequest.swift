import Objects
import PluginKit

/// What a client asks of the API, whichever way it came: over HTTPS, or through the role hostd.api/1. It is handed on many times,
/// so that its fields lie in one place, which copies share until one is changed.
@dynamicMemberLookup
struct APIRequest: Sendable {
    enum Method: Sendable, Equatable {
        case get
        case post
        case put
        /// With the patch's media type.
        case patch(String)
        case delete
        case other(String)

        init(_ name: String, contentType: String?) {
            switch name {
            case "GET": self = .get
            case "POST": self = .post
            case "PUT": self = .put
            case "PATCH": self = .patch(contentType ?? "")
            case "DELETE": self = .delete
            default: self = .other(name)
            }
        }
    }

    struct Fields: Sendable {
        var method: Method
        /// The path as it was sent, without the query.
        var rawPath: String
        var path: RequestPath
        var query: Query
        /// The query as it was sent, without the question mark.
        var rawQuery: Substring
        var accept: String?
        var contentType: String?
        var body: [UInt8]
        var user: UserInfo
        /// From within the process: authorized by being there.
        var isInternal: Bool
        /// What an upgrade needs from the HTTP request; nil in process.
        var upgrade: Upgrade?
        /// The User-Agent header, which names the field manager when the query does not.
        var userAgent: String?
        /// What the client has of a document already: the If-None-Match header.
        var ifNoneMatch: String?
        /// CLOCK_MONOTONIC, nanoseconds; 0 = none.
        var deadline: UInt64 = 0
        /// What must hold in the store for the request to write; nil = nothing more than it says itself.
        var fence: WriteFence?
        /// The event loop of its connection, where it is answered; nil in process.
        var loop: EventLoop?
        /// What it came on, which is told what it is counted by; nil in process.
        var exchange: HTTPExchange?
        /// Who asks, where `user` is whom they act as.
        var impersonator: UserInfo?
        /// The permission by which they do, where that is constrained to what is done.
        var impersonationConstraint = ""
        /// What the audit log keeps of the request; nil when it keeps nothing.
        var audit: AuditRecord?
    }

    private final class Shared: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): changed only while one request alone refers to it.
        @exclusivity(unchecked) var fields: Fields

        init(_ fields: Fields) { self.fields = fields }
    }

    private var shared: Shared

    subscript<Value>(dynamicMember field: WritableKeyPath<Fields, Value>) -> Value {
        get { shared.fields[keyPath: field] }
        set {
            if !isKnownUniquelyReferenced(&shared) { shared = Shared(shared.fields) }
            shared.fields[keyPath: field] = newValue
        }
    }

    /// Whether it is being handled on that loop, where its answer is made too.
    var isOnLoop: Bool { self.loop?.isCurrent ?? false }

    struct Upgrade: Sendable {
        var isWebSocket: Bool
        /// The value of the Upgrade header.
        var `protocol`: String
        var key: String?
        var version: String?
        var subprotocols: [String]
        /// Names in lower case.
        var headers: [(name: String, value: String)]
        /// The client's address.
        var peer = ""
        /// Of HTTP/1.
        var minorVersion = 1
        /// Whether the body is still to come and only another server may have it.
        var carriesBody = false
        var expectsContinue = false
        /// Who is told the status of another server's answer.
        var report: StatusReport?
    }

    init(
        method: Method, target: String, accept: String? = nil, contentType: String? = nil, body: [UInt8] = [],
        user: UserInfo, isInternal: Bool
    ) throws(APIStatus) {
        let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
        let path = target[..<(mark ?? target.endIndex)]
        let rawQuery = mark.map { target[target.utf8.index(after: $0)...] } ?? ""
        shared = Shared(
            Fields(
                method: method, rawPath: String(path), path: try RequestPath(parsing: path),
                query: try Query(parsing: rawQuery), rawQuery: rawQuery, accept: accept, contentType: contentType,
                body: body, user: user, isInternal: isInternal))
    }

    /// Path and query as they were sent.
    var target: String { self.rawQuery.isEmpty ? self.rawPath : "\(self.rawPath)?\(self.rawQuery)" }

    /// The media type of a patch; nil for another method.
    var patchType: String? { if case .patch(let type) = self.method { type } else { nil } }

    /// The verb as authorization names it.
    func verb(at path: RequestPath.ResourcePath) -> String {
        switch self.method {
        case .get:
            // A list or watch of one name counts as such.
            if path.isWatch || self.query.flag("watch") { return "watch" }
            return path.name.isEmpty ? "list" : "get"
        case .post: return "create"
        case .put: return "update"
        case .patch: return "patch"
        case .delete: return path.name.isEmpty ? "deletecollection" : "delete"
        case .other("HEAD"): return path.name.isEmpty ? "list" : "get"
        case .other(let name): return name.lowercased()
        }
    }

    /// The field manager: that of the query, or the User-Agent up to its first slash, as in Kubernetes; empty when neither
    /// says it.
    var fieldManager: String {
        let agent = self.userAgent.map { String($0.prefix { $0 != "/" && $0 != " " }) }
        return Self.cut(self.query["fieldManager"].flatMap { $0.isEmpty ? nil : $0 } ?? agent ?? "", to: 128)
    }

    /// Who writes, as the store records it: the user and, behind a NUL, the field manager.
    var writer: String {
        let manager = fieldManager
        let name = Self.cut(self.user.name, to: 380)
        return manager.isEmpty ? name : name + "\0" + manager
    }

    /// At most `limit` bytes without NULs, whole characters.
    private static func cut(_ text: String, to limit: Int) -> String {
        if text.utf8.count <= limit, !text.utf8.contains(0) { return text }
        var size = 0
        return String(
            text.unicodeScalars.lazy.filter { $0 != "\0" }.prefix { scalar in
                size += UTF8.width(scalar)
                return size <= limit
            }.map(Character.init))
    }

    var isDryRun: Bool {
        get throws(APIStatus) {
            switch self.query["dryRun"] {
            case nil, "": return false
            case "All": return true
            case let other?:
                throw .badRequest("Invalid value: \"\(other)\": dryRun: Unsupported value; supported values: \"All\"")
            }
        }
    }
}

/// Who asks, as authentication found out.
struct UserInfo: Sendable, Hashable {
    var name: String
    var uid = ""
    var groups: [String] = []
    var extra: [String: [String]] = [:]

    static let anonymous = UserInfo(name: "system:anonymous", groups: ["system:unauthenticated"])
    /// A plugin of this process.
    static let host = UserInfo(name: "system:hostd", groups: ["system:masters", "system:authenticated"])

    var isMaster: Bool { groups.contains("system:masters") }

    /// The groups of somebody whose credentials count.
    static func authenticated(_ groups: [String]) -> [String] {
        let isNamed = groups.contains("system:authenticated") || groups.contains("system:unauthenticated")
        return isNamed ? groups : groups + ["system:authenticated"]
    }

    var json: JSON {
        var json: JSONObject = ["username": .string(name)]
        if !uid.isEmpty { json["uid"] = .string(uid) }
        if !groups.isEmpty { json["groups"] = .array(groups.map { .string($0) }) }
        if !extra.isEmpty {
            json["extra"] = .object(
                JSONObject(extra.sorted { $0.key < $1.key }.map { ($0.key, .array($0.value.map { .string($0) })) }))
        }
        return .object(json)
    }
}
