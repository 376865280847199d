import Glibc
import PluginKit
import XCTest

/// A directory that is removed when the test ends.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/hostd-node-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw PluginError.internal("mkdtemp: \(errno)") }
        path = String(cString: made)
    }

    deinit {
        do { try FileTree.remove(path) } catch { XCTFail("\(error)") }
    }
}
