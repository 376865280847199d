import Synchronization

@testable import API

/// Hands requests on to a handler that is made after its server.
final class HandlerRelay: HTTPHandler {
    let handler = Mutex<(any HTTPHandler)?>(nil)

    func handle(_ exchange: HTTPExchange) {
        if let handler = handler.withLock({ $0 }) {
            handler.handle(exchange)
        } else {
            exchange.respond(.text(503, ""))
        }
    }

    func refusal(_ error: HTTPParseError) -> HTTPResponse {
        handler.withLock { $0 }?.refusal(error) ?? .text(error.status, error.message)
    }

    func carriesBody(_ head: HTTPRequestHead) -> Bool { handler.withLock { $0 }?.carriesBody(head) ?? false }
}
