/// Everything that can go wrong, as the caller sees it (RFC 9457): the single table of code, status and title.

/// A problem's stable name. Its raw value stands in the answer's `code`, in `openapi/bursar.yaml` and in clients.
enum ProblemCode: String, CaseIterable, Sendable {
    case invalidRequest = "invalid_request"
    case unauthenticated
    case tooManyAttempts = "too_many_attempts"
    case forbidden
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case nameTaken = "name_taken"
    case rankTaken = "rank_taken"
    case emailTaken = "email_taken"
    case alreadyAllowed = "already_allowed"
    case alreadyDecided = "already_decided"
    case limitReached = "limit_reached"
    case inUse = "in_use"
    case archived
    case laterPriceExists = "later_price_exists"
    case revisionMismatch = "revision_mismatch"
    case preconditionRequired = "precondition_required"
    case requestInFlight = "request_in_flight"
    case idempotencyKeyReused = "idempotency_key_reused"
    case bodyTooLarge = "body_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case rangeNotSatisfiable = "range_not_satisfiable"
    case modelUnknown = "model_unknown"
    case modelUnpriced = "model_unpriced"
    case modelNotAllowed = "model_not_allowed"
    case projectSuspended = "project_suspended"
    case maxInputTokensExceeded = "max_input_tokens_exceeded"
    case maxRequestsPerMinuteExceeded = "max_requests_per_minute_exceeded"
    case rateLimited = "rate_limited"
    case budgetExceeded = "budget_exceeded"
    case projectUnknown = "project_unknown"
    case reservationUnknown = "reservation_unknown"
    case requestConflict = "request_conflict"
    case reservationResolved = "reservation_resolved"
    case amountCommitted = "amount_committed"
    case burstTooLarge = "burst_too_large"
    case burstNoticeTooShort = "burst_notice_too_short"
    case tooManyOpenBursts = "too_many_open_bursts"
    case tooManyBurstsInQuarter = "too_many_bursts_in_quarter"
    case burstReviewOverdue = "burst_review_overdue"
    case burstApproverTooLow = "burst_approver_too_low"
    case burstNotNeeded = "burst_not_needed"
    case burstNotOpen = "burst_not_open"
    case monthNotReady = "month_not_ready"
    case monthChanged = "month_changed"
    case monthNotInState = "month_not_in_state"
    case linkExpired = "link_expired"
    case overloaded
    case storeUnavailable = "store_unavailable"
    case internalError = "internal_error"

    var status: Int {
        switch self {
        case .unauthenticated: 401
        case .budgetExceeded: 402
        case .forbidden, .modelNotAllowed, .projectSuspended, .burstApproverTooLow: 403
        case .notFound, .modelUnknown, .projectUnknown, .reservationUnknown: 404
        case .methodNotAllowed: 405
        case .nameTaken, .rankTaken, .emailTaken, .inUse, .archived, .laterPriceExists, .requestConflict, .reservationResolved,
            .requestInFlight, .alreadyAllowed, .alreadyDecided, .limitReached, .amountCommitted:
            409
        case .tooManyOpenBursts, .tooManyBurstsInQuarter, .burstReviewOverdue, .burstNotNeeded, .burstNotOpen: 409
        case .monthNotReady, .monthChanged, .monthNotInState: 409
        case .linkExpired: 410
        case .revisionMismatch: 412
        case .bodyTooLarge: 413
        case .unsupportedMediaType: 415
        case .rangeNotSatisfiable: 416
        case .invalidRequest, .modelUnpriced, .maxInputTokensExceeded, .burstTooLarge, .burstNoticeTooShort, .idempotencyKeyReused: 422
        case .preconditionRequired: 428
        case .rateLimited, .maxRequestsPerMinuteExceeded, .tooManyAttempts: 429
        case .internalError: 500
        case .overloaded, .storeUnavailable: 503
        }
    }

