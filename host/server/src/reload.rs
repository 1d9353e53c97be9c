//! The configuration file, applied again whenever its content changes: all of it or nothing.

use crate::config::Config;
use crate::http::App;
use crate::watch::Watch;
use pointsman_protocol::events::EventBody;
use pointsman_scheduler::Event;
use std::path::PathBuf;
use std::sync::Arc;

pub struct ConfigReloader {
    app: App,
    path: PathBuf,
    /// The content that was looked at last, good or bad; what is compared is never older, so that
    /// going back to earlier bytes applies too.
    seen: Option<String>,
}

impl ConfigReloader {
    pub fn new(app: App, path: PathBuf) -> ConfigReloader {
        ConfigReloader { app, path, seen: None }
    }

    pub async fn run(mut self) {
        let mut watch = Watch::new(&self.path);
        // It may have changed between being read and being watched.
        self.look().await;
        loop {
            watch.changed().await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            // A moment between two links, or while an editor replaces it: the next change comes.
            Err(error) => {
                tracing::debug!(%error, path = %self.path.display(), "cannot be read now");
                return;
            }
        };
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

    async fn apply(&self, config: Config) {
        let current = self.app.config.load_full();
        self.app.config_problem.store(Arc::new(None));
        if *current == config {
            return;
        }
        let later = current.needs_restart(&config);
        let settings = Box::new(config.settings.clone());
        if let Err(error) = self.app.driver.tell(Event::Configure(settings)).await {
            self.refuse(format!("it could not be applied: {error}"));
            return;
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

    fn refuse(&self, problem: String) {
        tracing::error!("refused the configuration, the one in force stays:\n{problem}");
        self.app.config_problem.store(Arc::new(Some(problem.clone())));
        self.publish(false, Some(problem));
    }

    fn publish(&self, accepted: bool, reason: Option<String>) {
        self.app.events.publish(self.app.clock.now(), EventBody::Config { accepted, reason });
    }
}
