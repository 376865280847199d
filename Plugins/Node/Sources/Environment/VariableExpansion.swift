/// Expansion of $(NAME) references in commands, arguments and values, by the rules of the Kubernetes API: "$$" is a
/// literal "$", and a reference to an unknown name stays as it is.
enum VariableExpansion {
    static func expand(_ text: String, _ lookup: (String) -> String?) -> String {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let after = rest.index(after: dollar)
            guard after < rest.endIndex else {
                result += "$"
                return result
            }
            switch rest[after] {
            case "$":
                result += "$"
                rest = rest[rest.index(after: after)...]
            case "(":
                let nameStart = rest.index(after: after)
                guard let close = rest[nameStart...].firstIndex(of: ")") else {
                    result += "$("
                    rest = rest[nameStart...]
                    continue
                }
                let name = String(rest[nameStart..<close])
                result += lookup(name) ?? "$(\(name))"
                rest = rest[rest.index(after: close)...]
            default:
                result += "$"
                rest = rest[after...]
            }
        }
        return result + rest
    }
}