    var title: String {
        switch self {
        case .invalidRequest: "The request is not valid"
        case .unauthenticated: "No valid API key"
        case .tooManyAttempts: "Too many bad API keys"
        case .forbidden: "Not allowed for this API key"
        case .notFound: "Not found"
        case .methodNotAllowed: "Method not allowed here"
        case .nameTaken: "The name is taken"
        case .rankTaken: "The rank is taken"
        case .emailTaken: "The address is taken"
        case .alreadyAllowed: "Allowed already"
        case .alreadyDecided: "Decided already"
        case .limitReached: "No more of these"
        case .inUse: "Still in use"
        case .archived: "Archived"
        case .laterPriceExists: "A later price exists"
        case .revisionMismatch: "Changed by somebody else"
        case .preconditionRequired: "If-Match is required"
        case .requestInFlight: "The same request is being served"
        case .idempotencyKeyReused: "The idempotency key was used for another request"
        case .bodyTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body must be JSON"
        case .rangeNotSatisfiable: "Nothing of the file lies in that range"
        case .modelUnknown: "Unknown model"
        case .modelUnpriced: "The model has no price"
        case .modelNotAllowed: "The model is not in the project's tier"
        case .projectSuspended: "The project is suspended"
        case .maxInputTokensExceeded: "The input is above the tier's cap"
        case .maxRequestsPerMinuteExceeded: "More requests a minute than the tier allows"
        case .rateLimited: "Rate limit reached"
        case .budgetExceeded: "Budget exceeded"
        case .projectUnknown: "Unknown project"
        case .reservationUnknown: "Unknown reservation"
        case .requestConflict: "The request id was used with other content"
        case .reservationResolved: "The reservation has ended otherwise"
        case .amountCommitted: "The budget cannot spare it"
        case .burstTooLarge: "The burst is larger than a rail allows"
        case .burstNoticeTooShort: "The burst would start sooner than a rail allows"
        case .tooManyOpenBursts: "Too many bursts are open"
        case .tooManyBurstsInQuarter: "Too many bursts in this quarter"
        case .burstReviewOverdue: "The review of a burst is overdue"
        case .burstApproverTooLow: "Somebody above must approve this much"
        case .burstNotNeeded: "The budget needs no burst"
        case .burstNotOpen: "Not in the state for that"
        case .monthNotReady: "The month is not ready for that"
        case .monthChanged: "The month has changed since it was proposed"
        case .monthNotInState: "The month is not in the state for that"
        case .linkExpired: "The link has expired"
        case .overloaded: "Too many requests are waiting"
        case .storeUnavailable: "The database cannot be reached"
        case .internalError: "Something went wrong on our side"
        }
    }
}

/// One faulty field of a request.
struct FieldFault: Sendable, Hashable {
    enum Code: String, Sendable {
        case missing
        case unknownField = "unknown_field"
        case wrongType = "wrong_type"
        case invalidValue = "invalid_value"
        case outOfRange = "out_of_range"
        case unknownReference = "unknown_reference"
    }

    /// JSON pointer into the body (RFC 6901), or `?name` for a query parameter.
    let pointer: String
    let code: Code
    let detail: String
}

/// A problem on its way to the caller. Thrown by handlers, rendered in one place.
struct Problem: Error, Sendable {
    let code: ProblemCode
    /// For this occurrence, safe to show.
    let detail: String?
    var status: Int
    var faults: [FieldFault] = []
    /// Header fields beside the usual ones, such as `retry-after`.
    var headers: [(name: String, value: String)] = []
    /// Further members of the answer, already rendered to JSON values.
    var members: [(name: String, value: [UInt8])] = []

    init(_ code: ProblemCode, _ detail: String? = nil) {
        self.code = code
        self.detail = detail
        status = code.status
        if code == .overloaded { headers.append(("retry-after", "1")) }
        if code == .unauthenticated { headers.append(("www-authenticate", "Bearer")) }
    }

    /// The request cannot be read at all, or fields of it are faulty.
    static func invalid(_ detail: String, status: Int = 400, faults: [FieldFault] = []) -> Problem {
        var problem = Problem(.invalidRequest, detail)
        problem.status = status
        problem.faults = faults
        return problem
    }
}
