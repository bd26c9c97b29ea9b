/// Locks between processes that use one cluster. The kernel gives them back when a process dies, however it dies.
import Glibc

/// An open file with a `flock` on it. Children do not inherit it.
final class FileLock: Sendable {
    enum Mode { case shared, exclusive }

    private let descriptor: Int32

    /// Opens the file, making it if need be, without locking it.
    init(path: String) throws(EmbeddedPostgresError) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw EmbeddedPostgresError("cannot open \(path)", code: errno) }
    }

    deinit { close(descriptor) }

    /// Waits for the lock; blocks the thread. Changes the mode of a lock that is held already.
    func lock(_ mode: Mode) throws(EmbeddedPostgresError) {
        while flock(descriptor, mode == .shared ? LOCK_SH : LOCK_EX) != 0 {
            guard errno == EINTR else { throw EmbeddedPostgresError("cannot lock the data directory", code: errno) }
        }
    }

    /// Takes the lock if nobody else holds one; after a refusal none is held any more.
    func tryExclusive() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

    /// Gives the lock back.
    func unlock() { _ = flock(descriptor, LOCK_UN) }
}
