import Objects
import PluginAPI
import PluginKit

/// The scheduler, and what it knows. Every call is counted along, so that after a swap or a crash of the provider its
/// revision tells whether it has everything that was told; if not, it must be fed anew before a decision of it counts.
struct CountedScheduler {
    private enum Knowledge {
        /// Must be fed.
        case nothing
        /// Knows all; this is the revision it has then.
        case counted(UInt64)
        /// Knows all, unless the provider changed: it counts no revisions.
        case uncounted
    }

    private let provider: any SchedulerProvider
    private var knowledge = Knowledge.nothing
    /// Feeds in a row after which the revision was wrong all the same.
    private var failedFeeds = 0
    /// A provider whose revision is wrong right after each of so many feeds does not count as it should: it is taken as one
    /// that does not count.
    private static let feedLimit = 3

    init(_ provider: any SchedulerProvider) { self.provider = provider }

    var isFed: Bool {
        switch knowledge {
        case .nothing: false
        case .counted, .uncounted: true
        }
    }

    /// Empties the scheduler and tells it what `tell` says.
    /// - Throws: a retryable error, after which the scheduler counts as knowing nothing.
    mutating func feed(_ tell: (inout CountedScheduler) throws -> Void) throws {
        knowledge = .nothing
        try provider.reset()
        do {
            let revision = try provider.revision()
            knowledge = failedFeeds < Self.feedLimit ? .counted(revision) : .uncounted
        } catch let error as PluginError where error.code == HOSTD_ERROR_NOT_SUPPORTED {
            knowledge = .uncounted
        }
        do {
            try tell(&self)
        } catch {
            knowledge = .nothing
            throw error
        }
    }

    /// Tells of a change. What cannot be told now is told with the next feed; what is refused is not told.
    /// - Throws: what the scheduler answered.
    mutating func tell(_ change: (any SchedulerProvider) throws -> Void) throws {
        do {
            try change(provider)
            count()
        } catch let failure {
            if PluginError(failure).isRetryable { knowledge = .nothing }
            throw failure
        }
    }

    /// Asks for a decision, which counts only when the scheduler knows everything.
    /// - Returns: nil when it does not, so that it must be fed.
    mutating func schedule(_ pod: hostd_scheduler_pod, uid: String, object: JSON) throws -> SchedulingDecision? {
        do {
            let decision = try object.serialized().withUnsafeBytes {
                try provider.schedule(pod, uid: uid, object: $0, deadline: monotonicNanoseconds() + Self.patience)
            }
            count()
            return try confirm() ? decision : nil
        } catch let failure {
            // Whether it placed the pod is unknown; a revision would tell.
            if case .uncounted = knowledge, PluginError(failure).isRetryable { knowledge = .nothing }
            throw failure
        }
    }

    /// Nanoseconds that a decision may take.
    private static let patience: UInt64 = 2_000_000_000

    /// The provider is another one, or the same that was restarted: whether it knows everything all the same.
    mutating func providerChanged() throws -> Bool {
        failedFeeds = 0
        if case .uncounted = knowledge { knowledge = .nothing }
        return try confirm()
    }

    private mutating func confirm() throws -> Bool {
        switch knowledge {
        case .nothing: return false
        case .uncounted: return true
        case .counted(let expected):
            if try provider.revision() == expected {
                failedFeeds = 0
                return true
            }
            failedFeeds += 1
            knowledge = .nothing
            return false
        }
    }

    private mutating func count() {
        if case .counted(let revision) = knowledge { knowledge = .counted(revision &+ 1) }
    }
}
