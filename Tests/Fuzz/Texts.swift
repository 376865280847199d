import ObjectYAML
import Objects

@testable import Kernel

/// Targets that read texts.
enum Texts {
    /// What is accepted comes back the same from its own text.
    static func readJSON(_ input: UnsafeRawBufferPointer) {
        guard let value = try? JSON(parsing: input) else { return }
        checkText(of: value)
    }

    /// What YAML stands for is an object that JSON can say.
    static func readYAML(_ input: UnsafeRawBufferPointer) {
        guard let value = try? YAMLParser.parse(Array(input)) else { return }
        checkText(of: value)
    }

    static func readConfiguration(_ input: UnsafeRawBufferPointer) {
        do throws(ConfigurationError) {
            checkText(of: try YAMLReader.read(Array(input), file: "input.yaml").json)
            _ = try HostConfiguration(text: Array(input), file: "input.yaml")
        } catch {
            precondition(!error.description.isEmpty, "a refusal without a reason")
        }
    }

    /// A target and a patch, between them a zero byte: as JSON patch when the patch is a list, as merge patch otherwise.
    static func applyPatch(_ input: UnsafeRawBufferPointer) {
        let parts = input.parts(2)
        guard parts.count == 2, let target = try? JSON(parsing: parts[0]), let patch = try? JSON(parsing: parts[1])
        else {
            return
        }
        if case .array = patch {
            if let result = try? JSONPatch.apply(patch, to: target) { checkText(of: result) }
            return
        }
        guard let result = try? MergePatch.apply(patch, to: target) else { return }
        checkText(of: result)
        let difference = MergePatch.difference(from: target, to: result)
        guard let again = try? MergePatch.apply(difference, to: target) else {
            fatalError("the difference of two objects is no patch: \(difference.serializedString())")
        }
        precondition(again == result, "the difference \(difference.serializedString()) does not lead to the object")
    }

    static func checkText(of value: JSON) {
        let text = value.serialized()
        guard let again = try? JSON(parsing: text) else {
            // What was put together may be nested deeper than the parser takes.
            precondition(value.isDeeper(than: JSON.maximumDepth), "what was written is not read")
            return
        }
        precondition(again.serialized() == text, "writing and reading again changes the text")
    }
}

extension JSON {
    fileprivate func isDeeper(than levels: Int) -> Bool {
        switch self {
        case .array(let elements): levels == 0 || elements.contains { $0.isDeeper(than: levels - 1) }
        case .object(let members): levels == 0 || members.contains { $0.value.isDeeper(than: levels - 1) }
        default: false
        }
    }
}
