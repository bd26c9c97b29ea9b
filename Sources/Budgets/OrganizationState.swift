/// Everything a lane remembers of one organization (design §5). While the fence's version is still `version` in Postgres, all
/// of it is exact. What is not remembered is not zero: it must be read first, which `missing` says.

public struct OrganizationState: Sendable {
    public let configuration: Configuration
    /// The fence version at which everything here was exact.
    public var version: Int64
    var counters: [CounterID: Counter] = [:]
    var bursts: [BurstID: BurstCounter] = [:]
    /// Open reservations, and for the length of one batch those read to answer a repeat. Many times what a batch makes, and enough for
    /// seconds of calls under way; an older one is read again when it is settled.
    var reservations = Generations<ReservationID, Reservation>(of: rememberedReservations)
    var requests = Generations<RequestID, ReservationID>(of: rememberedReservations)
    private static let rememberedReservations = 16_384
    private(set) var attributions: [AttributionSource: AttributionID] = [:]
    private var attributionsByID: [AttributionID: Attribution] = [:]
    // What follows is derived from the configuration, kept because every call of a project asks the same.
    private var paths: [ProjectID: [Budget]] = [:]
    private var spans: [BudgetID: PeriodSpan] = [:]
    private var allowances: [TierModel: Bool] = [:]
    var modelsByTier: [TierID: [String]] = [:]

    public init(configuration: Configuration, version: Int64) {
        self.configuration = configuration
        self.version = version
    }

    /// Forgets what other transactions may have changed; keeps the configuration.
    public mutating func forgetLedger(version: Int64) {
        self.version = version
        counters.removeAll(keepingCapacity: true)
        bursts.removeAll()
        reservations.removeAll()
        requests.removeAll()
    }

    /// How much is remembered, to be held against the lane's bound (law 11).
    public var size: Int { counters.count + bursts.count + allowances.count + attributions.count }

    // MARK: what a lane reads and remembers

    public mutating func remember(_ id: CounterID, _ counter: Counter) { counters[id] = counter }

    public mutating func remember(_ id: BurstID, _ counter: BurstCounter) { bursts[id] = counter }

    public mutating func remember(_ reservation: Reservation) {
        reservations[reservation.id] = reservation
        requests[reservation.request] = reservation.id
    }

    public mutating func remember(_ source: AttributionSource, _ id: AttributionID, _ attribution: Attribution) {
        attributions[source] = id
        attributionsByID[id] = attribution
    }

    /// Drops reservations that are no longer open: they were read only to answer a repeat.
    public mutating func forgetResolved(_ ids: some Sequence<ReservationID>) {
        for id in ids {
            guard let reservation = reservations[id], reservation.state != .held else { continue }
            reservations[id] = nil
            requests[reservation.request] = nil
        }
    }

    public func counter(_ id: CounterID) -> Counter? { counters[id] }
    public func burst(_ id: BurstID) -> BurstCounter? { bursts[id] }
    public func knows(_ source: AttributionSource) -> Bool { attributions[source] != nil }
    public func attribution(_ id: AttributionID) -> Attribution? { attributionsByID[id] }

    // MARK: derived from the configuration

    mutating func path(to project: Project) -> [Budget] {
        if let path = paths[project.id] { return path }
        let path = configuration.path(to: project)
        paths[project.id] = path
        return path
    }

    /// The budget's period that contains the instant.
    mutating func span(of budget: Budget, at instant: Instant) -> PeriodSpan {
        if let span = spans[budget.id], span.contains(instant) { return span }
        let span = budget.rule.span(containing: instant, in: configuration.zone)
        spans[budget.id] = span
        return span
    }

    mutating func isAllowed(_ model: String, tier: Tier) -> Bool {
        let question = TierModel(tier: tier.id, model: model)
        if let known = allowances[question] { return known }
        let answer = configuration.tiers(upTo: tier).contains { $0.models.contains { $0.matches(model) } }
        allowances[question] = answer
        return answer
    }

    private struct TierModel: Hashable {
        let tier: TierID
        let model: String
    }
}

/// Who calls for what: decides the attribution as long as the configuration stands.
public struct AttributionSource: Hashable, Sendable {
    public let project: ProjectID
    public let apiKey: APIKeyID
    /// The only thing about them that changes while the configuration stands: on its date.
    public let costCenter: String?
    let lacksTags: Bool

    init(_ attribution: Attribution) {
        project = attribution.project
        apiKey = attribution.apiKey
        costCenter = attribution.costCenter
        lacksTags = attribution.lacksTags
    }
}
