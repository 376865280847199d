/// Why another server did not answer, in words for the client.
struct UpstreamError: Error, Sendable, CustomStringConvertible {
    let description: String
    /// With which it did answer; nil without an answer.
    let status: Int?

    init(_ description: String, status: Int? = nil) {
        self.description = description
        self.status = status
    }

    /// Whether the same may go well a little later.
    var mayPass: Bool { status.map { $0 == 429 || $0 >= 500 } ?? true }
}
