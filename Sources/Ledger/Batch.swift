/// One batch on its way through a lane: recall, read what is missing, decide, commit in one flight; and what to do when another
/// transaction was first (design §5).
import Budgets
import Logging
import Postgres
import Store

/// Decides and commits a batch for one lane.
struct Batch {
    struct Item {
        let organization: OrganizationID
        var pending: Pending
        var outcome: Outcome?
        /// What `decide` said; becomes the outcome once Postgres has confirmed it.
        var decided: Outcome?
    }

    /// More than a batch can need: each attempt past the second removes at least one cause. Beyond it something is wrong.
    static let maximumAttempts = 12

    var items: [Item]
    private(set) var hasAlerts = false
    /// Whether Postgres could not write for want of disk or the like (SQLSTATE classes 53 and 58), whatever it was given.
    private(set) var isServerUnfit = false
    private var isLocked = false
    /// Read for this batch: those that turn out to have ended are not worth remembering.
    private var readReservations: [(OrganizationID, ReservationID)] = []

    init(_ commands: [(OrganizationID, Command)]) {
        items = commands.map { Item(organization: $0.0, pending: Pending($0.1)) }
    }

    /// Runs the batch until each item has its outcome. Throws only when the connection is lost; then nothing is known, and the
    /// same batch may be run again on another connection: every command finds its own traces by its id.
    mutating func run(_ memory: inout Memory, on connection: isolated PostgresConnection, logger: Logger) throws(PostgresError) {
        isLocked = items.contains { (memory.organizations[$0.organization]?.contention ?? 0) >= Memory.lockingContention }
        for _ in 0..<Batch.maximumAttempts {
            let open = items.indices.filter { items[$0].outcome == nil }
            guard !open.isEmpty else { return }
            do {
                try attempt(open, &memory, on: connection)
            } catch {
                try recover(error, open, &memory, on: connection, logger: logger)
            }
        }
        logger.error("a batch did not come to an end", metadata: ["attempts": "\(Batch.maximumAttempts)"])
        for index in items.indices where items[index].outcome == nil { items[index].outcome = .storeUnavailable }
    }

    private mutating func attempt(
        _ open: [Int], _ memory: inout Memory, on connection: isolated PostgresConnection
    ) throws(PostgresError) {
        let organizations = Set(open.map { items[$0].organization }).sorted()
        connection.preamble = Tenants.only(organizations).lastingStatement
        try recall(organizations, &memory, on: connection)
        let known = open.filter { index in
            if memory.organizations[items[index].organization] != nil { return true }
            items[index].outcome = .refused(.unauthenticated)
            return false
        }
        // An open transaction has to be ended even when nothing is left to do in it.
        guard isLocked || !known.isEmpty else { return }
        try prepare(known, &memory, on: connection)
        var changes: [OrganizationID: Changes] = [:]
        for index in known {
            let organization = items[index].organization
            items[index].decided = memory.organizations[organization]?.state.decide(
                items[index].pending, &changes[organization, default: Changes()])
        }
        try commit(known, changes, &memory, on: connection)
    }

    /// Makes memory exact: by the versions remembered, or under lock when others write too.
    private func recall(
        _ organizations: [OrganizationID], _ memory: inout Memory, on connection: isolated PostgresConnection
    ) throws(PostgresError) {
        if isLocked {
            let results = try connection.pipeline(["BEGIN", Fences.lock(organizations), Fences.read([.platform])])
            let fences = try Fences.decode(results[1]).merging(Fences.decode(results[2])) { own, _ in own }
            for (id, fence) in fences {
                guard let remembered = memory.organizations[id] else { continue }
                let isAlone = remembered.isCurrent && remembered.state.version == fence.version
                let contention = remembered.contention + (isAlone ? -1 : 1)
                memory.organizations[id]?.contention = min(max(0, contention), 2 * Memory.lockingContention)
            }
            try memory.refresh(organizations, fences, on: connection)
        } else {
            let unknown = organizations.filter { memory.organizations[$0]?.isCurrent != true }
            guard !unknown.isEmpty else { return }
            let fences = try Fences.decode(try connection.query(Fences.read(unknown + [.platform])))
            try memory.refresh(unknown, fences, on: connection)
        }
    }

