import Glibc
import Kernel

/// The command line of hostd-plugin-check, of the supervisor and of its workers alike.
struct CommandLineOptions {
    var file = ""
    var role: String?
    var isJSON = false
    /// Options of the plugin, as JSON text.
    var pluginOptions = "{}"
    /// An archive with an image whose /bin/sh a runtime's containers run.
    var image: String?
    /// Plugins that provide what this one requires.
    var companions: [String] = []
    /// Groups to run; empty = all.
    var groups: [String] = []
    /// Most seconds for one check.
    var timeout = 30
    var listsRules = false
    /// What a worker is to do; nil in the supervisor.
    var worker: Worker?

    struct Worker {
        var group: String
        var scratch: String
        /// Checks that earlier workers made.
        var done: Int
    }

    struct Mistake: Error { let message: String }

    static let usage = """
        usage: hostd plugin check FILE.so [--role ROLE] [--report text|json] [--options JSON]
                                          [--with FILE.so,…] [--group NAME,…] [--timeout SECONDS]
                                          [--image ARCHIVE]
               hostd plugin check --rules
        """

    init(_ words: [String]) throws(Mistake) {
        var rest = words[...]
        var files: [String] = []
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                files.append(word)
                continue
            }
            if word == "--rules" {
                listsRules = true
                continue
            }
            guard let value = rest.popFirst(), !value.isEmpty else { throw Mistake(message: "\(word) needs a value") }
            try take(word, value)
        }
        guard files.count == 1 || (listsRules && files.isEmpty) else {
            throw Mistake(message: "expected one FILE.so, found \(files.count)")
        }
        file = files.first ?? ""
    }

    private mutating func take(_ word: String, _ value: String) throws(Mistake) {
        switch word {
        case "--role": role = value
        case "--options":
            guard let json = try? JSON(parsing: Array(value.utf8)), json.objectValue != nil else {
                throw Mistake(message: "--options is not a JSON object")
            }
            pluginOptions = value
        case "--image":
            guard let path = realpath(value, nil) else {
                throw Mistake(message: "--image \(value): \(String(cString: strerror(errno)))")
            }
            image = String(cString: path)
            free(path)
        case "--with": companions += value.split(separator: ",").map(String.init)
        case "--group":
            for name in value.split(separator: ",").map(String.init) {
                guard Group.all.contains(where: { $0.name == name }) else {
                    let known = Group.all.map(\.name).joined(separator: ", ")
                    throw Mistake(message: "there is no group \(name); there are \(known)")
                }
                groups.append(name)
            }
        case "--report":
            guard ["text", "json"].contains(value) else { throw Mistake(message: "--report is text or json") }
            isJSON = value == "json"
        case "--timeout":
            guard let seconds = Int(value), (1...3600).contains(seconds) else {
                throw Mistake(message: "--timeout is 1 to 3600 seconds")
            }
            timeout = seconds
        case "--worker": worker = Worker(group: value, scratch: worker?.scratch ?? "", done: worker?.done ?? 0)
        case "--scratch": worker?.scratch = value
        case "--done": worker?.done = Int(value) ?? 0
        default: throw Mistake(message: "unknown option \(word)")
        }
    }

    /// The words that make a worker of this program.
    func words(for group: String, scratch: String, done: Int) -> [String] {
        var words = ["--worker", group, "--scratch", scratch, "--done", "\(done)", "--options", pluginOptions]
        words += ["--timeout", "\(timeout)"]
        if let role { words += ["--role", role] }
        if let image { words += ["--image", image] }
        for companion in companions { words += ["--with", companion] }
        return words + [file]
    }
}
