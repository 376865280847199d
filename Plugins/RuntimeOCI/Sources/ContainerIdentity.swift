import CRuntime
import Containers
import Glibc
import PluginKit

/// Who a process of a container is, in numbers: OCI runtimes know no names.
struct ContainerIdentity: Equatable {
    var user: UInt32 = 0
    var group: UInt32 = 0
    /// All groups, the first one included.
    var groups: [UInt32] = []
    var home = "/"

    /// What was asked for.
    struct Request {
        /// USER[:GROUP], names or numbers; "" is root.
        var text: String
        /// Override user and group of `text`.
        var user: UInt64?
        var group: UInt64?
        var supplementary: [UInt64] = []
        /// /etc/group gives no further groups.
        var hasOnlyListedGroups = false
        var mustNotBeRoot = false
    }

    /// - Parameters:
    ///   - users: the container's /etc/passwd, "" when it has none; numbers work without.
    ///   - groups: its /etc/group.
    init(_ request: Request, users: String, groups table: String, subject: String) throws(PluginError) {
        let parts = request.text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let given = request.user.map { String($0) } ?? (parts.first.flatMap { $0.isEmpty ? nil : $0 } ?? "0")
        let number = UInt32(given)
        let entry = Self.fields(users, 7).first { fields in
            number.map { fields[2] == String($0) } ?? (fields[0] == given)
        }
        guard let user = entry.flatMap({ UInt32($0[2]) }) ?? number else {
            throw .invalid(
                "\(subject): the image has no user \"\(given)\" in /etc/passwd; use a number, or another name")
        }
        self.user = user
        group = entry.flatMap { UInt32($0[3]) } ?? 0
        if let entry, !entry[5].isEmpty { home = entry[5] }
        if parts.count == 2, !parts[1].isEmpty, request.user == nil {
            let named = Self.fields(table, 4).first { $0[0] == parts[1] }.flatMap { UInt32($0[2]) }
            guard let found = UInt32(parts[1]) ?? named else {
                throw .invalid(
                    "\(subject): the image has no group \"\(parts[1])\" in /etc/group; use a number, or another name")
            }
            group = found
        }
        if let override = request.group { group = UInt32(clamping: override) }
        if request.mustNotBeRoot, user == 0 {
            throw .invalid(
                "\(subject): it must not run as root (runAsNonRoot), but its user is root; set runAsUser, or another image"
            )
        }
        add(group)
        if let name = entry?[0], !name.isEmpty, !request.hasOnlyListedGroups {
            for fields in Self.fields(table, 4) where fields[3].split(separator: ",").contains(Substring(name)) {
                if let member = UInt32(fields[2]) { add(member) }
            }
        }
        for group in request.supplementary { add(UInt32(clamping: group)) }
    }

    private mutating func add(_ group: UInt32) { if !groups.contains(group) { groups.append(group) } }

    /// Lines of colon-separated fields that have as many as they should.
    private static func fields(_ text: String, _ count: Int) -> [[String]] {
        text.split(separator: "\n").map {
            $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }.filter { $0.count == count }
    }

    /// A file inside a container's root, whatever links lead there; "" when there is none. At most 1 MiB.
    static func file(_ path: String, in root: Descriptor) throws(PluginError) -> String {
        let flags = UInt64(O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        let number = runtime_openat2(
            root.number, path, flags, 0, UInt64(RUNTIME_RESOLVE_IN_ROOT | RUNTIME_RESOLVE_NO_MAGIC_LINKS))
        if number < 0 { return "" }
        let file = Descriptor(taking: number)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 1 << 20 {
            let count = read(file.number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .system("read", path, errno: errno) }
            if count == 0 { break }
            bytes += chunk[0..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
