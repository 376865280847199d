import Glibc

/// The servers that foreign names are asked of.
struct Upstreams: Sendable {
    struct Server: Hashable, Sendable, CustomStringConvertible {
        let address: UInt32
        let port: UInt16
        var description: String { "\(formatAddress(address)):\(port)" }

        /// "192.0.2.1" or "192.0.2.1:5353".
        init?(_ text: String) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let address = parseAddress(parts[0]) else { return nil }
            self.address = address
            guard parts.count == 2 else {
                port = 53
                return
            }
            guard let port = UInt16(parts[1]), port > 0 else { return nil }
            self.port = port
        }
    }

    private let fixed: [Server]
    private let path: String
    private let excluded: Set<UInt32>
    private var known: [Server] = []
    private var stamp: (seconds: Int, nanoseconds: Int, size: Int) = (-1, 0, 0)
    private var nextCheck: UInt64 = 0

    /// - Parameters:
    ///   - fixed: when not empty, these and no others; else those in the file at `path`.
    ///   - excluded: the server's own addresses, which would lead back here.
    init(fixed: [Server], path: String = "/etc/resolv.conf", excluded: Set<UInt32>) {
        self.fixed = fixed
        self.path = path
        self.excluded = excluded
    }

    /// The servers in order of preference. The file is looked at again at most once in a second, and read when changed.
    mutating func servers(now: UInt64) -> [Server] {
        if !fixed.isEmpty { return fixed }
        if now >= nextCheck {
            nextCheck = now + 1_000_000_000
            var status = stat()
            if stat(path, &status) == 0 {
                let new = (Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec), Int(status.st_size))
                if new != stamp {
                    stamp = new
                    known = Self.parse(contents(), excluding: excluded)
                }
            }
        }
        return known
    }

    /// The IPv4 name servers of a resolv.conf.
    static func parse(_ text: String, excluding excluded: Set<UInt32>) -> [Server] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, words[0] == "nameserver", let server = Server(String(words[1])) else { return nil }
            return excluded.contains(server.address) ? nil : server
        }
    }

    private func contents() -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 65536)
        return String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
    }
}
