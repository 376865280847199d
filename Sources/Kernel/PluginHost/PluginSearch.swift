import Glibc
import PluginAPI

/// Where libraries of plugins, and the files that travel with hostd, are found.
public struct PluginSearch: Sendable {
    /// Directory of the executable, absolute.
    public let executableDirectory: String

    public init(executableDirectory: String) { self.executableDirectory = executableDirectory }

    /// Beside the running executable.
    public static func beside() -> PluginSearch {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            readlink("/proc/self/exe", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        let path = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return PluginSearch(executableDirectory: directory(of: path))
    }

    /// The installation's directory of helper programs: `../libexec` beside the executable or, in a build directory of
    /// SwiftPM (ROOT/.build/TRIPLE/CONFIGURATION), ROOT/build/libexec.
    public var libexecDirectory: String {
        let installed = Self.directory(of: executableDirectory) + "/libexec"
        let root = Self.directory(of: Self.directory(of: Self.directory(of: executableDirectory)))
        return Self.canonical(installed) ?? Self.canonical(root + "/build/libexec") ?? installed
    }

    /// The file of `library`: a path (with a slash; relative to the configuration file), or a name that is looked for as
    /// `../plugins/NAME.so` beside the executable and, in a build directory of SwiftPM, as `libhostd-plugin-NAME.so`.
    public func resolve(_ library: String, configurationFile: String) throws(PluginFailure) -> String {
        if library.contains("/") {
            let path = library.hasPrefix("/") ? library : Self.directory(of: configurationFile) + "/" + library
            guard let found = Self.canonical(path) else {
                throw PluginFailure(.find, code: HOSTD_ERROR_NOT_FOUND, "there is no file \(path)")
            }
            return found
        }
        let installed = Self.directory(of: executableDirectory) + "/plugins/\(library).so"
        if let found = Self.canonical(installed) { return found }
        if let built = builtLibrary(library) { return built }
        throw PluginFailure(
            .find, code: HOSTD_ERROR_NOT_FOUND,
            "there is no file \(installed); name the file in `library:`, or install it there")
    }

    private func builtLibrary(_ library: String) -> String? {
        guard let directory = opendir(executableDirectory) else { return nil }
        defer { closedir(directory) }
        let wanted = "libhostd-plugin-\(library).so"
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.lowercased() == wanted { return executableDirectory + "/" + name }
        }
        return nil
    }

    private static func canonical(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