    /// Plans every command and reads the counters and reservations that are not remembered. A reservation read brings counters of
    /// its own, hence a second round.
    private mutating func prepare(
        _ open: [Int], _ memory: inout Memory, on connection: isolated PostgresConnection
    ) throws(PostgresError) {
        var absent: [OrganizationID: Set<ReservationID>] = [:]
        for index in open { items[index].pending.forget() }
        readReservations.removeAll()
        while true {
            var missing: [OrganizationID: Missing] = [:]
            for index in open {
                let organization = items[index].organization
                memory.organizations[organization]?.state.prepare(
                    &items[index].pending, absent: absent[organization] ?? [], missing: &missing[organization, default: Missing()])
            }
            let counters = missing.flatMap { organization, missing in missing.counters.map { (organization, $0) } }
            let reservations = missing.flatMap { organization, missing in missing.reservations.map { (organization, $0) } }
            let bursts = missing.flatMap { organization, missing in missing.bursts.map { (organization, $0) } }
            guard !counters.isEmpty || !reservations.isEmpty || !bursts.isEmpty else { break }
            var reads = [LedgerReads.counters(counters), LedgerReads.reservations(reservations)]
            if !bursts.isEmpty { reads.append(LedgerReads.bursts(bursts)) }
            let results = try connection.pipeline(reads)
            for (organization, id) in counters { memory.organizations[organization]?.state.remember(id, Counter()) }
            for (organization, id, counter) in try LedgerReads.decodeCounters(results[0]) {
                memory.organizations[organization]?.state.remember(id, counter)
            }
            if !bursts.isEmpty {
                for (organization, id, burst) in try LedgerReads.decodeBursts(results[2]) {
                    memory.organizations[organization]?.state.remember(id, burst)
                }
            }
            for (organization, id) in reservations { absent[organization, default: []].insert(id) }
            for (organization, reservation) in try LedgerReads.decodeReservations(results[1]) {
                memory.organizations[organization]?.state.remember(reservation)
                readReservations.append((organization, reservation.id))
            }
        }
        for index in open {
            guard let (source, attribution) = items[index].pending.attribution else { continue }
            let organization = items[index].organization
            if memory.organizations[organization]?.state.knows(source) == false {
                memory.organizations[organization]?.state.remember(source, attribution.identity(), attribution)
            }
        }
    }

    private mutating func commit(
        _ open: [Int], _ changes: [OrganizationID: Changes], _ memory: inout Memory, on connection: isolated PostgresConnection
    ) throws(PostgresError) {
        let organizations = changes.keys.sorted()
        let writing = organizations.filter { changes[$0]?.isEmpty == false }
        let reading = organizations.filter { changes[$0]?.isEmpty != false }
        let flight = Flight(writing: writing, reading: reading, refused: refusedRequests(open), changes, memory, isLocked: isLocked)
        let results: [PostgresResult]
        if isLocked {
            results = try connection.pipeline(flight.queries + ["COMMIT"])
            isLocked = false
            guard results.last?.commandTag == "COMMIT" else { throw .decoding("COMMIT was answered otherwise") }
        } else if writing.isEmpty || flight.queries.count == 1 {
            // A single statement is a transaction of its own: without BEGIN and COMMIT a small flight costs Postgres half as much.
            results = try connection.pipeline(flight.queries)
        } else {
            results = try connection.flight(flight.queries)
        }
        for organization in writing { memory.organizations[organization]?.state.version += 1 }
        for (organization, attribution) in flight.attributions {
            memory.organizations[organization]?.writtenAttributions.insert(attribution)
        }
        hasAlerts = hasAlerts || flight.hasAlerts
        let stale = if let place = flight.confirmation { try staleReaders(reading, results[place], &memory) } else { Set<OrganizationID>() }
        let first =
            if let place = flight.repeats { try LedgerReads.decodeReservations(results[place]) } else { [(OrganizationID, Reservation)]() }
        for index in open where !stale.contains(items[index].organization) {
            items[index].outcome = answer(index, first, memory)
        }
        for (organization, changes) in changes {
            memory.organizations[organization]?.state.forgetResolved(changes.resolutions.map(\.reservation))
        }
        for (organization, id) in readReservations { memory.organizations[organization]?.state.forgetResolved([id]) }
        memory.prune(organizations)
    }

