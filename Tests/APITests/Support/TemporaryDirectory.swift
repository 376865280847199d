import Glibc
import PluginKit

/// A new directory of a test's own, which the test removes.
func temporaryDirectory() throws -> String {
    var template = Array("/tmp/hostd-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw PluginError.system("make", "a directory in /tmp", errno: errno) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
