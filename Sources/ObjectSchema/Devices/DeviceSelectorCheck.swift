import CEL
import Objects

/// Judges the expressions that select devices, when they are written.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
enum DeviceSelectorCheck {
    private static let maximumBytes = 10_240

    /// What an expression knows: a device's driver, and by domain and name its attributes and capacities.
    static let environment = CELEnvironment(variables: [.init("device", CELSchema(.object(device)))])

    private static let device = CELObjectType(
        name: "kubernetes.DRADevice",
        fields: [
            "driver": field("driver", CELSchema(.string, maximumSize: 63)),
            "attributes": field("attributes", byDomain(CELSchema(.dyn, maximumSize: 64))),
            "capacity": field("capacity", byDomain(CELSchema(.value(.opaque("kubernetes.Quantity")), maximumSize: 1))),
            "allowMultipleAllocations": field("allowMultipleAllocations", CELSchema(.bool)),
        ])

    private static func field(_ name: String, _ schema: CELSchema) -> CELObjectType.Field {
        CELObjectType.Field(jsonName: name, schema: schema)
    }

    private static func byDomain(_ value: CELSchema) -> CELSchema {
        CELSchema(.map(CELSchema(.map(value), maximumSize: 32)), maximumSize: 32)
    }

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
        do throws(CELIssues) { program = try environment.compile(text) } catch {
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
