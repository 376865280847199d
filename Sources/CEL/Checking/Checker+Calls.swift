/// Which form of a function a call means.
extension Checker {
    mutating func call(
        _ function: String, _ target: Expression?, _ arguments: [Expression], _ node: Expression
    ) -> CELType {
        if function == Operator.optionalSelect { return optionalSelect(arguments, node) }
        allowsMixedLists = function == "format"
        for argument in arguments { check(node: argument) }
        allowsMixedLists = false
        if function == Operator.and || function == Operator.or { return logical(function, arguments, node) }
        guard let target else { return resolve(function, nil, arguments, node) }
        // A function may have a dot in its name.
        if let name = target.qualifiedName {
            let qualified = name + "." + function
            if !environment.functions[qualified].isEmpty { return resolve(qualified, nil, arguments, node) }
        }
        check(node: target)
        return resolve(function, target, arguments, node)
    }

    private mutating func optionalSelect(_ arguments: [Expression], _ node: Expression) -> CELType {
        check(node: arguments[0])
        check(node: arguments[1])
        guard case .constant(.string(let field)) = arguments[1].kind else { return .error }
        let type = fieldType(field, of: type(of: arguments[0]), node.offset)
        if case .optional = type { return type }
        return .optional(type)
    }

    private mutating func logical(_ function: String, _ arguments: [Expression], _ node: Expression) -> CELType {
        for (index, argument) in arguments.enumerated()
        where !substitution.assign(type(of: argument), to: .bool) {
            let other = arguments[index == 0 ? 1 : index - 1]
            let pair = index == 0 ? [argument, other] : [other, argument]
            reportNoOverload(function, nil, pair, node)
            break
        }
        return .bool
    }

    private mutating func resolve(
        _ function: String, _ target: Expression?, _ arguments: [Expression], _ node: Expression
    ) -> CELType {
        let forms = environment.functions[function]
        guard !forms.isEmpty else {
            report("undeclared reference to '\(function)' (in container '')", node.offset)
            return .error
        }
        let given = ((target.map { [$0] } ?? []) + arguments).map { type(of: $0) }
        var matching: [Overload] = []
        var result: CELType?
        for form in forms where form.isMember == (target != nil) && form.parameters.count == given.count {
            let instance = substitution.instantiated(form.signature)
            guard substitution.assign(given, to: instance.parameters) else { continue }
            matching.append(form)
            let type = substitution.resolved(instance.result)
            result = result == nil || result == type ? type : .dyn
        }
        guard let result else {
            reportNoOverload(function, target, arguments, node)
            return .error
        }
        refer(node, to: .overloads(matching, isNamespaced: target == nil))
        return result
    }

    private mutating func reportNoOverload(
        _ function: String, _ target: Expression?, _ arguments: [Expression], _ node: Expression
    ) {
        let list = arguments.map { substitution.resolved(type(of: $0), isFinal: true).description }
        let applied = (target.map { "\(type(of: $0))." } ?? "") + "(" + list.joined(separator: ", ") + ")"
        report("found no matching overload for '\(function)' applied to '\(applied)'", node.offset)
    }
}
