import Glibc
import PluginAPI

/// The one thread that changes plugins while hostd runs: what is asked of it happens one after the other, in order. Before
/// `open` and after `close` the life cycle belongs to the thread that starts and stops the host.
final class LifecycleThread: @unchecked Sendable {
    // SAFETY: all state is under `monitor`.
    /// Gets the reason when it is not to run any more.
    typealias Job = @Sendable (_ refusal: PluginFailure?) -> Void

    /// Plugins do their work of activation on it, as on a program's first thread.
    private static let stackSize = 8 << 20

    private let monitor = Monitor()
    private var jobs: [Job] = []
    private var isOpen = false
    private var isRunning = false

    static let refusal = PluginFailure(
        .request, code: HOSTD_ERROR_UNAVAILABLE, "hostd is starting or stopping: plugins cannot be changed now")

    /// Takes requests from now on.
    func open() { monitor.locked { isOpen = true } }

    /// Takes no more, refuses what waits, and returns when nothing runs.
    func close() {
        monitor.lock()
        isOpen = false
        let dropped = jobs
        jobs = []
        monitor.unlock()
        for job in dropped { job(Self.refusal) }
        monitor.lock()
        while isRunning { monitor.wait() }
        monitor.unlock()
    }

    /// Queues a job; throws when none can be taken, and drops it then.
    func enqueue(_ job: @escaping Job) throws(PluginFailure) {
        monitor.lock()
        defer { monitor.unlock() }
        guard isOpen else { throw Self.refusal }
        jobs.append(job)
        guard !isRunning else { return }
        do throws(StoreError) {
            try KernelThread(name: "lifecycle", stackSize: Self.stackSize) { [self] in run() }.detach()
            isRunning = true
        } catch {
            jobs.removeLast()
            throw PluginFailure(.request, code: error.code, error.message)
        }
    }

    /// Runs a job and waits for its end. Not from a job.
    func perform<Result: Sendable>(
        _ body: @escaping @Sendable () throws(PluginFailure) -> Result
    ) throws(PluginFailure) -> Result {
        let outcome = Awaited<Result>()
        try enqueue { refusal in
            if let refusal { return outcome.set(.failure(refusal)) }
            do throws(PluginFailure) { outcome.set(.success(try body())) } catch { outcome.set(.failure(error)) }
        }
        return try outcome.wait().get()
    }

    /// Runs until nothing waits.
    private func run() {
        // Threads that plugins start from here inherit the mask: as those started by the main thread.
        var blocked = sigset_t()
        sigemptyset(&blocked)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&blocked, signal) }
        pthread_sigmask(SIG_SETMASK, &blocked, nil)
        monitor.lock()
        while !jobs.isEmpty {
            let job = jobs.removeFirst()
            monitor.unlock()
            job(nil)
            monitor.lock()
        }
        isRunning = false
        monitor.broadcast()
        monitor.unlock()
    }
}

/// What one thread waits for and another one brings.
private final class Awaited<Value: Sendable>: @unchecked Sendable {
    // SAFETY: `result` is under `monitor`.
    private let monitor = Monitor()
    private var result: Swift.Result<Value, PluginFailure>?

    func set(_ value: Swift.Result<Value, PluginFailure>) {
        monitor.locked {
            result = value
            monitor.broadcast()
        }
    }

    func wait() -> Swift.Result<Value, PluginFailure> {
        monitor.locked {
            while true {
                if let result { return result }
                monitor.wait()
            }
        }
    }
}
