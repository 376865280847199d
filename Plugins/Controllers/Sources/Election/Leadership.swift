import Glibc
import Objects
import PluginKit

/// What is done while leading.
protocol LeaderWork: AnyObject, Sendable {
    /// Returns when nothing of it runs any more.
    /// - Parameter isOrderly: the term is not over yet; work that is ready may be finished.
    func stop(isOrderly: Bool)
}

/// Stands for election, and does its work while it leads. A thread of its own begins and ends the work, which takes longer
/// than the election's handler may.
final class Leadership: @unchecked Sendable {  // `wish` is behind `monitor`, the rest is set at the start.
    static let name = "hostd-controllers"
    static let key = "leases.coordination.k8s.io/kube-system/\(name)"
    /// Before work that could not begin is tried again, nanoseconds.
    private static let retry: UInt64 = 1_000_000_000

    private enum Wish: Equatable {
        case follow
        case lead(token: UInt64)
        case end
    }

    private let log: Log
    private let begin: @Sendable (WriteFence) throws -> any LeaderWork
    private let monitor = Monitor()
    private var wish = Wish.follow
    private var thread: PluginThread?
    private var resign: (@Sendable () -> Void)?

    /// Stands for election; what comes of it is handed to the closure. Returns what ends that.
    typealias Campaign = (@escaping @Sendable (LeaderElection.News) -> Void) throws -> @Sendable () -> Void

    /// - Parameter begin: begins the work of one term; its writes are to carry the fence.
    convenience init(
        _ host: Host, _ options: ElectionOptions, begin: @escaping @Sendable (WriteFence) throws -> any LeaderWork
    ) throws {
        let lease = LeaseObject.make(name: Self.name, options)
        try self.init(host.log, begin: begin) { hear in
            let candidate = try LeaderElection(host).campaign(
                at: Self.key, value: lease.value, index: lease.index,
                timeToLiveMilliseconds: options.leaseMilliseconds, handler: hear)
            host.log.info(
                "controllers: standing for election",
                ["lease": .string(Self.key), "identity": .string(lease.holder)])
            return { candidate.resign() }
        }
    }

    init(
        _ log: Log, begin: @escaping @Sendable (WriteFence) throws -> any LeaderWork, campaign: Campaign
    ) throws {
        self.log = log
        self.begin = begin
        thread = try PluginThread(name: "leadership") { [self] in run() }
        do { resign = try campaign { [weak self] in self?.hear($0) } } catch {
            end()
            throw error
        }
    }

    private func hear(_ news: LeaderElection.News) {
        switch news {
        case .leading(let token):
            log.info("controllers: leading", ["lease": .string(Self.key), "token": .integer(Int64(token))])
            want(.lead(token: token))
        case .following(let reason):
            log.warning("controllers: leading no more", ["lease": .string(Self.key), "reason": .string(reason)])
            want(.follow)
        }
    }

    private func want(_ new: Wish) {
        monitor.locked {
            if wish != .end { wish = new }
            monitor.broadcast()
        }
    }

    /// Finishes the work, then resigns, so that another one leads at once. Idempotent.
    func end() {
        want(.end)
        thread?.join()
        resign?()
    }

    // MARK: The thread

    private func run() {
        var done = Wish.follow
        var work: (any LeaderWork)?
        while true {
            let next = awaitChange(from: done)
            work?.stop(isOrderly: next == .end)
            work = nil
            switch next {
            case .end: return
            case .follow: done = next
            case .lead(let token):
                do {
                    work = try begin(WriteFence(key: Self.key, revision: token))
                    done = next
                } catch {
                    log.error("controllers: cannot begin to lead, will try again: \(error)")
                    pause()
                    done = .follow
                }
            }
        }
    }

    private func awaitChange(from done: Wish) -> Wish {
        monitor.locked {
            while wish == done { monitor.wait() }
            return wish
        }
    }

    /// Waits before the next attempt, unless something else is wanted meanwhile.
    private func pause() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let deadline = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec) + Self.retry
        monitor.locked {
            let before = wish
            while wish == before, monitor.wait(until: deadline) {}
        }
    }
}
