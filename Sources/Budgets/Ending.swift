/// Ending a reservation without a cost: its caller released it, or its time is over. Every hold is given back.

extension OrganizationState {
    mutating func decide(_ release: Release, _ changes: inout Changes) -> Outcome {
        guard isValid(release.apiKey, at: release.at) else { return .refused(.unauthenticated) }
        guard let reservation = own(release.reservation, project: release.project) else { return .refused(.reservationUnknown) }
        switch reservation.state {
        case .settled: return .refused(.reservationResolved(.settled))
        case .released: return .released(reservation, isReplay: true)
        case .expired: return .refused(.reservationResolved(.expired))
        case .held: return .released(end(reservation, as: .released, at: release.at, &changes), isReplay: false)
        }
    }

    mutating func expire(_ id: ReservationID, at now: Instant, _ changes: inout Changes) -> Outcome {
        guard let reservation = reservations[id], reservation.state == .held, reservation.expiresAt <= now else { return .expired }
        _ = end(reservation, as: .expired, at: now, &changes)
        return .expired
    }

    /// Gives every hold back.
    private mutating func end(
        _ reservation: Reservation, as state: Reservation.State, at now: Instant, _ changes: inout Changes
    ) -> Reservation {
        for draw in reservation.draws {
            var counter = remembered(draw.counter)
            counter.held -= draw.quantity
            counter.burst -= draw.bursts.total
            _ = settle(.zero, held: draw.bursts, &changes)
            counter.finalHeld -= draw.beyond
            if draw.isFinalCall, state == .released { counter.finalCalls -= 1 }
            counters[draw.counter] = counter
            changes.counters.insert(draw.counter)
        }
        let ended = reservation.ended(state)
        remember(ended)
        changes.resolutions.append(Resolution(reservation: reservation.id, state: state, at: now))
        return ended
    }
}
