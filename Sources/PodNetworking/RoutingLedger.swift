import CProcess
import Glibc
import Objects
import PluginKit

/// What one provider of hostd.network/1 has put into the kernel to route services, and leaves there when it ends.
package struct RoutingPath: Hashable, Sendable {
    /// The table of nf_tables, of family ip.
    package let table: String
    /// Files in a bpffs whose removal detaches its eBPF programs, and others that are then of no use.
    package let pins: [String]

    package init(table: String, pins: [String] = []) {
        self.table = table
        self.pins = pins
    }

    /// Nil when it names no table whose name begins with "hostd", or a pin by a relative path.
    package init?(_ json: JSON) {
        guard let table = json["table"].stringValue, table.utf8.count < 128, table.hasPrefix("hostd"),
            !table.utf8.contains(where: { $0 <= 32 || $0 >= 127 || $0 == UInt8(ascii: "/") })
        else { return nil }
        let pins = json["pins"].arrayValue.compactMap(\.stringValue)
        guard pins.allSatisfy({ $0.hasPrefix("/") && !$0.split(separator: "/").contains("..") }) else { return nil }
        self.init(table: table, pins: pins)
    }

    package var json: JSON { ["table": .string(table), "pins": JSON(pins)] }
}

/// The routing paths of this host, a file each in the data directory.
///
/// In a swap two providers route at once for a moment: the new one makes its path complete, and the old one's is removed
/// once the new one is in charge. Should hostd die in between, the next start knows from here what is left to remove,
/// whichever of the two it starts.
package struct RoutingLedger: Sendable {
    private let directory: String

    package init(dataDirectory: String) { directory = "\(dataDirectory)/pod-network/routing" }

    /// Writes a path down; before it is made.
    package func record(_ path: RoutingPath) throws(PluginError) {
        try AtomicFile.makeDirectory(directory, mode: 0o700)
        try AtomicFile.write(path.json.serialized(), to: file(path.table), isDurable: false)
    }

    /// The paths of others. A file that cannot be read as one is removed: it can name nothing to remove.
    package func others(than table: String) throws -> [RoutingPath] {
        guard access(directory, F_OK) == 0 else { return [] }
        var paths: [RoutingPath] = []
        for name in try FileTree.names(in: directory) where name.hasSuffix(".json") {
            if let path = try read("\(directory)/\(name)") {
                if path.table != table { paths.append(path) }
            } else {
                unlink("\(directory)/\(name)")
            }
        }
        return paths
    }

    private func read(_ path: String) throws -> RoutingPath? {
        let bytes = try AtomicFile.read(path, limit: 1 << 20)
        do { return RoutingPath(try JSON(parsing: bytes)) } catch { return nil }
    }

    /// Takes a path out of the kernel, and then off the list. Pins go first: where programs at sockets send connections
    /// elsewhere, packets are still translated by a table.
    package func dismantle(_ path: RoutingPath) throws {
        for pin in path.pins { try removePin(pin) }
        try FilterTables.remove(path.table, by: NetlinkSocket(family: NetlinkFamily.NETLINK_NETFILTER))
        try forget(path)
    }

    /// A path may come from another plugin's state: only what lies in a bpffs is removed.
    private func removePin(_ path: String) throws(NetworkError) {
        guard access(path, F_OK) == 0 else { return }
        guard process_file_system_magic(path) == 0xcafe_4a11 else {
            throw .file(path: path, reason: "is no pin in a bpffs")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw .file(path: path, reason: "cannot be removed: \(String(cString: strerror(errno)))")
        }
    }

    /// Whether a path is on the list.
    package func contains(table: String) -> Bool { access(file(table), F_OK) == 0 }

    /// Takes a path off the list.
    package func forget(_ path: RoutingPath) throws(PluginError) {
        guard unlink(file(path.table)) == 0 || errno == ENOENT else {
            throw .system("remove", file(path.table), errno: errno)
        }
    }

    private func file(_ table: String) -> String { "\(directory)/\(table).json" }
}
