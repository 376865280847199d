import Glibc

/// Reads log files from their end.
enum LogTail {
    static let blockBytes = 64 << 10

    /// The offset at which the last `lines` lines of a file begin, and how many of them it has. A part of a line counts as
    /// one at the end of the file, where a program has ended without a line break.
    ///
    /// Complexity: reads backwards, block by block, no further than needed.
    static func offset(_ descriptor: Int32, size: Int, lines: Int) throws -> (offset: Int, found: Int) {
        if lines == 0 { return (size, 0) }
        var found = 0
        // `text` holds the bytes from `start` to the end of the line that is looked at.
        var start = size
        var text: [UInt8] = []
        while true {
            var end = text.count
            while let newline = text[..<max(end - 1, 0)].lastIndex(of: UInt8(ascii: "\n")) {
                if isWhole(text[(newline + 1)..<end], isLast: start + end == size) {
                    if found == lines { return (start + end, found) }
                    found += 1
                }
                end = newline + 1
            }
            text.removeLast(text.count - end)
            if start == 0 { break }
            let count = min(blockBytes, start)
            start -= count
            text = try readBlock(descriptor, at: start, count: count) + text
        }
        if isWhole(text[...], isLast: start + text.count == size) {
            if found == lines { return (text.count, found) }
            found += 1
        }
        return (0, found)
    }

    /// Whether bytes up to a line break are the last, or only, part of a line.
    private static func isWhole(_ line: ArraySlice<UInt8>, isLast: Bool) -> Bool {
        let content = line.last == UInt8(ascii: "\n") ? line.dropLast() : line
        return LogLine(content).map { isLast || !$0.isPartial } ?? false
    }

    private static func readBlock(_ descriptor: Int32, at offset: Int, count: Int) throws -> [UInt8] {
        var block = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = try block.withUnsafeMutableBytes { bytes in
                try SystemError.check("read", "") {
                    pread(descriptor, bytes.baseAddress! + done, count - done, off_t(offset + done))
                }
            }
            if got == 0 { break }
            done += got
        }
        return Array(block[..<done])
    }

    /// The text of the last lines of a log, for termination messages; at most `limitBytes` from its end.
    static func lastLines(_ path: String, lines: Int, limitBytes: Int) throws -> [UInt8] {
        guard let bytes = try tailBytes(path, limit: 256 << 10) else { return [] }
        var formatter = LogFormatter(LogOptions())
        let text = formatter.format(bytes[...])
        var start = text.endIndex
        var count = 0
        while start > 0 {
            if start < text.endIndex, text[start - 1] == UInt8(ascii: "\n") {
                count += 1
                if count == lines { break }
            }
            start -= 1
        }
        return Array(text[max(start, text.count - limitBytes)...])
    }

    private static func tailBytes(_ path: String, limit: Int) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw SystemError("open", path)
        }
        defer { close(descriptor) }
        var information = stat()
        try SystemError.check("stat", path) { fstat(descriptor, &information) }
        let size = Int(information.st_size)
        let start = max(0, size - limit)
        return try readBlock(descriptor, at: start, count: size - start)
    }
}
