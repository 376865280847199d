/// What a watch asks for.
enum StreamFilter: Hashable {
    case everything
    case prefix(String)
    /// Values whose `isEven` holds, under a prefix.
    case even(String)

    var prefix: String {
        switch self {
        case .everything: ""
        case .prefix(let prefix), .even(let prefix): prefix
        }
    }

    var selector: String {
        switch self {
        case .everything, .prefix: ""
        case .even: "parity=even"
        }
    }

    var text: String {
        switch self {
        case .everything: "all"
        case .prefix(let prefix): "under:\(prefix)"
        case .even(let prefix): "even:\(prefix)"
        }
    }

    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", maxSplits: 1)
        switch (parts.first, parts.count) {
        case ("all", 1): self = .everything
        case ("under", 2): self = .prefix(String(parts[1]))
        case ("even", 2): self = .even(String(parts[1]))
        default: return nil
        }
    }

    /// How a change of a key that held `previous` shows to such a watch; nil when it does not.
    func sees(_ change: Change, previous: ValueName?) -> StreamFlags? {
        guard change.key.hasPrefix(prefix) else { return nil }
        guard case .even = self else { return [] }
        let was = previous?.isEven ?? false
        guard let value = change.value else { return was ? [] : nil }
        switch (was, value.isEven) {
        case (true, true): return []
        case (false, true): return previous == nil ? [] : .entered
        case (true, false): return .left
        case (false, false): return nil
        }
    }
}

/// What a watch with a selector says beside the change itself.
struct StreamFlags: OptionSet, Hashable {
    let rawValue: Int
    static let entered = StreamFlags(rawValue: 1)
    static let left = StreamFlags(rawValue: 2)
}
