/// What a candidate does next, from what it knows: pure. Times are monotonic nanoseconds.
struct ElectionRules: Sendable {
    /// The lease's time to live, nanoseconds.
    let timeToLive: UInt64

    /// The key as it was read.
    enum Observation: Equatable {
        case absent
        case held(revision: UInt64, lease: UInt64)
    }

    enum Action: Equatable {
        /// Grant a lease and create the key under it.
        case create
        /// Grant a lease and replace what someone left there, at this revision.
        case takeOver(revision: UInt64)
        /// The key is ours already: keep the lease alive, and lead with this revision as token.
        case adopt(revision: UInt64)
        /// Look again at this time at the latest; a change of the key comes sooner by itself.
        case wait(until: UInt64)
    }

    /// How long before the lease could end the leader stops.
    var margin: UInt64 { timeToLive / 5 }
    var renewal: UInt64 { timeToLive / 4 }
    /// After a store that did not answer.
    var retry: UInt64 { min(timeToLive / 10, 1_000_000_000) }

    /// Until when someone may lead who asked for the lease, or to keep it alive, at `asked`: the store counts from later.
    func leadsUntil(asked: UInt64) -> UInt64 {
        time(asked, plus: planted(.leaderStaysOn) ? timeToLive * 2 : timeToLive - margin)
    }

    /// For a candidate that does not lead. `ownLease`: of an earlier attempt, 0 = none; `unchangedSince`: since when the key
    /// is seen as it is.
    func next(_ observation: Observation, ownLease: UInt64, unchangedSince: UInt64, now: UInt64) -> Action {
        switch observation {
        case .absent: return .create
        case .held(let revision, let lease) where lease != 0 && lease == ownLease: return .adopt(revision: revision)
        case .held(_, let lease) where lease != 0: return .wait(until: time(now, plus: timeToLive))
        case .held(let revision, _):
            // Nothing in the store ends it: whoever wrote it shows by changes that it lives.
            let over = time(unchangedSince, plus: timeToLive)
            return now >= over ? .takeOver(revision: revision) : .wait(until: over)
        }
    }
}
