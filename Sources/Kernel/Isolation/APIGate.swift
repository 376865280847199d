import PluginAPI

/// hostd.api/1 for a plugin with `api.read` and `api.write`: by method and path of each request.
final class APIGate: Gate<hostd_api_1>, @unchecked Sendable {
    override init(plugin: String, policy: GrantPolicy, base: UnsafePointer<hostd_interface>) {
        super.init(plugin: plugin, policy: policy, base: base)
        publish(HOSTD_API_1, HOSTD_API_1_SLOTS) { head in
            hostd_api_1(
                interface: head,
                request: { this, deadline, method, methodSize, path, pathSize, body, bodySize, response, code, error in
                    let gate = owner(this, as: APIGate.self)
                    return gate.checking(text(method, methodSize), text(path, pathSize), error) {
                        gate.base.pointee.request(
                            gate.this, deadline, method, methodSize, path, pathSize, body, bodySize, response, code,
                            error)
                    }
                },
                request_async: {
                    this, deadline, method, methodSize, path, pathSize, body, bodySize, completion, context, error in
                    let gate = owner(this, as: APIGate.self)
                    return gate.checking(text(method, methodSize), text(path, pathSize), error) {
                        gate.base.pointee.request_async(
                            gate.this, deadline, method, methodSize, path, pathSize, body, bodySize, completion,
                            context, error)
                    }
                },
                request_fenced: {
                    this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize, revision,
                    response, code, error in
                    let gate = owner(this, as: APIGate.self)
                    return gate.checking(
                        text(method, methodSize), text(path, pathSize), fence: text(fence, fenceSize), error
                    ) {
                        gate.base.pointee.request_fenced(
                            gate.this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize,
                            revision, response, code, error)
                    }
                },
                request_fenced_async: {
                    this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize, revision,
                    completion, context, error in
                    let gate = owner(this, as: APIGate.self)
                    return gate.checking(
                        text(method, methodSize), text(path, pathSize), fence: text(fence, fenceSize), error
                    ) {
                        gate.base.pointee.request_fenced_async(
                            gate.this, deadline, method, methodSize, path, pathSize, body, bodySize, fence, fenceSize,
                            revision, completion, context, error)
                    }
                })
        }
    }

    private func checking(
        _ method: String, _ path: String, fence: String? = nil, _ error: UnsafeMutablePointer<hostd_error>,
        _ body: () -> Int32
    ) -> Int32 {
        guard let scope = APIRequestScope(method: method, path: path) else {
            return error.fail(
                HOSTD_ERROR_FORBIDDEN,
                "\(Log.cut(method)) \(Log.cut(path)) cannot be matched with the grants of the plugin \(plugin): write the path "
                    + "without escapes and empty components, and the method in capitals")
        }
        return guarded(error) { () throws(GrantPolicy.Refusal) in
            try policy.checkRequest(scope)
            // The answer tells whether the key is at the revision.
            if let fence { try policy.checkStoreLook(String(fence.prefix { $0 != "/" })) }
        } _: {
            body()
        }
    }
}
