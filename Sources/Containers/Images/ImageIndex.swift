import Objects
import PluginKit

/// One image of the store.
package struct StoredImage: Sendable, Equatable {
    /// Digest of its configuration.
    package let id: Digest
    package var manifestDigest: Digest?
    /// Canonical references; none for an image whose names went to a newer one.
    package var references: [ImageReference]
    /// Chain ids of its layers, lowest first.
    package var layers: [Digest]
    /// Bytes of its layers' files and its configuration.
    package var size: Int64
    package var configuration: ImageConfiguration

    /// CRI's Image message.
    package var json: JSON {
        let digests =
            manifestDigest.map { digest in Set(references.map(\.name)).sorted().map { "\($0)@\(digest)" } } ?? []
        var json: JSON = [
            "id": .string(id.description), "repoTags": JSON(references.map(\.description)),
            "repoDigests": JSON(digests),
            "size": .integer(size), "pinned": false,
        ]
        if let user = configuration.userID {
            json["uid"] = .integer(user)
        } else {
            json["username"] = .string(String(configuration.user.prefix { $0 != ":" }))
        }
        return json
    }
}

/// A layer on disk: the directory `layers/NUMBER`, short so that many fit into overlayfs' options.
package struct StoredLayer: Sendable, Equatable {
    package let number: Int
    package let size: Int64
}

/// What the store holds, as the file `images/index.json` keeps it.
package struct ImageIndex: Sendable, Equatable {
    package var nextLayer = 1
    /// By chain id: a layer's content may depend on those below it.
    package var layers: [Digest: StoredLayer] = [:]
    package var images: [Digest: StoredImage] = [:]

    package init() {}

    /// - Parameter configuration: reads the configuration of an image.
    package init(parsing json: JSON, configuration: (Digest) throws(PluginError) -> ImageConfiguration)
        throws(PluginError)
    {
        guard json["version"].integerValue == 1 else {
            throw .init(
                code: -16,
                message: "the image index has the version \(json["version"].integerValue ?? 0), this hostd reads 1")
        }
        nextLayer = Int(json["nextLayer"].integerValue ?? 1)
        for layer in json["layers"].arrayValue {
            guard let number = layer["number"].integerValue else {
                throw .invalid("a layer of the image index has no number")
            }
            layers[try Digest(parsing: layer["chain"].stringValue ?? "")] = StoredLayer(
                number: Int(number), size: layer["size"].integerValue ?? 0)
        }
        for image in json["images"].arrayValue {
            let id = try Digest(parsing: image["id"].stringValue ?? "")
            var chains: [Digest] = []
            for chain in image["layers"].arrayValue { chains.append(try Digest(parsing: chain.stringValue ?? "")) }
            var references: [ImageReference] = []
            for reference in image["references"].arrayValue {
                references.append(try ImageReference(parsing: reference.stringValue ?? ""))
            }
            let manifest = image["manifest"].stringValue
            images[id] = StoredImage(
                id: id, manifestDigest: try manifest.map { text throws(PluginError) in try Digest(parsing: text) },
                references: references, layers: chains, size: image["size"].integerValue ?? 0,
                configuration: try configuration(id))
        }
    }

    package var json: JSON {
        let sortedLayers = layers.sorted { $0.value.number < $1.value.number }
        let sortedImages = images.values.sorted { $0.id.hexadecimal < $1.id.hexadecimal }
        return [
            "version": 1, "nextLayer": JSON(nextLayer),
            "layers": .array(
                sortedLayers.map { chain, layer in
                    ["chain": .string(chain.description), "number": JSON(layer.number), "size": .integer(layer.size)]
                }),
            "images": .array(
                sortedImages.map { image in
                    [
                        "id": .string(image.id.description),
                        "manifest": image.manifestDigest.map { .string($0.description) } ?? .null,
                        "references": JSON(image.references.map(\.description)),
                        "layers": JSON(image.layers.map(\.description)), "size": .integer(image.size),
                    ]
                }),
        ]
    }

    /// Adds an image, or its names when it is known; a name belongs to the image that got it last.
    package mutating func add(_ image: StoredImage) {
        for (id, other) in images where id != image.id {
            images[id]?.references = other.references.filter { !image.references.contains($0) }
        }
        guard var known = images[image.id] else {
            images[image.id] = image
            return
        }
        known.references += image.references.filter { !known.references.contains($0) }
        known.manifestDigest = image.manifestDigest ?? known.manifestDigest
        images[image.id] = known
    }

    /// Removes an image; the numbers of layers that no other image needs.
    package mutating func remove(_ id: Digest) -> [Int] {
        images[id] = nil
        let needed = Set(images.values.flatMap(\.layers))
        let unneeded = layers.filter { !needed.contains($0.key) }
        for chain in unneeded.keys { layers[chain] = nil }
        return unneeded.values.map(\.number)
    }

    /// By id ("sha256:…", or the digits alone, or their beginning), by name with tag, or by name with digest.
    package func find(_ text: String) throws(PluginError) -> StoredImage? {
        if let digest = try? Digest(parsing: text) { return images[digest] }
        let isHexadecimal = text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        if isHexadecimal, (12...64).contains(text.utf8.count) {
            let matches = images.values.filter { $0.id.hexadecimal.hasPrefix(text) }
            if matches.count == 1 { return matches[0] }
        }
        let reference = try ImageReference(parsing: text)
        guard let digest = reference.digest else {
            return images.values.first { $0.references.contains(reference) }
        }
        return images.values.first { image in
            (image.manifestDigest == digest || image.id == digest)
                && image.references.contains { $0.name == reference.name }
        }
    }

    /// Chain ids of a list of layers, lowest first: OCI image specification, "Layer ChainID".
    package static func chain(_ differences: [Digest]) -> [Digest] {
        var chains: [Digest] = []
        for difference in differences {
            guard let below = chains.last else {
                chains.append(difference)
                continue
            }
            chains.append(Digest.of(Array("\(below) \(difference)".utf8)))
        }
        return chains
    }
}
