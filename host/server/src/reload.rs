//! The configuration file, applied again whenever its content changes: all of it or nothing.

use crate::config::{Config, LoadError, read_text};
use crate::driver::NoAnswer;
use crate::http::App;
use crate::watch::Watch;
use pointsman_protocol::events::EventBody;
use pointsman_scheduler::Event;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub struct ConfigReloader {
    app: App,
    path: PathBuf,
    /// The content that was looked at last, good or bad; what is compared is never older, so that
    /// going back to earlier bytes applies too.
    seen: Option<String>,
    /// What the file said at the start: keys that need a restart are compared with it, since the
    /// command line may have set others in their place.
    at_start: Option<Config>,
    /// Why there is no content now; told if it stays so.
    unreadable: Option<String>,
}

/// What cannot be read is looked at again, and what cannot be applied is tried again, after this.
const RETRY: Duration = Duration::from_secs(1);

impl ConfigReloader {
    pub fn new(app: App, path: PathBuf) -> ConfigReloader {
        ConfigReloader { app, path, seen: None, at_start: None, unreadable: None }
    }

    pub async fn run(mut self) {
        let mut watch = Watch::new(&self.path);
        // It may have changed between being read and being watched.
        self.look().await;
        loop {
            match self.unreadable.clone() {
                None => watch.changed().await,
                // No event tells that it can be read again, if nothing but its rights was wrong.
                Some(problem) => {
                    if tokio::time::timeout(RETRY, watch.changed()).await.is_err() {
                        self.seen = None;
                        self.refuse(problem);
                    }
                }
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let text = match read_text(&self.path) {
            // Truncated, to be written: nobody means that all settings go back to their defaults.
            Ok(text) if text.is_empty() => {
                self.unreadable = Some(format!(
                    "{}: the file is empty; write at least a comment to \
                    go back to all defaults",
                    self.path.display()
                ));
                return;
            }
            Ok(text) => text,
            // A moment between two links, or while an editor replaces it: the next change comes.
            Err(error @ LoadError::Read { .. }) => {
                self.unreadable = Some(told(&error));
                return;
            }
            Err(error @ (LoadError::TooLarge { .. } | LoadError::Refused { .. })) => {
                self.unreadable = None;
                self.seen = None;
                self.refuse(error.to_string());
                return;
            }
        };
        self.unreadable = None;
        if self.seen.as_ref() == Some(&text) {
            return;
        }
        match Config::parse(&self.path.display().to_string(), &text) {
            Ok(config) => self.apply(config).await,
            Err(errors) => {
                let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
                self.refuse(told.join("\n"));
            }
        }
        self.seen = Some(text);
    }

    async fn apply(&mut self, config: Config) {
        let current = self.app.config.load_full();
        let was_refused = self.app.config_problem.swap(Arc::new(None)).is_some();
        let later = self.at_start.get_or_insert_with(|| config.clone()).needs_restart(&config);
        let config = config.keeping_until_restart(&current);
        if *current == config && later.is_empty() {
            if was_refused {
                tracing::info!("the configuration is again the one in force");
                self.publish(true, None);
            }
            return;
        }
        // A busy host or a failing store puts it off, nothing more.
        while let Err(error) = self.tell(&config).await {
            tracing::warn!(%error, "the configuration is applied later");
            tokio::time::sleep(RETRY).await;
        }
        self.app.model.write().set_queues(&config.settings.queues);
        self.app.policies.bind_all(&config.policies);
        self.app.config.store(Arc::new(config));
        let reason = if later.is_empty() {
            None
        } else {
            Some(format!("these take effect at the next start: {}", later.join(", ")))
        };
        tracing::info!(note = reason.as_deref().unwrap_or(""), "applied the configuration");
        self.publish(true, reason);
    }

    /// Waits until the scheduler has taken it.
    async fn tell(&self, config: &Config) -> Result<(), NoAnswer> {
        self.app.driver.tell(Event::Configure(Box::new(config.settings.clone()))).await?;
        self.app.driver.after_round().await
    }

    fn refuse(&self, problem: String) {
        if self.app.config_problem.load().as_ref().as_ref() == Some(&problem) {
            return;
        }
        tracing::error!("refused the configuration, the one in force stays:\n{problem}");
        self.app.config_problem.store(Arc::new(Some(problem.clone())));
        self.publish(false, Some(problem));
    }

    fn publish(&self, accepted: bool, reason: Option<String>) {
        self.app.events.publish(self.app.clock.now(), EventBody::Config { accepted, reason });
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
