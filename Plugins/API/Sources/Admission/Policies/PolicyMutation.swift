import CEL
import FieldManagement
import ObjectSchema
import Objects

/// One mutation of a policy at one object.
struct PolicyMutation {
    let mutation: AdmissionPolicy.Mutation
    let run: PolicyRun
    let rules: any ObjectRules

    /// Changes the object of a write.
    /// - Throws: a `PolicyFailure` where the policy's own way with failures decides, an `APIStatus` for an object that is none.
    func apply(_ params: JSON, _ request: inout AdmissionRequest) throws {
        let activation = try run.activation(request, params: params)
        let evaluation = PolicyEvaluation(activation, budget: CELCost.perObject)
        evaluation.declare(run.entry.policy.variables)
        let value = try mutation.expression.result(evaluation)
        let shown = ReviewRequest.object(of: request, as: run.matched)
        // Of a kind that a subresource has for itself no list or map is more than a whole.
        let schema = request.isOfOwnKind ? nil : rules.schema(of: run.matched)
        let changed = try mutation.isPatch ? Self.patched(shown, value) : Self.merged(shown, value, schema)
        guard changed != shown else { return }
        if request.isOfOwnKind {
            request.object = changed
            return
        }
        var object = Conversion.toWorking(changed, run.matched)
        guard object.name == request.object.name, object.namespace == request.object.namespace else {
            throw PolicyFailure("a mutation must not change the object's name or namespace")
        }
        guard object.kind == request.object.kind, object.apiVersion == request.object.apiVersion else {
            throw PolicyFailure("a mutation must not change the object's kind")
        }
        try prune(&object, request)
        rules.applyDefaults(&object, request.resource)
        request.object = object
    }

    /// - Throws: fields that a patch has added to a built-in kind, which does not know them.
    private func prune(_ object: inout JSON, _ request: AdmissionRequest) throws(APIStatus) {
        let unknown: [String]
        do throws(APIStatus) {
            unknown = try rules.prune(&object, request.resource)
        } catch {
            throw .internalError(error.message)
        }
        guard mutation.isPatch, request.resource.custom == nil, !unknown.isEmpty else { return }
        let faults = unknown.map { "unknown field \"\($0)\"" }.joined(separator: ", ")
        throw .internalError("strict decoding error: \(faults)")
    }

    private static func patched(_ object: JSON, _ value: CELValue) throws(PolicyFailure) -> JSON {
        guard case .list(let operations) = value else {
            throw PolicyFailure("type mismatch: JSONPatchType.expression should evaluate to array")
        }
        do throws(CELError) {
            for index in 0..<operations.count {
                // An operation's path says where an object is put, so that only what is in it has a place of its own.
                guard case .map(let operation) = try operations.element(index),
                    let member = try operation.field("value"), case .map(.object(let type, _)) = member
                else { continue }
                try MutationTypes.check(member, type.name)
            }
        } catch {
            throw PolicyFailure("type mismatch: \(error)")
        }
        do {
            return try JSONPatch.apply(try value.json(), to: object)
        } catch let error as JSONPatch.PatchError where error.reason == .testFailed {
            // A test that does not hold leaves the object as it is.
            return object
        } catch {
            throw PolicyFailure("JSONPath: \(error)")
        }
    }

    private static func merged(_ object: JSON, _ value: CELValue, _ schema: SchemaNode?) throws(PolicyFailure) -> JSON {
        do throws(CELError) {
            try MutationTypes.check(value)
        } catch {
            throw PolicyFailure("type mismatch: \(error)")
        }
        var configuration: JSON
        do throws(CELError) {
            configuration = try value.json()
        } catch {
            throw PolicyFailure("invalid return type: \(error)")
        }
        guard case .object = configuration else { throw PolicyFailure("invalid return type: \(value.type)") }
        configuration.kind = object.kind
        configuration.apiVersion = object.apiVersion
        if schema != nil {
            do throws(TypedObjectError) {
                try AppliedConfiguration.check(configuration, schema)
            } catch {
                throw PolicyFailure(
                    "error applying patch: failed to convert patch object to typed object: \(error.asValidation)")
            }
            let parts = AppliedConfiguration.atomicParts(of: configuration, schema)
            guard parts.isEmpty else {
                throw PolicyFailure(
                    "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
                        + parts.joined(separator: ", "))
            }
        }
        return AppliedConfiguration.merge(configuration, over: object, schema)
    }
}

extension TypedObjectError {
    /// Several problems each on a line of their own, as Kubernetes tells of them.
    fileprivate var asValidation: String {
        problems.count == 1 ? problems[0] : (["errors:"] + problems.map { "  \($0)" }).joined(separator: "\n")
    }
}
