/// What the engine answers, as JSON and as problems (design §7).
import Budgets
import HTTPTypes
import JSON

extension HTTPField.Name {
    static let idempotencyReplayed = Self("idempotency-replayed")!
}

extension Reservation {
    func writeHeld(_ standings: [Standing], _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("state", State.held.rawValue)
            writer.field("model", model)
            writer.field("requested_model", requestedModel)
            substitutions.write(&writer)
            writer.field("held", held)
            writer.field("max_output_tokens", maxOutputTokens)
            writer.field("expires_at", expiresAt)
            standings.write(&writer)
        }
    }

    func writeSettled(_ entry: Entry, _ standings: [Standing], _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("state", State.settled.rawValue)
            writer.field("model", model)
            writer.field("final_call", substitutions.contains { $0.kind == .finalCall })
            writer.field("cost", entry.cost)
            writer.field("released", max(.zero, held - entry.cost))
            writer.field("overage", entry.overage)
            writer.field("late", entry.isLate)
            standings.write(&writer)
        }
    }
}

extension Reservation {
    /// The reservation as it stands, without the budgets of the moment.
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("request_id", request.text)
            writer.field("project", request.project)
            writer.field("state", state.rawValue)
            writer.field("model", model)
            writer.field("requested_model", requestedModel)
            substitutions.write(&writer)
            writer.field("service_tier", serviceTier)
            writer.field("end_user", endUser)
            writer.field("feature", feature)
            writer.name("tags")
            if let tags { writer.raw(bytes: tags.utf8) } else { writer.null() }
            writer.field("held", held)
            writer.field("max_output_tokens", maxOutputTokens)
            writer.field("created_at", createdAt)
            writer.field("expires_at", expiresAt)
            guard let entry else { return }
            writer.field("cost", entry.cost)
            writer.field("overage", entry.overage)
            writer.field("late", entry.isLate)
        }
    }
}

extension [Substitution] {
    /// The members `degraded`, `final_call` and `substitutions`, which says why.
    func write(_ writer: inout JSONWriter) {
        writer.field("degraded", contains { $0.kind == .degraded })
        writer.field("final_call", contains { $0.kind == .finalCall })
        writer.array("substitutions") { writer in
            for substitution in self {
                writer.object { writer in
                    writer.field("kind", substitution.kind.rawValue)
                    writer.field("budget", substitution.budget)
                    writer.field("model", substitution.model)
                    if let percent = substitution.fromPercent { writer.field("from_percent", Int64(percent)) }
                    if let reason = substitution.reason { writer.field("reason", reason) }
                }
            }
        }
    }
}

extension [Standing] {
    /// The members `budgets` and `warnings`.
    func write(_ writer: inout JSONWriter) {
        writer.array("budgets") { writer in
            for standing in self { standing.write(&writer) }
        }
        writer.array("warnings") { writer in
            for standing in self {
                let thresholds = reached(settled: standing.settled, amount: standing.amount, thresholds: standing.budget.thresholds)
                guard let highest = thresholds.last else { continue }
                writer.object { writer in
                    writer.field("code", "threshold_reached")
                    writer.field("budget", standing.budget.id)
                    writer.field("threshold", Int64(highest))
                }
            }
        }
    }
}

