import Kernel
import PluginAPI

/// Configurations that no host would send, and options of the wrong type: refused or taken, never a crash.
enum OptionChecks {
    static func run(_ session: Session) {
        guard session.open() else { return }
        for bytes in texts(session) {
            session.check(19, "configure", detail: Value.bytes(bytes).words) {
                let subject = try session.instance()
                session.judge(subject.configure(bytes))
                subject.destroy()
            }
        }
        session.check(20, "a refused configure changes nothing") {
            let subject = try session.instance()
            session.judge(subject.configure(Array("[".utf8)))
            let outcome = subject.configure()
            session.judge(outcome)
            try expect(outcome.isOK, "configure failed after a refused one: \(outcome.words)")
            subject.destroy()
        }
    }

    private static func texts(_ session: Session) -> [[UInt8]] {
        let plain = [
            "", "{", "{}", "null", "[]", "0", "\"\"", "{\"options\":null}",
            "{\"options\":[],\"settings\":[],\"paths\":[]}",
            "{\"options\":{},\"settings\":{},\"paths\":{}}", "{\"options\":{\"a\":{\"b\":[1,2,{}]}}}",
            "{\"paths\":{\"data\":\"\",\"plugin\":\"/none/none\",\"libexec\":0}}",
        ].map { Array($0.utf8) }
        let odd: [[UInt8]] = [
            [0xFF, 0xFE], [UInt8](repeating: UInt8(ascii: "["), count: 100_000),
            Array("{\"options\":{\"a\":\"".utf8) + [0xC3, 0x28] + Array("\"}}".utf8),
            Array("{\"options\":\"".utf8) + [UInt8](repeating: 0x78, count: 1 << 20) + Array("\"}".utf8),
        ]
        return plain + odd + mutated(session).map { $0.serialized() }
    }

    /// The right envelope with one member after the other of another type, and every option of the schema so.
    private static func mutated(_ session: Session) -> [JSON] {
        guard var envelope = try? JSON(parsing: session.envelope) else { return [] }
        for (name, _) in session.schema["properties"].objectValue ?? [:] where envelope["options"][name].isNull {
            envelope["options"][name] = .string("")
        }
        return JSONMutation.variants(of: envelope)
    }
}
