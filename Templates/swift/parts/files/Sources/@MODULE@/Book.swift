import Glibc
import Objects
import PluginAPI
import PluginKit

/// A JSON file that is whole or not there: what a plugin keeps across restarts.
struct Book {
    let path: String

    /// The content; null when there is no such file.
    func read() throws -> JSON {
        guard access(path, F_OK) == 0 else { return .null }
        let content = try AtomicFile.read(path)
        do { return try JSON(parsing: content) } catch {
            throw PluginError(
                code: HOSTD_ERROR_DATA_LOSS, message: "\(path) is damaged: restore it, or remove it to begin anew")
        }
    }

    /// A reader, also after a crash, sees the old content or the new one.
    func write(_ content: JSON) throws { try AtomicFile.write(content.serialized(), to: path) }
}
