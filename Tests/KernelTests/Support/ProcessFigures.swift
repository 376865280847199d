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

    /// What has grown since `before`, over `count` repetitions of what was done in between; nil when nothing has. Threads of
    /// pools that come and go, and their stacks, are a few; one thing left behind by each repetition is many.
    func growth(since before: ProcessFigures, over count: Int) -> String? {
        let isFlat =
            descriptors <= before.descriptors + 4 && threads <= before.threads + 4
            && mappings <= before.mappings + count / 5 && kilobytes <= before.kilobytes + 64 + count
        return isFlat ? nil : "\(count) times: \(before), then \(self)"
    }
}
