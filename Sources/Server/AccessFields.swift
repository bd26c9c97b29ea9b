/// How access requests and grants look in JSON.
import Budgets
import JSON
import Store

/// The states that a list can be narrowed to; `AccessRequestRecord.state` says which one a request is in.
enum AccessRequestState: String, CaseIterable {
    case pending, approved, denied, withdrawn, expired
}

/// The states that a list can be narrowed to; `AccessGrantRecord.state` says which one a grant is in.
enum AccessGrantState: String, CaseIterable {
    case active, expired, revoked
}

extension AccessSubject {
    fileprivate func writeFields(_ writer: inout JSONWriter) {
        switch self {
        case .tier(let id):
            writer.field("tier", id)
            writer.field("model", String?.none)
        case .model(let name):
            writer.field("tier", TierID?.none)
            writer.field("model", name)
        }
    }
}

extension AccessRequestRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("project", project)
            subject.writeFields(&writer)
            writer.field("reason", reason)
            writer.field("ends_at", endsAt)
            writer.field("approval", approval)
            writer.field("requested_by", requestedBy)
            writer.field("requested_at", requestedAt)
            writer.field("state", state)
            writer.field("decided_by", decidedBy)
            writer.field("decided_at", decidedAt)
            writer.field("decision_reason", decisionReason)
            writer.field("grant", grant)
        }
    }
}

extension AccessGrantRecord {
    func write(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("request", request)
            writer.field("project", project)
            subject.writeFields(&writer)
            writer.field("granted_at", grantedAt)
            writer.field("ends_at", endsAt)
            writer.field("revoked_at", revokedAt)
            writer.field("state", state)
        }
    }
}
