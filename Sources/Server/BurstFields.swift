/// How bursts and their rails look in JSON, and the problems that tell of a rail.
import Budgets
import JSON
import Postgres
import Store

/// The states that a list can be narrowed to; `BurstRecord.state` says which one a burst is in.
enum BurstState: String, CaseIterable {
    case requested, lapsed, denied, withdrawn, scheduled, active, exhausted, ended, revoked
}

extension BurstRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("budget", budget)
            writer.field("state", state)
            writer.field("amount", amount, in: unit)
            writer.field("settled", settled, in: unit)
            writer.field("held", held, in: unit)
            writer.field("remaining", max(.zero, amount - settled - held), in: unit)
            writer.name("match")
            writer.raw(bytes: match.bytes)
            writer.field("starts_at", startsAt)
            writer.field("ends_at", endsAt)
            writer.field("reason", reason)
            writer.field("requested_by", requestedBy)
            writer.field("requested_at", requestedAt)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
            writer.field("decision_reason", decisionReason)
            writer.field("review_due_at", reviewDueAt)
            writer.name("review")
            guard let review else { return writer.null() }
            writer.object { writer in
                writer.field("purpose", review.purpose)
                writer.field("result", review.result)
                writer.field("worth_it", review.worthIt)
                writer.field("lessons", review.lessons)
                writer.field("reviewed_by", review.reviewedBy)
                writer.field("reviewed_at", review.reviewedAt)
            }
        }
    }
}

extension BurstRails {
    init(_ fields: inout FieldReader) {
        self.init()
        largestPercent = fields.optional("largest_percent", .integer(1...1000))
        largestOpen = fields.optional("largest_open", .integer(0...100))
        largestPerQuarter = fields.optional("largest_per_quarter", .integer(0...1000))
        shortestNoticeSeconds = fields.optional("shortest_notice_seconds", .integer(0...7_776_000))
        adminAbove = fields.optional("admin_above", .amount())
        ownerAbove = fields.optional("owner_above", .amount())
        blocksWhileReviewOverdue = fields.optional("blocks_while_review_overdue", .bool)
        reviewDays = fields.optional("review_days", .integer(0...90))
    }

    /// What is not set is null: the organization's rails, or the usual ones, hold.
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("largest_percent", largestPercent)
            writer.field("largest_open", largestOpen)
            writer.field("largest_per_quarter", largestPerQuarter)
            writer.field("shortest_notice_seconds", shortestNoticeSeconds)
            writer.field("admin_above", adminAbove?.description)
            writer.field("owner_above", ownerAbove?.description)
            writer.name("blocks_while_review_overdue")
            if let blocksWhileReviewOverdue { writer.bool(blocksWhileReviewOverdue) } else { writer.null() }
            writer.field("review_days", reviewDays)
        }
    }
}

extension Problem {
    init(refused refusal: BurstRefusal, unit: BudgetUnit) {
        switch refusal {
        case .tooLarge(let largest):
            self.init(.burstTooLarge, "The rail largest_percent allows \(largest.plain)\(unit == .usd ? " USD" : " " + unit.rawValue).")
        case .noticeTooShort(let seconds):
            self.init(.burstNoticeTooShort, "The rail shortest_notice_seconds asks for \(seconds) seconds between request and start.")
        case .tooManyOpen(let count): self.init(.tooManyOpenBursts, "The rail largest_open allows \(count) on this budget.")
        case .tooManyInQuarter(let count):
            self.init(.tooManyBurstsInQuarter, "The rail largest_per_quarter allows \(count) on this budget.")
        case .reviewOverdue:
            self.init(.burstReviewOverdue, "The rail blocks_while_review_overdue waits for the review of an earlier burst on this budget.")
        case .approverTooLow(let role):
            self.init(.burstApproverTooLow, "The rail \(role)_above asks for the approval of an \(role) of the organization.")
        case .budgetDoesNotBlock: self.init(.burstNotNeeded, "The budget refuses no call: there is nothing that a burst could let through.")
        case .notOpen(let state): self.init(.burstNotOpen, "It is \(state).")
        case .nothingToReview: self.init(.burstNotOpen, "It is not over: review it when it has ended or is used up.")
        }
    }
}
