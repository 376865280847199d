import Glibc
import Synchronization

/// Directories of tests. XCTest keeps its test cases, and what they own, until the process ends: what is still there then is
/// removed on the way out.
enum Leftovers {
    private static let paths = Mutex<Set<String>>([])
    private static let atExit: Void = { _ = atexit { Leftovers.removeAll() } }()

    static func add(_ path: String) {
        atExit
        paths.withLock { _ = $0.insert(path) }
    }

    /// Removes a directory with everything in it.
    static func remove(_ path: String) {
        paths.withLock { _ = $0.remove(path) }
        removeTree(path)
    }

    private static func removeAll() {
        for path in paths.withLock({ $0 }) { removeTree(path) }
    }

    private static func removeTree(_ path: String) {
        guard let stream = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(stream)
        for name in names where name != "." && name != ".." {
            if unlink(path + "/" + name) != 0 { removeTree(path + "/" + name) }
        }
        rmdir(path)
    }
}
