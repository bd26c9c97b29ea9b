/// How the engine answered, for metrics. Counted where answers go out, so that those of a full queue and of a Postgres that is away
/// are among them, and no lane spends time on it.
public import Budgets

/// How a command was answered: what was reached, or why not.
public enum Answer: Hashable, Sendable {
    case held, settled, released, expired, told
    /// The first answer again (law 4).
    case replayed
    case refused(RefusalCode)
    case overloaded, storeUnavailable
    /// A fault of ours.
    case failed

    init(_ outcome: Outcome) {
        switch outcome {
        case .reserved(_, _, let isReplay): self = isReplay ? .replayed : .held
        case .settled(_, _, let isReplay): self = isReplay ? .replayed : .settled
        case .released(_, let isReplay): self = isReplay ? .replayed : .released
        case .expired: self = .expired
        case .allowance: self = .told
        case .refused(let refusal): self = .refused(refusal.code)
        case .overloaded: self = .overloaded
        case .storeUnavailable: self = .storeUnavailable
        case .failed: self = .failed
        }
    }

    /// The word in metrics.
    public var word: String {
        switch self {
        case .held: "held"
        case .settled: "settled"
        case .released: "released"
        case .expired: "expired"
        case .told: "told"
        case .replayed: "replayed"
        case .refused(let code): code.rawValue
        case .overloaded: "overloaded"
        case .storeUnavailable: "store_unavailable"
        case .failed: "internal_error"
        }
    }
}

/// What was asked and how it was answered: one series, of which there are at most as many as commands times answers.
public struct Answered: Hashable, Sendable {
    public enum Asked: String, Sendable { case reserve, settle, release, expire, book, ask }

    public let asked: Asked
    public let answer: Answer
}

/// All answers of a process since it started, and the money in them.
public struct AnswerFigures: Sendable {
    public private(set) var counts: [Answered: Int] = [:]
    /// Booked by settlements and usage events; a replay books nothing.
    public private(set) var settled = Money.zero
    /// The part of it that no budget had room for (law 1).
    public private(set) var overage = Money.zero
    /// Fields of providers' usage that may be billable and that nothing bills (`ProviderUsage.unmapped`).
    public private(set) var unmappedFields = 0

    mutating func note(_ command: Command, _ outcome: Outcome) {
        counts[Answered(asked: command.asked, answer: Answer(outcome)), default: 0] += 1
        guard case .settled(let reservation, _, isReplay: false) = outcome, let entry = reservation.entry else { return }
        settled += entry.cost
        overage += entry.overage
        unmappedFields += entry.report?.unmapped.count ?? 0
    }

    mutating func add(_ other: AnswerFigures) {
        counts.merge(other.counts, uniquingKeysWith: +)
        settled += other.settled
        overage += other.overage
        unmappedFields += other.unmappedFields
    }
}

extension Command {
    var asked: Answered.Asked {
        switch self {
        case .reserve: .reserve
        case .settle: .settle
        case .release: .release
        case .expire: .expire
        case .book: .book
        case .ask: .ask
        }
    }
}
