import Objects

/// CustomResourceDefinitions that several tests use.
enum CustomDefinitions {
    static let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    /// widgets.example.com, with what most definitions have.
    static func widgets(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var definition: JSON = [
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": ["name": "widgets.example.com"],
            "spec": [
                "group": "example.com", "scope": "Namespaced",
                "names": [
                    "plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"],
                ],
                "versions": [
                    [
                        "name": "v1", "served": true, "storage": true, "subresources": ["status": [:]],
                        "schema": ["openAPIV3Schema": schema],
                    ]
                ],
            ],
        ]
        change(&definition)
        return definition
    }

    static let schema: JSON = [
        "type": "object",
        "properties": [
            "spec": [
                "type": "object", "required": ["size"],
                "properties": [
                    "size": ["type": "integer", "minimum": 1, "maximum": 10],
                    "color": ["type": "string", "enum": ["red", "green"], "default": "red"],
                    "note": ["type": "string", "maxLength": 20, "pattern": "^[a-z ]*$"],
                    "replicas": ["type": "integer"],
                    "port": ["x-kubernetes-int-or-string": true],
                    "parts": [
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": [
                            "type": "object", "required": ["name"],
                            "properties": [
                                "name": ["type": "string"], "weight": ["type": "number", "default": 1.5],
                            ],
                        ],
                    ],
                    "tags": [
                        "type": "array", "x-kubernetes-list-type": "set", "maxItems": 10,
                        "items": ["type": "string", "maxLength": 20],
                    ],
                    "labels": ["type": "object", "additionalProperties": ["type": "string"]],
                    "free": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                    "maybe": ["type": "string", "nullable": true],
                ],
            ],
            "status": [
                "type": "object",
                "properties": ["phase": ["type": "string"], "replicas": ["type": "integer"]],
            ],
        ],
    ]

    static func widget(_ name: String, _ spec: JSON = ["size": 3]) -> JSON {
        ["apiVersion": "example.com/v1", "kind": "Widget", "metadata": ["name": .string(name)], "spec": spec]
    }

    static let widgetsPath = "/apis/example.com/v1/namespaces/default/widgets"
}
