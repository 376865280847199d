import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// One worker's view: the image, the host it is shown, what to configure it with, and where findings go.
final class Session {
    let options: CommandLineOptions
    let scratch: String
    let reporter: Reporter
    let host: CheckHost
    let buffers = OwnedBuffers()
    let sandboxFailure: String
    private(set) var entry: hostd_plugin_entry_function?
    /// What `configure` is given.
    private(set) var envelope: [UInt8] = []
    private(set) var schema = JSON.object([:])
    private(set) var description: PluginDescription?
    private var companions: [Subject] = []
    /// The process as it was before the plugin was opened.
    let factsBefore: ProcessFacts
    let resourcesBefore: Resources

    /// Whether this process may do what root may, in namespaces of its own.
    var isPrivileged: Bool { sandboxFailure.isEmpty && geteuid() == 0 }

    struct Failure: Error { let message: String }

    init(_ options: CommandLineOptions, scratch: String, reporter: Reporter, sandboxFailure: String) throws(Failure) {
        self.options = options
        self.scratch = scratch
        self.reporter = reporter
        self.sandboxFailure = sandboxFailure
        do {
            for name in ["plugins", "tmp", "work"] { mkdir("\(scratch)/\(name)", 0o755) }
            setenv("TMPDIR", "\(scratch)/tmp", 1)
            chdir("\(scratch)/work")
            let configuration = try Self.configuration(scratch: scratch, options: "{}")
            host = try CheckHost(scratch: scratch, store: configuration.store, log: Log(level: .error))
            factsBefore = .now()
            resourcesBefore = .now()
        } catch let error as StoreError {
            throw Failure(message: "the state store cannot be made: \(error.message)")
        } catch {
            throw Failure(message: "\(error)")
        }
    }

    private static func configuration(scratch: String, options: String) throws -> HostConfiguration {
        let text = """
            {"settings": {"nodeName": "check", "cgroupParent": "\(Files.name(scratch))"},
             "store": {"options": {"segmentBytes": 262144}},
             "plugins": [{"name": "subject", "library": "./subject.so", "options": \(options)}]}
            """
        return try HostConfiguration(text: Array(text.utf8), file: "\(scratch)/check.yaml")
    }

    // MARK: Checks

    /// Makes one check, unless an earlier worker made it. What `body` throws is a breach of `rule`.
    func check(
        _ rule: Int, _ name: String, interface: String = "", slot: String = "", detail: String = "",
        _ body: () throws -> Void
    ) {
        let check = Finding(rule: rule, check: name, interface: interface, slot: slot, detail: detail, what: "")
        guard reporter.begin(check) else { return }
        do { try body() } catch let breach as Breach {
            reporter.breach(breach.what, rule: breach.rule)
        } catch {
            reporter.breach("\(error)")
        }
    }

    /// What the checks that follow need: made as a check of its own, or quietly when an earlier worker told of it. nil when
    /// it cannot be had.
    func prepare<Made>(
        _ rule: Int, _ name: String, interface: String = "", _ make: () throws(Breach) -> Made
    ) -> Made? {
        let isNew = reporter.begin(Finding(rule: rule, check: name, interface: interface, what: ""))
        do throws(Breach) { return try make() } catch {
            if isNew { reporter.breach(error.what, rule: error.rule) }
            return nil
        }
    }

    /// Tells of what an answer itself shows.
    func judge(_ outcome: Outcome, slot: String? = nil) {
        for breach in outcome.breaches { reporter.breach(breach.what, rule: breach.rule, slot: slot) }
    }

    // MARK: The image

