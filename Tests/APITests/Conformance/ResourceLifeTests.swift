import Objects
import XCTest

@testable import API

/// Every kind that is stored is made, read, listed, watched, patched, replaced and deleted in the same ways.
final class ResourceLifeTests: ConformanceCase {
    private static let selector = "labelSelector=life%3Dyes"

    /// Their objects are those of the host's own plugins, which tests of a whole host make.
    private static let elsewhere: Set = ["plugins.hostd.dev"]

    private struct Place {
        var resource: Resource
        var collection: String
        var name: String
        var path: String { "\(collection)/\(name)" }

        init(_ resource: Resource) {
            self.resource = resource
            let root = resource.group.isEmpty ? "/api/v1" : "/apis/\(resource.apiVersion)"
            collection = root + (resource.isNamespaced ? "/namespaces/default/" : "/") + resource.plural
            name = ResourceSamples.names[resource.qualified] ?? "life"
        }
    }

    private static func sample(_ place: Place) throws -> JSON {
        let resource = place.resource
        let key = resource.group == "events.k8s.io" ? "events.events.k8s.io" : resource.qualified
        var object = try XCTUnwrap(ResourceSamples.objects[key], "no sample of \(key)")
        object["metadata"] = ["name": .string(place.name), "labels": ["life": "yes"]]
        object.apiVersion = resource.apiVersion
        object.kind = resource.kind
        if resource.plural == "certificatesigningrequests" {
            object["spec"]["request"] = .string(Base64.encode(TestSigningRequest.make("life")))
        }
        return object
    }

    func testEveryStoredKind() throws {
        let all = ResourceTable.ofSchema().all.filter {
            $0.has("create") && $0.has("delete") && $0.has("watch") && !Self.elsewhere.contains($0.qualified)
        }
        XCTAssertGreaterThan(all.count, 55)
        for resource in all {
            try live(Place(resource))
        }
    }

    private func live(_ place: Place) throws {
        let about = "\(place.resource.plural) of \(place.resource.apiVersion)"
        let before = try ask("GET", "\(place.collection)?\(Self.selector)").json
        XCTAssertEqual(before.kind, place.resource.listKind, about)
        XCTAssertEqual(before["items"], [], about)
        let made = try ask("POST", place.collection, Self.sample(place))
        XCTAssertEqual(made.status, 201, "\(about): \(made.text)")
        guard made.status == 201 else { return }
        let object = try made.json
        XCTAssertFalse(object.uid.isEmpty || object.resourceVersion.isEmpty, about)
        XCTAssertEqual(object.metadata["creationTimestamp"].stringValue?.hasSuffix("Z"), true, about)
        XCTAssertEqual(try ask("POST", place.collection, Self.sample(place)).status, 409, about)
        try read(place, object, about)
        try change(place, about)
        if place.resource.hasStatus { try changeStatus(place, about) }
        try end(place, since: before.metadata["resourceVersion"].stringValue ?? "", about)
    }

    private func read(_ place: Place, _ object: JSON, _ about: String) throws {
        XCTAssertEqual(try ask("GET", place.path).json.uid, object.uid, about)
        XCTAssertEqual(try ask("GET", "\(place.collection)?\(Self.selector)").json["items"].count, 1, about)
        let selected = "fieldSelector=metadata.name%3D\(place.name)"
        XCTAssertEqual(try ask("GET", "\(place.collection)?\(selected)").json["items"].count, 1, about)
        if place.resource.isNamespaced {
            let everywhere = place.collection.replacing("/namespaces/default", with: "")
            XCTAssertEqual(try ask("GET", "\(everywhere)?\(Self.selector)").json["items"].count, 1, about)
        }
        for form in ["Table", "PartialObjectMetadataList"] {
            let list = try ask(
                "GET", "\(place.collection)?\(Self.selector)",
                headers: ["Accept": "application/json;as=\(form);g=meta.k8s.io;v=v1"])
            XCTAssertEqual(try list.json.kind, form, about)
            XCTAssertEqual(try list.json[form == "Table" ? "rows" : "items"].count, 1, about)
        }
    }

    private func change(_ place: Place, _ about: String) throws {
        let patched = try merge(place.path, ["metadata": ["annotations": ["patched": "true"]]])
        XCTAssertEqual(patched.status, 200, "\(about): \(patched.text)")
        let (present, updated) = try replace(place.path, with: try patched.json, about) {
            $0["metadata"]["annotations"]["updated"] = "true"
        }
        XCTAssertEqual(try updated.json.annotations["patched"], "true", about)
        XCTAssertEqual(try updated.json.annotations["updated"], "true", about)
        XCTAssertEqual(try ask("PUT", place.path, present).status, 409, "\(about): an old version")
        var moved = present
        moved.uid = "00000000-0000-0000-0000-000000000000"
        moved["metadata"].removeValue(forKey: "resourceVersion")
        XCTAssertEqual(try ask("PUT", place.path, moved).status, 409, "\(about): another object")
    }

    private func changeStatus(_ place: Place, _ about: String) throws {
        let status = place.path + "/status"
        XCTAssertEqual(try ask("GET", status).status, 200, about)
        let patched = try merge(status, ["metadata": ["annotations": ["patchedstatus": "true"]]])
        XCTAssertEqual(patched.status, 200, "\(about): \(patched.text)")
        _ = try replace(status, with: try patched.json, about) { _ in }
    }

    /// Replaces an object as a client does whose writes others may come before: on a conflict with what it has now. The object that
    /// was sent, and the answer.
    private func replace(
        _ path: String, with object: JSON, _ about: String, _ change: (inout JSON) -> Void
    ) throws -> (sent: JSON, answer: TLSClient.Response) {
        var sent = object
        change(&sent)
        var answer = try ask("PUT", path, sent)
        for _ in 0..<20 where answer.status == 409 {
            sent = try ask("GET", path).json
            change(&sent)
            answer = try ask("PUT", path, sent)
        }
        XCTAssertEqual(answer.status, 200, "\(about): \(answer.text)")
        return (sent, answer)
    }

    private func end(_ place: Place, since version: String, _ about: String) throws {
        let ended =
            place.resource.has("deletecollection")
            ? try ask("DELETE", "\(place.collection)?\(Self.selector)") : try ask("DELETE", place.path)
        XCTAssertEqual(ended.status, 200, "\(about): \(ended.text)")
        // What somebody has yet to look after is still there, and says so.
        let left = try ask("GET", place.path)
        XCTAssertTrue(try left.status == 404 || left.json.deletionTimestamp != nil, "\(about): \(left.text)")
        let events = try events("\(place.collection)?\(Self.selector)&resourceVersion=\(version)") { event in
            event["type"] == "DELETED" || event["object"].deletionTimestamp != nil
        }
        XCTAssertEqual(events.first?["type"], "ADDED", about)
        XCTAssertTrue(
            events.last.map { $0["type"] == "DELETED" || $0["object"].deletionTimestamp != nil } ?? false, about)
        XCTAssertEqual(Set(events.map { $0["object"].name }), [place.name], about)
    }
}
