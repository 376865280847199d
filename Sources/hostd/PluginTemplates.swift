import Glibc
import Kernel

/// The templates that travel with hostd, in `share/hostd/templates`. A project is composed of
///
///     common/                  files of every project
///     LANGUAGE/common/         files of every project in a language
///     LANGUAGE/parts/PART/     for each PART that LANGUAGE/roles/ROLE/PARTS lists
///     roles/ROLE/              about.md, which the README takes in, and files such as hostd.yaml
///     LANGUAGE/roles/ROLE/     the role's own files
///
/// in this order: a later file replaces an earlier one of the same name.
struct PluginTemplates {
    /// Directory of the installation: the one that `bin` is in.
    let installation: String
    var directory: String { installation + "/share/hostd/templates" }

    /// The template for a role that no header of hostd declares.
    static let ownRole = "own"
    static let languages = ["c", "swift", "rust"]

    /// Beside the executable or, for one in a build directory of SwiftPM, in `build` of the source tree.
    static func installed() throws(ProjectFailure) -> PluginTemplates {
        let executable = PluginSearch.beside().executableDirectory
        for candidate in ["/..", "/../../../build"] {
            guard let path = realpath(executable + candidate, nil) else { continue }
            defer { free(path) }
            let templates = PluginTemplates(installation: String(cString: path))
            if access(templates.directory, R_OK) == 0 { return templates }
        }
        throw ProjectFailure(
            message: "the templates are not installed at \(executable)/../share/hostd/templates", isUsage: false)
    }

    /// Names of the roles that have a template, without the one for roles of one's own; in alphabetical order.
    func roles() throws(ProjectFailure) -> [String] {
        try Self.entries(of: directory + "/roles").filter { $0 != Self.ownRole }
    }

    /// Directories whose files make up a project.
    func layers(role: String, language: String) throws(ProjectFailure) -> [String] {
        let own = "\(directory)/\(language)/roles/\(role)"
        guard access(own, F_OK) == 0 else {
            throw ProjectFailure(message: "there is no template \(own)", isUsage: false)
        }
        var parts: [String] = []
        if access(own + "/PARTS", F_OK) == 0 {
            parts = try Self.read(own + "/PARTS").split(whereSeparator: \.isWhitespace).map(String.init)
        }
        return ["\(directory)/common", "\(directory)/\(language)/common"]
            + parts.map { "\(directory)/\(language)/parts/\($0)" } + ["\(directory)/roles/\(role)", own]
    }

    static func entries(of path: String) throws(ProjectFailure) -> [String] {
        guard let stream = opendir(path) else { throw .system("read", path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func read(_ path: String) throws(ProjectFailure) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("read", path) }
        defer { close(file) }
        var content: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file, &block, block.count)
            if count < 0 { throw .system("read", path) }
            if count == 0 { return String(decoding: content, as: UTF8.self) }
            content += block[..<count]
        }
    }

    /// Permissions and kind; follows links.
    static func status(_ path: String) throws(ProjectFailure) -> stat {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system("look at", path) }
        return status
    }
}