extension Standing {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            let unit = budget.unit
            writer.field("id", budget.id)
            writer.field("name", budget.name)
            writer.field("scope", budget.scope.word)
            if budget.per != nil { writer.field("subject", subject) }
            writer.field("amount", amount, in: unit)
            writer.field("burst", burst, in: unit)
            writer.field("settled", settled, in: unit)
            writer.field("held", held, in: unit)
            writer.field("remaining", remaining, in: unit)
            writer.field("used_percent", usedPercent(settled: settled, amount: amount))
            writer.field("period_start", span.start)
            writer.field("resets_at", span.end)
        }
    }

    /// What a refusal tells of the budget: which one and when it resets.
    private var refusalMembers: [(name: String, value: [UInt8])] {
        var budget = JSONWriter()
        write(&budget)
        var resets = JSONWriter()
        if let end = span.end { resets.string(end.rfc3339) } else { resets.null() }
        return [("budget", budget.bytes), ("scope", JSON.string(self.budget.scope.word).bytes), ("resets_at", resets.bytes)]
    }

    /// The problem of a refusal for this budget.
    func problem(_ code: ProblemCode, needed: Amount, now: Instant) -> Problem {
        let end = span.end.map { " It resets at \($0.rfc3339)." } ?? ""
        var problem = Problem(code, "The budget «\(budget.name)» of the \(budget.scope.word) has no room for this call.\(end)")
        problem.members = refusalMembers
        switch code {
        case .rateLimited, .maxRequestsPerMinuteExceeded:
            // Whole seconds, rounded up, 60 at most: some clients sleep for whatever they are told.
            let wait = span.end.map { max(1, ($0.microseconds - now.microseconds + 999_999) / 1_000_000) } ?? 60
            problem.headers.append(("retry-after", String(min(60, wait))))
            if wait > 60 { problem.headers.append(("x-should-retry", "false")) }
            problem.headers += [self].rateLimitFields(now: now)
        default:
            problem.headers.append(("x-should-retry", "false"))
        }
        return problem
    }
}

extension Problem {
    init(refused refusal: Refusal, now: Instant) {
        switch refusal {
        case .unauthenticated: self.init(.unauthenticated, "The API key is unknown, revoked or expired.")
        case .projectUnknown: self.init(.projectUnknown, "The project does not exist in this organization.")
        case .modelUnknown(let model): self.init(.modelUnknown, "The catalogue has no model «\(model)».")
        case .modelUnpriced(let model, let kinds):
            self.init(.modelUnpriced, "«\(model)» has no price for \(kinds.joined(separator: ", ")), and a budget would have to count it.")
        case .modelNotAllowed(let model, let tier, let project):
            let hint = tier.map { "The tier «\($0.name)» has it." } ?? "No tier has it."
            self.init(.modelNotAllowed, "The project's tier does not include «\(model)». \(hint) Ask for access with what is in `request`.")
            var body: [(String, JSON)] = [("project", .string(project.description))]
            body.append(tier.map { ("tier", .string($0.id.description)) } ?? ("model", .string(model)))
            let request: JSON = ["method": "POST", "path": "/v1/access-requests", "body": .object(body)]
            members = [("request", request.bytes)]
            if let tier { members.append(("tier", JSON.string(tier.id.description).bytes)) }
        case .tagsRefused(let faults):
            self = .invalid("The organization's tag policy refuses this call.", status: 422, faults: faults.map(\.field))
        case .modelNotOnKey(let model):
            self.init(.modelNotAllowed, "This API key was made for other models than «\(model)»: use another one.")
        case .projectSuspended: self.init(.projectSuspended, "An administrator suspended the project.")
        case .inputAboveCap(let tier):
            self.init(
                .maxInputTokensExceeded, "The tier «\(tier.name)» allows \(tier.maxInputTokens ?? 0) input tokens a call. Send less input.")
            members = [("tier", JSON.string(tier.id.description).bytes)]
        case .requestsAboveCap(let standing):
            self = standing.problem(.maxRequestsPerMinuteExceeded, needed: Amount(whole: 1), now: now)
        case .rateLimited(let standing, let needed): self = standing.problem(.rateLimited, needed: needed, now: now)
        case .budgetExceeded(let standing, let needed): self = standing.problem(.budgetExceeded, needed: needed, now: now)
        case .requestConflict: self.init(.requestConflict, "Use a new request_id for a new call.")
        case .reservationUnknown: self.init(.reservationUnknown)
        case .reservationResolved(let state): self.init(.reservationResolved, "It is \(state.rawValue).")
        }
    }

    /// The problem of an outcome other than the one asked for.
    init(unexpected outcome: Outcome, now: Instant) {
        switch outcome {
        case .refused(let refusal): self.init(refused: refusal, now: now)
        case .overloaded: self.init(.overloaded)
        case .storeUnavailable: self.init(.storeUnavailable, "Nothing is known to be booked. Repeat the request with the same id.")
        case .reserved, .settled, .released, .expired, .allowance, .failed: self.init(.internalError)
        }
    }
}
