/// Where in an object a value is, in Kubernetes' way of writing: spec.containers[0].env, metadata.labels[app].
struct FieldPath {
    enum Step {
        case field(String)
        case index(Int)
        case key(String)
    }

    private(set) var steps: [Step] = []

    init() {}

    /// Below a place that is already text.
    init(text: String) { steps = [.field(text)] }

    mutating func push(_ step: Step) { steps.append(step) }
    mutating func pop() { steps.removeLast() }

    var text: String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name): text += text.isEmpty ? name : "." + name
            case .index(let index): text += "[\(index)]"
            case .key(let key): text += "[\(key)]"
            }
        }
        return text
    }

    /// The names of the fields alone, as Go's decoder names a place.
    var fieldNames: String {
        steps.compactMap { step in
            if case .field(let name) = step { name } else if case .key(let name) = step { name } else { nil }
        }.joined(separator: ".")
    }

    func appending(_ text: String) -> String {
        let own = self.text
        return own.isEmpty ? text : text.isEmpty ? own : text.hasPrefix("[") ? own + text : own + "." + text
    }
}
