import ObjectSchema
import Objects

/// Puts an applied configuration over the live object: what the configuration has, it decides; the rest stays.
enum TypedMerge {
    /// Complexity: O(size of both).
    static func merge(_ config: JSON, over live: JSON?, _ type: FieldType) -> JSON {
        guard let live, !live.isNull else { return config }
        let division = type.division(of: config)
        guard division == type.division(of: live) else { return config }
        switch division {
        case .leaf: return config
        case .members: return mergeMembers(config, live, type)
        case .elements, .keyedElements: return mergeElements(config.arrayValue, live.arrayValue, type, division)
        }
    }

    private static func mergeMembers(_ config: JSON, _ live: JSON, _ type: FieldType) -> JSON {
        guard let changes = config.objectValue, var result = live.objectValue else { return config }
        for (name, value) in changes { result[name] = merge(value, over: result[name], type.member(name)) }
        return .object(result)
    }

    /// The configuration's elements come in its order; an element that only the live list has stays behind the one that
    /// it followed there. Live elements that cannot be told apart all stay, or are all replaced.
    private static func mergeElements(
        _ config: [JSON], _ live: [JSON], _ type: FieldType, _ division: FieldType.Division
    ) -> JSON {
        let wanted = KeyedElements(config, type, division)
        let present = KeyedElements(live, type, division)
        let there =
            present.repeated.isEmpty
            ? present.ordered
            : live.enumerated().map { (type.stepOrIndex(to: $0.element, at: $0.offset, division), $0.element) }
        var nextShared = MergeOrder.nextShared(wanted.ordered.map(\.step)) { present.position(of: $0) != nil }
        nextShared.append(nil)
        var result: [JSON] = []
        var left = 0
        var right = 0
        func takeWanted() {
            let (step, value) = wanted.ordered[right]
            result.append(merge(value, over: present.repeated[step] == nil ? present[step] : nil, type.element))
            right += 1
        }
        while left < there.count || right < wanted.ordered.count {
            guard left < there.count else {
                takeWanted()
                continue
            }
            let step = there[left].step
            if wanted.position(of: step) == nil {
                result.append(there[left].value)
                left += 1
            } else if right < wanted.ordered.count, wanted.ordered[right].step == step {
                takeWanted()
                left += 1
            } else if nextShared[right] == step {
                takeWanted()
            } else {
                // It comes, or came, in the configuration's order.
                left += 1
            }
        }
        return .array(result)
    }
}

private enum MergeOrder {
    /// For each position the first step from there on that is shared.
    static func nextShared(_ steps: [FieldStep], _ isShared: (FieldStep) -> Bool) -> [FieldStep?] {
        var result = [FieldStep?](repeating: nil, count: steps.count)
        var next: FieldStep?
        for position in steps.indices.reversed() {
            if isShared(steps[position]) { next = steps[position] }
            result[position] = next
        }
        return result
    }
}
