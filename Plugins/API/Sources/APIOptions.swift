extension APIPlugin {
    /// The options' JSON schema; docs/api-access.md describes the larger ones.
    public static let optionsSchema = """
        {"type": "object", "additionalProperties": false, "properties": {
          "threads": {"type": "integer", "minimum": 1, "maximum": 64, "default": 2,
            "description": "Event loops that serve connections."},
          "adminToken": {"type": "string", "default": "",
            "description": "A bearer token that may do everything; empty means none."},
          "names": {"type": "array", "items": {"type": "string"}, "default": [],
            "description": "Further host names and addresses that the server's certificate is for."},
          "watchBytes": {"type": "integer", "minimum": 1048576, "maximum": 1099511627776, "default": 134217728,
            "description": "Bytes that all watches together may keep for clients that read slowly; those that hold most end."},
          "signCertificates": {"type": "boolean", "default": true,
            "description": "Whether CertificateSigningRequests of Kubernetes' own signers are approved (nodes) and signed here."},
          "authentication": \(authenticationSchema),
          "authorization": \(authorizationSchema),
          "audit": \(auditSchema),
          "fairness": {"type": "object", "description": "How requests share the server.", "properties": {
            "enabled": {"type": "boolean", "description": "false: all requests run at once (default true)."},
            "totalSeats": {"type": "integer", "minimum": 1, "maximum": 1000000,
              "description": "Seats of all priority levels together (default 600)."}}}
        }}
        """

    /// Where a webhook is; further members follow.
    private static let connectionSchema = """
        "url": {"type": "string", "description": "An https URL."},
        "certificateAuthority": {"type": "string", "description": "PEM; empty: the system's authorities."},
        "tokenFile": {"type": "string", "description": "A file with the bearer token to show; empty: none."},
        "timeout": {"type": "string", "description": "For one call, at most 30s."}
        """

    private static let claimSchema = """
        {"type": "object", "properties": {
          "claim": {"type": "string"}, "prefix": {"type": "string"}, "expression": {"type": "string"}}}
        """

    private static let authenticationSchema = """
        {"type": "object", "description": "Who else may name users.", "properties": {
          "configFile": {"type": "string",
            "description": "A file of kind AuthenticationConfiguration, instead of jwt; followed when it changes."},
          "anonymous": {"type": "object", "required": ["enabled"], "properties": {
            "enabled": {"type": "boolean"},
            "conditions": {"type": "array", "maxItems": 256, "items": {"type": "object", "required": ["path"],
              "properties": {"path": {"type": "string", "minLength": 1}}}}}},
          "bootstrapTokens": {"type": "boolean", "description": "Whether bootstrap tokens count (default true)."},
          "webhook": {"type": "object", "required": ["url"], "properties": {
            \(connectionSchema),
            "cacheTTL": {"type": "string", "description": "How long answers are kept (default 2m)."}}},
          "jwt": {"type": "array", "maxItems": 64, "items": {"type": "object", "required": ["issuer", "claimMappings"],
            "properties": {
              "issuer": {"type": "object", "required": ["url", "audiences"], "properties": {
                "url": {"type": "string"}, "discoveryURL": {"type": "string"},
                "certificateAuthority": {"type": "string"},
                "audiences": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                "audienceMatchPolicy": {"type": "string", "enum": ["MatchAny"]}}},
              "claimValidationRules": {"type": "array", "items": {"type": "object", "properties": {
                "claim": {"type": "string"}, "requiredValue": {"type": "string"},
                "expression": {"type": "string"}, "message": {"type": "string"}}}},
              "claimMappings": {"type": "object", "required": ["username"], "properties": {
                "username": \(claimSchema), "groups": \(claimSchema), "uid": \(claimSchema),
                "extra": {"type": "array", "items": {"type": "object", "required": ["key", "valueExpression"],
                  "properties": {"key": {"type": "string"}, "valueExpression": {"type": "string"}}}}}},
              "userValidationRules": {"type": "array", "items": {"type": "object", "required": ["expression"],
                "properties": {"expression": {"type": "string"}, "message": {"type": "string"}}}}
            }}}
        }}
        """

    private static let authorizationSchema = """
        {"type": "object", "description": "Who decides what users may do.", "properties": {
          "configFile": {"type": "string",
            "description": "A file of kind AuthorizationConfiguration, instead of authorizers; followed when it changes."},
          "authorizers": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["type"], "properties": {
            "type": {"type": "string", "enum": ["Node", "RBAC", "Webhook"]},
            "name": {"type": "string"},
            "webhook": {"type": "object", "required": ["url"], "properties": {
              \(connectionSchema),
              "authorizedTTL": {"type": "string", "description": "How long permissions are kept (default 5m)."},
              "unauthorizedTTL": {"type": "string", "description": "How long refusals are kept (default 30s)."},
              "failurePolicy": {"type": "string", "enum": ["NoOpinion", "Deny"]},
              "matchConditions": {"type": "array", "maxItems": 64, "items": {"type": "object",
                "required": ["expression"], "properties": {"expression": {"type": "string"}}}}}}
          }}}
        }}
        """

    private static let auditSchema = """
        {"type": "object", "required": ["policyFile"], "description": "The audit log; none without a policy.",
          "properties": {
            "policyFile": {"type": "string", "minLength": 1, "description": "A Policy of audit.k8s.io/v1."},
            "path": {"type": "string", "description": "The log's file (default audit.log in the data directory); - is standard output."},
            "mode": {"type": "string", "enum": ["batch", "blocking"],
              "description": "Whether requests wait until their events are written (default batch: they do not)."},
            "bufferSize": {"type": "integer", "minimum": 1, "maximum": 1000000,
              "description": "Events that may wait to be written (default 10000)."},
            "maximumSizeMiB": {"type": "integer", "minimum": 0, "maximum": 1048576,
              "description": "A larger file is put aside (default 100; 0: never)."},
            "maximumBackups": {"type": "integer", "minimum": 0, "maximum": 10000,
              "description": "Files put aside that are kept (default 10; 0: all)."},
            "maximumAgeDays": {"type": "integer", "minimum": 0, "maximum": 36500,
              "description": "How long they are kept (default 0: without end)."},
            "webhook": {"type": "object", "required": ["configFile"], "properties": {
              "configFile": {"type": "string", "minLength": 1, "description": "A kubeconfig with the server that events are sent to."},
              "bufferSize": {"type": "integer", "minimum": 1, "maximum": 1000000,
                "description": "Events that may wait (default 10000)."},
              "batchMaximumSize": {"type": "integer", "minimum": 1, "maximum": 100000,
                "description": "Most events that are sent at once (default 400)."},
              "batchMaximumWait": {"type": "string", "description": "How long an event waits for others (default 30s)."},
              "throttleRate": {"type": "integer", "minimum": 1, "maximum": 100000,
                "description": "Most batches a second (default 10)."},
              "throttleBurst": {"type": "integer", "minimum": 1, "maximum": 100000,
                "description": "And how many at once (default 15)."},
              "initialBackoff": {"type": "string", "description": "How long is waited after a failure (default 10s)."}}}}}
        """
}