    /// A refusal stands only if the version it rests on is still the one in Postgres (law 2).
    private mutating func staleReaders(
        _ reading: [OrganizationID], _ confirmation: PostgresResult, _ memory: inout Memory
    ) throws(PostgresError) -> Set<OrganizationID> {
        let fences = try Fences.decode(confirmation)
        let stale = reading.filter { fences[$0]?.version != memory.organizations[$0]?.state.version }
        memory.doubt(stale)
        // Another replica may be faster every time: next time the fence is locked while the refusal is made.
        if !stale.isEmpty { isLocked = true }
        for id in stale { memory.organizations[id]?.contention += 2 }
        return Set(stale)
    }

    /// A refused request may repeat one that was admitted: then the first answer holds (law 4).
    private func refusedRequests(_ open: [Int]) -> [(OrganizationID, RequestID)] {
        open.compactMap { index in
            guard case .refused(let refusal) = items[index].decided, let request = items[index].pending.command.request else { return nil }
            // Who has no business here any more is told nothing of earlier answers.
            if case .unauthenticated = refusal { return nil }
            return (items[index].organization, request)
        }
    }

    private func answer(_ index: Int, _ first: [(OrganizationID, Reservation)], _ memory: Memory) -> Outcome? {
        guard case .refused = items[index].decided, let request = items[index].pending.command.request,
            let known = first.first(where: { $0.0 == items[index].organization && $0.1.request == request })
        else { return items[index].decided }
        return memory.organizations[items[index].organization]?.state.repeated(items[index].pending.command, known.1)
    }

    // MARK: when a flight fails

    private mutating func recover(
        _ error: PostgresError, _ open: [Int], _ memory: inout Memory, on connection: isolated PostgresConnection, logger: Logger
    ) throws(PostgresError) {
        let organizations = Set(open.map { items[$0].organization })
        memory.doubt(organizations)
        guard connection.isUsable else { throw error }
        if ["53", "58"].contains(error.sqlState?.prefix(2)) { isServerUnfit = true }
        if isLocked {
            isLocked = false
            try connection.query("ROLLBACK")
        }
        if error.sqlState == Fences.staleState {
            for id in organizations { memory.organizations[id]?.contention += 2 }
            isLocked = true
        } else if error.sqlState == LedgerWrites.usedBefore, try answerRepeats(open, &memory, on: connection) {
            // The rest is decided anew without them.
        } else if error.isRetryable {
            isLocked = true
        } else if error.isTransient {
            // A lock held for longer than a caller may wait, a full disk. Trying one by one would only meet the same as often.
            logger.warning("a batch could not be committed", metadata: ["error": "\(error)", "commands": "\(open.count)"])
            for index in open { items[index].outcome = .storeUnavailable }
        } else if open.count > 1 {
            // One of them cannot be written. By halves it is found soon, and the others do not suffer for it.
            let half = open.count / 2
            try runApart(open[..<half], &memory, on: connection, logger: logger)
            try runApart(open[half...], &memory, on: connection, logger: logger)
        } else {
            logger.error("a command could not be committed", metadata: ["error": "\(error)"])
            items[open[0]].outcome = .failed
        }
    }

    /// Reads what answered these requests before, and gives the first answers again. Says whether there were any.
    private mutating func answerRepeats(
        _ open: [Int], _ memory: inout Memory, on connection: isolated PostgresConnection
    ) throws(PostgresError) -> Bool {
        let requests = open.compactMap { index in items[index].pending.command.request.map { (items[index].organization, $0) } }
        let first = try LedgerReads.decodeReservations(try connection.query(LedgerReads.reservations(for: requests)))
        for index in open {
            guard let request = items[index].pending.command.request,
                let known = first.first(where: { $0.0 == items[index].organization && $0.1.request == request })
            else { continue }
            items[index].outcome = memory.organizations[items[index].organization]?.state.repeated(items[index].pending.command, known.1)
        }
        return open.contains { items[$0].outcome != nil }
    }

    private mutating func runApart(
        _ open: ArraySlice<Int>, _ memory: inout Memory, on connection: isolated PostgresConnection, logger: Logger
    ) throws(PostgresError) {
        var part = Batch(open.map { (items[$0].organization, items[$0].pending.command) })
        try part.run(&memory, on: connection, logger: logger)
        for (index, item) in zip(open, part.items) { items[index].outcome = item.outcome }
        hasAlerts = hasAlerts || part.hasAlerts
        isServerUnfit = isServerUnfit || part.isServerUnfit
    }
}

extension Command {
    /// The caller's id of a command that books something new.
    var request: RequestID? {
        switch self {
        case .reserve(let reserve): reserve.request
        case .book(let book): book.request
        case .settle, .release, .expire, .ask: nil
        }
    }
}
