//! What a policy says about itself.

/// Name, version and properties: the manifest without the needed columns, which the SDK adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub name: String,
    pub version: String,
    pub properties: Vec<(String, String)>,
    /// Columns of the row types that are not needed after all.
    pub left_out: Vec<String>,
}

/// In which way a queue is emptied, unless the operator says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// Whatever fits starts, in order.
    Greedy,
    /// A head that does not fit now blocks the queue.
    Strict,
    /// Later tasks may start if they do not delay the head (EASY).
    Backfill,
}

/// What the tasks of a queue are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    Tenant,
    Job,
}

impl About {
    pub fn new(name: &str, version: &str) -> About {
        About {
            name: name.to_owned(),
            version: version.to_owned(),
            properties: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// One line for people.
    pub fn description(self, text: &str) -> About {
        self.with("description", text)
    }

    /// Scoring: a worker's score depends on its own columns and the task's alone.
    pub fn node_local(self) -> About {
        self.with("node-local", "true")
    }

    /// Scoring: the bands 0.8 and 0.5 mean preferred, normal, restricted.
    pub fn banded(self) -> About {
        self.with("banded", "true")
    }

    /// Queue: ranks change with time and are refreshed this often. 100 to 3,600,000 ms.
    pub fn time_dependent(self, interval_ms: u32) -> About {
        self.with("time-dependent", "true").interval_ms(interval_ms)
    }

    /// Queue: used where the configuration names no discipline.
    pub fn discipline(self, discipline: Discipline) -> About {
        let name = match discipline {
            Discipline::Greedy => "greedy",
            Discipline::Strict => "strict",
            Discipline::Backfill => "backfill",
        };
        self.with("discipline", name)
    }

    /// Queue: ranks order tasks within their group, where `tenant_share` is 0, and order groups by
    /// their heads, which are ranked again after each start in the group and whenever the share of
    /// their tenant changes.
    pub fn group_by(self, group_by: GroupBy) -> About {
        let name = match group_by {
            GroupBy::Tenant => "tenant",
            GroupBy::Job => "job",
        };
        self.with("group-by", name)
    }

    /// Forecasting: how far ahead, 1,000 to 86,400,000 ms. Has to be said.
    pub fn horizon_ms(self, horizon_ms: u32) -> About {
        self.with("horizon-ms", &horizon_ms.to_string())
    }

    /// Rescheduling and forecasting: how often to ask, 100 to 3,600,000 ms. 5 s and 10 s if it is not
    /// said.
    pub fn interval_ms(self, interval_ms: u32) -> About {
        self.with("interval-ms", &interval_ms.to_string())
    }

    /// These columns of the row types are not needed with this configuration: the host is not asked for
    /// them, and they read as missing. A policy that can use forecasts needs none where it is told not to.
    pub fn without(mut self, columns: &[&str]) -> About {
        self.left_out.extend(columns.iter().map(|name| (*name).to_owned()));
        self
    }

    pub(crate) fn with(mut self, key: &str, value: &str) -> About {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }
}
