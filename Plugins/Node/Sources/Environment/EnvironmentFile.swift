/// A file of variables that one container of a pod leaves for others (`fileKeyRef`): lines NAME=VALUE, blank ones and comments
/// between them. Blanks around names and unquoted values do not count. A value in quotes stands for itself, line ends included;
/// within double quotes a backslash stands before a double quote or another backslash.
/// See https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-via-file/.
enum EnvironmentFile {
    /// Most bytes of a file.
    static let limit = 64 << 10

    /// The value of the first variable of the name; nil when there is none.
    /// - Throws: ContainerConfigurationError for a line that declares nothing, or quotes that are not closed.
    static func value(of key: String, in bytes: [UInt8], path: String) throws -> String? {
        var rest = Substring(String(decoding: bytes, as: UTF8.self))
        var line = 0
        while !rest.isEmpty {
            line += 1
            let text = trimmed(rest.prefix { !$0.isNewline })
            guard !text.isEmpty, text.first != "#" else {
                rest = afterLine(rest)
                continue
            }
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw ContainerConfigurationError(
                    message: "line \(line) of the environment file \"\(path)\" is not NAME=VALUE")
            }
            let name = trimmed(text[..<equals])
            // From here on in `rest`, as a quoted value may go on over the end of the line.
            let start = rest[rest.index(after: rest.firstIndex(of: "=") ?? rest.startIndex)...].drop {
                $0 == " " || $0 == "\t"
            }
            let value: String
            if let quote = start.first, quote == "'" || quote == "\"" {
                guard let (content, end) = quoted(start.dropFirst(), by: quote) else {
                    throw ContainerConfigurationError(
                        message: "line \(line) of the environment file \"\(path)\" has quotes that are not closed")
                }
                line += content.count(where: \.isNewline)
                value = content
                rest = afterLine(end)
            } else {
                value = String(trimmed(start.prefix { !$0.isNewline }))
                rest = afterLine(rest)
            }
            if name == key { return value }
        }
        return nil
    }

    /// What stands before the closing quote, and what follows it.
    private static func quoted(_ text: Substring, by quote: Character) -> (content: String, rest: Substring)? {
        var content = ""
        var rest = text
        while let character = rest.popFirst() {
            if character == quote { return (content, rest) }
            if quote == "\"", character == "\\", let next = rest.first, next == "\"" || next == "\\" {
                content.append(next)
                rest.removeFirst()
            } else {
                content.append(character)
            }
        }
        return nil
    }

    private static func afterLine(_ text: Substring) -> Substring { text.drop { !$0.isNewline }.dropFirst() }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
