//! The configuration file, applied again whenever its content changes: all of it or nothing.

use crate::config::{Config, ConfigError, Unread, read_settled, told};
use crate::driver::NoAnswer;
use crate::http::App;
use crate::watch::Watch;
use pointsman_protocol::api::{ConfigProblem, ConfigRefusal, ConfigStatus};
use pointsman_protocol::events::EventBody;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::Event;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct ConfigReloader {
    app: App,
    path: PathBuf,
    /// The content that was looked at last, good or bad; what is compared is never older, so that
    /// going back to earlier bytes applies too.
    seen: Option<Content>,
    /// What the file said at the start: keys that need a restart are compared with it, since the
    /// command line may have set others in their place.
    at_start: Config,
    /// There is no content now.
    missing: Option<Missing>,
}

/// A text, or what keeps it from being one.
type Content = Result<String, ConfigError>;

/// What is missing since when.
struct Missing {
    why: Unread,
    since: Instant,
    is_told: bool,
}

/// What cannot be applied is tried again after this; so is what was told to be missing.
const RETRY: Duration = Duration::from_secs(1);
/// A moment between two links, or while an editor replaces the file.
const RETRY_SOON: Duration = Duration::from_millis(100);
/// What is missing for longer is told of.
const PATIENCE: Duration = Duration::from_secs(2);

impl ConfigReloader {
    /// `at_start` as of [`as_written`].
    pub fn new(app: App, path: PathBuf, at_start: Config) -> ConfigReloader {
        ConfigReloader { app, path, seen: None, at_start, missing: None }
    }

    pub async fn run(mut self) {
        if std::fs::metadata(&self.path).is_ok_and(|it| !it.is_file()) {
            tracing::info!("the configuration is no file, so changes are not looked for");
            return;
        }
        let mut watch = Watch::new(&self.path);
        // It may have changed between being read and being watched.
        self.look().await;
        loop {
            match &self.missing {
                None => watch.changed().await,
                // No event tells that its writer has closed it, or that its rights allow to read it.
                Some(Missing { is_told: false, .. }) => tokio::time::sleep(RETRY_SOON).await,
                Some(Missing { is_told: true, .. }) => tokio::time::sleep(RETRY).await,
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read_settled(&path));
        // It fails only when the process ends.
        let Ok(read) = read.await else { return };
        let content = match read {
            Ok(content) => content,
            Err(why) => return self.miss(why),
        };
        if self.missing.take().is_some() {
            self.note(|status| status.waiting = None);
        }
        if self.seen.as_ref() == Some(&content) {
            return;
        }
        let file = self.path.display().to_string();
        let text = content.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            text.map_err(|error| vec![error]).and_then(|text| Config::parse(&file, &text))
        });
        // As above.
        let Ok(parsed) = parsed.await else { return };
        match parsed {
            Ok(config) => self.apply(config).await,
            Err(errors) => self.refuse(&errors),
        }
        self.seen = Some(content);
    }

    /// Somebody who writes is waited for without end.
    fn miss(&mut self, why: Unread) {
        let error = ConfigError::of_file(&self.path, &why, why.remedy());
        let is_same =
            |it: &Missing| std::mem::discriminant(&it.why) == std::mem::discriminant(&why);
        let (since, is_told) = match self.missing.take().filter(is_same) {
            Some(missing) => (missing.since, missing.is_told),
            None => (Instant::now(), false),
        };
        self.note(|status| status.waiting = Some(error.to_string()));
        let is_due = !is_told && since.elapsed() >= PATIENCE;
        if is_due && why.is_half() {
            tracing::warn!("the configuration waits: {error}");
        } else if is_due {
            // Whatever comes then is looked at, also if it was there before.
            self.seen = None;
            self.refuse(&[error]);
        }
        self.missing = Some(Missing { why, since, is_told: is_told || is_due });
    }

    async fn apply(&mut self, config: Config) {
        let current = self.app.config.load_full();
        let status = self.app.config_status.load_full();
        let later = self.at_start.needs_restart(&config);
        let config = config.keeping_until_restart(&current);
        let is_in_force = *current == config && status.at_next_start == later;
        if is_in_force && status.refused.is_none() {
            return;
        }
        if !is_in_force {
            // A busy host or a failing store puts it off, nothing more.
            while let Err(error) = self.tell(&config).await {
                tracing::warn!(%error, "the configuration is applied later");
                tokio::time::sleep(RETRY).await;
            }
            self.app.model.write().set_queues(&config.settings.queues);
            if let Some(desk) = &self.app.history {
                desk.history().set_bounds(config.history.bounds());
            }
            self.app.policies.bind_all(&config.policies).await;
            self.app.config.store(Arc::new(config));
        }
        let reason = (!later.is_empty())
            .then(|| format!("these take effect at the next start: {}", later.join(", ")));
        tracing::info!(note = reason.as_deref().unwrap_or(""), "applied the configuration");
        let at = Timestamp(self.app.clock.now());
        self.note(|status| {
            status.n_applied += 1;
            status.applied_at = Some(at);
            status.refused = None;
            status.at_next_start = later.iter().map(|&key| key.to_owned()).collect();
        });
        self.publish(true, reason);
    }

    /// Waits until the scheduler has taken it.
    async fn tell(&self, config: &Config) -> Result<(), NoAnswer> {
        self.app.driver.tell(Event::Configure(Box::new(config.settings.clone()))).await?;
        self.app.driver.after_round().await
    }

    fn refuse(&self, errors: &[ConfigError]) {
        let text = told(errors);
        tracing::error!("refused the configuration, the one in force stays:\n{text}");
        let at = Timestamp(self.app.clock.now());
        let refusal =
            ConfigRefusal { at, text: text.clone(), errors: errors.iter().map(shown).collect() };
        self.note(|status| {
            status.n_refused += 1;
            status.refused = Some(refusal);
        });
        self.publish(false, Some(text));
    }

    /// Nobody else writes to it.
    fn note(&self, change: impl FnOnce(&mut ConfigStatus)) {
        let mut status = ConfigStatus::clone(&self.app.config_status.load());
        change(&mut status);
        self.app.config_status.store(Arc::new(status));
    }

    fn publish(&self, accepted: bool, reason: Option<String>) {
        self.app.events.publish(self.app.clock.now(), EventBody::Config { accepted, reason });
    }
}

/// What the file says, as long as it is what was read at the start; else what is in force.
pub fn as_written(path: &Path, in_force: &Config) -> Config {
    let text = read_settled(path).ok().and_then(Result::ok);
    let written = text.and_then(|text| Config::parse(&path.display().to_string(), &text).ok());
    written.unwrap_or_else(|| in_force.clone())
}

fn shown(error: &ConfigError) -> ConfigProblem {
    let place = |at: usize| (at > 0).then_some(at as u64);
    ConfigProblem {
        file: error.file.clone(),
        line: place(error.line),
        column: place(error.column),
        key: Some(error.key.clone()).filter(|key| !key.is_empty()),
        problem: error.problem.clone(),
        remedy: error.remedy.clone(),
    }
}
