/// Postgres as far as the engine's correctness rests on it: rows, one transaction after the other, the fence, unique indexes and CHECKs.
import Budgets
import TestSupport

/// The guards that stand between a history and a broken law. Each can be left out, to see that the simulation notices.
enum Guard: CaseIterable {
    /// A batch commits only if the fence still has the version it was decided at.
    case versionFence
    /// A refusal is answered only if the version it rests on is still the one (law 2).
    case confirmedRefusal
    /// What another transaction may have changed is read again after a stale fence.
    case reloadAfterStale
    /// A changed configuration is read again (law 10).
    case reloadConfiguration
    /// A counter never seen is read first: it is not zero.
    case readBeforeUse
    /// A request id is admitted once (law 4).
    case uniqueRequest
    /// A refused request may repeat one that was admitted: it is looked up.
    case repeatOfRefused
    /// A reservation is read with its state: what has ended does not end again.
    case stateOfReservation
    /// A batch is written whole or not at all.
    case atomicCommit
    /// The highest threshold told is remembered with its counter (law 7).
    case thresholdTold
    /// Holds whose time is over are given back.
    case expiry
}

struct SimulatedDatabase {
    private(set) var setting: Setting
    private(set) var version: Int64 = 1
    private(set) var configuration: Configuration
    private(set) var counters: [CounterID: Counter] = [:]
    private(set) var bursts: [BurstID: BurstCounter] = [:]
    private(set) var reservations: [ReservationID: Reservation] = [:]
    private(set) var requests: [RequestID: ReservationID] = [:]
    private(set) var alerts: [AlertName: Bool] = [:]
    /// What the rows of the ledger and of open reservations sum up to, counter by counter: the other side of law 5.
    private(set) var booked: [CounterID: Amount] = [:]
    private(set) var holding: [CounterID: Amount] = [:]
    /// The replica that has the fence's row locked.
    var lockedBy: Int?
    let off: Guard?

    init(_ setting: Setting, without off: Guard?) {
        self.setting = setting
        self.off = off
        configuration = Translation.configuration(setting, version: 1)
    }

    /// An admin's Postgres transaction: raises the fence first.
    mutating func change(_ change: Change) {
        setting.apply(change)
        version += 1
        configuration = Translation.configuration(setting, version: configuration.version + 1)
        if case .grant(let grant) = change {
            bursts[Translation.burst(setting.grants.count - 1)] = BurstCounter(amount: Translation.amount(grant.amount))
        }
    }

    enum Commit: Equatable { case done, stale, requestUsed }

    /// Writes what a batch decided: all of it, or nothing.
    mutating func commit(_ changes: Changes, of state: OrganizationState) throws(Violation) -> Commit {
        guard state.version == version || off == .versionFence else { return .stale }
        guard changes.reservations.allSatisfy({ requests[$0.request] == nil }) || off == .uniqueRequest else { return .requestUsed }
        version += 1
        for id in changes.counters {
            guard var counter = state.counter(id) else { continue }
            if off == .thresholdTold { (counter.alertedVersion, counter.alertedThreshold, counter.alertedAmount) = (0, 0, .zero) }
            if let ceiling = counter.ceiling, counter.settled + counter.held - counter.burst > ceiling + counter.overage + counter.finalHeld
            {
                throw Violation("law 1: CHECK law_1_never_over fails for \(Translation.place(id, setting)): \(counter)")
            }
            if counter.settled < .zero || counter.held < .zero { throw Violation("a counter below zero: \(counter)") }
            counters[id] = counter
        }
        for id in changes.bursts {
            guard let burst = state.burst(id) else { continue }
            guard burst.settled + burst.held <= burst.amount, burst.settled >= .zero, burst.held >= .zero else {
                throw Violation("law 1: a grant drawn beyond its amount: \(burst)")
            }
            bursts[id] = burst
        }
        // A crash in the middle, which only leaves something behind where there is no transaction around it.
        if off == .atomicCommit, version % 13 == 0 { return .done }
        for reservation in changes.reservations {
            requests[reservation.request] = reservation.id
            reservations[reservation.id] = reservation
            for draw in reservation.draws { holding[draw.counter, default: .zero] += draw.quantity }
        }
        for resolution in changes.resolutions {
            guard let before = reservations[resolution.reservation] else { throw Violation("the end of nothing") }
            if before.state == .held { for draw in before.draws { holding[draw.counter, default: .zero] -= draw.quantity } }
            reservations[resolution.reservation] = before.with(resolution)
        }
        for settled in changes.entries {
            guard let entry = settled.entry, reservations[settled.id]?.entry == nil || off == .stateOfReservation else {
                throw Violation("law 4: an entry booked twice")
            }
            reservations[settled.id] = settled
            for draw in entry.draws { booked[draw.counter, default: .zero] += draw.quantity }
        }
        for alert in changes.alerts { try write(alert) }
        return .done
    }

    private mutating func write(_ alert: Alert) throws(Violation) {
        for (name, isTold) in Translation.alerts(alert, setting) {
            guard alerts.updateValue(isTold, forKey: name) == nil else { throw Violation("law 7: \(name) twice") }
        }
    }

    /// A reservation as a replica reads it.
    func read(_ id: ReservationID) -> Reservation? {
        guard let row = reservations[id] else { return nil }
        return off == .stateOfReservation ? row.reopened : row
    }
}

/// A law that does not hold.
struct Violation: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension Reservation {
    /// As its row reads once it has ended.
    fileprivate func with(_ resolution: Resolution) -> Reservation {
        copy(state: resolution.state, settleContent: resolution.content, entry: entry)
    }

    fileprivate var reopened: Reservation { copy(state: .held, settleContent: nil, entry: nil) }

    private func copy(state: State, settleContent: ContentHash?, entry: Entry?) -> Reservation {
        Reservation(
            id: id, request: request, content: content, attribution: attribution, state: state, model: model,
            requestedModel: requestedModel, substitutions: substitutions, provider: provider, serviceTier: serviceTier, endUser: endUser,
            feature: feature, tags: tags,
            held: held, maxOutputTokens: maxOutputTokens, draws: draws, createdAt: createdAt, expiresAt: expiresAt,
            settleContent: settleContent, entry: entry)
    }
}
