import Glibc
import Kernel

/// One project that `hostd plugin new` writes.
struct PluginProject {
    let name: String
    /// Id of the role, "hostd.scheduler/1".
    let role: String
    let language: String
    private let layers: [String]
    /// What stands for each "@KEY@" in the contents and names of files.
    private let values: [(key: String, value: String)]

    /// Checks what the command line says.
    /// - Parameter role: the name of a template, "scheduler"; its id, "hostd.scheduler/1"; or the id of a role of one's
    ///   own, "com.example.thing/1".
    init(role: String, language: String, name: String, templates: PluginTemplates) throws(ProjectFailure) {
        guard PluginTemplates.languages.contains(language) else {
            let choices = PluginTemplates.languages
            throw .usage(
                "unknown language \(language); there are \(choices.joined(separator: ", "))"
                    + suggestion(for: language, among: choices))
        }
        guard Self.isName(name) else {
            throw .usage("\"\(name)\" is no name for a plugin: 1 to 63 of a-z, 0-9 and -, beginning with a letter")
        }
        let (template, id) = try Self.template(role, among: try templates.roles())
        self.name = name
        self.role = id
        self.language = language
        layers = try templates.layers(role: template, language: language)
        let about = "\(templates.directory)/roles/\(template)/about.md"
        values = [
            ("ABOUT", try PluginTemplates.read(about).trimmingSuffix("\n")),
            ("NAME", name), ("ROLE", id), ("MODULE", Self.moduleName(name)),
            ("SYMBOL", name.replacing("-", with: "_")), ("INSTALLATION", templates.installation),
            ("ROLE_TYPE", Self.typeName(id)),
        ]
    }

    private static func template(
        _ role: String, among roles: [String]
    ) throws(ProjectFailure) -> (template: String, id: String) {
        let known = roles.map { ($0, "hostd.\($0)/1") }
        if let found = known.first(where: { $0.0 == role || $0.1 == role }) { return found }
        if !role.hasPrefix("hostd."), isRoleIdentifier(role), role.contains(".") {
            return (PluginTemplates.ownRole, role)
        }
        throw .usage(
            "unknown role \(role); there are \(roles.joined(separator: ", ")), and roles of your own domain such as "
                + "com.example.thing/1" + suggestion(for: role, among: roles + known.map(\.1)))
    }

    /// What a plugin may be called, and begins with a letter, as names in programs do.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, let last = name.utf8.last, name.utf8.count <= 63 else { return false }
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return letters.contains(first) && last != UInt8(ascii: "-")
            && name.utf8.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "-") }
    }

    /// "my-scheduler" → "MyScheduler".
    private static func moduleName(_ name: String) -> String {
        name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    /// "com.example.thing/1" → "com_example_thing_1", as headers name types.
    private static func typeName(_ id: String) -> String {
        String(id.map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }
}

extension PluginProject {
    /// Files of the templates that are read, but not written.
    private static let unwritten: Set<String> = ["PARTS", "about.md"]

    /// Writes the files into a directory that is empty or not there.
    func write(to directory: String) throws(ProjectFailure) {
        if access(directory, F_OK) == 0, !(try PluginTemplates.entries(of: directory).isEmpty) {
            throw .usage("\(directory) is not empty: name a new directory")
        }
        try Self.makeDirectory(directory)
        for layer in layers { try copy(layer, to: directory) }
    }

    private func copy(_ source: String, to target: String) throws(ProjectFailure) {
        for entry in try PluginTemplates.entries(of: source) where !Self.unwritten.contains(entry) {
            let from = "\(source)/\(entry)"
            // A file that Git would heed in the templates themselves is stored without its dot.
            let to = "\(target)/\(substitute(entry == "gitignore" ? ".gitignore" : entry))"
            let mode = try PluginTemplates.status(from).st_mode
            if mode & S_IFMT == S_IFDIR {
                try Self.makeDirectory(to)
                try copy(from, to: to)
            } else {
                try Self.write(substitute(try PluginTemplates.read(from)), to: to, mode: mode & 0o777)
            }
        }
    }

    private func substitute(_ text: String) -> String {
        values.reduce(text) { $0.replacing("@\($1.key)@", with: $1.value) }
    }

    private static func makeDirectory(_ path: String) throws(ProjectFailure) {
        if mkdir(path, 0o777) != 0, errno != EEXIST { throw .system("make", path) }
    }

    private static func write(_ text: String, to path: String, mode: mode_t) throws(ProjectFailure) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw .system("write", path) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + start, bytes.count - start) }
            if count < 0 { throw .system("write", path) }
            start += count
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
    }
}
