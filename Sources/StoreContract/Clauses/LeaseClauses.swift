import PluginAPI
import PluginKit

/// Rule 59: keys of a lease that expires or is revoked are deleted; a lease that is kept alive stays.
enum LeaseClauses {
    static let all = [
        StoreClause(59, "a lease that is revoked takes its keys along", revoked),
        StoreClause(59, "a lease that expires takes its keys along, not before its time", expired),
        StoreClause(59, "a lease that is kept alive stays", kept),
    ]

    private static func revoked(_ space: ContractSpace) throws(Violation) {
        let engine = space.engine
        let lease = try space.done(try engine.grant(milliseconds: 60_000), "lease_grant")
        let other = try space.done(try engine.grant(milliseconds: 60_000), "lease_grant")
        try require(lease != 0 && lease != other, "two leases have the number \(lease)")
        for name in ["a", "b", "c"] { try space.create(name, name, lease: lease) }
        try space.create("free", "1")
        try space.create("other", "1", lease: other)
        // Written anew without the lease, a key is free of it; with it, it belongs to it.
        try space.update("c", "free")
        let last = try space.update("free", "taken", lease: lease)
        try require(try space.get("a").lease == lease, "the record of a leased key does not name its lease")
        try require(try space.get("c").lease == 0, "a key that was written without a lease still has one")
        let log = try space.watch()
        try space.done(try engine.revoke(lease), "lease_revoke")
        let events = try log.events(3, space.patience)
        try require(
            events.allSatisfy(\.record.isDelete)
                && Set(events.map(\.record.key)) == Set(["a", "b", "free"].map { space.key($0) }),
            "a lease of a, b and free that was revoked is told of as \(events.map(\.words))")
        try require(
            events.allSatisfy { $0.record.revision > last }, "the end of a lease is told of at an earlier revision",
            rule: 54)
        let left = try space.list().keys
        try require(
            left == ["c", "other"].map { space.key($0) },
            "after a lease of a, b and free was revoked, \(left) are there")
        try space.refused(
            try engine.keepAlive(lease), with: HOSTD_ERROR_NOT_FOUND, "lease_keep_alive of a lease that was revoked")
        try space.refused(
            try engine.create(space.key("late"), [], lease: lease), with: HOSTD_ERROR_NOT_FOUND,
            "create under a lease that was revoked")
        try space.done(try engine.revoke(other), "lease_revoke")
    }

    private static func expired(_ space: ContractSpace) throws(Violation) {
        let log = try space.watch()
        let begin = monotonicNanoseconds()
        let lease = try space.done(try space.engine.grant(milliseconds: 1000), "lease_grant")
        try space.create("a", "1", lease: lease)
        try space.create("b", "1", lease: lease)
        let events = try log.events(4, space.patience)
        let seconds = Double(monotonicNanoseconds() - begin) / 1e9
        try require(seconds > 0.95, "keys of a lease of a second were deleted after \(seconds) seconds")
        try require(
            events.suffix(2).allSatisfy(\.record.isDelete)
                && Set(events.suffix(2).map(\.record.key)) == Set(["a", "b"].map { space.key($0) }),
            "the end of a lease of a and b is told of as \(events.suffix(2).map(\.words))")
        try require(try space.list().records.isEmpty, "after its lease expired a key is there")
        try space.refused(
            try space.engine.keepAlive(lease), with: HOSTD_ERROR_NOT_FOUND, "lease_keep_alive of a lease that expired")
    }

    private static func kept(_ space: ContractSpace) throws(Violation) {
        let log = try space.watch()
        let lease = try space.done(try space.engine.grant(milliseconds: 2000), "lease_grant")
        try space.create("a", "1", lease: lease)
        // An engine may round up: much more than twice the time it would not.
        for _ in 0..<10 {
            let isGone = log.grows(beyond: 1, within: 500_000_000)
            try require(!isGone, "a lease of two seconds that is kept alive every half second expired")
            try space.done(try space.engine.keepAlive(lease), "lease_keep_alive")
        }
        try require(try space.value("a") == "1", "a key of a lease that is kept alive is gone")
        let events = try log.events(2, space.patience)
        try require(events[1].record.isDelete, "a lease that nobody keeps alive any more goes on")
    }
}
