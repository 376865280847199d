import Glibc

/// Kills a child that writes, again and again, and checks after each kill.
struct Rounds {
    let count: Int
    let seed: UInt64
    let directory: String
    private var truth: Truth
    private var random: SeededGenerator
    private var resume: UInt64 = 0
    private var tally = Tally()

    private var store: String { directory + "/store" }
    private var copy: String { directory + "/copy" }

    /// Makes the store in `directory`.
    init(count: Int, seed: UInt64, directory: String) throws {
        self.count = count
        self.seed = seed
        self.directory = directory
        random = SeededGenerator(seed)
        truth = try Truth(making: directory + "/store")
    }

    mutating func run() throws {
        for round in 1...count {
            do { try run(round: round) } catch { throw CrashFailure("round \(round): \(error)") }
            if round.isMultiple(of: 50) { report(tally.text(round)) }
        }
        report(tally.text(count))
        try tally.checkCoverage(count)
    }

    private mutating func run(round: Int) throws {
        let moment = randomMoment()
        let arguments = [
            "write", store, "--round", "\(round)", "--seed", "\(seed &+ UInt64(round) &* 1_000_003)", "--resume",
            "\(resume)",
        ]
        let child = try ChildProcess(arguments, directory: store)
        let hasCome = try child.run(until: moment, seconds: 20)
        let report = try Report(child.lines)
        guard hasCome || report.isOpened else {
            throw CrashFailure("the child ended by itself or never opened the store")
        }
        tally.count(report, namesLeft: try directoryNames(store))
        try interruptRecovery()
        // Every other round is checked in a copy, so that the next child finds the store as the crash left it.
        let isCopied = random.chance(50)
        if isCopied { try copyStore() }
        let reopened = try Reopened(
            isCopied ? copy : store, isGrowing: false, leases: truth.leases.union(report.granted).union(report.ended))
        tally.torn += reopened.wasTorn ? 1 : 0
        try truth.accept(report, reopened)
        resume = UInt64(random.number(Int(reopened.compacted)..<Int(reopened.revision) + 1))
    }

    private mutating func randomMoment() -> KillMoment {
        let delay = random.number(0..<4000)
        switch random.number(0..<100) {
        case ..<25: return .after(microseconds: random.number(0..<400_000))
        case ..<40: return .after(microseconds: random.number(0..<20_000))
        case ..<55: return .acknowledged(random.number(1..<2500))
        case ..<75: return .file(prefix: "snapshot-", suffix: ".tmp", delay: delay)
        case ..<80: return .file(prefix: "snapshot-", suffix: "", delay: random.number(0..<300))
        case ..<90: return .file(prefix: "log-", suffix: ".tmp", delay: delay)
        default: return .file(prefix: "log-", suffix: "", delay: random.number(0..<300))
        }
    }

    /// Kills children that only open the store, so that a recovery finds what another one left half done.
    private mutating func interruptRecovery() throws {
        guard random.chance(40) else { return }
        for _ in 0..<1 + random.number(0..<3) {
            let child = try ChildProcess(["open", store], directory: store)
            _ = try child.run(until: .after(microseconds: random.number(0..<60_000)), seconds: 20)
            let report = try Report(child.lines)
            tally.recoveries += report.isOpened ? 0 : 1
        }
    }

    private func copyStore() throws {
        try removeDirectory(copy)
        guard mkdir(copy, 0o700) == 0 else { throw CrashFailure("\(copy): \(systemError())") }
        for name in try directoryNames(store) { try copyFile(store + "/" + name, to: copy + "/" + name) }
    }
}

/// What the rounds have met, so that a run that tested nothing is seen.
private struct Tally {
    var acknowledged = 0
    var events = 0
    var doubtful = 0
    var duringRecovery = 0
    var duringSnapshot = 0
    var duringPreparation = 0
    var recoveries = 0
    var torn = 0

    mutating func count(_ report: Report, namesLeft names: [String]) {
        acknowledged += report.acknowledgedCount
        events += report.eventCount
        doubtful += report.doubtful.count
        duringRecovery += report.isOpened ? 0 : 1
        duringSnapshot += names.contains { $0.hasPrefix("snapshot-") && $0.hasSuffix(".tmp") } ? 1 : 0
        duringPreparation += names.contains { $0.hasPrefix("log-") && $0.hasSuffix(".tmp") } ? 1 : 0
    }

    func text(_ rounds: Int) -> String {
        "\(rounds) rounds: \(acknowledged) acknowledged writes and \(events) events checked, \(doubtful) writes in doubt; "
            + "killed during a snapshot \(duringSnapshot), during the preparation of a segment \(duringPreparation), "
            + "before the store was open \(duringRecovery), in a repeated recovery \(recoveries); torn batches dropped \(torn)"
    }

    /// A run of some length must have met every kind of moment.
    func checkCoverage(_ rounds: Int) throws {
        guard rounds >= 200 else { return }
        let kinds = [
            acknowledged / 100, events / 100, doubtful, duringRecovery, duringSnapshot, duringPreparation, recoveries,
        ]
        guard kinds.allSatisfy({ $0 > 0 }) else { throw CrashFailure("the kills missed a kind of moment") }
    }
}
