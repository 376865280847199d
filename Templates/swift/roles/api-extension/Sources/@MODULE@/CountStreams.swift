import Glibc
import PluginKit
import Synchronization

/// The responses that stream numbers, each on a thread of its own.
final class CountStreams: Sendable {
    private struct State {
        var isOpen = false
        var threads: [pthread_t] = []
        /// Threads that have nothing left to do but to be joined.
        var finished: [pthread_t] = []
    }
    private struct Job {
        let streams: CountStreams
        let socket: Int32
    }
    private let state = Mutex(State())

    func open() { state.withLock { $0.isOpen = true } }

    /// Ends all streams; when it returns, none of their threads runs.
    func end() {
        let threads = state.withLock { state in
            defer { state = State() }
            return state.threads + state.finished
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Takes over the socket, whatever becomes of it.
    func start(_ socket: Int32) throws {
        guard socket >= 0 else { throw PluginError.invalid("a stream needs a socket") }
        let job = Unmanaged.passRetained(Box(Job(streams: self, socket: socket)))
        let code = state.withLock { state -> Int32 in
            guard state.isOpen else { return ESHUTDOWN }
            var thread = pthread_t()
            let code = pthread_create(&thread, nil, { CountStreams.run($0) }, job.toOpaque())
            if code == 0 { state.threads.append(thread) }
            return code
        }
        joinFinished()
        guard code == 0 else {
            job.release()
            close(socket)
            throw PluginError.unavailable("a stream cannot be started: \(String(cString: strerror(code)))")
        }
    }

    private func joinFinished() {
        let threads = state.withLock { state in
            defer { state.finished = [] }
            return state.finished
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Called by a thread that ends. One that `end` waits for is no longer listed.
    private func finish() {
        state.withLock { state in
            guard let index = state.threads.firstIndex(of: pthread_self()) else { return }
            state.finished.append(state.threads.remove(at: index))
        }
    }

    private final class Box {
        let job: Job
        init(_ job: Job) { self.job = job }
    }

    private static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        let job = Unmanaged<Box>.fromOpaque(context).takeRetainedValue().job
        defer { close(job.socket) }  // Closing the socket ends the response.
        // A client that does not read holds up a stream for a second at most: then sending fails.
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(job.socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        for number in 1...10 where job.streams.state.withLock({ $0.isOpen }) {
            let line = Array("\(number)\n".utf8)  // One packet is one chunk of the body.
            if send(job.socket, line, line.count, Int32(MSG_NOSIGNAL)) < 0 { break }
        }
        job.streams.finish()
        return nil
    }
}
