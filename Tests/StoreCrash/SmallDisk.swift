import Glibc
import PluginAPI

/// The same on a small ext4 file system in a file: children fill it until writes are refused; some are killed while it is
/// full, others get room, go on by themselves, and are killed then; and it is enlarged. To be run in a mount namespace of
/// its own. Enlarging a mounted ext4 needs CAP_SYS_RESOURCE; without it room comes from a file that is removed, and the
/// disk is enlarged between two children.
struct SmallDisk {
    private static let firstSize = 16
    private static let step = 8
    private static let ballastSize = 3
    private static let writers = 4
    /// MS_REC | MS_PRIVATE
    private static let recursivelyPrivate = 1 << 14 | 1 << 18

    let rounds: Int
    let seed: UInt64
    let directory: String
    private var random: SeededGenerator
    private var truth: Truth
    private var size = Self.firstSize
    private var acknowledged = 0
    private var refused = 0
    private var reads = 0
    private var enlargedMounted = 0

    /// Takes up space that can be given to a child.
    private var ballast: String { mountPoint + "/ballast" }
    private var image: String { directory + "/disk.ext4" }
    private var mountPoint: String { directory + "/disk" }
    private var store: String { mountPoint + "/store" }

    /// Makes and mounts the disk, and the store on it.
    init(rounds: Int, seed: UInt64, directory: String) throws {
        self.rounds = rounds
        self.seed = seed
        self.directory = directory
        random = SeededGenerator(seed)
        // So that it is mounted in no other namespace, and goes with this one.
        guard mount("none", "/", nil, UInt(Self.recursivelyPrivate), nil) == 0 else {
            throw CrashFailure("mounts cannot be made private (\(systemError())); run as root, under unshare --mount")
        }
        let (image, mountPoint) = (directory + "/disk.ext4", directory + "/disk")
        try command("truncate", "--size", "\(size)M", image)
        try command("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        guard mkdir(mountPoint, 0o700) == 0 else { throw CrashFailure("\(mountPoint): \(systemError())") }
        try command("mount", "-o", "loop", image, mountPoint)
        truth = try Truth(making: mountPoint + "/store")
        try command("fallocate", "--length", "\(Self.ballastSize)M", ballast)
    }

    mutating func run() throws {
        defer { umount2(mountPoint, Int32(MNT_DETACH)) }
        for round in 1...rounds {
            do { try run(round: round) } catch { throw CrashFailure("small disk, round \(round): \(error)") }
        }
        report(
            "\(rounds) rounds on a disk that grew from \(Self.firstSize) to \(size) MiB, \(enlargedMounted) times under a "
                + "running store: \(acknowledged) acknowledged writes checked, \(refused) refused, \(reads) full reads while the disk was full"
        )
    }

    private mutating func run(round: Int) throws {
        let child = try ChildProcess(
            [
                "write", store, "--round", "\(round)", "--seed", "\(seed &+ UInt64(round) &* 1_000_003)", "--writers",
                "\(Self.writers)", "--growing",
            ], directory: store)
        guard try child.wait(for: .reported(Self.isFull), seconds: 60) else {
            _ = try Report(child.lines)
            throw CrashFailure("the disk never became full")
        }
        try checkRefusals(child.lines)
        if round.isMultiple(of: 3) {
            // Killed while the disk is full: it must open, and show everything, without any room.
            _ = try child.run(until: .after(microseconds: random.number(0..<50_000)), seconds: 10)
            try check(child)
        } else {
            try giveRoom()
            try goOn(child)
        }
        try enlarge()
    }

    /// Every writer must have a write acknowledged again, without anything being done to the process.
    private mutating func goOn(_ child: ChildProcess) throws {
        let before = child.lines.count
        let goesOn: @Sendable ([JournalLine]) -> Bool = { lines in
            Self.acknowledgedWriters(lines[before...]).count == Self.writers
        }
        guard try child.wait(for: .reported(goesOn), seconds: 60) else {
            _ = try Report(child.lines)
            throw CrashFailure("writes did not go on when there was room again")
        }
        _ = try child.run(until: .after(microseconds: random.number(0..<300_000)), seconds: 10)
        try check(child)
    }

    /// Every writer was refused, and has read what it wrote since.
    private static func isFull(_ lines: [JournalLine]) -> Bool {
        var readers: Set<Int> = []
        for case .readWhileFull(let writer) in lines { readers.insert(writer) }
        return readers.count == writers
    }

    private static func acknowledgedWriters(_ lines: ArraySlice<JournalLine>) -> Set<Int> {
        var writers: Set<Int> = []
        for case .acknowledged(let writer, _, _) in lines { writers.insert(writer) }
        return writers
    }

    /// A refusal for want of room says so, and where.
    private func checkRefusals(_ lines: [JournalLine]) throws {
        for case .refused(_, _, Int(HOSTD_ERROR_NO_SPACE), let message) in lines {
            guard message.contains("disk is full"), message.contains(store) else {
                throw CrashFailure("a write was refused without saying that the disk is full: \(message)")
            }
        }
    }

    /// Enlarges the disk under the child, or removes the ballast when that is not permitted.
    private mutating func giveRoom() throws {
        let device = try command("findmnt", "--noheadings", "--output", "SOURCE", mountPoint).prefix { $0 != "\n" }
        try command("truncate", "--size", "\(size + Self.step)M", image)
        try command("losetup", "--set-capacity", String(device))
        do {
            try command("resize2fs", String(device))
            size += Self.step
            enlargedMounted += 1
        } catch {
            guard "\(error)".contains("Permission denied") else { throw error }
            guard unlink(ballast) == 0 else { throw CrashFailure("\(ballast): \(systemError())") }
        }
    }

    /// Enlarges the disk while no store is open on it, and takes up the ballast's space again.
    private mutating func enlarge() throws {
        size += Self.step
        guard umount2(mountPoint, 0) == 0 else { throw CrashFailure("unmount \(mountPoint): \(systemError())") }
        try command("truncate", "--size", "\(size)M", image)
        try command("e2fsck", "-f", "-p", image)
        try command("resize2fs", image)
        try command("mount", "-o", "loop", image, mountPoint)
        if access(ballast, F_OK) != 0 { try command("fallocate", "--length", "\(Self.ballastSize)M", ballast) }
    }

    private mutating func check(_ child: ChildProcess) throws {
        let report = try Report(child.lines)
        acknowledged += report.acknowledgedCount
        refused += report.refusedCount
        reads += report.readsWhileFull
        let reopened = try Reopened(
            store, isGrowing: true, leases: truth.leases.union(report.granted).union(report.ended))
        try truth.accept(report, reopened)
    }
}
