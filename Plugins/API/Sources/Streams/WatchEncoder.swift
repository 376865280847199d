import ObjectSchema
import Objects
import PluginKit
import Synchronization

/// Turns changes of the store into the events of one watch: which kind of event it is for its selectors, and its bytes.
struct WatchEncoder: Sendable {
    enum Kind: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
    }

    let resource: Resource
    let form: ResponseForm
    let selection: Selection
    /// Only the object of this name; empty for all.
    let name: String
    let includeObject: String?
    /// Where watches find what others have encoded already.
    let lines: EventLines
    /// Whether the columns of this watch's tables have been told.
    private let columns = TableColumns()

    init(
        resource: Resource, form: ResponseForm, selection: Selection, name: String, includeObject: String?,
        lines: EventLines
    ) {
        self.resource = resource
        self.form = form
        self.selection = selection
        self.name = name
        self.includeObject = includeObject
        self.lines = lines
    }

    /// Whether events are made of the stored bytes as they lie, which takes a microsecond or two.
    var copiesBytes: Bool {
        form == .object && resource.custom == nil && resource.apiVersion == resource.storageAPIVersion
    }

    /// What a change means to this watch; nil when it does not concern it.
    func kind(of event: StoreEvent) -> Kind? {
        if !name.isEmpty, StoreRecord.split(key: event.record.key).name != name { return nil }
        if event.isDelete {
            guard let previous = event.previous else { return nil }
            return selection.matches(previous) ? .deleted : nil
        }
        if event.record.hasLeft { return .deleted }
        guard selection.matches(event.record) else { return nil }
        let isNew = event.record.hasEntered || event.record.revision == event.record.createRevision
        return isNew ? .added : .modified
    }

    /// Appends the event of a change, if it has one.
    func encode(_ event: StoreEvent, into output: inout [UInt8]) {
        guard let kind = kind(of: event) else { return }
        // A deleted object is shown as it was last, at the revision of its end.
        let shown = kind == .deleted ? event.previous ?? event.record : event.record
        let showsColumns = columns.mustBeTold(form)
        let form = EventLines.Form(
            resource: resource, form: form, includeObject: includeObject, showsColumns: showsColumns)
        output.append(
            contentsOf: lines.line(form, kind, revision: event.record.revision, key: event.record.key) { line in
                shown.withValue {
                    write(kind, $0, event.record.revision, showsColumns: showsColumns, into: &line)
                }
            })
    }

    /// Appends the event of an object that is at hand.
    func write(_ kind: Kind, _ value: UnsafeRawBufferPointer, _ revision: UInt64, into output: inout [UInt8]) {
        write(kind, value, revision, showsColumns: columns.mustBeTold(form), into: &output)
    }

    private func write(
        _ kind: Kind, _ value: UnsafeRawBufferPointer, _ revision: UInt64, showsColumns: Bool,
        into output: inout [UInt8]
    ) {
        guard !form.isProtobuf else { return writeProtobuf(kind, value, revision, into: &output) }
        output.append(contentsOf: "{\"type\":\"".utf8)
        output.append(contentsOf: kind.rawValue.utf8)
        output.append(contentsOf: "\",\"object\":".utf8)
        switch form {
        case .object, .protobuf, .aggregatedDiscovery: Conversion.write(value, revision, resource, into: &output)
        case .metadata, .protobufMetadata:
            StoredObject.writePartial(value, revision: revision, version: form.metadataVersion, into: &output)
        case .table(let version):
            var writer = TableWriter(resource, version: version, includeObject: includeObject)
            writer.begin(revision: revision, more: nil, remaining: nil, showsColumns: showsColumns)
            writer.add(value, revision: revision)
            output.append(contentsOf: writer.finish(newline: false))
        }
        output.append(contentsOf: "}\n".utf8)
    }

    private func writeProtobuf(
        _ kind: Kind, _ value: UnsafeRawBufferPointer, _ revision: UInt64, into output: inout [UInt8]
    ) {
        var object: [UInt8] = []
        if form == .protobuf {
            Conversion.write(value, revision, resource, into: &object)
        } else {
            StoredObject.writePartial(value, revision: revision, version: form.metadataVersion, into: &object)
        }
        do {
            write(kind.rawValue, try JSON(parsing: object), into: &output)
        } catch {
            self.error(.internalError("a stored object is damaged: \(error)"), into: &output)
        }
    }

    /// Appends an event with an object that is given as a value.
    private func write(_ type: String, _ object: JSON, into output: inout [UInt8]) {
        guard form.isProtobuf else {
            (["type": .string(type), "object": object] as JSON).write(into: &output)
            output.append(0x0A)
            return
        }
        do {
            output.append(contentsOf: KubernetesProtobuf.event(type, try KubernetesProtobuf.encode(object)))
        } catch {
            // Such as a number where Kubernetes has a text. A Status always has an encoding.
            self.error(.internalError("the object cannot be shown in protobuf: \(error)"), into: &output)
        }
    }

    /// Appends a bookmark: everything up to `revision` has been sent.
    func bookmark(_ revision: UInt64, endsInitialEvents: Bool = false, into output: inout [UInt8]) {
        var metadata: JSONObject = ["resourceVersion": .string(String(revision)), "creationTimestamp": .null]
        if endsInitialEvents { metadata["annotations"] = ["k8s.io/initial-events-end": "true"] }
        let object: JSON
        switch form {
        case .object, .protobuf, .aggregatedDiscovery:
            object = [
                "kind": .string(resource.kind), "apiVersion": .string(resource.apiVersion),
                "metadata": .object(metadata),
            ]
        case .metadata, .protobufMetadata:
            object = [
                "kind": "PartialObjectMetadata", "apiVersion": .string("meta.k8s.io/\(form.metadataVersion)"),
                "metadata": .object(metadata),
            ]
        case .table(let version):
            let row: JSON = [
                "kind": "PartialObjectMetadata", "apiVersion": .string("meta.k8s.io/\(version)"),
                "metadata": .object(metadata),
            ]
            object = [
                "kind": "Table", "apiVersion": .string("meta.k8s.io/\(version)"),
                "metadata": ["resourceVersion": .string(String(revision))], "columnDefinitions": [],
                "rows": [["cells": [], "object": row]],
            ]
        }
        write("BOOKMARK", object, into: &output)
    }

    func error(_ status: APIStatus, into output: inout [UInt8]) { write("ERROR", status.json, into: &output) }
}

/// The columns of one watch's tables, which are told once: with its first event.
private final class TableColumns: Sendable {
    private let isTold = Atomic(false)

    func mustBeTold(_ form: ResponseForm) -> Bool {
        guard case .table = form else { return false }
        return !isTold.exchange(true, ordering: .relaxed)
    }
}
