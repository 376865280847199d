import Objects
import PluginKit

/// Requests that the server makes itself, to keep objects as they should be.
extension RequestPipeline {
    /// Makes a request as the server and waits for its answer. [blocking] Not to be called where requests are answered.
    /// - Parameter writer: Who is named as the fields' manager.
    /// - Returns: false when somebody else was first: the object has changed meanwhile, or is gone. That comes by a watch.
    /// - Throws: what else keeps it from being done, and is worth another attempt.
    @discardableResult
    func perform(
        _ method: APIRequest.Method, _ target: String, _ body: JSON, by writer: String
    ) throws(PluginError) -> Bool {
        let response = ResponseBox.wait { (respond) throws(APIStatus) in
            var request = try APIRequest(
                method: method, target: target, body: body.serialized(), user: .host, isInternal: true)
            request.userAgent = writer
            handle(request, respond: respond)
        }
        if response.status < 300 { return true }
        if response.status == 409 || response.status == 404 { return false }
        var reason = "status \(response.status)"
        if case .bytes(let bytes) = response.body, let message = (try? JSON(parsing: bytes))?["message"].stringValue {
            reason = message
        }
        throw .internal("\(writer) cannot write \(target): \(reason)")
    }

    /// Replaces an object, or one of its parts, at the revision that it was read at.
    func replace(_ object: JSON, _ target: String, by writer: String) throws(PluginError) {
        var body = object
        // Who owns which field the server knows.
        body["metadata"].removeValue(forKey: "managedFields")
        try perform(.put, target, body, by: writer)
    }

    /// Deletes an object as it was read, and no later version of it.
    func remove(_ object: JSON, _ target: String, by writer: String) throws(PluginError) {
        let options: JSON = [
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": ["uid": .string(object.uid), "resourceVersion": .string(object.resourceVersion)],
        ]
        try perform(.delete, target, options, by: writer)
    }
}
