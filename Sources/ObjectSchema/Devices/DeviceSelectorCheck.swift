import CEL
import Objects

/// Judges the expressions that select devices, when they are written.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
enum DeviceSelectorCheck {
    private static let maximumBytes = 10_240

    static func errors(in selectors: JSON, _ place: String) -> [FieldError] {
        guard selectors.count <= 32 else { return [.tooMany(place, selectors.count, limit: 32)] }
        return selectors.arrayValue.enumerated().flatMap { index, selector -> [FieldError] in
            let cel = selector["cel"]
            guard cel.exists else { return [.required("\(place)[\(index)].cel")] }
            return errors(of: cel["expression"], "\(place)[\(index)].cel.expression")
        }
    }

    private static func errors(of expression: JSON, _ place: String) -> [FieldError] {
        let text = expression.stringValue ?? ""
        guard text.utf8.count <= maximumBytes else { return [.tooLong(place, limit: maximumBytes)] }
        let program: CELProgram
        do throws(CELIssues) { program = try CELDevice.environment.compile(text) } catch {
            return [.invalid(place, expression, "compilation failed: \(error)")]
        }
        guard program.resultType == .bool || program.resultType == .dyn else {
            return [
                .invalid(
                    place, expression,
                    "must evaluate to bool or the unknown type, not \(program.resultType)")
            ]
        }
        return program.estimatedCost().maximum > CELCost.perExpression
            ? [.forbidden(place, "too complex, exceeds cost limit")] : []
    }
}
