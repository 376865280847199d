import Glibc
import Kernel
import XCTest

@testable import Simulation

final class SimulatedDiskTests: XCTestCase {
    private func disk(seed: UInt64 = 1, _ change: (inout SimulatedDisk.Character) -> Void = { _ in }) -> SimulatedDisk {
        var character = SimulatedDisk.Character()
        change(&character)
        return SimulatedDisk(character: character, generator: Generator(seed: seed))
    }

    private func make(_ disk: SimulatedDisk, _ path: String, _ bytes: [UInt8]) -> Int32 {
        let file = disk.open(path, flags: O_RDWR | O_CREAT)
        XCTAssertEqual(disk.write(file, bytes, 0), bytes.count)
        return file
    }

    func testWhatIsSynchronizedWithItsNameSurvives() {
        for seed in UInt64(1)...30 {
            let disk = disk(seed: seed) { $0.sectorsSurvive = 0 }
            let file = make(disk, "/a", [1, 2, 3])
            XCTAssertEqual(disk.synchronize(file), 0)
            XCTAssertEqual(disk.synchronizeDirectory("/"), 0)
            _ = disk.write(file, [9, 9], 1)
            XCTAssertEqual(disk.contents("/a"), [1, 9, 9], "the page cache has it")
            disk.powerEnds()
            XCTAssertEqual(disk.contents("/a"), [1, 2, 3])
        }
    }

    func testAProcessThatEndsLosesNothing() {
        let disk = disk { $0.sectorsSurvive = 0 }
        _ = make(disk, "/a", [1])
        disk.processEnds()
        XCTAssertEqual(disk.contents("/a"), [1])
    }

    func testSectorsSurviveOneByOneInAnyOfTheirVersions() {
        var seen: Set<[UInt8]> = []
        for seed in UInt64(1)...200 {
            let disk = disk(seed: seed) { $0.sectorsSurvive = 50 }
            let sector = SimulatedDisk.sectorSize
            let file = make(disk, "/a", [UInt8](repeating: 0, count: 2 * sector))
            _ = disk.synchronize(file)
            _ = disk.synchronizeDirectory("/")
            _ = disk.write(file, [UInt8](repeating: 1, count: 2 * sector), 0)
            _ = disk.write(file, [UInt8](repeating: 2, count: 2 * sector), 0)
            disk.powerEnds()
            let bytes = disk.contents("/a") ?? []
            XCTAssertEqual(Set(bytes[..<sector]).count, 1, "a sector is one version as a whole")
            seen.insert([bytes[0], bytes[sector]])
        }
        XCTAssertEqual(seen.count, 9, "all pairs of versions: torn, reordered, lost, complete")
    }

    func testAfterAFailedSynchronizationTheNextSucceedsAndTheBytesAreLost() {
        let disk = disk {
            $0.synchronizeFails = 1
            $0.sectorsSurvive = 0
        }
        let file = make(disk, "/a", [1])
        _ = disk.synchronizeDirectory("/")
        XCTAssertEqual(disk.synchronize(file), -1)
        XCTAssertEqual(errno, EIO)
        XCTAssertEqual(disk.synchronize(file), 0, "there is nothing to write any more")
        XCTAssertEqual(disk.contents("/a"), [1])
        disk.powerEnds()
        XCTAssertEqual(disk.contents("/a"), [])
    }

    func testNamesNeedTheirDirectory() {
        var outcomes: Set<String> = []
        for seed in UInt64(1)...60 {
            let disk = disk(seed: seed) { $0.namesAreJournalled = seed % 2 == 0 }
            let file = make(disk, "/new.tmp", [1])
            _ = disk.synchronize(file)
            _ = disk.synchronizeDirectory("/")
            XCTAssertEqual(disk.rename("/new.tmp", "/new"), 0)
            disk.powerEnds()
            XCTAssertEqual(disk.paths.count, 1, "a rename happens or does not: \(disk.paths)")
            outcomes.formUnion(disk.paths)
        }
        XCTAssertEqual(outcomes, ["/new", "/new.tmp"])
    }

