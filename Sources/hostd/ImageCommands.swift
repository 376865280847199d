import Glibc
import Kernel

enum ImageCommands {
    private static let role = "hostd.runtime/1"

    static func load(_ command: ParsedCommand) -> Int32 {
        let name = command.arguments[0]
        let file = name == "-" ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            Output.errorLine("hostd image load: cannot open \(name): \(String(cString: strerror(errno)))")
            return ExitCode.failure
        }
        defer { close(file) }
        return Client.with(command) { client throws(ControlFailure) in
            let answer = try client.call(role, "load_image", [[:]], files: [file])
            if Client.isJSON(command) { return Output.line(answer["value"].serializedString()) }
            for image in answer["value"]["images"].arrayValue { Output.line("loaded \(names(of: image))") }
        }
    }

    static func list(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            let answer = try client.call(role, "list_images", [[:]])
            if Client.isJSON(command) { return Output.line(answer["value"].serializedString()) }
            let rows = answer["value"]["images"].arrayValue.map { image in
                [names(of: image), image["id"].stringValue ?? "", Client.size(image["size"].integerValue ?? 0)]
            }
            Output.line(Client.table([["REFERENCE", "ID", "SIZE"]] + rows))
        }
    }

    static func remove(_ command: ParsedCommand) -> Int32 {
        Client.with(command) { client throws(ControlFailure) in
            _ = try client.call(role, "remove_image", [["image": .string(command.arguments[0])]])
        }
    }

    private static func names(of image: JSON) -> String {
        let tags = image["repoTags"].arrayValue.compactMap(\.stringValue)
        return tags.isEmpty ? image["id"].stringValue ?? "?" : tags.joined(separator: ", ")
    }
}
