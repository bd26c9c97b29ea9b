/// An organization in plain numbers: what the reference model `Laws` knows of it, and from which `Translation` makes the real thing.

/// An organization as a history begins with it, and as its admins change it. Projects, keys, models and budgets go by their place in the list.
package struct Setting: Sendable {
    /// One of `LawsCalendar.zones`.
    package var zone: String
    /// When the history begins, in seconds since 1970.
    package var start: Int
    package var projects: [ProjectRule]
    package var keys: [KeyRule]
    package var models: [ModelRule]
    package var budgets: [BudgetRule]
    /// Approved burst grants.
    package var grants: [GrantRule] = []
    /// The output bound of the one tier that all projects have.
    package var maxOutput: Int

    package struct ProjectRule: Sendable {
        package let team: Int
        package var isSuspended = false
    }

    package struct KeyRule: Sendable {
        package let project: Int
        package let environment: String
        package var isRevoked = false
    }

    /// A model with what a token costs in pico-dollars; nil where there is no price.
    package struct ModelRule: Sendable {
        package let name: String
        package let input: Int?
        package let cached: Int?
        package let output: Int?
        package let isInTier: Bool
    }

    package struct BudgetRule: Sendable {
        package enum Scope: Sendable {
            case organization
            case team(Int)
            case project(Int)
        }
        package enum Per: String, Sendable, CaseIterable { case user, key, feature, model, project, team }
        package enum Unit: Sendable, CaseIterable { case usd, tokens, requests }
        package enum Enforcement: Sendable, CaseIterable { case block, warn, shadow }

        package let scope: Scope
        package let modelPrefix: String?
        package let environment: String?
        package let feature: String?
        package let user: String?
        package let per: Per?
        package let unit: Unit
        package let period: LawsCalendar.Rule
        /// In pico-units.
        package var amount: Int
        package var thresholds: [Int]
        /// Amounts in pico-units at which people are told too.
        package var thresholdAmounts: [Int]
        package var enforcement: Enforcement
        /// From a percentage on, models are replaced by others; they go by their place in the list.
        package var degrade: Degrading?
        /// So many calls after a block on a model with an output bound.
        package var final: Grace?
        /// Counts the changes of amount and thresholds.
        package var version = 1
        package var isArchived = false

        package struct Degrading: Sendable {
            package let percent: Int
            package let models: [Int: Int]
        }

        package struct Grace: Sendable {
            package let calls: Int
            package let model: Int
            package let output: Int
        }
    }

    package struct GrantRule: Sendable {
        package let budget: Int
        /// In pico-units.
        package let amount: Int
        /// Only for calls of this user.
        package let user: String?
        package let from: Int
        package var to: Int
    }

    /// What an admin may do.
    package mutating func apply(_ change: Change) {
        switch change {
        case .amount(let budget, let amount):
            budgets[budget].amount = amount
            budgets[budget].version += 1
        case .thresholds(let budget, let thresholds, let amounts):
            budgets[budget].thresholds = thresholds
            budgets[budget].thresholdAmounts = amounts
            budgets[budget].version += 1
        case .enforcement(let budget, let enforcement): budgets[budget].enforcement = enforcement
        case .serving(let budget, let degrade, let final):
            budgets[budget].degrade = degrade
            budgets[budget].final = final
        case .archive(let budget): budgets[budget].isArchived = true
        case .suspend(let project, let isSuspended): projects[project].isSuspended = isSuspended
        case .revoke(let key): keys[key].isRevoked = true
        case .zone(let zone): self.zone = zone
        case .grant(let grant): grants.append(grant)
        case .endGrant(let grant, let time): if grant < grants.count { grants[grant].to = min(grants[grant].to, time) }
        }
    }
}

package enum Change: Sendable {
    case amount(Int, Int)
    case thresholds(Int, [Int], amounts: [Int])
    case enforcement(Int, Setting.BudgetRule.Enforcement)
    case serving(Int, Setting.BudgetRule.Degrading?, Setting.BudgetRule.Grace?)
    case archive(Int)
    case suspend(Int, Bool)
    case revoke(Int)
    case zone(String)
    case grant(Setting.GrantRule)
    case endGrant(Int, at: Int)
}

