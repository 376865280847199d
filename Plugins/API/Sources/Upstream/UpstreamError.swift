import Objects

/// Why another server did not answer, in words for the client.
struct UpstreamError: Error, Sendable, CustomStringConvertible {
    let description: String
    /// With which it did answer; nil without an answer.
    let status: Int?
    /// What it answered with that status, where it is text; empty otherwise.
    let answer: String

    init(_ description: String, status: Int? = nil, answer: String = "") {
        self.description = description
        self.status = status
        self.answer = answer
    }

    /// What Kubernetes' client makes of a status that is none of success; of all else what this says.
    var clientText: String {
        switch status {
        case 400: "the server rejected our request for an unknown reason"
        case 401: "the server has asked for the client to provide credentials"
        case 403, 415: answer.isEmpty ? "unknown" : answer
        case 404: "the server could not find the requested resource"
        case 405: "the server does not allow this method on the requested resource"
        case 409: "the server reported a conflict"
        case 422: "the server rejected our request due to an error in our request"
        case 429: "the server has received too many requests and has asked us to try again later"
        case 503: "the server is currently unable to handle the request"
        case 504:
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        case let status? where status >= 500:
            "an error on the server (\(JSON.string(answer.isEmpty ? "unknown" : answer))) has prevented the request from "
                + "succeeding"
        case let status?:
            "the server responded with the status code \(status) but did not return more information"
        case nil: description
        }
    }

    /// Whether the same may go well a little later.
    var mayPass: Bool { status.map { $0 == 429 || $0 >= 500 } ?? true }
}
