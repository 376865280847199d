import Objects

/// A named syntax of an expression.
struct CELFormat: CELOpaque {
    static let typeName = "kubernetes.NamedFormat"
    let name: String
    let check: @Sendable (String) -> [String]

    var typeName: String { Self.typeName }
    func equals(_ other: any CELOpaque) -> Bool { (other as? CELFormat)?.name == name }

    static let all: [CELFormat] = [
        CELFormat(name: "dns1123Label", check: NameChecks.dns1123Label),
        CELFormat(name: "dns1123Subdomain", check: NameChecks.dns1123Subdomain),
        CELFormat(name: "dns1035Label", check: NameChecks.dns1035Label),
        CELFormat(name: "qualifiedName", check: NameChecks.qualifiedName),
        CELFormat(name: "dns1123LabelPrefix") { NameChecks.dns1123Label(withoutDash($0)) },
        CELFormat(name: "dns1123SubdomainPrefix") { NameChecks.dns1123Subdomain(withoutDash($0)) },
        CELFormat(name: "dns1035LabelPrefix") { NameChecks.dns1035Label(withoutDash($0)) },
        CELFormat(name: "labelValue", check: NameChecks.labelValue),
        CELFormat(name: "uri") { (try? CELURL(parsing: $0)) == nil ? ["invalid URI: \($0)"] : [] },
        CELFormat(name: "uuid") { isUUID($0) ? [] : ["does not match the UUID format"] },
        CELFormat(name: "byte") { Base64.decode($0) == nil ? ["invalid base64"] : [] },
        CELFormat(name: "date") { (try? Timestamp(parsing: $0 + "T00:00:00Z")) == nil ? ["invalid date"] : [] },
        CELFormat(name: "datetime") { (try? Timestamp(parsing: $0)) == nil ? ["invalid datetime"] : [] },
    ]

    /// A prefix that a name is generated from may end in a dash.
    private static func withoutDash(_ text: String) -> String {
        text.utf8.count > 1 && text.hasSuffix("-") ? text.dropLast() + "a" : text
    }

    private static func isUUID(_ text: String) -> Bool {
        text.count == 36
            && text.unicodeScalars.enumerated().allSatisfy { index, scalar in
                [8, 13, 18, 23].contains(index) ? scalar == "-" : scalar.properties.isASCIIHexDigit
            }
    }
}

extension CELLibrary {
    /// `format.named`, `format.dns1123Label()` and the like.
    public static let formats = CELLibrary(
        "formats",
        [
            .unary("format.named(string): optional(kubernetes.NamedFormat)") { name throws(CELError) in
                let name = try name.string()
                return .optional(CELFormat.all.first { $0.name == name }.map { .opaque($0) })
            },
            .binary(
                "kubernetes.NamedFormat . validate(string): optional(list(string))", cost: .traversal(of: 1, times: 2)
            ) { format, text throws(CELError) in
                let complaints = try format.opaque(CELFormat.self).check(try text.string())
                return .optional(complaints.isEmpty ? nil : .list(.values(complaints.map { .string($0) })))
            },
        ]
            + CELFormat.all.map { format in
                .variadic("format.\(format.name)(): kubernetes.NamedFormat") { _ throws(CELError) in .opaque(format) }
            })
}
