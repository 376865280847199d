import Glibc
import XCTest

@testable import Kernel

/// What this process takes of the system.
struct ProcessFigures: CustomStringConvertible {
    /// Anonymous memory that is resident: what a leak of memory makes grow. (Pages of files come and go with the system.)
    let kilobytes: Int
    let mappings: Int
    let descriptors: Int
    let threads: Int

    static var now: ProcessFigures {
        let files = KernelControlGroupFiles()
        func kilobytes(_ key: String) -> Int {
            let lines = (files.read("/proc/self/status") ?? "").split(separator: "\n")
            return lines.first { $0.hasPrefix(key) }.flatMap { Int($0.split(whereSeparator: \.isWhitespace)[1]) } ?? 0
        }
        return ProcessFigures(
            kilobytes: kilobytes("RssAnon:"),
            mappings: (files.read("/proc/self/maps") ?? "").split(separator: "\n").count,
            descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"))
    }

    private static func entries(_ path: String) -> Int {
        guard let directory = opendir(path) else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    var description: String {
        "\(kilobytes) kB, \(mappings) mappings, \(descriptors) descriptors, \(threads) threads"
    }

    /// Whether nothing has grown since `before`, over `count` repetitions of what was done in between. Threads of pools
    /// that come and go, and their stacks, are a few; one thing left behind by each repetition is many.
    func expectFlat(
        since before: ProcessFigures, over count: Int, file: StaticString = #filePath, line: UInt = #line
    ) {
        let text = "\(count) times: \(before), then \(self)"
        print(text)
        XCTAssertGreaterThanOrEqual(count, 100, "too few to see a leak", file: file, line: line)
        XCTAssertLessThanOrEqual(descriptors, before.descriptors + 4, text, file: file, line: line)
        XCTAssertLessThanOrEqual(threads, before.threads + 4, text, file: file, line: line)
        XCTAssertLessThanOrEqual(mappings, before.mappings + count / 5, text, file: file, line: line)
        // 3 kB a repetition; a stack, a channel or a table of the least size is more.
        XCTAssertLessThanOrEqual(kilobytes, before.kilobytes + 256 + 3 * count, text, file: file, line: line)
    }
}
