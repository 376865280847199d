import PluginKit

/// What a container's configuration and its image say together about its first process.
extension ContainerConfiguration {
    /// Kubernetes' rule: a command replaces entry point and default command, arguments alone replace the default command.
    package func arguments(_ image: ImageConfiguration) throws(PluginError) -> [String] {
        let all: [String]
        if !command.isEmpty {
            all = command + arguments
        } else {
            all = image.entryPoint + (arguments.isEmpty ? image.command : arguments)
        }
        guard !all.isEmpty else {
            throw .invalid("container \(name): neither it nor its image \(self.image) names a command")
        }
        return all
    }

    /// The image's variables, then the container's, each name once.
    package func environment(_ image: ImageConfiguration, hostName: String) -> [String] {
        var variables: [(name: Substring, text: String)] = []
        func set(_ text: String) {
            let name = text.prefix { $0 != "=" }
            if let known = variables.firstIndex(where: { $0.name == name }) {
                variables[known].text = text
            } else {
                variables.append((name, text))
            }
        }
        set("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        if !hostName.isEmpty { set("HOSTNAME=\(hostName)") }
        if hasTerminal { set("TERM=xterm") }
        for text in image.environment { set(text) }
        for text in environment { set(text) }
        return variables.map(\.text)
    }

    /// The working directory; absolute.
    package func directory(_ image: ImageConfiguration) -> String {
        let directory = workingDirectory.isEmpty ? image.workingDirectory : workingDirectory
        return directory.isEmpty ? "/" : directory
    }
}
