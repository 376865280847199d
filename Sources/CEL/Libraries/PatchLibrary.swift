import Objects

extension CELLibrary {
    /// `jsonpatch.escapeKey`, for policies that change objects.
    public static let patches = CELLibrary(
        "patches",
        [
            .unary("jsonpatch.escapeKey(string): string", cost: .traversal(of: 0, times: 2)) { key throws(CELError) in
                .string(JSONPatch.escape(try key.string()).replacingLeadingSlash())
            }
        ])
}

extension String {
    /// A pointer's token without the slash in front.
    fileprivate func replacingLeadingSlash() -> String { hasPrefix("/") ? String(dropFirst()) : self }
}
