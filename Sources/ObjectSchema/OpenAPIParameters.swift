/// What the parameters of requests are for, as OpenAPI documents show it.
enum OpenAPIParameters {
    static let texts = [
        "allowWatchBookmarks": "Whether a watch tells from time to time how far it has come, too.",
        "continue": "The token that the page before gave; the list goes on where that page ended.",
        "dryRun": "With All, everything is done but the writing.",
        "fieldManager": "Who makes the change, as managedFields names it.",
        "fieldSelector": "Narrows the list of returned objects down by their fields.",
        "fieldValidation": "What becomes of unknown and repeated fields: Ignore, Warn or Strict.",
        "force": "Whether fields that others have applied are taken over.",
        "gracePeriodSeconds": "How long the object may take to end; 0 ends it at once.",
        "labelSelector": "Narrows the list of returned objects down by their labels.",
        "limit": "How many objects a page holds at most.",
        "name": "The name of the object.",
        "namespace": "The namespace of the object.",
        "propagationPolicy": "What becomes of the objects that it owns: Orphan, Background or Foreground.",
        "resourceVersion": "How new the state must be that is shown, or after which a watch begins.",
        "resourceVersionMatch": "Whether resourceVersion is meant exactly, or as the oldest that will do.",
        "timeoutSeconds": "How long a list or a watch may last.",
        "watch": "Watch for changes to the described resources: events follow as they happen.",
    ]
}
