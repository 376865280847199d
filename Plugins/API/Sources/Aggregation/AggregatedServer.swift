import Objects
import PluginKit

/// Asks an aggregated API's server on this server's own behalf: whether it answers, what it serves. [blocking]
struct AggregatedServer: Sendable {
    /// A check does not take longer.
    static let timeout: UInt64 = 5_000_000_000
    /// Most bytes of an answer.
    static let limit = 8 << 20
    /// Whom the server is told to have been asked by.
    static let user = UserInfo(name: "system:kube-aggregator", groups: ["system:masters"])

    let api: AggregatedAPI
    let store: StoreClient
    let dialer: UpstreamDialer

    /// What a check finds: its resources, and its OpenAPI document.
    func check() throws(AggregationFailure) -> AggregatedAPIs.Knowledge {
        let address = try api.address(store)
        let path = "/apis/\(api.apiVersion)"
        let place = "https://\(api.service.serverName):\(api.service.port)\(path)"
        do throws(UpstreamError) {
            let answer = try get(path, address)
            guard (200..<300).contains(answer.status) else {
                throw UpstreamError("bad status from \(place): \(answer.status)")
            }
            // The reason in short, as its status shows it: what it answered instead is the server's own matter.
            guard let list = try? JSON(parsing: answer.body), list["kind"] == "APIResourceList" else {
                throw UpstreamError("\(place) answers with no APIResourceList")
            }
            var knowledge = AggregatedAPIs.Knowledge()
            knowledge.isAvailable = true
            knowledge.reason = ""
            knowledge.resources = AggregatedResources.list(list, group: api.group, version: api.version)
            do throws(UpstreamError) {
                knowledge.openAPI = try document(address)
            } catch {
                // Its objects are served all the same.
                knowledge.openAPIProblem = error.description
            }
            return knowledge
        } catch {
            throw AggregationFailure(
                "FailedDiscoveryCheck", "failing or missing response from \(place): \(error.description)")
        }
    }

    /// Where its own index says that its OpenAPI document is, with the hash of what it holds; empty when it has none.
    private func document(_ address: UpstreamAddress) throws(UpstreamError) -> String {
        let answer = try get("/openapi/v3", address)
        guard answer.status != 404 else { return "" }
        guard answer.status == 200 else { throw UpstreamError("bad status from /openapi/v3: \(answer.status)") }
        guard let index = try? JSON(parsing: answer.body), index["paths"].objectValue != nil else {
            throw UpstreamError("/openapi/v3 is no index of documents")
        }
        let place = index["paths"]["apis/\(api.apiVersion)"]["serverRelativeURL"].stringValue ?? ""
        guard place.isEmpty || place.hasPrefix("/openapi/v3/apis/\(api.apiVersion)") else {
            throw UpstreamError("/openapi/v3 names a document elsewhere: \(place)")
        }
        return place
    }

    /// Its OpenAPI document of version 2; nil when it has none.
    func version2() throws -> JSON? {
        let answer = try get("/openapi/v2", try api.address(store))
        if answer.status == 404 { return nil }
        guard answer.status == 200 else { throw UpstreamError("bad status from /openapi/v2: \(answer.status)") }
        let document = try JSON(parsing: answer.body)
        guard document["swagger"] == "2.0" else { throw UpstreamError("/openapi/v2 is no document of version 2.0") }
        return document
    }

    private func get(_ path: String, _ address: UpstreamAddress) throws(UpstreamError) -> (status: Int, body: [UInt8]) {
        let answer = try call(
            "GET", path, body: [], contentType: "", at: address, as: Self.user, timeout: Self.timeout)
        return (answer.head.status, answer.body)
    }

    /// One request as this server itself, and its whole answer.
    /// - Parameter contentType: of the body; looked at when there is one.
    func call(
        _ method: String, _ target: String, body: [UInt8], contentType: String
    ) throws -> (head: HTTPResponseHead, body: [UInt8]) {
        try call(
            method, target, body: body, contentType: contentType, at: try api.address(store), as: .host,
            timeout: 30_000_000_000)
    }

    private func call(
        _ method: String, _ target: String, body: [UInt8], contentType: String, at address: UpstreamAddress,
        as user: UserInfo, timeout: UInt64
    ) throws(UpstreamError) -> (head: HTTPResponseHead, body: [UInt8]) {
        guard case .context(let context, let name) = try api.security() else { throw UpstreamError("no TLS") }
        let session = try TLSClientSession(context, serverName: name)
        let call = try UpstreamCall(
            try dialer.connect(to: address, for: user), session, deadline: monotonicNanoseconds() + timeout)
        var head = "\(method) \(target) HTTP/1.1\r\nHost: \(name)\r\nAccept: application/json\r\nUser-Agent: hostd\r\n"
        for header in FrontProxy.headers(for: user) {
            head += "\(ProxyRequest.spelled(header.name)): \(header.value)\r\n"
        }
        if !body.isEmpty { head += "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n" }
        return try call.answer(to: method, head: head + "Connection: close\r\n", body: body, limit: Self.limit)
    }
}

/// Resources as aggregated discovery lists them, made from the list that every API server has for a group's version. Pure.
enum AggregatedResources {
    static func list(_ list: JSON, group: String, version: String) -> [JSON] {
        var result: [JSONObject] = []
        var positions: [String: Int] = [:]
        for entry in list["resources"].arrayValue {
            let parts = (entry["name"].stringValue ?? "").split(separator: "/", maxSplits: 1).map(String.init)
            guard let name = parts.first else { continue }
            let kind: JSON = [
                "group": .string(entry["group"].stringValue ?? group),
                "version": .string(entry["version"].stringValue ?? version), "kind": entry["kind"],
            ]
            if parts.count == 1 {
                positions[name] = result.count
                result.append(resource(entry, name, kind))
            } else {
                let subresource: JSON = [
                    "subresource": .string(parts[1]), "responseKind": kind, "verbs": entry["verbs"],
                ]
                let index = positions[name] ?? result.count
                if index == result.count {
                    // A subresource of what is not listed itself.
                    positions[name] = index
                    result.append(["resource": .string(name), "scope": scope(entry), "verbs": []])
                }
                let known = result[index]["subresources"]?.arrayValue ?? []
                result[index]["subresources"] = .array(known + [subresource])
            }
        }
        return result.map { .object($0) }
    }

    private static func resource(_ entry: JSON, _ name: String, _ kind: JSON) -> JSONObject {
        var resource: JSONObject = [
            "resource": .string(name), "responseKind": kind, "scope": scope(entry),
            "singularResource": .string(entry["singularName"].stringValue ?? ""), "verbs": entry["verbs"],
        ]
        for key in ["shortNames", "categories"] where !entry[key].arrayValue.isEmpty { resource[key] = entry[key] }
        return resource
    }

    private static func scope(_ entry: JSON) -> JSON {
        entry["namespaced"].boolValue == true ? "Namespaced" : "Cluster"
    }
}
