import Glibc
import Kernel
import Objects

/// The keys of a run, in real files, since keys are not read from the store's disk. A file changes at once, and what it says
/// survives every crash: whoever looks after it takes care of that.
final class KeyFile {
    private struct Key {
        let name: String
        let line: String
    }

    private let file: Int32
    private let archive: Int32
    /// As the file has them: the first encrypts.
    private var keys: [Key] = []
    private var all: [Key] = []

    /// With one key.
    init(_ generator: inout Generator) {
        file = Self.makeFile()
        archive = Self.makeFile()
        addInFront(&generator)
    }

    var settings: EncryptionSettings { Self.settings(of: file) }
    /// The same with every key that there ever was.
    var settingsOfAll: EncryptionSettings { Self.settings(of: archive) }
    var names: [String] { keys.map(\.name) }

    private static func settings(of file: Int32) -> EncryptionSettings {
        EncryptionSettings(resources: ["pods"], keyFile: "/proc/self/fd/\(file)")
    }

    /// A file without a name: it is reached through its descriptor, and is gone with the process.
    private static func makeFile() -> Int32 {
        var name = Array("/tmp/hostd-simulation-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        precondition(file >= 0, "cannot write to /tmp: \(String(cString: strerror(errno)))")
        unlink(name)
        return file
    }

    /// Makes a new key, which encrypts from the next reload on.
    func addInFront(_ generator: inout Generator) {
        let name = "k\(all.count + 1)"
        let bytes = (0..<32).map { _ in UInt8(generator.below(256)) }
        let key = Key(name: name, line: "\(name) \(Base64.encode(bytes, .standard))\n")
        keys.insert(key, at: 0)
        all.insert(key, at: 0)
        write(keys, to: file)
        write(all, to: archive)
    }

    /// Takes all keys away but the one that encrypts and these.
    func keep(_ needed: [String]) {
        keys = keys.enumerated().filter { $0.offset == 0 || needed.contains($0.element.name) }.map(\.element)
        write(keys, to: file)
    }

    private func write(_ keys: [Key], to file: Int32) {
        let text = Array(keys.map(\.line).joined().utf8)
        let isWritten = ftruncate(file, 0) == 0 && pwrite(file, text, text.count, 0) == text.count
        precondition(isWritten, "cannot write to /tmp: \(String(cString: strerror(errno)))")
    }
}
