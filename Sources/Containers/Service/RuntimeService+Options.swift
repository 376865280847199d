import PluginKit

extension RuntimeService.Options {
    /// Properties of a runtime plugin's options schema, about images; the same for every runtime.
    package static let imageProperties = """
        "maximumArchiveSize":{"type":"integer","minimum":1048576,"default":34359738368,
        "description":"Most bytes of an image archive."},
        "maximumLayerSize":{"type":"integer","minimum":1048576,"default":34359738368,
        "description":"Most bytes of an image layer when unpacked."},
        "maximumLayerRatio":{"type":"integer","minimum":2,"default":200,
        "description":"How many times its compressed size a layer of more than 64 MiB may have when unpacked."}
        """

    package init(_ configuration: PluginConfiguration) {
        self.init(
            directory: configuration.pluginDirectory, imageDirectory: "\(configuration.dataDirectory)/images",
            program: "\(configuration.libexecDirectory)/hostd-container-init")
        cgroupParent = configuration.settings["cgroupParent"].stringValue ?? "hostd"
        let given = configuration.options
        if let size = given["maximumArchiveSize"].integerValue { imageLimits.archiveSize = size }
        if let size = given["maximumLayerSize"].integerValue { imageLimits.layerSize = size }
        if let ratio = given["maximumLayerRatio"].integerValue { imageLimits.ratio = ratio }
    }
}
