import Glibc
import Objects

/// The files below the node's log directory as a kubelet serves them at /logs/: directories as lists of links, files as they
/// are.
struct NodeLogFiles {
    /// The directory that /logs/ stands for.
    let root: String

    enum Found: Equatable {
        /// A page of HTML.
        case directory(String)
        /// To be sent as it is; the path on the host.
        case file(String)
    }

    /// What a path below /logs/ names.
    /// - Throws: EndpointError for what is not there, or leads elsewhere.
    func find(_ path: String) throws -> Found {
        let parts = path.split(separator: "/")
        guard !parts.contains(".."), !path.utf8.contains(0) else {
            throw EndpointError(code: 400, reason: "BadRequest", message: "the path \"\(path)\" must not hold \"..\"")
        }
        var place = root
        for part in parts {
            place += "/\(part)"
            // A link may lead anywhere on the host.
            guard let information = try Files.status(place, follow: false), information.st_mode & S_IFMT != S_IFLNK
            else {
                throw EndpointError(
                    code: 404, reason: "NotFound", message: "there is no file \"\(path)\" below the node's logs")
            }
        }
        guard let information = try Files.status(place, follow: false) else { return .directory(Self.page([])) }
        if !Files.isDirectory(information) { return .file(place) }
        let names = try Files.list(place).sorted().map { name in
            let isDirectory = try Files.status("\(place)/\(name)", follow: false).map(Files.isDirectory) == true
            return isDirectory ? "\(name)/" : name
        }
        return .directory(Self.page(names))
    }

    static func page(_ names: [String]) -> String {
        let lines = names.map { name in
            "<a href=\"\(escaped(name, forURL: true))\">\(escaped(name, forURL: false))</a>\n"
        }
        return "<!doctype html>\n<pre>\n\(lines.joined())</pre>\n"
    }

    private static func escaped(_ text: String, forURL: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&#34;"
            case "%" where forURL: result += "%25"
            case "?" where forURL: result += "%3F"
            case "#" where forURL: result += "%23"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Sends a file to its end as it is now.
    static func send(_ path: String, to client: PacketStream) throws {
        let descriptor = try SystemError.check("open", path) { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0, count: PacketStream.maximumPacket)
        while true {
            let count = try SystemError.check("read", path) { read(descriptor, &chunk, chunk.count) }
            if count == 0 { return }
            try client.send(Array(chunk[..<count]))
        }
    }
}
