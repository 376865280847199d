import Glibc

func directoryNames(_ path: String) throws -> [String] {
    guard let stream = opendir(path) else { throw CrashFailure("\(path): \(systemError())") }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}

/// Removes a directory and its files; it may be missing.
func removeDirectory(_ path: String) throws {
    guard access(path, F_OK) == 0 else { return }
    for name in try directoryNames(path) {
        let file = path + "/" + name
        if unlink(file) != 0 { try removeDirectory(file) }
    }
    guard rmdir(path) == 0 else { throw CrashFailure("\(path): \(systemError())") }
}

func copyFile(_ source: String, to target: String) throws {
    let from = open(source, O_RDONLY | O_CLOEXEC)
    let to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer {
        close(from)
        close(to)
    }
    guard from >= 0, to >= 0 else { throw CrashFailure("copy \(source): \(systemError())") }
    while case let count = sendfile(to, from, nil, 1 << 24), count != 0 {
        guard count > 0 else { throw CrashFailure("copy \(source): \(systemError())") }
    }
}

/// Runs a command of the system and waits for it. Throws when it fails, with what it wrote.
@discardableResult
func command(_ words: String...) throws -> String {
    let quoted = words.map { "'" + $0 + "'" }.joined(separator: " ")
    guard let pipe = popen(quoted + " 2>&1", "r") else { throw CrashFailure("\(words[0]): \(systemError())") }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&chunk, 1, chunk.count, pipe), count > 0 { output += chunk[..<count] }
    let text = String(decoding: output, as: UTF8.self)
    guard pclose(pipe) == 0 else { throw CrashFailure("\(words.joined(separator: " ")): \(text)") }
    return text
}
