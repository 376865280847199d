import Glibc

/// Text for the person or script that called.
enum Output {
    static func line(_ text: String) { put(STDOUT_FILENO, text) }
    static func errorLine(_ text: String) { put(STDERR_FILENO, text) }

    private static func put(_ descriptor: Int32, _ text: String) {
        let bytes = Array((text + "\n").utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + start, bytes.count - start) }
            if count > 0 { start += count } else if errno != EINTR { return }  // The reader is gone.
        }
    }
}
