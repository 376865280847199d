/// A mistake in a configuration file: where it is, which key, and what is allowed instead.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Path of the file as it was given.
    public var file: String
    /// Line and column from 1; 0 when the mistake has no place, such as an unreadable file.
    public var mark: Mark
    /// Such as "plugins[2].options.port"; empty at the top.
    public var keyPath: String
    public var message: String

    public init(file: String, mark: Mark, keyPath: String, message: String) {
        self.file = file
        self.mark = mark
        self.keyPath = keyPath
        self.message = message
    }

    /// A place in a text.
    public struct Mark: Sendable, Equatable {
        public var line: Int
        public var column: Int

        public init(line: Int, column: Int) {
            self.line = line
            self.column = column
        }

        static let none = Mark(line: 0, column: 0)
    }

    public var description: String {
        let place = mark.line > 0 ? "\(file):\(mark.line):\(mark.column)" : file
        return keyPath.isEmpty ? "\(place): \(message)" : "\(place): \(keyPath): \(message)"
    }
}
