import Kernel
import PluginAPI

/// Arguments that a slot must survive, made from its letters.
struct HostileValues {
    let role: String
    let slot: CheckedTable.Slot
    let scratch: String

    /// One call: its values, what is odd about it, and the rule that a crash breaks.
    struct Variant {
        let values: [Value]
        let detail: String
        var rule = 19
    }

    /// What each letter is given when another one is odd.
    var ordinary: [Value] {
        var texts = Samples.texts(role: role, slot: slot.name, scratch: scratch)[...]
        return slot.letters.map { letter in
            switch letter {
            case "i", "u", "l": .number(1)
            case "w": .number(0)
            // A handle that nobody gave out.
            case "h": .number(0x7FFF_FFFF_0000_0001)
            case "d": .real(1)
            case "t": .number(monotonicNanoseconds() + 1_000_000_000)
            case "b": .text(texts.popFirst() ?? "{}")
            case "s": .flat(size: Samples.structureSize(role: role, slot: slot.name))
            case "S": .room(256)
            case "a": .bytes(nil)
            case "c": .completion
            case "v": .sink
            case "q": .callback
            case "f": .file(.regular)
            case "F": .file(.socket)
            case "e": .error(UInt64(MemoryLayout<hostd_error>.size))
            default: .output
            }
        }
    }

    /// Every letter's odd values, one at a time, the others ordinary.
    var variants: [Variant] {
        var result = [Variant(values: ordinary, detail: "ordinary arguments")]
        for (index, letter) in slot.letters.enumerated() {
            let start = ordinary
            for odd in oddValues(letter, start[index]) {
                var values = start
                values[index] = odd.value
                let place = "argument \(index + 1) (\(letter)): \(odd.value.words)"
                result.append(Variant(values: values, detail: place, rule: odd.rule))
            }
        }
        return result
    }

    private func oddValues(_ letter: Character, _ ordinary: Value) -> [(value: Value, rule: Int)] {
        switch letter {
        case "i", "f": return [UInt64.max, 0, 0x7FFF_FFFF, 0x8000_0000, 9_999].map { (odd(letter, $0), 19) }
        case "u", "l", "w", "h": return [0, 1, 2, 0xFFFF_FFFF, 1 << 63, UInt64.max].map { (.number($0), 19) }
        case "d": return [Double.nan, .infinity, -1, 1e308].map { (.real($0), 19) }
        case "t": return [0, 1, UInt64.max].map { (.number($0), 14) }
        case "b": return oddBytes(ordinary).map { (.bytes($0), 19) }
        case "s": return oddStructures()
        case "S": return [4, 8, 4096].map { (.room($0), 3) }
        case "F": return [(.file(.none), 15), (.file(.closed), 15), (.file(.regular), 15)]
        case "e": return [0, 4, 8].map { (.error($0), 3) }
        default: return []
        }
    }

    private func odd(_ letter: Character, _ number: UInt64) -> Value {
        guard letter == "f" else { return .number(number) }
        return number == .max ? .file(.none) : .file(.closed)
    }

    private func oddStructures() -> [(value: Value, rule: Int)] {
        let size = Samples.structureSize(role: role, slot: slot.name)
        return [
            (.flat(size: 4), 3), (.flat(size: 8), 3), (.flat(size: 4, claimed: 0), 3),
            (.flat(size: size * 4), 3), (.flat(size: size, fill: 0xFF), 19), (.flat(size: size, fill: 0x80), 19),
        ]
    }

    private func oddBytes(_ ordinary: Value) -> [[UInt8]?] {
        var result: [[UInt8]?] = [nil, []]
        result += Self.oddTexts.map { Array($0.utf8) }
        result += [[0xFF, 0xFE, 0xFD], Array("{\"".utf8) + [0xC3, 0x28] + Array("\":1}".utf8), [0], [UInt8](0...255)]
        result.append([UInt8](repeating: UInt8(ascii: "["), count: 100_000))
        result.append(Array(String(repeating: "{\"a\":", count: 20_000).utf8))
        result.append([UInt8](repeating: UInt8(ascii: " "), count: 1 << 20))
        result.append(Array("\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 2 << 20) + Array("\"".utf8))
        if case .bytes(let bytes?) = ordinary, let json = try? JSON(parsing: bytes), json.objectValue != nil {
            result += JSONMutation.variants(of: json).map { $0.serialized() }
        }
        return result
    }

    private static let oddTexts = [
        "{}", "null", "[]", "\"\"", "0", "{", "}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}{\"b\":2}", "\u{FEFF}{}", "x",
        "{\"id\":1e999}", "{\"id\":-9223372036854775809}", "{\"id\":\"\\u0000\"}", "{\"id\":\"\\ud800\"}", "../../x",
        "a in (", "=,=", "!", "//", "%00", "\u{1F600}",
    ]
}

/// A JSON object with one member after the other replaced by values of another kind.
enum JSONMutation {
    private static let replacements: [JSON] = [
        .null, .bool(true), .integer(-1), .integer(.max), .number(1e300), .string(""), .string("../../x"), .array([]),
        .object([:]), .array([.array([]), .null, .integer(1)]),
    ]

    static func variants(of json: JSON, depth: Int = 0) -> [JSON] {
        guard depth < 6 else { return [] }
        switch json {
        case .object(let members):
            var result: [JSON] = []
            for (key, value) in members {
                for replacement in replacements + variants(of: value, depth: depth + 1) {
                    var changed = members
                    changed[key] = replacement
                    result.append(.object(changed))
                }
                var without = members
                _ = without.removeValue(forKey: key)
                result.append(.object(without))
            }
            return result
        case .array(let elements):
            guard let first = elements.first else { return [] }
            let long = JSON.string(String(repeating: "x", count: 70_000))
            return (variants(of: first, depth: depth + 1) + replacements + [long]).map { .array([$0]) }
        default: return []
        }
    }
}
