/// How names of members that are no identifiers are written in expressions.
/// See https://kubernetes.io/docs/reference/using-api/cel/#escaping.
public enum IdentifierEscaping {
    /// Words that a field's identifier is not, besides those that the parser refuses.
    private static let reserved: Set<String> = ReservedWords.identifiers.union(ReservedWords.keywords)

    /// The identifier of a member; nil when it has none, and expressions cannot read it.
    public static func escape(_ name: String) -> String? {
        if reserved.contains(name) { return "__\(name)__" }
        guard let first = name.utf8.first, first &- 0x30 >= 10 else { return nil }
        var escaped = ""
        var rest = Substring(name)
        while let character = rest.first {
            switch character {
            case _ where rest.hasPrefix("__"):
                escaped += "__underscores__"
                rest = rest.dropFirst(2)
                continue
            case ".": escaped += "__dot__"
            case "-": escaped += "__dash__"
            case "/": escaped += "__slash__"
            case "a"..."z", "A"..."Z", "0"..."9", "_": escaped.append(character)
            default: return nil
            }
            rest = rest.dropFirst()
        }
        return escaped
    }
}
