import Objects
import PluginKit

/// How a webhook of the server's own settings is asked.
protocol ReviewConnection: Sendable {
    /// Asks, once more where the connection failed. [blocking]
    func post(_ body: JSON, _ client: WebhookClient) throws(UpstreamError) -> JSON
}

/// Where a webhook of the server's own settings is, and how it is asked.
struct WebhookConnectionSettings: ReviewConnection {
    let target: WebhookTarget
    /// A file with the bearer token that the server shows; "" = none. It is read for each call, so that it may change.
    let tokenFile: String
    /// For one call, in nanoseconds.
    let timeout: UInt64

    /// - Parameter place: Of the settings, for messages.
    init(_ json: JSON, at place: String, timeout fallback: String) throws(PluginError) {
        let url = json["url"].stringValue ?? ""
        let authority = Array((json["certificateAuthority"].stringValue ?? "").utf8)
        guard let target = WebhookTarget(url: url, authorities: authority) else {
            throw PluginError.invalid("\(place).url is \"\(url)\": it must be an https URL")
        }
        self.target = target
        tokenFile = json["tokenFile"].stringValue ?? ""
        timeout = try Self.duration(json["timeout"], at: place + ".timeout", fallback: fallback)
        guard timeout > 0, timeout <= 30_000_000_000 else {
            throw PluginError.invalid("\(place).timeout must be above 0s and at most 30s")
        }
    }

    /// Nanoseconds of a setting such as 30s or 2m.
    static func duration(_ json: JSON, at place: String, fallback: String) throws(PluginError) -> UInt64 {
        let text = json.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? fallback
        let duration: GoDuration
        do throws(GoDuration.ParseError) {
            duration = try GoDuration(parsing: text)
        } catch {
            throw PluginError.invalid("\(place): \(error)")
        }
        guard let nanoseconds = UInt64(exactly: duration.nanoseconds) else {
            throw PluginError.invalid("\(place) is \"\(text)\": it must not be below 0s")
        }
        return nanoseconds
    }

    func post(_ body: JSON, _ client: WebhookClient) throws(UpstreamError) -> JSON {
        let deadline = monotonicNanoseconds() + timeout
        let token = try bearerToken()
        do throws(UpstreamError) {
            return try client.post(body, to: target, deadline: deadline, bearerToken: token)
        } catch {
            guard monotonicNanoseconds() < deadline else { throw error }
            return try client.post(body, to: target, deadline: deadline, bearerToken: token)
        }
    }

    private func bearerToken() throws(UpstreamError) -> String? {
        guard !tokenFile.isEmpty else { return nil }
        do {
            return String(decoding: try AtomicFile.read(tokenFile), as: UTF8.self).trimmingWhitespace()
        } catch {
            throw UpstreamError("its tokenFile cannot be read: \(error)")
        }
    }
}
