import CPluginCheck
import Glibc

/// Files of the checker itself.
enum Files {
    /// The bytes of a file, at most 1 GiB; none when it cannot be read.
    static func contents(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while bytes.count < 1 << 30 {
            let count = read(descriptor, &buffer, buffer.count)
            if count > 0 { bytes += buffer[..<count] } else if count == 0 || errno != EINTR { break }
        }
        return bytes
    }

    /// The last part of a path; that of a scratch directory names the control groups of its check too.
    static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }

    static func scratchDirectory() throws(Worker.Failure) -> String {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/hostd-check-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Worker.Failure(message: "cannot make a directory in \(parent): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func remove(_ directory: String) {
        check_remove_groups(name(directory))
        if check_remove_tree(directory) != 0 {
            let reason = String(cString: strerror(errno))
            Output.errorLine("hostd-plugin-check: \(directory) cannot be removed: \(reason)")
        }
    }
}
