import Objects
import PluginKit

/// Sends JSON to webhooks over HTTPS and takes their JSON, a connection for each call. [blocking]
struct WebhookClient: Sendable {
    let store: StoreClient
    /// Most bytes of an answer.
    static let limit = 32 << 20

    /// - Parameters:
    ///   - deadline: CLOCK_MONOTONIC, nanoseconds; the call does not take longer.
    ///   - bearerToken: Shown to the server, when there is one.
    /// - Throws: when there is no answer with status 200 or 201 and JSON in it.
    func post(
        _ body: JSON, to target: WebhookTarget, deadline: UInt64, bearerToken: String? = nil,
        credential: Credential? = nil
    ) throws(UpstreamError) -> JSON {
        let bytes = body.serialized()
        var fields = "Content-Type: application/json\r\nContent-Length: \(bytes.count)\r\n"
        if let bearerToken { fields += "Authorization: Bearer \(bearerToken)\r\n" }
        return try call("POST", target, fields, bytes, deadline, credential)
    }

    /// Sends JSON and asks for no answer but its status: 2xx.
    /// - Parameter credential: Shown to a server that asks for a certificate.
    func send(
        _ body: [UInt8], to target: WebhookTarget, deadline: UInt64, bearerToken: String?, credential: Credential?
    ) throws(UpstreamError) {
        var fields = "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
        if let bearerToken { fields += "Authorization: Bearer \(bearerToken)\r\n" }
        let answer = try exchange("POST", target, fields, body, deadline, credential)
        guard !(200..<300).contains(answer.status) else { return }
        throw UpstreamError(
            "Post \"\(target.url)\": the server answered with status \(answer.status)", status: answer.status)
    }

    /// The same without a body.
    func get(
        _ target: WebhookTarget, deadline: UInt64, bearerToken: String? = nil
    ) throws(UpstreamError) -> JSON {
        let fields = bearerToken.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return try call("GET", target, fields, [], deadline, nil)
    }

    /// The same, for an answer that is no JSON.
    func text(_ target: WebhookTarget, deadline: UInt64, bearerToken: String?) throws(UpstreamError) -> [UInt8] {
        let fields = bearerToken.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let answer = try exchange("GET", target, fields, [], deadline, nil)
        guard answer.status == 200 else {
            throw UpstreamError("Get \"\(target.url)\": the server answered with status \(answer.status)")
        }
        return answer.body
    }

    private func call(
        _ method: String, _ target: WebhookTarget, _ fields: String, _ body: [UInt8], _ deadline: UInt64,
        _ credential: Credential?
    ) throws(UpstreamError) -> JSON {
        let answer = try exchange(method, target, fields, body, deadline, credential)
        let place = "\(method == "GET" ? "Get" : "Post") \"\(target.url)\""
        guard answer.status == 200 || answer.status == 201 else {
            throw UpstreamError(
                "\(place): the server answered with status \(answer.status)", status: answer.status,
                answer: String(decoding: answer.body.prefix(2048), as: UTF8.self).trimmingWhitespace())
        }
        do { return try JSON(parsing: answer.body) } catch {
            throw UpstreamError("\(place): the answer is no JSON: \(error)")
        }
    }

    private func exchange(
        _ method: String, _ target: WebhookTarget, _ fields: String, _ body: [UInt8], _ deadline: UInt64,
        _ credential: Credential?
    ) throws(UpstreamError) -> (status: Int, body: [UInt8]) {
        do throws(UpstreamError) {
            let address = try target.address(store)
            let context = try TLSClientContext(
                trust: target.authorities.isEmpty ? .system : .authorities(target.authorities), credential: credential)
            let session = try TLSClientSession(context, serverName: target.serverName)
            let call = try UpstreamCall(
                try UpstreamDialer.connect(to: address.host, address.port, deadline: deadline), session,
                deadline: deadline)
            var head = "\(method) \(target.path) HTTP/1.1\r\nHost: \(target.serverName)\r\nUser-Agent: hostd\r\n"
            head += "Accept: application/json\r\nConnection: close\r\n\(fields)"
            let answer = try call.answer(to: method, head: head, body: body, limit: Self.limit)
            return (answer.head.status, answer.body)
        } catch {
            throw UpstreamError("\(method == "GET" ? "Get" : "Post") \"\(target.url)\": \(error)")
        }
    }
}
