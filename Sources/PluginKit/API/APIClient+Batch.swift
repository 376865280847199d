import Objects
import PluginAPI

extension APIClient {
    /// One request of several.
    public typealias Request = (method: String, path: String, body: JSON)

    /// Several requests at once, so that their writes become durable together. Results are in the order of requests.
    /// Waits for all of them. [blocking]
    public func all(_ requests: [Request]) -> [Result<JSON, any Error>] {
        if requests.count == 1 {
            return [Result { try request(requests[0].method, requests[0].path, body: requests[0].body) }]
        }
        return answers(requests).map { answer in
            Result {
                let (code, body) = try answer.get()
                let json = body.isEmpty ? JSON.null : try JSON(parsing: body)
                guard (200..<300).contains(code) else { throw APIError(code: Int(code), status: json) }
                return json
            }
        }
    }

    /// The same for a caller that looks at what was refused alone: an answer that is a success is not read.
    func failures(_ requests: [Request]) -> [(any Error)?] {
        answers(requests).map { answer in
            do {
                let (code, body) = try answer.get()
                if (200..<300).contains(code) { return nil }
                return APIError(code: Int(code), status: body.isEmpty ? .null : try JSON(parsing: body))
            } catch {
                return error
            }
        }
    }

    private func answers(_ requests: [Request]) -> [Answers.Answer] {
        let answers = Answers(count: requests.count)
        for (index, request) in requests.enumerated() {
            do {
                try provider.requestAsync(
                    method: request.method, path: request.path, body: request.body.serialized(), deadline: 0
                ) { answers.finish(index, $0.mapError { $0 }) }
            } catch {
                answers.finish(index, .failure(error))
            }
        }
        return answers.wait()
    }
}

/// Answers that arrive in any order from any thread, and a caller that waits for all of them.
private final class Answers: @unchecked Sendable {
    // SAFETY: everything that changes is behind `monitor`.
    typealias Answer = Result<(code: Int32, body: [UInt8]), any Error>

    private let monitor = Monitor()
    private var answers: [Answer?]
    private var missing: Int

    init(count: Int) {
        answers = Array(repeating: nil, count: count)
        missing = count
    }

    func finish(_ index: Int, _ answer: Answer) {
        monitor.locked {
            if answers[index] == nil { missing -= 1 }
            answers[index] = answer
            if missing == 0 { monitor.broadcast() }
        }
    }

    func wait() -> [Answer] {
        monitor.locked {
            while missing > 0 { monitor.wait() }
            return answers.compactMap { $0 }
        }
    }
}
