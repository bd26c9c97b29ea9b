/// The rows that make a setting of the reference model real, and those that an admin's change touches.
import Budgets
import Postgres
import Store
import TestSupport

extension LaneSimulation {
    static func rows(of setting: Setting, _ o: OrganizationID) -> [Query] {
        var rows: [Query] = [
            "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(o), \(o.description), \(setting.zone))",
            "INSERT INTO fences (organization_id) VALUES (\(o))",
            """
            INSERT INTO tiers (organization_id, id, name, rank, models, max_output_tokens)
            VALUES (\(o), \(Translation.tier), 'Standard', 1, \(setting.models.filter(\.isInTier).map(\.name)), \(Int64(setting.maxOutput))),
                   (\(o), \(Translation.higherTier), 'Premium', 2, '{*}', \(Int64(setting.maxOutput)))
            """,
        ]
        for team in Set(setting.projects.map(\.team)).sorted() {
            rows.append("INSERT INTO teams (organization_id, id, name) VALUES (\(o), \(Translation.team(team)), \("Team \(team)"))")
        }
        for (index, project) in setting.projects.enumerated() {
            rows.append(
                """
                INSERT INTO projects (organization_id, id, team_id, tier_id, name)
                VALUES (\(o), \(Translation.project(index)), \(Translation.team(project.team)), \(Translation.tier), \("Project \(index)"))
                """)
        }
        for (index, key) in setting.keys.enumerated() {
            rows.append(
                """
                INSERT INTO api_keys (organization_id, id, name, project_id, environment, secret_sha256, secret_hint)
                VALUES (\(o), \(Translation.key(index)), \("Key \(index)"), \(Translation.project(key.project)), \(key.environment),
                        sha256(\("\(o) \(index)")::text::bytea), 'bur_…')
                """)
        }
        for (index, rule) in setting.models.enumerated() {
            let model = ModelID(high: 11, low: UInt64(index))
            rows.append("INSERT INTO models (organization_id, id, name, provider) VALUES (\(o), \(model), \(rule.name), 'test')")
            for rate in Translation.model(index, rule).prices.list {
                rows.append(
                    """
                    INSERT INTO prices (organization_id, id, model, usage_kind, amount_per_million, valid_from, source)
                    VALUES (\(o), \(rate.priceID), \(rule.name), \(rate.kind), \(rate.amountPerMillion), \(rate.validFrom), 'test')
                    """)
            }
        }
        for (index, rule) in setting.budgets.enumerated() {
            rows.append(row(Translation.budget(index, rule, models: setting.models, grants: []), rule, o))
        }
        return rows
    }

    private static func row(_ budget: Budget, _ rule: Setting.BudgetRule, _ o: OrganizationID) -> Query {
        var (team, project): (TeamID?, ProjectID?)
        switch budget.scope {
        case .organization: break
        case .team(let id): team = id
        case .project(let id): project = id
        }
        let lists = [
            ("models", rule.modelPrefix.map { $0 + "*" }), ("environments", rule.environment), ("features", rule.feature),
            ("end_users", rule.user.map(Translation.user)),
        ]
        let match = "{" + lists.compactMap { name, text in text.map { "\"\(name)\":[\"\($0)\"]" } }.joined(separator: ",") + "}"
        return """
            INSERT INTO budgets
                (organization_id, id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount, thresholds,
                 threshold_amounts, enforcement, degrade, final_call)
            VALUES (\(o), \(budget.id), \(budget.name), \(team), \(project), \(JSONB(text: match)), \(budget.per?.rawValue),
                    \(budget.unit.rawValue), \(budget.rule.period.rawValue), \(Int64(budget.rule.anchorDay)),
                    \(Int64(budget.rule.anchorMonth)), \(budget.amount), \(budget.thresholds.map { Int64($0) }),
                    \(budget.thresholdAmounts), \(budget.enforcement.rawValue), \(column(budget.degrade)), \(column(budget.finalCall)))
            """
    }

    private static func column(_ rule: Degrade?) -> JSONB? {
        rule.map { rule in
            let models = rule.models.map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
            return JSONB(text: "{\"from_percent\":\(rule.fromPercent),\"models\":{\(models)}}")
        }
    }

    private static func column(_ rule: FinalCall?) -> JSONB? {
        rule.map { JSONB(text: "{\"calls\":\($0.calls),\"model\":\"\($0.model)\",\"max_output_tokens\":\($0.maxOutputTokens)}") }
    }

    private func servingRow(_ budget: Budget) -> Query {
        """
        UPDATE budgets SET degrade = \(LaneSimulation.column(budget.degrade)), final_call = \(LaneSimulation.column(budget.finalCall))
        WHERE organization_id = \(organization) AND id = \(budget.id)
        """
    }

    /// Bursts are not among these: what Postgres shows of them depends on its own clock.
    func rows(of change: Change) -> [Query] {
        switch change {
        case .amount(let budget, let amount):
            [
                """
                UPDATE budgets SET amount = \(Translation.amount(amount)), limit_version = limit_version + 1
                WHERE organization_id = \(organization) AND id = \(Translation.budget(budget))
                """
            ]
        case .thresholds(let budget, let thresholds, let amounts):
            [
                """
                UPDATE budgets SET thresholds = \(thresholds.map { Int64($0) }), threshold_amounts = \(amounts.map(Translation.amount)),
                                   limit_version = limit_version + 1
                WHERE organization_id = \(organization) AND id = \(Translation.budget(budget))
                """
            ]
        case .enforcement(let budget, let enforcement):
            [
                """
                UPDATE budgets SET enforcement = \(Translation.enforcement(enforcement).rawValue)
                WHERE organization_id = \(organization) AND id = \(Translation.budget(budget))
                """
            ]
        case .serving(let index, _, _):
            [servingRow(Translation.budget(index, laws.setting.budgets[index], models: laws.setting.models, grants: []))]
        case .archive(let budget):
            [
                "UPDATE budgets SET archived_at = now() WHERE organization_id = \(organization) AND id = \(Translation.budget(budget))"
            ]
        case .suspend(let project, let isSuspended):
            [
                """
                UPDATE projects SET is_suspended = \(isSuspended)
                WHERE organization_id = \(organization) AND id = \(Translation.project(project))
                """
            ]
        case .revoke(let key):
            ["UPDATE api_keys SET revoked_at = now() WHERE organization_id = \(organization) AND id = \(Translation.key(key))"]
        case .zone(let zone): ["UPDATE organizations SET time_zone = \(zone) WHERE organization_id = \(organization)"]
        case .grant, .endGrant: []
        }
    }
}
