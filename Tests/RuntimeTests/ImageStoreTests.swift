import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization
import XCTest

@testable import Containers
@testable import Runtime

/// Loads real archives into real directories: root only, for owners, devices and trusted attributes.
final class ImageStoreTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        try RuntimeFixture.requireRoot()
        directory = "/tmp/hostd-image-test-\(getpid())-\(randomIdentifier(bytes: 4))"
        try AtomicFile.makeDirectory(directory)
    }

    override func tearDownWithError() throws { try FileTree.remove(directory) }

    private func store(_ limits: ImageStore.Limits = .init(), owner: String = "test") throws -> ImageStore {
        try ImageStore(directory: "\(directory)/store", owner: owner, limits: limits) { XCTFail($0) }
    }

    /// Another process's load may take minutes; a caller that said when it must be over learns so then.
    func testALoadWaitsForAnotherStoreNoLongerThanItsDeadline() throws {
        let store = try store()
        let other = try FileLock("\(directory)/store/changing.lock")
        let archive = try archive([TarWriter.directory { $0.add("file", content: [1]) }])
        try other.withLock { () throws(PluginError) in
            let start = monotonicNanoseconds()
            let file = try Descriptor(opening: archive, O_RDONLY)
            XCTAssertThrowsError(try store.load(file, deadline: start + 100_000_000)) { error in
                XCTAssertEqual((error as? PluginError)?.code, PluginError.deadlineExceeded("").code, "\(error)")
            }
            let waited = monotonicNanoseconds() - start
            XCTAssertGreaterThanOrEqual(waited, 100_000_000)
            XCTAssertLessThan(waited, 60_000_000_000)
        }
        let file = try Descriptor(opening: archive, O_RDONLY)
        XCTAssertEqual(try store.load(file, deadline: monotonicNanoseconds() + 60_000_000_000).count, 1)
    }

    /// An OCI archive of one image.
    /// - Parameter break: changes the blobs before they are written.
    private func archive(
        _ layers: [[UInt8]], reference: String? = "test/app:1", compress: String? = nil, differences: [Digest]? = nil,
        break change: (inout [String: [UInt8]]) -> Void = { _ in }
    ) throws -> String {
        var blobs: [String: [UInt8]] = [:]
        func add(_ bytes: [UInt8]) -> JSON {
            let digest = Digest.of(bytes)
            blobs["blobs/sha256/\(digest.hexadecimal)"] = bytes
            return ["mediaType": "application/x", "digest": .string(digest.description), "size": JSON(bytes.count)]
        }
        var descriptors: [JSON] = []
        for layer in layers {
            descriptors.append(add(try compress.map { try Self.compressed(layer, $0, directory) } ?? layer))
        }
        let digests = differences ?? layers.map { Digest.of($0) }
        let configuration = add(
            JSON.object([
                "architecture": .string(StagedArchive.architecture), "os": "linux",
                "config": [
                    "Cmd": ["run"], "Env": ["A=1", "broken"], "User": "web:staff", "ExposedPorts": ["80/tcp": [:]],
                ],
                "rootfs": ["type": "layers", "diff_ids": JSON(digests.map(\.description))],
            ]).serialized())
        var manifest = add(
            JSON.object(["schemaVersion": 2, "config": configuration, "layers": .array(descriptors)]).serialized())
        if let reference { manifest["annotations"] = ["org.opencontainers.image.ref.name": .string(reference)] }
        blobs["oci-layout"] = Array("{}".utf8)
        blobs["index.json"] = JSON.object(["schemaVersion": 2, "manifests": [manifest]]).serialized()
        change(&blobs)
        let tar = TarWriter.directory { tar in
            for (name, bytes) in blobs.sorted(by: { $0.key < $1.key }) { tar.add(name, content: bytes) }
        }
        let path = "\(directory)/archive-\(randomIdentifier(bytes: 4)).tar"
        try AtomicFile.write(tar, to: path, isDurable: false)
        return path
    }

    private static func compressed(_ bytes: [UInt8], _ program: String, _ directory: String) throws -> [UInt8] {
        let path = "\(directory)/plain"
        try AtomicFile.write(bytes, to: path, isDurable: false)
        XCTAssertEqual(system("\(program) < \(path) > \(path).out"), 0)
        return try AtomicFile.read("\(path).out")
    }

    @discardableResult
    private func load(_ store: ImageStore, _ path: String) throws -> [StoredImage] {
        try store.load(try Descriptor(opening: path, O_RDONLY))
    }

    private func layer(_ store: ImageStore, _ image: StoredImage, _ index: Int = 0) throws -> String {
        let numbers = Array(try store.lowerDirectories(image).reversed())
        return "\(store.layersDirectory)/\(numbers[index])"
    }

    func testALayerIsUnpackedWhole() throws {
        let store = try store()
        let tar = TarWriter.directory { tar in
            tar.add("bin/", type: "5", mode: 0o711, user: 3, group: 4, modified: 1000)
            tar.addExtended([("SCHILY.xattr.user.note", "kept"), ("SCHILY.xattr.trusted.overlay.opaque", "y")])
            tar.add("bin/tool", content: Array("x".utf8), mode: 0o4755, user: 7, group: 8, modified: 2000)
            tar.add("bin/same", type: "1", link: "bin/tool")
            tar.add("lib", type: "2", link: "/usr/lib")
            tar.add("dev/null", type: "3", mode: 0o666, major: 1, minor: 3)
            tar.add("deep/er/file", content: [1])
        }
        let image = try XCTUnwrap(load(store, archive([tar])).first)
        let root = try layer(store, image)
        var status = stat()
        XCTAssertEqual(lstat("\(root)/bin/tool", &status), 0)
        XCTAssertEqual(status.st_mode & 0o7777, 0o4755)
        XCTAssertEqual([status.st_uid, status.st_gid], [7, 8])
        XCTAssertEqual(status.st_mtim.tv_sec, 2000)
        XCTAssertEqual(status.st_nlink, 2)
        XCTAssertEqual(lstat("\(root)/bin", &status), 0)
        XCTAssertEqual(status.st_mtim.tv_sec, 1000)
        XCTAssertEqual(status.st_mode & 0o7777, 0o711)
        XCTAssertEqual(lstat("\(root)/dev/null", &status), 0)
        XCTAssertEqual(UInt64(status.st_rdev), runtime_make_device(1, 3))
        var value = [UInt8](repeating: 0, count: 16)
        XCTAssertEqual(getxattr("\(root)/bin/tool", "user.note", &value, 16), 4)
        XCTAssertLessThan(getxattr("\(root)/bin/tool", "trusted.overlay.opaque", &value, 16), 0)
        XCTAssertEqual(image.configuration.command, ["run"])
        XCTAssertEqual(image.configuration.environment, ["A=1"])
        XCTAssertEqual(image.json["username"].stringValue, "web")
        XCTAssertEqual(image.json["repoTags"][0].stringValue, "docker.io/test/app:1")
    }

    func testWhiteoutsBecomeOverlays() throws {
        let store = try store()
        let lower = TarWriter.directory { tar in
            tar.add("etc/", type: "5", mode: 0o750, user: 9)
            tar.add("etc/gone", content: [1])
            tar.add("etc/linked", content: [4, 2])
            tar.add("full/old", content: [1])
        }
        let upper = TarWriter.directory { tar in
            tar.add("etc/.wh.gone")
            tar.add("full/.wh..wh..opq")
            tar.add("full/new", content: [2])
            tar.add("etc/again", type: "1", link: "etc/linked")
            tar.add(".wh.swapped")
            tar.add("swapped/", type: "5")
        }
        let image = try XCTUnwrap(load(store, archive([lower, upper])).first)
        let root = try layer(store, image, 1)
        var status = stat()
        XCTAssertEqual(lstat("\(root)/etc/gone", &status), 0)
        XCTAssertEqual(status.st_mode & S_IFMT, S_IFCHR)
        XCTAssertEqual(status.st_rdev, 0)
        var value = [UInt8](repeating: 0, count: 4)
        for path in ["full", "swapped"] {
            XCTAssertEqual(getxattr("\(root)/\(path)", "trusted.overlay.opaque", &value, 4), 1, path)
        }
        XCTAssertEqual(lstat("\(root)/etc", &status), 0)
        XCTAssertEqual(
            status.st_mode & 0o7777, 0o750, "a directory that the layer does not name looks as it does below")
        XCTAssertEqual(status.st_uid, 9)
        XCTAssertEqual(try AtomicFile.read("\(root)/etc/again"), [4, 2], "a link to a lower layer's file")
    }

    /// No path of an archive leads out of the layer, by whatever kind of link.
    func testNothingIsWrittenOutside() throws {
        let outside = "\(directory)/outside"
        try AtomicFile.makeDirectory(outside)
        try AtomicFile.write([1], to: "\(outside)/precious")
        let refused: [(name: String, tar: [UInt8], expected: String)] = [
            ("..", TarWriter.directory { $0.add("../x", content: [1]) }, "climbs out"),
            ("inner ..", TarWriter.directory { $0.add("a/../../x", content: [1]) }, "climbs out"),
            (
                "hard link with ..", TarWriter.directory { $0.add("x", type: "1", link: "../../../etc/passwd") },
                "climbs out"
            ),
            (
                "hard link to nothing", TarWriter.directory { $0.add("x", type: "1", link: "/etc/passwd") },
                "does not have"
            ),
            (
                "hard link through a link",
                TarWriter.directory { tar in
                    tar.add("out", type: "2", link: outside)
                    tar.add("x", type: "1", link: "out/precious")
                }, "does not have"
            ),
            (
                "file through a dangling link",
                TarWriter.directory { tar in
                    tar.add("out", type: "2", link: "\(directory)/outside")
                    tar.add("out/x", content: [1])
                }, "leads nowhere"
            ),
            (
                "link loop",
                TarWriter.directory { tar in
                    tar.add("a", type: "2", link: "b")
                    tar.add("b", type: "2", link: "a")
                    tar.add("a/x", content: [1])
                }, "loop"
            ),
            ("root replaced", TarWriter.directory { $0.add("./", type: "2", link: outside) }, "root directory"),
        ]
        let store = try store()
        for row in refused {
            XCTAssertThrowsError(try load(store, archive([row.tar])), row.name) { error in
                XCTAssertTrue("\(error)".contains(row.expected), "\(row.name): \(error)")
            }
        }
        XCTAssertEqual(try FileTree.names(in: outside), ["precious"])
        XCTAssertEqual(store.list().count, 0)
        XCTAssertEqual(try FileTree.names(in: store.layersDirectory), ["0"])
        XCTAssertEqual(try FileTree.names(in: store.stagingDirectory), [])
        // A link that leads somewhere inside is followed inside.
        let fine = TarWriter.directory { tar in
            tar.add("usr/lib/", type: "5")
            tar.add("lib", type: "2", link: "/usr/lib")
            tar.add("lib/x", content: [5])
        }
        let image = try XCTUnwrap(load(store, archive([fine])).first)
        XCTAssertEqual(try AtomicFile.read("\(layer(store, image))/usr/lib/x"), [5])
    }

    func testDamagedArchives() throws {
        let tar = TarWriter.directory { $0.add("file", content: [UInt8](repeating: 3, count: 5000)) }
        let store = try store()
        let digest = Digest.of(tar)
        let rows: [(name: String, path: String, expected: String)] = [
            (
                "wrong blob", try archive([tar], break: { $0["blobs/sha256/\(digest.hexadecimal)"] = [1, 2, 3] }),
                "has the digest"
            ),
            (
                "missing blob", try archive([tar], break: { $0["blobs/sha256/\(digest.hexadecimal)"] = nil }),
                "lacks sha256"
            ),
            ("wrong diff id", try archive([tar], differences: [Digest.of([9])]), "its content has the digest"),
            ("no index", try archive([tar], break: { $0["index.json"] = nil }), "lacks index.json"),
            ("no layout", try archive([tar], break: { $0["oci-layout"] = nil }), "no image archive"),
            ("index no JSON", try archive([tar], break: { $0["index.json"] = [0x7b] }), "is not JSON"),
            ("truncated gzip", try archive([tar], compress: "gzip | head -c 30"), "truncated"),
            ("other compression", try archive([tar], compress: "printf BZh91"), "bzip2"),
            ("no archive", "/bin/sh", "not a tar archive"),
        ]
        for row in rows {
            XCTAssertThrowsError(try load(store, row.path), row.name) { error in
                XCTAssertTrue("\(error)".contains(row.expected), "\(row.name): \(error)")
            }
        }
        let whole = try AtomicFile.read(try archive([tar]))
        try AtomicFile.write(Array(whole[0..<whole.count / 2]), to: "\(directory)/half.tar", isDurable: false)
        XCTAssertThrowsError(try load(store, "\(directory)/half.tar")) {
            XCTAssertTrue("\($0)".contains("truncated"), "\($0)")
        }
        XCTAssertEqual(store.list().count, 0)
    }

    func testASilentArchiveIsGivenUp() throws {
        let store = try store()
        let pipe = try DescriptorPair.pipe()
        XCTAssertThrowsError(try store.load(pipe.first, deadline: monotonicNanoseconds() + 50_000_000)) { error in
            XCTAssertEqual((error as? PluginError)?.code, PluginError.deadlineExceeded("").code, "\(error)")
        }
        XCTAssertEqual(try FileTree.names(in: store.stagingDirectory), [])
    }

    func testADeadlineHoldsForEndlessArchivesToo() throws {
        let store = try store()
        for source in ["/dev/zero", "/dev/null"] {
            let archive = try Descriptor(opening: source, O_RDONLY)
            XCTAssertThrowsError(try store.load(archive, deadline: 1), source) { error in
                XCTAssertEqual((error as? PluginError)?.code, PluginError.deadlineExceeded("").code, "\(error)")
            }
        }
    }

    func testABombIsRefused() throws {
        var limits = ImageStore.Limits()
        limits.ratioFreeSize = 1 << 20
        let store = try store(limits)
        let zeros = TarWriter.directory { $0.add("zeros", content: [UInt8](repeating: 0, count: 8 << 20)) }
        XCTAssertThrowsError(try load(store, archive([zeros], compress: "gzip -9"))) { error in
            XCTAssertTrue("\(error)".contains("decompression bomb"), "\(error)")
        }
        limits.layerSize = 1 << 20
        let strict = try ImageStore(directory: "\(directory)/strict", owner: "test", limits: limits) { XCTFail($0) }
        XCTAssertThrowsError(try load(strict, archive([zeros]))) { error in
            XCTAssertTrue("\(error)".contains("maximumLayerSize"), "\(error)")
        }
        XCTAssertEqual(try FileTree.names(in: store.stagingDirectory), [])
    }

    func testAFullDiskKeepsNothing() throws {
        try RuntimeFixture.isolate()
        try AtomicFile.makeDirectory("\(directory)/store")
        XCTAssertEqual(mount("tmpfs", "\(directory)/store", "tmpfs", 0, "size=3m"), 0)
        defer { umount2("\(directory)/store", Int32(MNT_DETACH)) }
        let store = try store()
        let noise = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        XCTAssertThrowsError(try load(store, archive([TarWriter.directory { $0.add("big", content: noise) }]))) {
            error in
            XCTAssertEqual((error as? PluginError)?.code, PluginError.noSpace("").code, "\(error)")
            XCTAssertTrue("\(error)".contains("free space"), "\(error)")
        }
        XCTAssertEqual(try FileTree.names(in: store.stagingDirectory), [])
        XCTAssertNoThrow(try load(store, archive([TarWriter.directory { $0.add("small", content: [1]) }])))
    }

    func testCompressionsAndArchivesInArchives() throws {
        let tar = TarWriter.directory { $0.add("file", content: [1, 2, 3]) }
        let store = try store()
        var programs: [String?] = [nil, "gzip"]
        if access("/usr/bin/zstd", X_OK) == 0 { programs.append("zstd -q") }
        for program in programs {
            let image = try XCTUnwrap(load(store, archive([tar], compress: program)).first)
            XCTAssertEqual(try AtomicFile.read("\(layer(store, image))/file"), [1, 2, 3])
        }
        let whole = "\(directory)/whole.tar.gz"
        try AtomicFile.write(try Self.compressed(try AtomicFile.read(try archive([tar])), "gzip", directory), to: whole)
        XCTAssertNoThrow(try load(store, whole))
    }

    func testDockerArchive() throws {
        let layer = TarWriter.directory { $0.add("file", content: [1]) }
        let configuration = JSON.object([
            "architecture": .string(StagedArchive.architecture), "os": "linux", "config": ["Entrypoint": ["e"]],
            "rootfs": [
                "type": "layers",
                "diff_ids": [.string(Digest.of(layer).description), .string(Digest.of(layer).description)],
            ],
        ]).serialized()
        let name = "\(Digest.of(configuration).hexadecimal).json"
        let archive = TarWriter.directory { tar in
            tar.add(name, content: configuration)
            tar.add("aa/layer.tar", content: layer)
            tar.add("bb/layer.tar", type: "2", link: "../aa/layer.tar")
            tar.add(
                "manifest.json",
                content: JSON.array([
                    ["Config": .string(name), "RepoTags": ["team/app:2"], "Layers": ["aa/layer.tar", "bb/layer.tar"]]
                ]).serialized())
        }
        try AtomicFile.write(archive, to: "\(directory)/docker.tar", isDurable: false)
        let store = try store()
        let image = try XCTUnwrap(load(store, "\(directory)/docker.tar").first)
        XCTAssertEqual(image.references.map(\.description), ["docker.io/team/app:2"])
        XCTAssertEqual(image.layers.count, 2)
        XCTAssertEqual(try store.find("team/app:2")?.id, image.id)
    }

    func testNamesMoveAndImagesGo() throws {
        let store = try store()
        let first = try XCTUnwrap(load(store, archive([TarWriter.directory { $0.add("a", content: [1]) }])).first)
        let second = try XCTUnwrap(load(store, archive([TarWriter.directory { $0.add("a", content: [2]) }])).first)
        XCTAssertEqual(try store.find("test/app:1")?.id, second.id)
        XCTAssertEqual(try store.find(first.id.description)?.references, [])
        XCTAssertEqual(try store.find(String(second.id.hexadecimal.prefix(12)))?.id, second.id)
        XCTAssertEqual(try store.find("test/app@\(try XCTUnwrap(second.manifestDigest))")?.id, second.id)
        let reopened = try self.store()
        XCTAssertEqual(reopened.list(), store.list())
        try reopened.remove(first.id.description)
        try reopened.remove("test/app:1")
        try reopened.remove("test/app:1")
        XCTAssertEqual(reopened.list().count, 0)
        XCTAssertEqual(try FileTree.names(in: store.layersDirectory), ["0"])
    }

    /// Two runtimes stand on the same images: what one loads or removes the other sees, and neither takes away what the
    /// other's containers use.
    func testStoresShareADirectory() throws {
        let first = try store(owner: "first")
        let second = try store(owner: "second")
        let tar = TarWriter.directory { $0.add("a", content: [1]) }
        let image = try XCTUnwrap(load(first, archive([tar])).first)
        XCTAssertEqual(second.list(), [image])
        XCTAssertEqual(try second.lowerDirectories(image), try first.lowerDirectories(image))
        XCTAssertEqual(try second.acquire("test/app:1", for: "container").id, image.id)
        XCTAssertThrowsError(try first.remove(image.id.description)) { error in
            XCTAssertTrue("\(error)".contains("used by 1 container"), "\(error)")
        }
        // After a restart as well, and before the second has come up.
        let again = try store(owner: "first")
        XCTAssertThrowsError(try again.remove(image.id.description))
        try again.releaseAll(except: [])
        XCTAssertThrowsError(try again.remove(image.id.description), "the claim is the second's")
        try second.releaseAll(except: ["another"])
        try again.remove(image.id.description)
        XCTAssertEqual(first.list(), [])
        XCTAssertThrowsError(try second.acquire("test/app:1", for: "container"))
        let next = try XCTUnwrap(load(second, archive([tar, tar])).first)
        XCTAssertEqual(again.list(), [next])
        XCTAssertEqual(try again.acquire(next.id.description, for: "c").layers.count, 2)
    }

    /// Loads at the same time by two stores lose nothing: each sees the other's images and layers.
    func testStoresLoadAtOnce() throws {
        let stores = [try store(owner: "first"), try store(owner: "second")]
        var archives: [[String]] = [[], []]
        for number in 0..<6 {
            let tar = TarWriter.directory { $0.add("file", content: [UInt8(number)]) }
            archives[number % 2].append(try archive([tar], reference: "test/app:\(number)"))
        }
        let failures = Mutex<[String]>([])
        let work = archives
        concurrently(2) { index in
            do {
                for path in work[index] { _ = try stores[index].load(try Descriptor(opening: path, O_RDONLY)) }
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        XCTAssertEqual(failures.withLock { $0 }, [])
        XCTAssertEqual(stores[0].list().count, 6)
        XCTAssertEqual(stores[0].list(), stores[1].list())
        let numbers = try stores[0].list().flatMap { try stores[0].lowerDirectories($0) }
        XCTAssertEqual(Set(numbers).count, 6, "each has a layer of its own")
        for number in numbers { XCTAssertEqual(access("\(stores[0].layersDirectory)/\(number)/file", F_OK), 0) }
    }

    func testADamagedIndexIsSetAside() throws {
        let store = try store()
        try load(store, archive([TarWriter.directory { $0.add("a", content: [1]) }]))
        try AtomicFile.write(Array("{".utf8), to: store.indexPath)
        let warned = Mutex<[String]>([])
        let reopened = try ImageStore(directory: "\(directory)/store", owner: "test") { text in
            warned.withLock { $0.append(text) }
        }
        let warnings = warned.withLock { $0 }
        XCTAssertEqual(reopened.list().count, 0)
        XCTAssertEqual(warnings.count, 1)
        XCTAssertTrue(warnings[0].contains("Load the images again"), warnings[0])
        XCTAssertEqual(
            try FileTree.names(in: store.layersDirectory).sorted(), ["0", "1"], "containers may still run on it")
    }

    func testChainOfLayers() {
        let first = Digest(hexadecimal: String(repeating: "1", count: 64))
        let second = Digest(hexadecimal: String(repeating: "2", count: 64))
        XCTAssertEqual(ImageIndex.chain([]), [])
        XCTAssertEqual(ImageIndex.chain([first, second]), [first, Digest.of(Array("\(first) \(second)".utf8))])
    }
}

/// Runs `body` for 0 ..< count, each on a thread of its own, and waits for all.
private func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Work: Sendable {
        let index: Int
        let body: @Sendable (Int) -> Void
        init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) {
            self.index = index
            self.body = body
        }
    }
    var threads: [pthread_t] = []
    for index in 0..<count {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(index, body))
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                work.body(work.index)
                return nil
            }, work.toOpaque())
        XCTAssertEqual(code, 0)
        threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
}