    /// Opens the image and learns what it says of itself. False when nothing more can be checked.
    func open() -> Bool {
        entry = prepare(2, "opening") { () throws(Breach) in
            guard let image = dlopen(options.file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) else {
                throw Breach("it cannot be opened: \(dlerror().map { String(cString: $0) } ?? "")", rule: 1)
            }
            guard let symbol = dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL) else {
                throw Breach("the image exports no \(HOSTD_PLUGIN_ENTRY_SYMBOL)", rule: 1)
            }
            return unsafeBitCast(symbol, to: hostd_plugin_entry_function.self)
        }
        guard let entry else { return false }
        let first = Subject.enter(self, entry, isJudged: false)
        guard let subject = first.subject, subject.missingFunction == nil, let description = subject.learn() else {
            return false
        }
        self.description = description
        readSchema(subject)
        subject.destroy()
        reporter.send([
            "plugin": .string(description.name), "version": .string(description.version),
            "provides": JSON(description.provides),
        ])
        return true
    }

    private func readSchema(_ subject: Subject) {
        let (outcome, bytes) = subject.schema()
        if outcome.isOK, !bytes.isEmpty, let json = try? JSON(parsing: bytes) { schema = json }
        envelope = makeEnvelope(options.pluginOptions, schema, name: description?.name ?? "subject")
    }

    /// The configuration of a plugin: options with the defaults of its schema, settings, and directories that exist.
    private func makeEnvelope(_ options: String, _ schema: JSON, name: String) -> [UInt8] {
        var checked = (try? JSON(parsing: Array(options.utf8))) ?? [:]
        var settings = JSON.object([:])
        do {
            let configuration = try Self.configuration(scratch: scratch, options: options)
            settings = configuration.settings.json
            let parsed = schema.isEmpty ? OptionSchema.none : try OptionSchema(schema)
            checked = try parsed.check(
                configuration.plugins[0].options, file: configuration.file, keyPath: "options")
        } catch {
            reporter.breach("the options do not fit the plugin's schema: \(error)", rule: 18)
        }
        mkdir("\(scratch)/plugins/\(name)", 0o700)
        let envelope: JSON = [
            "options": checked, "settings": settings,
            "paths": [
                "data": .string(scratch), "plugin": .string("\(scratch)/plugins/\(name)"),
                "libexec": .string(Self.libexecDirectory),
            ],
        ]
        return envelope.serialized()
    }

    /// Where this program lies.
    static let libexecDirectory: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
    }()

    /// A new instance after entry; breaches end the check that is being made.
    func instance() throws(Breach) -> Subject {
        guard let entry else { throw Breach("there is no entry", rule: 1) }
        let (subject, outcome) = Subject.enter(self, entry)
        judge(outcome)
        guard let subject else { throw Breach("entry failed: \(outcome.words)", rule: 2) }
        guard subject.learn() != nil else { throw Breach("the description cannot be read", rule: 18) }
        return subject
    }

    /// A new instance that is configured and active, its providers with it.
    func activeInstance() throws(Breach) -> Subject {
        let subject = try instance()
        let configured = subject.configure()
        judge(configured)
        try expect(configured.isOK, "configure failed: \(configured.words)", rule: 11)
        try prepareCompanions(of: subject.description?.requires ?? [])
        let activated = subject.activate()
        judge(activated)
        guard activated.isOK else {
            subject.destroy()
            throw Breach("activate failed: \(activated.words)", rule: 11)
        }
        return subject
    }

    func provide(_ role: String, by subject: Subject, _ table: UnsafePointer<hostd_interface>) -> Bool {
        guard let checked = try? CheckedTable(role, table), (try? checked.expectAgreement()) != nil else {
            return false
        }
        return host.provide(role, by: subject.description?.name ?? "", table) != nil
    }

    // MARK: Companions

    /// Opens and activates plugins that provide what is required: those named with --with, else those beside the file.
    func prepareCompanions(of roles: [String], depth: Int = 0) throws(Breach) {
        for role in roles where RoleCatalog.services[role] == nil && host.providers(of: role).isEmpty {
            guard depth < 8 else { return }
            let found = try companion(for: role, depth: depth)
            try expect(
                found,
                "it requires \(role), and no plugin was found that provides it: name one with --with FILE.so", rule: 11)
        }
    }

    private func companion(for role: String, depth: Int) throws(Breach) -> Bool {
        for path in options.companions + Siblings.of(options.file) {
            guard let image = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
                let symbol = dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL)
            else { continue }
            let entry = unsafeBitCast(symbol, to: hostd_plugin_entry_function.self)
            guard let subject = Subject.enter(self, entry, isJudged: false).subject, let description = subject.learn()
            else { continue }
            guard description.provides.contains(role) else {
                subject.destroy()
                continue
            }
            let (_, bytes) = subject.schema()
            let envelope = makeEnvelope("{}", (try? JSON(parsing: bytes)) ?? [:], name: description.name)
            let configured = subject.configure(envelope)
            try prepareCompanions(of: description.requires, depth: depth + 1)
            let outcome = configured.isOK ? subject.activate() : configured
            try expect(outcome.isOK, "\(path), which provides \(role), cannot start: \(outcome.words)", rule: 11)
            companions.append(subject)
            return true
        }
        return false
    }
}

/// Shared libraries in the directory of a file.
enum Siblings {
    static func of(_ file: String) -> [String] {
        let directory = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
        guard let entries = opendir(directory) else { return [] }
        defer { closedir(entries) }
        var paths: [String] = []
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            let path = "\(directory)/\(name)"
            if name.hasSuffix(".so"), path != file { paths.append(path) }
        }
        return paths.sorted()
    }
}
