/// Makes the exports that were asked for: one archive of several months, written to Postgres in pieces while it grows, so memory stays
/// constant and every replica can hand it out. Whatever breaks off is begun again by whoever claims it next.
public import Budgets
import Crypto
import JSON
public import Store
import Synchronization

/// Why an export cannot be made, whoever tries.
public struct ExportTooLarge: Error, CustomStringConvertible {
    public let description = "it would be too large: ask for fewer months, or for one month at a time from its statement"
}

public struct ExportWorker: Sendable {
    /// What became of a look for work.
    public enum Outcome: Sendable {
        case idle
        case made(ClaimedExport)
        /// Somebody has taken it back, or another began again because this one was silent for too long.
        case lost(ClaimedExport)
        /// It cannot be made: a fault of ours, unless it is `ExportTooLarge`.
        case failed(ClaimedExport, any Error)
        /// The lease ends by itself, and somebody begins again.
        case brokeOff(ClaimedExport, any Error)
    }

    /// How often the lease is renewed: often enough that two renewals may fail.
    static let renewal: Duration = .seconds(15)

    /// For everyone; every export is read on its organization's side of the wall.
    private let store: Store
    private let patience: StatementExport.Patience
    private let mostBytes: Int64

    /// - Parameter mostBytes: how large a file may become, compressed.
    public init(store: Store, mostBytes: Int64 = ExportRecord.mostBytes) {
        (self.store, self.mostBytes) = (store, mostBytes)
        var patience = StatementExport.Patience()
        // Nobody reads it but this worker: a page takes long only when Postgres does.
        (patience.page, patience.whole) = (.seconds(60), .seconds(1800))
        self.patience = patience
    }

    /// Claims an export, if there is one to be made, and makes it.
    /// - Parameter now: For tests that hold the clock; otherwise it is Postgres's.
    /// - Throws: `PostgresError` when nothing could be claimed.
    public func work(now: Instant? = nil) async throws -> Outcome {
        guard let claimed = try await store.claimExport(now: now) else { return .idle }
        do {
            return try await makeUnderLease(claimed) ? .made(claimed) : .lost(claimed)
        } catch {
            guard ExportWorker.isFinal(error) else { return .brokeOff(claimed, error) }
            let reason = (error as? ExportTooLarge)?.description ?? "its content is not as it must be; the operator's log says more"
            return try await store.fail(claimed, because: reason) ? .failed(claimed, error) : .lost(claimed)
        }
    }

    private func makeUnderLease(_ claimed: ClaimedExport) async throws -> Bool {
        let progress = Progress()
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { try await make(claimed, progress) }
            group.addTask {
                while true {
                    // The period of the renewals, not a wait for something that could signal.
                    try await Task.sleep(for: ExportWorker.renewal)
                    guard try await store.keepLease(of: claimed, monthsDone: progress.months) else { return false }
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Whether another try would end the same.
    private static func isFinal(_ error: any Error) -> Bool {
        error is ExportTooLarge || error is StatementDisagrees || error is StatementFileChanged || error is FOCUSViolation
    }

    /// - Returns: false when the export is not this worker's any more.
    private func make(_ claimed: ClaimedExport, _ progress: Progress) async throws -> Bool {
        // A replica of a later version took it in, and may make it.
        guard let format = StatementFormat(rawValue: claimed.export.format) else { throw UnknownFormat() }
        let source = try await StatementExport(
            store: store.store(of: claimed.organization), organization: claimed.organization, patience: patience)
        var file = ExportFile(store: store, claimed: claimed, progress: progress, mostBytes: mostBytes)
        do {
            try await source.archive(
                claimed.export.firstMonth.through(claimed.export.lastMonth), as: format, to: { try await file.append($0) },
                afterMonth: { progress.monthIsDone() })
            return try await file.finish()
        } catch is LeaseLost {
            return false
        } catch is ZipTooLarge {
            throw ExportTooLarge()
        }
    }
}

/// How many months are written. Told with every sign of life.
private final class Progress: Sendable {
    private let count = Mutex<Int64>(0)
    var months: Int64 { count.withLock { $0 } }
    func monthIsDone() { count.withLock { $0 += 1 } }
}

private struct LeaseLost: Error {}
private struct UnknownFormat: Error {}

/// A file on its way into Postgres: cut into pieces of one size.
private struct ExportFile {
    let store: Store
    let claimed: ClaimedExport
    let progress: Progress
    let mostBytes: Int64
    private var waiting: [UInt8] = []
    private var pieces: Int64 = 0
    private var bytes: Int64 = 0
    private var hash = SHA256()

    init(store: Store, claimed: ClaimedExport, progress: Progress, mostBytes: Int64) {
        (self.store, self.claimed, self.progress, self.mostBytes) = (store, claimed, progress, mostBytes)
    }

    mutating func append(_ content: [UInt8]) async throws {
        bytes += Int64(content.count)
        guard bytes <= mostBytes else { throw ExportTooLarge() }
        hash.update(data: content)
        waiting += content
        while waiting.count >= ExportRecord.pieceBytes {
            try await keep(Array(waiting.prefix(ExportRecord.pieceBytes)))
            waiting.removeFirst(ExportRecord.pieceBytes)
        }
    }

    /// - Returns: false when the export is not this worker's any more.
    mutating func finish() async throws -> Bool {
        if !waiting.isEmpty { try await keep(waiting) }
        return try await store.finish(claimed, bytes: bytes, sha256: Array(hash.finalize()))
    }

    private mutating func keep(_ piece: [UInt8]) async throws {
        guard try await store.keep(piece, asPiece: pieces, of: claimed, monthsDone: progress.months) else { throw LeaseLost() }
        pieces += 1
    }
}

extension StatementExport {
    /// Writes months as one archive: of each the file that `write` gives, and its manifest beside it.
    func archive(
        _ months: [StatementMonth], as format: StatementFormat, to sink: ([UInt8]) async throws -> Void, afterMonth: () -> Void
    ) async throws {
        var zip = ZipStream()
        for month in months {
            let plan = try await plan(format, month: month)
            let name = format.fileName(month)
            try await sink(zip.begin(name))
            let (end, file) = try await write(plan) { bytes in try await sink(zip.append(bytes)) }
            try await sink(zip.begin("\(name).manifest.json"))
            try await sink(zip.append(manifest(plan, end, file).bytes))
            afterMonth()
        }
        try await sink(zip.end())
    }
}
