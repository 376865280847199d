/// `format` of a template with `%s`, `%d`, `%f`, `%e`, `%b`, `%o`, `%x`, `%X` and `%%`.
/// See https://pkg.go.dev/github.com/google/cel-go/ext#Strings.
enum StringFormat {
    static func formatted(_ template: String, _ values: [CELValue]) throws(CELError) -> String {
        var result = ""
        var used = 0
        let scalars = Array(template.unicodeScalars)
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            guard position < scalars.count else { throw CELError("unexpected end of string") }
            if scalars[position] == "%" {
                result += "%"
                position += 1
                continue
            }
            let precision = try self.precision(scalars, &position)
            guard position < scalars.count else {
                throw CELError("could not parse formatting clause: unexpected end of string")
            }
            guard used < values.count else { throw CELError("index \(used) out of range") }
            result += try clause(scalars[position], precision, values[used])
            used += 1
            position += 1
        }
        return result
    }

    private static func precision(_ scalars: [Unicode.Scalar], _ position: inout Int) throws(CELError) -> Int? {
        guard scalars[position] == "." else { return nil }
        position += 1
        let start = position
        while position < scalars.count, ("0"..."9").contains(scalars[position]) { position += 1 }
        guard let precision = Int(String(scalars: scalars[start..<position])), precision <= 64 else {
            throw CELError("could not parse formatting clause: invalid precision")
        }
        return precision
    }

    private static func clause(
        _ verb: Unicode.Scalar, _ precision: Int?, _ value: CELValue
    ) throws(CELError) -> String {
        switch verb {
        case "s": return text(value)
        case "d": return try integer(value, radix: 10, "decimal")
        case "f": return try fixed(value, precision ?? 6)
        case "e": return try exponential(value, precision ?? 6)
        case "b":
            if case .bool(let value) = value { return value ? "1" : "0" }
            return try integer(value, radix: 2, "binary")
        case "o": return try integer(value, radix: 8, "octal")
        case "x", "X":
            let text = try hexadecimal(value)
            return verb == "X" ? text.uppercased() : text
        default: throw CELError("could not parse formatting clause: unrecognized formatting clause \"\(verb)\"")
        }
    }

    static func text(_ value: CELValue) -> String {
        switch value {
        case .double(let number) where number.isInfinite: return number < 0 ? "-Infinity" : "Infinity"
        case .list(let list):
            let elements = (try? list.elements()) ?? []
            return "[" + elements.map(text).joined(separator: ", ") + "]"
        case .map(let map):
            let entries = map.keys.map { "\(text($0)): \((try? map.rawValue($0)).flatMap { $0 }.map(text) ?? "null")" }
            return "{" + entries.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: ", ") + "}"
        default: return value.description
        }
    }

    private static func integer(_ value: CELValue, radix: Int, _ kind: String) throws(CELError) -> String {
        switch value {
        case .int(let value): return String(value, radix: radix)
        case .uint(let value): return String(value, radix: radix)
        case .double(let value) where !value.isFinite && radix == 10: return text(.double(value))
        default:
            throw CELError(
                "error during formatting: \(kind) clause can only be used on integers, was given \(value.type.runtimeName)"
            )
        }
    }

    private static func hexadecimal(_ value: CELValue) throws(CELError) -> String {
        let bytes: [UInt8]
        switch value {
        case .string(let text): bytes = Array(text.utf8)
        case .bytes(let value): bytes = value
        default: return try integer(value, radix: 16, "hex")
        }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func number(_ value: CELValue, _ kind: String) throws(CELError) -> Double {
        switch value {
        case .double(let value): return value
        case .int(let value): return Double(value)
        case .uint(let value): return Double(value)
        default:
            throw CELError(
                "error during formatting: \(kind) clause can only be used on doubles, was given \(value.type.runtimeName)"
            )
        }
    }

    private static func fixed(_ value: CELValue, _ precision: Int) throws(CELError) -> String {
        let number = try number(value, "fixed-point")
        guard number.isFinite else { return text(.double(number)) }
        return rendered(number, precision, isExponential: false)
    }

    private static func exponential(_ value: CELValue, _ precision: Int) throws(CELError) -> String {
        let number = try number(value, "scientific")
        guard number.isFinite else { return text(.double(number)) }
        return rendered(number, precision, isExponential: true)
    }

    /// A Go string literal's form.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{07}": result += "\\a"
            case "\u{08}": result += "\\b"
            case "\u{0C}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\u{0B}": result += "\\v"
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
