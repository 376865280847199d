import Glibc
import Objects
import PluginKit

extension StagedArchive {
    /// All images of the archive that run on this machine.
    func images() throws(PluginError) -> [ArchivedImage] {
        if self["oci-layout"] != nil { return try imagesOfLayout() }
        if let manifest = try json("manifest.json") { return try imagesOfDocker(manifest) }
        throw .invalid(
            "this is no image archive: it has neither oci-layout (OCI) nor manifest.json (docker save); "
                + "make one with `docker save`, `podman save --format oci-archive` or `skopeo copy … oci-archive:FILE`")
    }

    // MARK: OCI image layout

    private func imagesOfLayout() throws(PluginError) -> [ArchivedImage] {
        guard let index = try json("index.json") else { throw .invalid("the image archive lacks index.json") }
        var images: [ArchivedImage] = []
        for descriptor in index["manifests"].arrayValue {
            let references = try Self.references(descriptor["annotations"])
            guard let manifest = try manifest(descriptor, depth: 0) else { continue }
            if let known = images.firstIndex(where: { $0.manifestDigest == manifest.digest }) {
                images[known].references += references
            } else {
                images.append(try image(manifest.json, manifest.digest, references))
            }
        }
        guard !images.isEmpty else {
            throw .invalid("the image archive holds no image for linux/\(Self.architecture), which this machine runs")
        }
        return images
    }

    private static func references(_ annotations: JSON) throws(PluginError) -> [ImageReference] {
        if let name = annotations["io.containerd.image.name"].stringValue { return [try ImageReference(parsing: name)] }
        // Often a tag alone, which names no image.
        guard let name = annotations["org.opencontainers.image.ref.name"].stringValue,
            name.contains("/") || name.contains(":")
        else { return [] }
        return [try ImageReference(parsing: name)]
    }

    /// The manifest behind a descriptor; of an index, the one for this machine.
    private func manifest(_ descriptor: JSON, depth: Int) throws(PluginError) -> (json: JSON, digest: Digest)? {
        let digest = try Digest(parsing: descriptor["digest"].stringValue ?? "")
        guard depth < 4 else { throw .invalid("the image archive nests its indexes deeper than four levels") }
        guard Self.matches(descriptor["platform"]) else { return nil }
        let content = try Self.json(try blob(digest, for: "a manifest"), "manifest \(digest)")
        guard content["manifests"].exists else { return (content, digest) }
        for nested in content["manifests"].arrayValue where Self.matches(nested["platform"]) {
            // Attestations travel beside images; they are not for running.
            if nested["annotations"]["vnd.docker.reference.type"].exists { continue }
            return try manifest(nested, depth: depth + 1)
        }
        return nil
    }

    private func image(
        _ manifest: JSON, _ digest: Digest, _ references: [ImageReference]
    ) throws(PluginError) -> ArchivedImage {
        let name = references.first?.description ?? digest.description
        let configurationDigest = try Digest(parsing: manifest["config"]["digest"].stringValue ?? "")
        let configuration = try blob(configurationDigest, for: "the configuration of \(name)")
        var files: [File] = []
        for layer in manifest["layers"].arrayValue {
            let type = layer["mediaType"].stringValue ?? ""
            if type.contains("foreign") || type.contains("nondistributable") || type.contains("encrypted") {
                throw .notSupported("\(name) has a layer of the type \(type), which hostd cannot unpack")
            }
            files.append(try blob(try Digest(parsing: layer["digest"].stringValue ?? ""), for: "a layer of \(name)"))
        }
        return try assemble(name, configuration, files, digest, references)
    }

    // MARK: docker-archive

    private func imagesOfDocker(_ manifest: JSON) throws(PluginError) -> [ArchivedImage] {
        var images: [ArchivedImage] = []
        for entry in manifest.arrayValue {
            var references: [ImageReference] = []
            for tag in entry["RepoTags"].arrayValue {
                references.append(try ImageReference(parsing: tag.stringValue ?? ""))
            }
            let configurationName = entry["Config"].stringValue ?? ""
            let name = references.first?.description ?? configurationName
            guard let configuration = self[configurationName] else {
                throw .invalid("the image archive lacks \(configurationName), the configuration of \(name)")
            }
            let claimed = configurationName.split(separator: "/").last.map { $0.prefix { $0 != "." } } ?? ""
            if claimed.utf8.count == 64, claimed != configuration.digest.hexadecimal {
                throw .invalid(
                    "the image archive is damaged: \(configurationName) has the digest \(configuration.digest)")
            }
            var files: [File] = []
            for layer in entry["Layers"].arrayValue.compactMap(\.stringValue) {
                guard let file = self[layer] else {
                    throw .invalid("the image archive lacks \(layer), a layer of \(name)")
                }
                files.append(file)
            }
            images.append(try assemble(name, configuration, files, nil, references))
        }
        guard !images.isEmpty else { throw .invalid("the image archive's manifest.json names no image") }
        return images
    }

    private func assemble(
        _ name: String, _ file: File, _ layers: [File], _ manifest: Digest?, _ references: [ImageReference]
    ) throws(PluginError) -> ArchivedImage {
        let bytes = try AtomicFile.read(file.path, limit: 8 << 20)
        let configuration = try ImageConfiguration(
            parsing: try Self.json(file, "the configuration of \(name)"), name: name)
        if !configuration.architecture.isEmpty, configuration.architecture != Self.architecture {
            throw .invalid("\(name) is made for \(configuration.architecture), this machine is \(Self.architecture)")
        }
        guard layers.count == configuration.differences.count else {
            throw .invalid(
                "\(name) is damaged: its manifest has \(layers.count) layers, its configuration \(configuration.differences.count)"
            )
        }
        guard layers.count <= 400 else {
            throw .invalid("\(name) has \(layers.count) layers; overlayfs stacks at most 400 here")
        }
        return ArchivedImage(
            references: references, manifestDigest: manifest, configurationBytes: bytes, configuration: configuration,
            layers: zip(layers, configuration.differences).map { ArchivedImage.Layer(file: $0, difference: $1) })
    }

    // MARK: Platform

    private static func matches(_ platform: JSON) -> Bool {
        guard platform.exists else { return true }
        return (platform["os"].stringValue ?? "linux") == "linux"
            && (platform["architecture"].stringValue ?? architecture) == architecture
    }

    /// This machine's architecture as Go and OCI name it.
    static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }
}