    func testAJournalKeepsTheOrderOfNames() {
        for seed in UInt64(1)...60 {
            let disk = disk(seed: seed) { $0.namesAreJournalled = true }
            for name in ["/1", "/2", "/3"] { _ = make(disk, name, [1]) }
            _ = disk.synchronizeDirectory("/")
            for name in ["/1", "/2", "/3"] { _ = disk.remove(name) }
            disk.powerEnds()
            XCTAssertTrue([["/1", "/2", "/3"], ["/2", "/3"], ["/3"], []].contains(disk.paths), "\(disk.paths)")
        }
    }

    func testADirectoryThatIsNotDurableTakesItsFilesAlong() {
        var kept = 0
        for seed in UInt64(1)...40 {
            let disk = disk(seed: seed)
            XCTAssertEqual(disk.makeDirectory("/d"), 0)
            let file = make(disk, "/d/a", [1])
            _ = disk.synchronize(file)
            _ = disk.synchronizeDirectory("/d")
            disk.powerEnds()
            XCTAssertEqual(disk.contents("/d/a") != nil, disk.names(in: "/d") != nil)
            kept += disk.contents("/d/a") != nil ? 1 : 0
        }
        XCTAssertTrue((1..<40).contains(kept))
    }

    func testAFullDiskWritesAPartAndThenNothing() {
        let disk = disk { $0.capacity = 2 * SimulatedDisk.blockSize }
        let file = disk.open("/a", flags: O_RDWR | O_CREAT)
        let bytes = [UInt8](repeating: 7, count: 3 * SimulatedDisk.blockSize)
        XCTAssertEqual(disk.write(file, bytes, 0), 2 * SimulatedDisk.blockSize)
        XCTAssertEqual(disk.write(file, bytes, 2 * SimulatedDisk.blockSize), -1)
        XCTAssertEqual(errno, ENOSPC)
        XCTAssertEqual(disk.write(file, [8], 0), 1, "what is there can be written over")
        XCTAssertEqual(disk.allocate(file, 3 * SimulatedDisk.blockSize), ENOSPC)
        disk.character.copiesOnWrite = true
        XCTAssertEqual(disk.write(file, [8], 0), -1)
        disk.character.capacity += 2
        XCTAssertEqual(disk.write(file, [8, 8, 8], 0), 2)
        XCTAssertEqual(disk.write(file, [8], 0), -1)
        XCTAssertEqual(disk.synchronize(file), 0)
        XCTAssertEqual(disk.write(file, [8], 0), 1)
    }

    func testWhatGoesPastThePageCacheIsWholeBlocks() {
        let disk = disk { $0.directBlock = 4096 }
        let file = disk.open("/a", flags: O_RDWR | O_CREAT)
        let direct = disk.open("/a", flags: O_RDWR | FileOperations.direct)
        let block = [UInt8](repeating: 7, count: 4096)
        XCTAssertEqual(disk.write(direct, block, 4096), 4096)
        for (bytes, offset) in [(block, 512), (Array(block.prefix(512)), 0)] {
            XCTAssertEqual(disk.write(direct, bytes, offset), -1)
            XCTAssertEqual(errno, EINVAL)
            XCTAssertEqual(disk.write(file, bytes, offset), bytes.count, "through it anything goes")
        }
        disk.character.directBlock = 0
        XCTAssertEqual(disk.open("/a", flags: O_RDWR | FileOperations.direct), -1)
        XCTAssertEqual(errno, EINVAL)
    }

    func testALockIsOneAndGoesWithItsProcess() {
        let disk = disk()
        let first = disk.open("/a", flags: O_RDWR | O_CREAT)
        let second = disk.open("/a", flags: O_RDWR)
        XCTAssertEqual(disk.lock(first), 0)
        XCTAssertEqual(disk.lock(second), -1)
        disk.processEnds()
        XCTAssertEqual(disk.lock(disk.open("/a", flags: O_RDWR)), 0)
    }

    func testBadCallsSayWhy() {
        let disk = disk()
        let calls: [(String, Int32, Int32)] = [
            ("a file that is not there", disk.open("/x", flags: O_RDWR), ENOENT),
            ("a directory that is not there", disk.open("/d/x", flags: O_RDWR | O_CREAT), ENOENT),
            ("a rename of nothing", disk.rename("/x", "/y"), ENOENT),
            ("a removal of nothing", disk.remove("/x"), ENOENT),
        ]
        for (reason, result, _) in calls { XCTAssertEqual(result, -1, reason) }
        XCTAssertNil(disk.names(in: "/d"))
    }
}
