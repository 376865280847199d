import Glibc

/// The control group file systems as `PluginGroup` uses them; tests put a recording in their place.
protocol ControlGroupFiles: Sendable {
    /// Makes one directory; one that exists already is success.
    func makeDirectory(_ path: String) throws(PluginGroup.Failure)
    /// Removes one directory, waiting a little for processes that are on their way out; false when it stays.
    func removeDirectory(_ path: String) -> Bool
    /// The content, nil when there is no such file.
    func read(_ path: String) -> String?
    func write(_ path: String, _ text: String) throws(PluginGroup.Failure)
    func directories(in path: String) -> [String]
    func exists(_ path: String) -> Bool
    /// Waits until no process is left in a v2 group, at most so many milliseconds.
    func waitUntilEmpty(eventsFile: String, milliseconds: Int32)
}

/// The kernel's.
struct KernelControlGroupFiles: ControlGroupFiles {
    func makeDirectory(_ path: String) throws(PluginGroup.Failure) {
        if mkdir(path, 0o755) != 0, errno != EEXIST {
            throw PluginGroup.Failure(message: "cannot make the control group \(path): \(errorText(errno))")
        }
    }

    func removeDirectory(_ path: String) -> Bool {
        // A process that is being torn down leaves its v1 groups a moment after its v2 one; no event tells of it.
        for attempt in 0..<200 {
            if rmdir(path) == 0 || errno == ENOENT { return true }
            guard errno == EBUSY else { return false }
            usleep(attempt < 20 ? 500 : 10_000)
        }
        return false
    }

    func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while case let count = Glibc.read(descriptor, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self)
    }

    func write(_ path: String, _ text: String) throws(PluginGroup.Failure) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        let bytes = Array(text.utf8)
        let written = descriptor < 0 ? -1 : Glibc.write(descriptor, bytes, bytes.count)
        let code = errno
        if descriptor >= 0 { close(descriptor) }
        if written < 0 {
            throw PluginGroup.Failure(message: "cannot write \"\(text)\" to \(path): \(errorText(code))")
        }
    }

    func directories(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    func waitUntilEmpty(eventsFile: String, milliseconds: Int32) {
        let descriptor = open(eventsFile, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let end = monotonicNow() + UInt64(milliseconds) * 1_000_000
        var text = [UInt8](repeating: 0, count: 256)
        while true {
            // The kernel raises POLLPRI when the file changes after it was read.
            let count = pread(descriptor, &text, text.count, 0)
            if count <= 0 || String(decoding: text[..<count], as: UTF8.self).contains("populated 0") { return }
            let now = monotonicNow()
            if now >= end { return }
            var polled = pollfd(fd: descriptor, events: Int16(POLLPRI), revents: 0)
            poll(&polled, 1, Int32((end - now) / 1_000_000) + 1)
        }
    }
}
