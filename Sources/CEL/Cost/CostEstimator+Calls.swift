extension CostEstimator {
    mutating func call(
        _ function: String, _ target: Expression?, _ arguments: [Expression], _ node: Expression
    ) -> Estimate {
        var forms: [Overload] = []
        var isMember = target != nil
        if case .overloads(let found, let isNamespaced) = checked.references[node.id] {
            forms = found
            isMember = !isNamespaced
        }
        let parts = (isMember ? target.map { [$0] } ?? [] : []) + arguments
        let costs = parts.map { cost($0) }
        let sum = costs.reduce(.zero, +)
        switch function {
        case Operator.and, Operator.or:
            // The first may decide.
            return Estimate(minimum: costs.first?.minimum ?? 0, maximum: sum.maximum)
        case Operator.conditional: return conditional(parts, costs, node)
        case Operator.index, Operator.optionalIndex:
            let schema: CELSchema? =
                switch value(parts[0]).schema?.shape {
                case .list(let element, _), .map(let element): element
                default: nil
                }
            values[node.id] = Value(schema: schema, size: value(parts[0]).elementSize)
            return sum + .one
        case Operator.optionalSelect:
            guard case .constant(.string(let field)) = arguments[1].kind else { return sum + .one }
            values[node.id] = Value(schema: Self.member(field, of: value(parts[0]).schema))
            return sum + .one
        case "dyn":
            values[node.id] = value(parts[0])
            return sum + .one
        default: break
        }
        values[node.id] = Value(size: resultSize(function, parts), elementSize: resultElementSize(function, parts))
        let own = forms.map { estimate($0.cost, parts, resultSize(function, parts)) }
        return sum + (own.dropFirst().reduce(own.first ?? .one) { $0.union($1) })
    }

    private mutating func conditional(_ parts: [Expression], _ costs: [Estimate], _ node: Expression) -> Estimate {
        var result = value(parts[1])
        let other = value(parts[2])
        result.size = size(parts[1]).union(size(parts[2]))
        result.elementSize = elementSize(parts[1]).union(elementSize(parts[2]))
        if result.schema !== other.schema { result.schema = nil }
        values[node.id] = result
        return costs[0] + costs[1].union(costs[2])
    }

    /// What a call itself costs.
    private func estimate(_ cost: CallCost, _ parts: [Expression], _ result: Estimate?) -> Estimate {
        switch cost {
        case .fixed(let units): return Estimate(fixed: units)
        case .traversal(let index, let times): return size(parts[index]).scaled(by: 0.1 * Double(times))
        case .resultTraversal: return (result ?? .unknown).traversal
        case .elements(let index): return size(parts[index])
        case .smaller:
            let smallest = min(size(parts[0]).maximum, size(parts[1]).maximum)
            return Estimate(minimum: smallest > 0 ? 1 : 0, maximum: smallest).traversal
        case .both: return (size(parts[0]) + size(parts[1])).traversal
        case .product: return size(parts[0]).traversal * size(parts[1]).traversal
        case .regex:
            return (size(parts[0]) + .one).traversal * size(parts[1]).scaled(by: 0.25)
        case .setProduct: return size(parts[0]) * size(parts[1]) + .one
        case .listTraversal:
            guard case .list(let element) = checked.type(of: parts[0]) else { return size(parts[0]).traversal }
            let isText = element == .string || element == .bytes
            return size(parts[0]) * (isText ? .one + elementSize(parts[0]).traversal : .one)
        case .containment(let parsing, let isRange):
            let address = Estimate(minimum: 4, maximum: 16)
            var sum = (address + address).traversal
            if isRange { sum += address.traversal + .one }
            if parsing { sum += size(parts[1]).traversal }
            return sum
        }
    }

    /// The size of a function's result, where it follows from that of its arguments.
    private func resultSize(_ function: String, _ parts: [Expression]) -> Estimate? {
        guard let first = parts.first else { return nil }
        switch function {
        case Operator.add where parts.count == 2: return size(first) + size(parts[1])
        case "lowerAscii", "upperAscii", "substring", "trim", "reverse": return size(first)
        case "findAll", "split", "find": return Estimate(minimum: 0, maximum: size(first).maximum)
        case "replace" where parts.count >= 3: return replaced(size(first), size(parts[1]), size(parts[2]))
        case "join":
            let count = size(first)
            let separators = Estimate(
                minimum: count.minimum > 0 ? count.minimum - 1 : 0, maximum: count.maximum > 0 ? count.maximum - 1 : 0)
            return count * elementSize(first) + (parts.count > 1 ? size(parts[1]) * separators : .zero)
        case "bytes":
            return Estimate(minimum: size(first).minimum, maximum: (size(first) * Estimate(fixed: 4)).maximum)
        case "string" where checked.type(of: first) == .bytes: return size(first)
        default: return nil
        }
    }

    private func resultElementSize(_ function: String, _ parts: [Expression]) -> Estimate? {
        guard let first = parts.first else { return nil }
        switch function {
        case Operator.add where parts.count == 2: return elementSize(first).union(elementSize(parts[1]))
        case "findAll", "split": return Estimate(minimum: 0, maximum: size(first).maximum)
        default: return nil
        }
    }

    /// The longest and the shortest text that replacing can give.
    private func replaced(_ text: Estimate, _ old: Estimate, _ new: Estimate) -> Estimate {
        var count = Estimate.zero
        var kept = Estimate.zero
        if old.minimum == 0 {
            // Nothing stands around every code point.
            (count.maximum, kept.maximum) = ((text + .one).maximum, text.maximum)
        } else if new.maximum <= old.minimum {
            kept.maximum = text.maximum
        } else {
            count.maximum = text.scaled(by: 1 / Double(old.minimum)).maximum
        }
        if old.maximum == 0 {
            (count.minimum, kept.minimum) = ((text + .one).minimum, text.minimum)
        } else if old.maximum <= new.minimum {
            kept.minimum = text.minimum
        } else {
            count.minimum = text.scaled(by: 1 / Double(old.maximum)).minimum
        }
        return count * new + kept
    }
}
