//! The configuration as a table of all keys, for showing. Tokens are files, so there is no secret.

use super::{Config, StoreBackend, Wasi};
use pointsman_protocol::duration::format_duration;
use pointsman_protocol::quantity::format_memory;
use pointsman_scheduler::Slot;
use pointsman_scheduler::settings::{Discipline, QueueSettings};
use serde_json::{Map, Value, json};
use std::time::Duration;

impl Config {
    /// Every key with its value in force, as it would be written.
    pub fn effective(&self) -> Value {
        let settings = &self.settings;
        let heartbeat = &settings.heartbeat;
        let retry = &settings.retry;
        let queues: Map<String, Value> =
            settings.queues.iter().map(|(name, queue)| (name.clone(), show_queue(queue))).collect();
        let auth = json!({
            "admin": self.auth.admin, "submit": self.auth.submit,
            "read": self.auth.read, "worker": self.auth.worker,
        });
        let mut shown = json!({
            "server": {
                "listen": self.server.listen.to_string(),
                "data_dir": self.server.data_dir,
                "workers": self.server.workers,
            },
            "auth": auth,
            "store": { "backend": match self.store {
                StoreBackend::Sqlite => "sqlite",
                StoreBackend::Memory => "memory",
            }},
            "history": {
                "enabled": self.history.enabled,
                "keep": format_duration(self.history.keep),
                "rows": self.history.rows,
            },
            "heartbeat": {
                "interval": format_duration(heartbeat.interval),
                "suspect_after": format_duration(heartbeat.suspect_after),
                "lost_after": format_duration(heartbeat.lost_after),
            },
            "retry": {
                "max_retries": retry.max_retries,
                "max_worker_losses": retry.max_worker_losses,
                "backoff": {
                    "base": format_duration(retry.base),
                    "factor": retry.factor,
                    "cap": format_duration(retry.cap),
                },
            },
            "quarantine": {
                "after": settings.quarantine.after,
                "within": format_duration(settings.quarantine.within),
                "base": format_duration(settings.quarantine.base),
                "cap": format_duration(settings.quarantine.cap),
            },
            "queues": queues,
            "retention": {
                "finished": settings.retention_finished,
                "finished_for": or_off(settings.retention_finished_for),
            },
            "policies": self.show_policies(),
            "rescheduling": {
                "cool_down": format_duration(settings.rescheduling.cool_down),
                "rate_per_minute": settings.rescheduling.rate_per_minute,
                "per_worker": settings.rescheduling.per_worker,
            },
            "telemetry": {
                "traces": self.telemetry.traces,
                "sample": self.telemetry.sample,
            },
            "worker": self.show_worker(),
        });
        drop_missing(&mut shown);
        shown
    }

    /// The same as a TOML file.
    pub fn effective_toml(&self) -> String {
        toml::to_string_pretty(&self.effective()).expect("the tables hold nothing but plain values")
    }

    fn show_policies(&self) -> Value {
        let mut shown = json!({
            "directory": self.policies.directory,
            "poll": format_duration(self.policies.poll),
        });
        for slot in Slot::ALL {
            let binding = self.policies.binding(slot);
            shown[slot.name()] = json!({
                "component": binding.component,
                "on_failure": binding.on_failure.name(),
                "sha256": binding.sha256,
                "wasi": match binding.wasi {
                    Wasi::Refuse => "refuse",
                    Wasi::Trap => "trap",
                },
                "config": binding.config,
            });
        }
        let [compiled, interpreted] = self.policies.limits.map(|limits| {
            json!({
                "cpu_per_call": format_duration(limits.cpu_per_call),
                "memory": format_memory(limits.memory),
            })
        });
        shown["limits"] = json!({ "compiled": compiled, "interpreted": interpreted });
        shown
    }

    fn show_worker(&self) -> Value {
        let worker = &self.worker;
        json!({
            "name": worker.name,
            "host": worker.host,
            "capacity": {
                "cpu": worker.cpu_milli.map(|milli| milli as f64 / 1000.0),
                "memory": worker.memory.map(format_memory),
                "gpu": worker.gpus,
            },
            "labels": worker.labels,
            "token_file": worker.token_file,
            "data_dir": worker.data_dir,
            "measurements": worker.measurements,
            "limits": { "memory": worker.limits.memory_name(), "cpu": worker.limits.cpu.name() },
        })
    }
}

fn or_off(span: Option<Duration>) -> String {
    span.map_or("off".to_owned(), format_duration)
}

fn show_queue(queue: &QueueSettings) -> Value {
    let discipline = queue.discipline.map(|discipline| match discipline {
        Discipline::Greedy => "greedy",
        Discipline::Strict => "strict",
        Discipline::Backfill => "backfill",
    });
    let reserve_after = or_off(queue.reserve_after);
    json!({ "limit": queue.limit, "discipline": discipline, "reserve_after": reserve_after })
}

/// TOML has no word for nothing: keys without a value are left out.
fn drop_missing(value: &mut Value) {
    if let Value::Object(table) = value {
        table.retain(|_, value| !value.is_null());
        table.values_mut().for_each(drop_missing);
    }
}
