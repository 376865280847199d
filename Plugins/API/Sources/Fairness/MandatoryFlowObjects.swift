import ObjectSchema
import Objects

/// What nobody may change of the flow objects that every server has: all of their specs, but for how many seats the level
/// `exempt` counts as its own and lends. Pure.
enum MandatoryFlowObjects {
    /// By "flowschemas/exempt", with defaults.
    private static let specs: [String: JSON] = {
        var specs: [String: JSON] = [:]
        for (plural, objects) in [
            ("flowschemas", FlowObjects.schemas), ("prioritylevelconfigurations", FlowObjects.levels),
        ] {
            for object in objects where FlowObjects.mandatory.contains(object.name) {
                var object = object
                if let node = Schema.shared.kind(GroupVersionKind(apiVersion: object.apiVersion, kind: object.kind)) {
                    Schema.shared.applyDefaults(&object, as: node)
                }
                specs["\(plural)/\(object.name)"] = object["spec"]
            }
        }
        return specs
    }()

    /// Whether the object is the level whose seats are its owner's to choose.
    static func isExemptLevel(_ object: JSON) -> Bool {
        object.kind == "PriorityLevelConfiguration" && object.name == "exempt"
    }

    /// What is wrong with an object that is to be written.
    static func faults(in object: JSON, _ resource: Resource) -> [APIStatus.Cause] {
        guard var wanted = specs["\(resource.plural)/\(object.name)"] else { return [] }
        var spec = object["spec"]
        let isExempt = isExemptLevel(object)
        if isExempt {
            wanted.removeValue(forKey: "exempt")
            spec.removeValue(forKey: "exempt")
        }
        guard !covers(spec, wanted) || !covers(wanted, spec) else { return [] }
        let exception = isExempt ? " except the 'spec.exempt' field" : ""
        return [
            .invalid("spec", object["spec"], "spec of '\(object.name)'\(exception) must equal the fixed value")
        ]
    }

    /// Whether a spec says what another says, defaults aside.
    static func covers(_ present: JSON, _ wanted: JSON) -> Bool {
        switch wanted {
        case .object(let members): members.allSatisfy { covers(present[$0.key], $0.value) }
        case .array(let elements):
            present.count == elements.count && zip(present.arrayValue, elements).allSatisfy { covers($0, $1) }
        default: present == wanted
        }
    }
}
