//! The configuration file is looked at again: a changed policy is journaled, a bad one is refused.
//!
//! By reading it every few seconds rather than by notifications: a mounted ConfigMap is replaced by
//! renaming links, which notifications tell in too many ways.

use std::sync::Arc;
use std::time::Duration;

use journal_schema::event::Event;

use super::settings::Settings;
use super::shared::Shared;
use crate::config;

const EVERY: Duration = Duration::from_secs(10);

/// Watches the file until the daemon stops.
pub(super) async fn watch(settings: Arc<Settings>, shared: Shared) {
    let Some(path) = settings.config.clone() else { return };
    let mut text = tokio::fs::read_to_string(&path).await.unwrap_or_default();
    let mut policy = settings.policy.clone();
    loop {
        tokio::select! {
            () = shared.until_stop() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let Ok(now) = tokio::fs::read_to_string(&path).await else { continue };
        if now == text {
            continue;
        }
        text = now;
        match config::parse(&path.display().to_string(), &text).and_then(config::with_environment) {
            Ok(file) => {
                let changed = settings.policy_of(&file);
                if changed != policy {
                    policy = changed.clone();
                    tracing::info!(path = %path.display(), "the policy changed");
                    shared.send(Event::PolicyChanged { policy: Box::new(changed) }).await;
                }
            }
            Err(problem) => {
                tracing::error!("the changed configuration is refused, the old one stays: {}", problem.message)
            }
        }
    }
}
