import CRuntime
import Glibc
import Objects
import PluginKit

extension ImageStore {
    /// Loads all images of an archive that run on this machine, or none. Takes over the descriptor.
    /// - Parameter deadline: monotonic nanoseconds, for the archive's bytes; 0 is none.
    package func load(_ archive: Descriptor, deadline: UInt64 = 0) throws(PluginError) -> [StoredImage] {
        let late = "another load or removal of images did not end in time"
        return try changing.withLock(until: deadline, orThrow: late) { () throws(PluginError) in
            if deadline > 0, monotonicNanoseconds() >= deadline {
                throw .deadlineExceeded("the image archive was not loaded in time")
            }
            let work = "\(stagingDirectory)/load-\(randomIdentifier(bytes: 8))"
            try AtomicFile.makeDirectory(work, mode: 0o700)
            var failure: PluginError?
            var loaded: [StoredImage] = []
            do throws(PluginError) {
                loaded = try load(archive, work, deadline)
            } catch {
                failure = error
            }
            // What cannot be removed now is at the next start; the load's own outcome matters more.
            try? FileTree.remove(work)
            if let failure { throw failure }
            return loaded
        }
    }

    private func load(_ archive: Descriptor, _ work: String, _ deadline: UInt64) throws(PluginError) -> [StoredImage] {
        let source = DescriptorSource(archive, name: "the image archive", deadline: deadline)
        let staged = try StagedArchive(reading: source, into: work, limit: limits.archiveSize)
        let images = try staged.images()
        var load = PendingLoad(index: index, work: work)
        var stored: [StoredImage] = []
        for image in images { stored.append(try add(image, to: &load)) }
        try commit(load)
        return stored
    }

    /// Layers unpacked so far, and the index as it will be.
    private struct PendingLoad {
        var index: ImageIndex
        let work: String
        var unpacked: [(number: Int, path: String)] = []
        var configurations: [(id: Digest, bytes: [UInt8])] = []
    }

    private func add(_ image: ArchivedImage, to load: inout PendingLoad) throws(PluginError) -> StoredImage {
        let chains = ImageIndex.chain(image.layers.map(\.difference))
        var below: [String] = []
        var size = Int64(image.configurationBytes.count)
        for (layer, chain) in zip(image.layers, chains) {
            if load.index.layers[chain] == nil { try unpack(layer, chain, below, image, &load) }
            guard let known = load.index.layers[chain] else { continue }
            size += known.size
            let path = load.unpacked.first { $0.number == known.number }?.path ?? "\(layersDirectory)/\(known.number)"
            below.insert(path, at: 0)
        }
        let stored = StoredImage(
            id: image.identifier, manifestDigest: image.manifestDigest, references: image.references, layers: chains,
            size: size, configuration: image.configuration)
        load.index.add(stored)
        load.configurations.append((stored.id, image.configurationBytes))
        return load.index.images[stored.id] ?? stored
    }

    private func unpack(
        _ layer: ArchivedImage.Layer, _ chain: Digest, _ below: [String], _ image: ArchivedImage,
        _ load: inout PendingLoad
    ) throws(PluginError) {
        let name = "layer \(layer.difference) of \(image.references.first?.description ?? image.identifier.description)"
        let number = load.index.nextLayer
        load.index.nextLayer += 1
        let path = "\(load.work)/layer-\(number)"
        try AtomicFile.makeDirectory(path, mode: 0o755)
        let file = DescriptorSource(try Descriptor(opening: layer.file.path, O_RDONLY), name: name)
        let compressed = layer.file.size
        let limits = limits
        let measured = MeasuredSource(try Decompressor.source(over: file, name: name)) { total in
            Self.excess(total, compressed: compressed, limits, name)
        }
        let unpacker = try LayerUnpacker(into: path, parents: below, name: name)
        try unpacker.unpack(TarReader(measured, archive: name))
        let digest = try measured.drain()
        guard digest == layer.difference else {
            throw .invalid("\(name) is damaged: its content has the digest \(digest); get the image again")
        }
        load.index.layers[chain] = StoredLayer(number: number, size: unpacker.contentBytes)
        load.unpacked.append((number, path))
    }

    /// The error for a layer that grows beyond all bounds while it is decompressed.
    package static func excess(_ total: Int64, compressed: Int64, _ limits: Limits, _ name: String) -> PluginError? {
        if total > limits.layerSize {
            return .exhausted(
                "\(name) is larger than \(limits.layerSize) bytes, the option maximumLayerSize; nothing was kept")
        }
        if total > limits.ratioFreeSize, total / max(compressed, 1) > limits.ratio {
            return .exhausted(
                "\(name) grows to more than \(limits.ratio) times its compressed size of \(compressed) bytes, as a "
                    + "decompression bomb does; nothing was kept. Raise the option maximumLayerRatio if the image is trusted"
            )
        }
        return nil
    }

    /// Content first, made durable, then the index that names it.
    private func commit(_ load: PendingLoad) throws(PluginError) {
        for configuration in load.configurations {
            try AtomicFile.write(configuration.bytes, to: configurationPath(configuration.id))
        }
        for layer in load.unpacked {
            let place = "\(layersDirectory)/\(layer.number)"
            // A load that failed after this step leaves a layer that no index names.
            try FileTree.remove(place)
            if rename(layer.path, place) != 0 { throw .system("move", layer.path, errno: errno) }
        }
        let directory = try Descriptor(opening: layersDirectory, O_RDONLY | O_DIRECTORY)
        if runtime_syncfs(directory.number) != 0 { throw .system("sync", layersDirectory, errno: errno) }
        try write(load.index)
    }
}
