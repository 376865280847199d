import Objects
import PluginKit
import Synchronization

/// Asks the API for service-account tokens bound to pods, and keeps each until 80 % of its life have passed.
final class TokenCache: Sendable {
    struct Key: Hashable {
        var podUID: String
        var audience: String
        var expirationSeconds: Int64
    }
    struct Entry {
        var token: String
        /// Wall-clock seconds from which on a new token is asked for.
        var renewAt: Double
    }

    private let api: APIClient
    private let entries = Mutex<[Key: Entry]>([:])

    init(api: APIClient) { self.api = api }

    func token(for pod: Pod, audience: String, expirationSeconds: Int64, now: Double) throws -> String {
        let key = Key(podUID: pod.uid, audience: audience, expirationSeconds: expirationSeconds)
        if let entry = entries.withLock({ $0[key] }), entry.renewAt > now { return entry.token }
        let account = pod.specification["serviceAccountName"].stringValue ?? "default"
        var request: JSON = [
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": [
                "expirationSeconds": .integer(expirationSeconds),
                "boundObjectRef": [
                    "apiVersion": "v1", "kind": "Pod", "name": .string(pod.name), "uid": .string(pod.uid),
                ],
            ],
        ]
        if !audience.isEmpty { request["spec"]["audiences"] = [.string(audience)] }
        let answer = try api.request(
            "POST", APIPath.object("v1", "serviceaccounts", pod.namespace, account, "token"), body: request)
        guard let token = answer["status"]["token"].stringValue else {
            throw VolumeError(message: "the API answered the token request for \(account) without a token")
        }
        let expires = answer["status"]["expirationTimestamp"].stringValue.flatMap(WallClock.seconds(rfc3339:))
        let life = (expires ?? now + Double(expirationSeconds)) - now
        entries.withLock { $0[key] = Entry(token: token, renewAt: now + min(life * 0.8, 86_400)) }
        return token
    }

    /// When the next token of a pod is due for renewal; nil when it has none.
    func nextRenewal(podUID: String) -> Double? {
        entries.withLock { entries in entries.filter { $0.key.podUID == podUID }.map(\.value.renewAt).min() }
    }

    func forget(podUID: String) {
        entries.withLock { entries in entries = entries.filter { $0.key.podUID != podUID } }
    }
}