/// A caller's id for a request, unique in its project.
package struct RequestName: Hashable, Sendable {
    package let project: Int
    package let number: Int
}

/// The content of a request for a hold, by which a repeat is told from a conflict.
package struct CallBody: Hashable, Sendable {
    package var model: Int
    package var user: String?
    package var feature: String?
    package var input: Int
    package var output: Int?
    package var seconds: Int
}

/// The content of a settlement.
package struct UsageBody: Hashable, Sendable {
    package var input: Int
    package var cached: Int
    package var output: Int
}

/// What a caller, or the sweeper, asks.
package enum Errand: Sendable {
    case reserve(RequestName, CallBody, key: Int)
    case settle(RequestName, UsageBody, key: Int)
    case release(RequestName, key: Int)
    case expire(RequestName)
    /// A call made so many seconds ago without asking.
    case book(RequestName, CallBody, UsageBody, secondsAgo: Int, key: Int)
    case allowance(CallBody, key: Int)
}

/// What is answered, to be compared: the model's answer and the engine's must be equal.
package struct Answer: Equatable, Sendable {
    /// `held`, `settled late`, `budget_exceeded`, … with ` again` for a repeat.
    package var word: String
    /// Held, booked, or found no room for; by the word.
    package var amount = 0
    package var overage = 0
    /// Which rules had their say in the model that serves the call.
    package var ways: [Way] = []
    package var standings: [Standing] = []

    package init(_ word: String, amount: Int = 0, overage: Int = 0, ways: [Way] = [], standings: [Standing] = []) {
        self.word = word
        self.amount = amount
        self.ways = ways
        self.overage = overage
        self.standings = standings
    }

    package struct Standing: Equatable, Sendable {
        package let place: Place
        package let amount: Int
        /// What grants add to it.
        package let burst: Int
        package let settled: Int
        package let held: Int

        package init(place: Place, amount: Int, burst: Int, settled: Int, held: Int) {
            self.place = place
            self.amount = amount
            self.burst = burst
            self.settled = settled
            self.held = held
        }
    }
}

/// A rule that led, or would have led, to a model.
package struct Way: Equatable, Sendable {
    package let word: String
    package let budget: Int
    package let model: String

    package init(_ word: String, budget: Int, model: String) {
        self.word = word
        self.budget = budget
        self.model = model
    }
}

/// Which counter.
package struct Place: Hashable, Sendable {
    package let budget: Int
    package let subject: String
    package let start: Int

    package init(budget: Int, subject: String, start: Int) {
        self.budget = budget
        self.subject = subject
        self.start = start
    }
}

/// What a counter shows.
package struct Count: Equatable, Sendable {
    package var settled = 0
    package var held = 0
    package var overage = 0
    /// How much of settled and held is drawn on burst grants.
    package var drawn = 0
    /// Final calls let through, and what those still open hold without room.
    package var finals = 0
    package var graced = 0

    package init(settled: Int = 0, held: Int = 0, overage: Int = 0, drawn: Int = 0, finals: Int = 0, graced: Int = 0) {
        self.finals = finals
        self.graced = graced
        self.settled = settled
        self.held = held
        self.overage = overage
        self.drawn = drawn
    }
}

/// An alert's identity (law 7): a percentage, or an amount.
package struct AlertName: Hashable, Sendable {
    package let place: Place
    package let version: Int
    package let threshold: Int
    package let amount: Int

    package init(place: Place, version: Int, threshold: Int = 0, amount: Int = 0) {
        self.place = place
        self.version = version
        self.threshold = threshold
        self.amount = amount
    }
}

/// One step of a history. Replicas go by number.
package enum Happening: Sendable {
    case submit(Errand, to: Int)
    /// The replica does one thing: reads, decides, commits, or answers.
    case advance(Int)
    /// The replica dies with all it remembers and all that waits in it.
    case crash(Int)
    /// The replica loses Postgres, and runs the batch in its hands again on a new connection.
    case reconnect(Int)
    /// The replica looks for holds whose time is over.
    case sweep(Int)
    case pass(seconds: Int)
    case change(Change)
}
