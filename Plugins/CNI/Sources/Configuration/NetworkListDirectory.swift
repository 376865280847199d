import Glibc
import Objects
import PluginKit

/// Finds the network's configuration as other runtimes do: in a directory, in the order of file names.
struct NetworkListDirectory: Sendable {
    let path: String

    /// The first list that can be read, or the first of that name.
    /// - Parameter name: "" takes any.
    /// - Returns: nil without a directory or without a file in it that is meant as a configuration.
    /// - Throws: when there are files, but none is right.
    func find(_ name: String, log: Log) throws -> NetworkList? {
        guard access(path, F_OK) == 0 else { return nil }
        let files = try FileTree.names(in: path).filter { file in
            [".conflist", ".conf", ".json"].contains { file.hasSuffix($0) } && !file.hasPrefix(".")
        }
        var mistakes: [String] = []
        for file in files.sorted() {
            do {
                let list = try read("\(path)/\(file)")
                if name.isEmpty || list.name == name { return list }
            } catch {
                mistakes.append("\(error)")
                log.warning("a CNI configuration is left out: \(error)")
            }
        }
        if let mistake = mistakes.first, name.isEmpty {
            throw CNIError.configuration(source: path, reason: "no file can be used; \(mistake)")
        }
        return nil
    }

    private func read(_ file: String) throws -> NetworkList {
        let bytes = try AtomicFile.read(file, limit: 1 << 20)
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch {
            throw CNIError.configuration(source: file, reason: "\(error)")
        }
        return try NetworkList(json, source: file)
    }
}
