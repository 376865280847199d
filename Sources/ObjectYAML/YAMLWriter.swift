import Objects

/// A JSON value as a YAML document of the form that clients of Kubernetes know: blocks, keys in order, lists as far in as the key
/// that they belong to. See https://yaml.org/spec/1.2.2/#chapter-8-block-style-productions.
public struct YAMLWriter {
    private var output: [UInt8] = []

    /// Complexity: O(bytes), but for the order of keys.
    public static func write(_ value: JSON) -> [UInt8] {
        var writer = YAMLWriter()
        switch value {
        case .object(let members) where members.count > 0: writer.write(members, indent: 0, isInline: true)
        case .array(let elements) where !elements.isEmpty: writer.write(elements, indent: 0, isInline: true)
        default:
            writer.writeScalar(value, indent: 0)
            writer.output.append(0x0A)
        }
        return writer.output
    }

    /// - Parameter isInline: Whether the first line is begun already, as after the dash of a list.
    private mutating func write(_ members: JSONObject, indent: Int, isInline: Bool) {
        var isFirst = isInline
        for (key, value) in members.sortedByKey() {
            if !isFirst { space(indent) }
            isFirst = false
            write(text: key, indent: indent, isKey: true)
            output.append(UInt8(ascii: ":"))
            switch value {
            case .object(let members) where members.count > 0:
                output.append(0x0A)
                write(members, indent: indent + 2, isInline: false)
            case .array(let elements) where !elements.isEmpty:
                output.append(0x0A)
                write(elements, indent: indent, isInline: false)
            default:
                output.append(0x20)
                writeScalar(value, indent: indent + 2)
                output.append(0x0A)
            }
        }
    }

    private mutating func write(_ elements: [JSON], indent: Int, isInline: Bool) {
        var isFirst = isInline
        for element in elements {
            if !isFirst { space(indent) }
            isFirst = false
            output.append(contentsOf: "- ".utf8)
            switch element {
            case .object(let members) where members.count > 0: write(members, indent: indent + 2, isInline: true)
            case .array(let elements) where !elements.isEmpty: write(elements, indent: indent + 2, isInline: true)
            default:
                writeScalar(element, indent: indent + 2)
                output.append(0x0A)
            }
        }
    }

    private mutating func space(_ count: Int) { output.append(contentsOf: repeatElement(0x20, count: count)) }

    private mutating func writeScalar(_ value: JSON, indent: Int) {
        if case .string(let text) = value { return write(text: text, indent: indent, isKey: false) }
        value.write(into: &output)
    }

    private mutating func write(text: String, indent: Int, isKey: Bool) {
        switch YAMLTextStyle(text, isKey: isKey) {
        case .plain: output.append(contentsOf: text.utf8)
        case .single: writeSingle(text)
        case .double: writeDouble(text)
        case .literal: writeLiteral(text, indent: max(indent, 2))
        }
    }

    /// A string of JSON is one of YAML in double quotes, but for what YAML takes for the end of a line or leaves out.
    private mutating func writeDouble(_ text: String) {
        guard text.unicodeScalars.contains(where: YAMLTextStyle.isBreak) else {
            return JSON.string(text).write(into: &output)
        }
        output.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            if YAMLTextStyle.isBreak(scalar) {
                let digits = String(scalar.value, radix: 16, uppercase: true)
                output.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.utf8.count))\(digits)".utf8)
            } else {
                var quoted: [UInt8] = []
                JSON.string(String(scalar)).write(into: &quoted)
                output += quoted.dropFirst().dropLast()
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func writeSingle(_ text: String) {
        output.append(UInt8(ascii: "'"))
        for byte in text.utf8 {
            if byte == UInt8(ascii: "'") { output.append(byte) }
            output.append(byte)
        }
        output.append(UInt8(ascii: "'"))
    }

    /// Lines as they are, and by the mark after the bar how many line ends the last one has.
    private mutating func writeLiteral(_ text: String, indent: Int) {
        var lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
        output.append(UInt8(ascii: "|"))
        if lines.last?.isEmpty ?? false {
            lines.removeLast()
            if lines.last?.isEmpty ?? true { output.append(UInt8(ascii: "+")) }
        } else {
            output.append(UInt8(ascii: "-"))
        }
        for line in lines {
            output.append(0x0A)
            if line.isEmpty { continue }
            space(indent)
            output.append(contentsOf: line)
        }
    }
}

/// How a text is written so that it is read as that text again, here and by readers of YAML 1.1.
enum YAMLTextStyle {
    case plain
    case single
    case double
    case literal

    init(_ text: String, isKey: Bool) {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last else {
            self = .double
            return
        }
        if bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) || text.unicodeScalars.contains(where: Self.isBreak) {
            let isLines = !bytes.contains { ($0 < 0x20 && $0 != 0x0A) || $0 == 0x7F }
            // A first line that begins with a blank would have to tell how far in the lines are.
            let isLiteral =
                !isKey && isLines && first != 0x20 && first != 0x0A
                && !text.unicodeScalars.contains(where: Self.isBreak)
            self = isLiteral ? .literal : .double
        } else if Self.isOther(text, first) {
            self = .double
        } else {
            self = Self.isPlain(text, first, last) ? .plain : .single
        }
    }

    /// Line ends and marks that only an escape says without doubt.
    fileprivate static func isBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x80...0x9F, 0x2028, 0x2029, 0xFEFF: true
        default: false
        }
    }

    /// Whether it would be read as something else: a number, a truth value, a time.
    private static func isOther(_ text: String, _ first: UInt8) -> Bool {
        if case .string = YAMLScalar.resolve(text) {} else { return true }
        if ["=", "<<", ".inf", "+.inf", "-.inf", ".nan"].contains(text.lowercased()) { return true }
        guard (0x30...0x39).contains(first) || first == UInt8(ascii: "-") || first == UInt8(ascii: "+") else {
            return false
        }
        let bytes = Array(text.utf8)
        // 190:20:30 is a number to the base of 60.
        if bytes.contains(UInt8(ascii: ":")),
            bytes.allSatisfy({ (0x30...0x39).contains($0) || "+-:_.".utf8.contains($0) })
        {
            return true
        }
        // 2020-01-01 and all that begins like it are taken for times.
        return bytes.count > 5 && bytes.prefix(4).allSatisfy { (0x30...0x39).contains($0) }
            && bytes[4] == UInt8(ascii: "-")
    }

    private static func isPlain(_ text: String, _ first: UInt8, _ last: UInt8) -> Bool {
        let bytes = Array(text.utf8)
        if first == 0x20 || last == 0x20 || last == UInt8(ascii: ":") { return false }
        if text.hasPrefix("---") || text.hasPrefix("...") { return false }
        if "-?".utf8.contains(first) {
            guard bytes.count > 1, bytes[1] != 0x20 else { return false }
        } else if ",[]{}#&*!|>'\"%@`:".utf8.contains(first) {
            return false
        }
        for (position, byte) in bytes.enumerated().dropFirst() {
            if byte == 0x20, bytes[position - 1] == UInt8(ascii: ":") { return false }
            if byte == UInt8(ascii: "#"), bytes[position - 1] == 0x20 { return false }
        }
        return true
    }
}
