import Glibc

/// Text for the person or script that called.
enum Output {
    /// Standard output as it was at the start; `run` points descriptor 1 at standard error for plugins that print.
    nonisolated(unsafe) static var standard = STDOUT_FILENO  // Set once, before any other thread exists.

    static func line(_ text: String) { write(standard, text) }
    static func errorLine(_ text: String) { write(STDERR_FILENO, text) }

    private static func write(_ descriptor: Int32, _ text: String) {
        let bytes = Array((text + "\n").utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + start, bytes.count - start) }
            if count > 0 { start += count } else if errno != EINTR { return }  // The reader is gone.
        }
    }
}
