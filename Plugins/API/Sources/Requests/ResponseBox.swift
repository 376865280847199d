import Glibc
import Synchronization

/// Waits on a thread that may wait for a response that comes from another.
final class ResponseBox: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `response` is guarded by `lock`.
    private var lock = pthread_mutex_t()
    private var condition = pthread_cond_t()
    private var response: HTTPResponse?

    init() {
        pthread_mutex_init(&lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(&lock)
        pthread_cond_destroy(&condition)
    }

    func complete(_ response: HTTPResponse) {
        pthread_mutex_lock(&lock)
        self.response = response
        pthread_cond_broadcast(&condition)
        pthread_mutex_unlock(&lock)
    }

    /// - Parameter deadline: CLOCK_MONOTONIC, nanoseconds; 0 = none. Nil when it passes first.
    func wait(deadline: UInt64 = 0) -> HTTPResponse? {
        pthread_mutex_lock(&lock)
        defer { pthread_mutex_unlock(&lock) }
        while response == nil {
            if deadline == 0 {
                pthread_cond_wait(&condition, &lock)
            } else {
                var until = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
                if pthread_cond_timedwait(&condition, &lock, &until) == ETIMEDOUT { return response }
            }
        }
        return response
    }

    /// Starts a request, whose answer, also when it fails at once, is to be waited for.
    static func start(_ start: (@escaping Responder) throws(APIStatus) -> Void) -> ResponseBox {
        let box = ResponseBox()
        do {
            try start { box.complete($0) }
        } catch {
            box.complete(.failure(error))
        }
        return box
    }

    /// Waits for the answer. [blocking]
    func answer() -> HTTPResponse { wait() ?? .failure(.internalError("the request was not answered")) }

    /// Starts a request and waits for its answer.
    static func wait(_ start: (@escaping Responder) throws(APIStatus) -> Void) -> HTTPResponse {
        Self.start(start).answer()
    }
}
