import Glibc

/// The system calls that can lose data, behind functions so that tests can make them fail. Results and `errno` are
/// those of the calls.
struct FileOperations: Sendable {
    var write: @Sendable (_ descriptor: Int32, _ vectors: UnsafePointer<iovec>, _ count: Int32, _ offset: Int) -> Int
    var synchronize: @Sendable (_ descriptor: Int32) -> Int32
    /// Reserves blocks, as `posix_fallocate`: the error number is the result.
    var allocate: @Sendable (_ descriptor: Int32, _ size: Int) -> Int32

    static let system = FileOperations(
        write: { pwritev($0, $1, $2, $3) },
        synchronize: { fdatasync($0) },
        allocate: { posix_fallocate($0, 0, $1) })
}
