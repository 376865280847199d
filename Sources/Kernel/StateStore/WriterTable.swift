import PluginAPI

/// Who wrote a record: an authenticated user or a part of hostd, and what it calls itself (its field manager).
struct Writer: Sendable, Hashable {
    /// How it crosses the ABI and lies on disk: the user, then, behind a NUL, the manager.
    let text: String

    var user: String { String(text.utf8.prefix { $0 != 0 }) ?? "" }
    /// Empty when it did not say.
    var manager: String { String(text.utf8.drop { $0 != 0 }.dropFirst()) ?? "" }

    static let sizeLimit = 512

    /// Who writes through a slot that takes no name.
    static let unnamed = Writer(text: "system:hostd")
    /// The store itself, when it removes the keys of a lease whose time is over.
    static let leaseExpiry = Writer(text: "system:hostd\0lease expiry")

    /// A plugin that writes, for somebody else or on its own.
    static func of(plugin: String, for named: Writer?) -> Writer {
        guard let named else { return Writer(text: "system:hostd\0\(plugin)") }
        let manager = named.manager.isEmpty ? "(\(plugin))" : "\(named.manager) (\(plugin))"
        let writer = Writer(text: "\(named.user)\0\(manager)")
        return writer.text.utf8.count <= sizeLimit ? writer : Writer(text: "\(named.user)\0(\(plugin))")
    }

    /// Checks what a caller handed in; nil for nothing.
    init?(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        if bytes.isEmpty { return nil }
        guard bytes.count <= Self.sizeLimit, let text = String(validating: bytes, as: UTF8.self) else {
            throw .invalid("a writer is UTF-8 of at most \(Self.sizeLimit) bytes: the user, NUL, the field manager")
        }
        self.init(text: text)
    }

    init(text: String) {
        // A manager without a name is none.
        self.text = text.utf8.last == 0 ? String(decoding: text.utf8.dropLast(), as: UTF8.self) : text
    }
}

/// The writers that records name by number, so that each costs a record nothing. Numbers are given once: the log and
/// snapshots define them, and those that no record needs any more are forgotten when the store is opened.
final class WriterTable: @unchecked Sendable {  // All state is behind `lock`.
    /// Most writers at a time; the changes of further ones are recorded without a writer.
    static let limit = 65_536

    private let lock = Monitor()
    private var texts: [UInt32: String] = [:]
    private var numbers: [String: UInt32] = [:]
    private var last: UInt32 = 0

    /// The number of a writer, and whether it is new and must be defined in the log. 0 when the table is full.
    func number(of text: String) -> (number: UInt32, isNew: Bool) {
        lock.locked {
            if let known = numbers[text] { return (known, false) }
            guard texts.count < Self.limit, last < .max else { return (0, false) }
            last += 1
            numbers[text] = last
            texts[last] = text
            return (last, true)
        }
    }

    /// A definition that was read; an empty text says only that the number was given.
    func define(_ number: UInt32, _ text: String) {
        lock.locked {
            last = max(last, number)
            if text.isEmpty { return }
            texts[number] = text
            numbers[text] = number
        }
    }

    /// Takes back a new number whose definition did not reach the disk.
    func forget(_ number: UInt32) {
        lock.locked { if let text = texts.removeValue(forKey: number) { numbers[text] = nil } }
    }

    /// Forgets all but these.
    func keep(only used: Set<UInt32>) {
        lock.locked {
            for (number, text) in texts where !used.contains(number) {
                texts[number] = nil
                numbers[text] = nil
            }
        }
    }

    func writer(_ number: UInt32) -> Writer? { lock.locked { texts[number] }.map(Writer.init(text:)) }

    /// All definitions, in the order of their numbers, for a snapshot; and the highest number ever given.
    var all: (definitions: [(number: UInt32, text: String)], last: UInt32) {
        lock.locked { (texts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, last) }
    }
}
