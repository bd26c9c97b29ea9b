/// Cost centres of teams and projects: how a change is asked for, and how they look in JSON.
import Budgets
import JSON

/// `{"cost_center":"CC-4410","cost_center_from":"2027-01-01T00:00:00Z"}`: from a date on, or at once without one.
struct CostCenterChange: Sendable {
    private let name: String?
    private let from: Instant?
    private let now: Instant

    /// Nil when the body changes no cost centre.
    init?(_ fields: inout FieldReader, at now: Instant) {
        let name = fields.changeOrEmpty("cost_center", .text(1...100))
        from = fields.optional("cost_center_from", .instant)
        if from != nil, name == nil { fields.fault("cost_center", .missing, "is required with cost_center_from") }
        if let from, from <= now { fields.fault("cost_center_from", .outOfRange, "must be to come: leave it out for now") }
        guard let name else { return nil }
        self.name = name
        self.now = now
    }

    func apply(to costCenter: inout CostCenter) { costCenter.set(name, from: from, at: now) }
}

extension CostCenter {
    /// The one in force, and the one ahead.
    func writeFields(_ writer: inout JSONWriter, at now: Instant) {
        let ahead = nextFrom.flatMap { $0 > now ? $0 : nil }
        writer.field("cost_center", name(at: now))
        writer.field("next_cost_center", ahead == nil ? nil : next)
        writer.field("next_cost_center_from", ahead)
    }
}
