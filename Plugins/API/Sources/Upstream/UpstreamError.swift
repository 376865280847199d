/// Why another server did not answer, in words for the client.
struct UpstreamError: Error, Sendable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
