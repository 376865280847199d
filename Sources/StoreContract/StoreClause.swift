import PluginAPI

/// One promise of hostd/roles/store.h, held against any engine through its C table: by XCTest against the engines of the
/// tree, and by `hostd plugin check` against anybody's.
public struct StoreClause: Sendable {
    /// The rule of docs/abi.md that an engine breaks which does not keep it.
    public let rule: Int
    public let title: String
    let body: @Sendable (ContractSpace) throws(Violation) -> Void

    init(_ rule: Int, _ title: String, _ body: @escaping @Sendable (ContractSpace) throws(Violation) -> Void) {
        self.rule = rule
        self.title = title
        self.body = body
    }

    /// Every clause, in the order of the rules.
    public static let all: [StoreClause] =
        RevisionClauses.all + PreconditionClauses.all + WatchClauses.all + InformerClauses.all + ListClauses.all
        + TransactionClauses.all + LeaseClauses.all + ArgumentClauses.all

    /// Holds the clause against an engine that nobody else writes to. The keys that it makes are of resources of its own,
    /// and are gone afterwards. Blocking: some clauses wait for leases, a few seconds.
    /// - Parameters:
    ///   - table: of hostd.store/1; its provider is active.
    ///   - patience: nanoseconds that the engine has for what must come from it: an event, a completion.
    public func hold(
        against table: UnsafePointer<hostd_interface>, patience: UInt64 = 20_000_000_000
    ) throws(Violation) {
        let engine = StoreEngine(UnsafeRawPointer(table).assumingMemoryBound(to: hostd_store_1.self), patience)
        let space = ContractSpace(engine, try engine.readiness())
        defer { space.clear() }
        try body(space)
    }
}

/// What an engine does against a clause.
public struct Violation: Error, CustomStringConvertible, Sendable {
    public let what: String
    /// When it is another rule than the clause's own.
    public let rule: Int?

    init(_ what: String, rule: Int? = nil) {
        self.what = what
        self.rule = rule
    }

    public var description: String { what }
}

func require(_ condition: Bool, _ what: @autoclosure () -> String, rule: Int? = nil) throws(Violation) {
    if !condition { throw Violation(what(), rule: rule) }
}
