import CEL
import Objects

/// An expression of a stored object. One that does not compile, such as one written by an older server, fails when it is used.
struct PolicyExpression: Sendable {
    let source: String
    private let compiled: Result<CELProgram, CELIssues>

    init(_ source: String, _ environment: CELEnvironment) {
        self.source = source
        do throws(CELIssues) {
            compiled = .success(try environment.compile(source))
        } catch {
            compiled = .failure(error)
        }
    }

    var issues: CELIssues? { if case .failure(let issues) = compiled { issues } else { nil } }
    var resultType: CELType { if case .success(let program) = compiled { program.resultType } else { .dyn } }
    func reads(_ variable: String) -> Bool {
        if case .success(let program) = compiled { program.reads(variable) } else { false }
    }

    /// - Throws: what the expression ends with instead of a value.
    func evaluate(_ evaluation: PolicyEvaluation) throws(CELError) -> CELValue {
        switch compiled {
        case .failure(let issues): throw CELError("compilation error: compilation failed: \(issues)")
        case .success(let program): return try evaluation.run(program)
        }
    }

    /// The same, for the author of the policy.
    /// - Throws: what is told of an expression without a value.
    func result(_ evaluation: PolicyEvaluation) throws(PolicyFailure) -> CELValue {
        do throws(CELError) {
            return try evaluate(evaluation)
        } catch {
            guard issues == nil, !evaluation.isExhausted else { throw PolicyFailure(error.message) }
            throw PolicyFailure("expression '\(source)' resulted in error: \(error)")
        }
    }
}

/// The expressions' common ground for one write: the variables' values and what is left of the cost that they share.
/// Used by one thread.
final class PolicyEvaluation {
    private(set) var activation: CELActivation
    private var budget: UInt64
    /// Whether the cost that the expressions share is used up.
    private(set) var isExhausted = false

    init(_ activation: CELActivation, budget: UInt64) {
        self.activation = activation
        self.budget = budget
    }

    /// Makes a policy's variables known.
    func declare(_ variables: [(name: String, expression: PolicyExpression)]) {
        activation["variables"] = .map(.lazy(PolicyVariables(variables, self)))
    }

    /// Whether all match conditions hold.
    /// - Throws: what the others ended with, when none is false.
    func hold(_ conditions: [(name: String, expression: PolicyExpression)]) throws(PolicyFailure) -> Bool {
        var problems: [String] = []
        for (_, expression) in conditions {
            do throws(PolicyFailure) {
                if case .bool(false) = try expression.result(self) { return false }
            } catch {
                if isExhausted { throw error }
                problems.append(error.message)
            }
        }
        guard problems.isEmpty else { throw PolicyFailure(LimitRanger.aggregate(problems)) }
        return true
    }

    func run(_ program: CELProgram) throws(CELError) -> CELValue {
        let limit = min(budget, CELCost.perExpression)
        do throws(CELError) {
            let result = try program.evaluate(activation, costLimit: limit)
            budget -= min(result.cost, budget)
            return result.value
        } catch {
            guard error.kind == .costLimit, limit == budget else { throw error }
            isExhausted = true
            throw CELError(
                "validation failed due to running out of cost budget, no further validation rules will be run",
                kind: .costLimit)
        }
    }
}

/// A policy's variables, each evaluated when it is read first.
final class PolicyVariables: CELLazyObject, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): it belongs to one evaluation, which one thread runs.
    let typeName = "kubernetes.variables"
    private let expressions: [(name: String, expression: PolicyExpression)]
    private unowned let evaluation: PolicyEvaluation
    private var known: [String: Result<CELValue, CELError>] = [:]

    init(_ expressions: [(name: String, expression: PolicyExpression)], _ evaluation: PolicyEvaluation) {
        self.expressions = expressions
        self.evaluation = evaluation
    }

    var fieldNames: [String] { expressions.map(\.name) }

    func value(of field: String) throws(CELError) -> CELValue? {
        if let known = known[field] { return try known.get() }
        guard let (_, expression) = expressions.first(where: { $0.name == field }) else { return nil }
        let result: Result<CELValue, CELError>
        do throws(CELError) {
            result = .success(try expression.evaluate(evaluation))
        } catch {
            result = .failure(
                CELError("composited variable \"\(field)\" fails to evaluate: \(error)", kind: error.kind))
        }
        known[field] = result
        return try result.get()
    }
}
