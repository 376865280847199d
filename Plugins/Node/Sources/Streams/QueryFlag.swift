import Objects

extension JSON {
    /// A boolean parameter of a URL's query (an object of lists of strings), as Kubernetes reads it: absent, "0" and "false"
    /// in any case are false, all else is true. Go's clients write "true", Python's "True".
    func isFlagSet(_ name: String) -> Bool {
        guard let value = self[name][0].stringValue else { return false }
        return value != "0" && value.lowercased() != "false"
    }
}
