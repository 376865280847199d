import Glibc
import Objects
import PluginKit
import PodNetworking

/// The files of the address management plugin host-local: one for each address that is given away, named like it, with
/// the container's id and the interface. They are read and written here, so that no address is given twice when pods come
/// from, or go to, another network plugin.
struct HostLocalAddresses: Sendable {
    let directory: String
    /// The blocks that it gives addresses from.
    let ranges: [IPv4Range]

    /// Nil when the network has another address management.
    init?(_ list: NetworkList) {
        guard let plugin = list.plugins.first(where: { $0["ipam"]["type"].stringValue == "host-local" }) else {
            return nil
        }
        let management = plugin["ipam"]
        let parent = management["dataDir"].stringValue ?? ""
        directory = "\(parent.isEmpty ? "/var/lib/cni/networks" : parent)/\(list.name)"
        let sets = management["ranges"].arrayValue.flatMap(\.arrayValue) + [management]
        ranges = sets.compactMap { $0["subnet"].stringValue.flatMap(Self.range) }
    }

    /// A subnet may be written with host bits.
    private static func range(_ text: String) -> IPv4Range? {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let address = IPv4Address(parsing: parts[0]), let length = Int(parts[1]),
            (0...32).contains(length)
        else { return nil }
        return IPv4Range(around: address, prefixLength: length)
    }

    struct Reservation: Hashable, Sendable {
        let address: IPv4Address
        let container: String
        let interface: String

        /// Two lines, with the line ends of host-local.
        var text: String { "\(container)\r\n\(interface)" }
    }

    /// What to write and what to remove so that the directory says what is wanted. Of containers that hostd does not
    /// know, nothing is removed: others may use the same network.
    static func plan(
        _ found: Set<Reservation>, wanted: Set<Reservation>, removable: (Reservation) -> Bool
    ) -> (written: Set<Reservation>, removed: Set<Reservation>) {
        let addresses = Set(wanted.map(\.address))
        let removed = found.filter { !wanted.contains($0) && !addresses.contains($0.address) && removable($0) }
        return (wanted.subtracting(found), removed)
    }

    /// Makes the directory say which pods have which addresses.
    /// - Parameter last: the address given last; the search goes on behind it.
    func adopt(
        _ attachments: [Attachment], last: IPv4Address?, removable: (Reservation) -> Bool
    ) throws {
        try AtomicFile.makeDirectory(directory)
        let wanted = attachments.filter { attachment in ranges.contains { $0.contains(attachment.address) } }
            .map { Reservation(address: $0.address, container: $0.sandbox, interface: $0.interfaceName) }
        try locked {
            let plan = Self.plan(try reservations(), wanted: Set(wanted), removable: removable)
            for reservation in plan.removed { try remove(reservation.address) }
            for reservation in plan.written {
                try AtomicFile.write(
                    Array(reservation.text.utf8), to: path(reservation.address), mode: 0o644, isDurable: false)
            }
            if let last, ranges.contains(where: { $0.contains(last) }) {
                let path = "\(directory)/last_reserved_ip.0"
                try AtomicFile.write(Array(last.description.utf8), to: path, mode: 0o644, isDurable: false)
            }
        }
    }

    /// Frees the address of a pod that no CNI plugin has attached.
    func release(_ attachment: Attachment) throws {
        guard access(directory, F_OK) == 0 else { return }
        try locked {
            let own = try reservations().contains {
                $0.address == attachment.address && $0.container == attachment.sandbox
            }
            if own { try remove(attachment.address) }
        }
    }

    /// The address given last in the first set of ranges.
    func last() throws -> IPv4Address? {
        let path = "\(directory)/last_reserved_ip.0"
        guard access(path, F_OK) == 0 else { return nil }
        return IPv4Address(
            parsing: String(decoding: try AtomicFile.read(path, limit: 64).filter { $0 > 32 }, as: UTF8.self))
    }

    /// What is given away.
    func reservations() throws -> Set<Reservation> {
        guard access(directory, F_OK) == 0 else { return [] }
        var found: Set<Reservation> = []
        for name in try FileTree.names(in: directory) {
            guard let address = IPv4Address(parsing: name) else { continue }
            let text = String(decoding: try AtomicFile.read("\(directory)/\(name)", limit: 4096), as: UTF8.self)
            let lines = text.split(whereSeparator: \.isNewline).map { $0.filter { !$0.isWhitespace } }
            found.insert(
                Reservation(
                    address: address, container: lines.first ?? "", interface: lines.count > 1 ? lines[1] : ""))
        }
        return found
    }

    private func path(_ address: IPv4Address) -> String { "\(directory)/\(address)" }

    private func remove(_ address: IPv4Address) throws(PluginError) {
        guard unlink(path(address)) == 0 || errno == ENOENT else {
            throw .system("remove", path(address), errno: errno)
        }
    }

    /// Holds the lock that host-local itself takes.
    private func locked(_ body: () throws -> Void) throws {
        let path = "\(directory)/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw PluginError.system("open", path, errno: errno) }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw PluginError.system("lock", path, errno: errno) }
        }
        try body()
    }
}
