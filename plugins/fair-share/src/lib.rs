//! Dominant resource fairness (Ghodsi et al., NSDI 2011): the next start is for the tenant whose
//! dominant share, divided by its weight, is smallest. Equal shares go by the priority of the next
//! task, then in submit order. Grouped by tenant, so that the host asks about each tenant's next task
//! again whenever the tenant's share has changed; among the tasks of one tenant the share is 0 and
//! priority decides.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::host::Table;
use pointsman_policy_sdk::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Columns)]
pub struct Task {
    tenant: f64,
    tenant_share: f64,
    priority: f64,
    inherited_priority: f64,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Per tenant: what its share is divided by. 1 for tenants that are not named.
    pub weights: BTreeMap<String, f64>,
}

#[derive(Debug)]
pub struct FairShare {
    /// By the bits of the number that the column `tenant` has for it.
    weights: HashMap<u64, f64>,
}

const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// A rank is `steps of share · STEP − priority`: a step outweighs any priority,
/// and up to a share of 2 a rank is a whole number that an f64 holds exactly.
const STEPS: f64 = (1_u64 << 26) as f64;
const STEP: f64 = (1_u64 << 26) as f64;
const MAX_PRIORITY: f64 = STEP / 2.0 - 1.0;
/// Keeps ranks finite, whatever the share.
const MAX_SHARE: f64 = 1e12;

impl Queue for FairShare {
    type Config = Config;
    type Task = Task;

    fn new(config: Config) -> Result<FairShare, String> {
        let mut weights = HashMap::new();
        for (tenant, weight) in &config.weights {
            if !WEIGHTS.contains(weight) {
                return Err(format!(
                    "weights.{tenant}: {weight} is not a number from 0.001 to 1000000"
                ));
            }
            weights.insert(host::intern(Table::Tenant, tenant).to_bits(), *weight);
        }
        Ok(FairShare { weights })
    }

    fn about(&self) -> About {
        About::new("fair-share", env!("CARGO_PKG_VERSION"))
            .description("the tenant that holds the smallest share of the cluster comes first")
            .group_by(GroupBy::Tenant)
            .discipline(Discipline::Greedy)
    }

    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        let weight = self.weights.get(&task.tenant.to_bits()).copied().unwrap_or(1.0);
        // `max` takes the other operand for NaN.
        let share = (task.tenant_share.max(0.0) / weight).min(MAX_SHARE);
        let priority = task.priority.max(task.inherited_priority);
        let priority = if priority.is_nan() { 0.0 } else { priority };
        (share * STEPS).round() * STEP - priority.clamp(-MAX_PRIORITY, MAX_PRIORITY)
    }
}

export_queue!(FairShare);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{self, Table as Rows, configured, fuzz_queue, row};

    fn policy(config: &str) -> FairShare {
        configured(config, FairShare::new).expect("a good configuration")
    }

    fn named(tenant: &str, share: f64, priority: f64) -> Task {
        let tenant = host::intern(Table::Tenant, tenant);
        row(&[("tenant", tenant), ("tenant-share", share), ("priority", priority)])
    }

    #[test]
    fn no_priority_outweighs_a_smaller_share() {
        let tasks = Rows::parse(
            "
                       tenant-share   priority     inherited-priority
            much       0.5            2147483647   2147483647
            little     0.499999       -2147483648  -2147483648
            urgent     0.499999       0            5
            nothing    0              0            0
        ",
        );
        let order = testing::order(&policy("{}"), 0.0, &tasks);
        assert_eq!(order.names(), ["nothing", "urgent", "little", "much"]);
    }

    #[test]
    fn one_step_of_priority_is_told_apart_at_every_share() {
        let policy = policy("{}");
        for share in [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0] {
            for priority in [-33_554_431.0, -1.0, 0.0, 33_554_430.0] {
                let rank = |priority| policy.rank(0.0, &named("a", share, priority));
                assert!(rank(priority + 1.0) < rank(priority), "{share} {priority}");
            }
        }
    }

    #[test]
    fn equal_shares_of_different_resources_are_equal() {
        let policy = policy("{}");
        let rank = |held: f64, total: f64| policy.rank(0.0, &named("a", held / total, 0.0));
        assert_eq!(rank(6000.0, 9000.0), rank(12e9, 18e9));
        assert_eq!(rank(60_000.0, 100_000.0), rank(6000.0, 10_000.0));
    }

    #[test]
    fn a_weight_entitles_to_as_many_times_the_share() {
        let policy = policy(r#"{"weights":{"research":2,"batch":0.5}}"#);
        let rank = |tenant, share| policy.rank(0.0, &named(tenant, share, 0.0));
        assert_eq!(rank("research", 0.5), rank("other", 0.25));
        assert_eq!(rank("batch", 0.125), rank("other", 0.25));
        assert!(rank("research", 0.4) < rank("other", 0.25));
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (r#"{"weights":{"a":0}}"#, "weights.a: 0 is not a number from 0.001 to 1000000"),
            (r#"{"weights":{"a":-1}}"#, "weights.a: -1 is not a number from 0.001 to 1000000"),
            (
                r#"{"weights":{"a":1e7}}"#,
                "weights.a: 10000000 is not a number from 0.001 to 1000000",
            ),
            (r#"{"weights":{"a":"2"}}"#, "weights.a: invalid type: string \"2\", expected f64"),
            (r#"{"weight":{}}"#, "config: unknown field `weight`, expected `weights`"),
        ] {
            assert_eq!(configured(config, FairShare::new).map(|_| ()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn no_input_gives_a_rank_that_is_not_finite() {
        for config in ["{}", r#"{"weights":{"a":0.001,"b":1000000}}"#] {
            fuzz_queue(&policy(config));
        }
    }
}
