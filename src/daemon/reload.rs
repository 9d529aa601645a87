//! The configuration file is looked at again: a changed policy is journaled, a bad one is refused. So is the clock: the
//! policy of a window of the schedule is journaled when the window begins, and that of the file when it ends. The core
//! knows the policy of the moment only, and no time zones.
//!
//! By reading it every few seconds rather than by notifications: a mounted ConfigMap is replaced by
//! renaming links, which notifications tell in too many ways.

use std::sync::Arc;
use std::time::Duration;

use journal_schema::event::Event;

use super::outside;
use super::settings::Settings;
use super::shared::Shared;
use crate::config;

const EVERY: Duration = Duration::from_secs(10);

/// Watches the file, and the windows of its schedule, until the daemon stops.
pub(super) async fn watch(settings: Arc<Settings>, shared: Shared) {
    let Some(path) = settings.config.clone() else { return };
    // What was written since the start is read at the first look.
    let mut text = String::new();
    let (mut file, mut policy) = (settings.file.clone(), settings.policy.clone());
    loop {
        tokio::select! {
            () = shared.until_stop() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Ok(read) = tokio::fs::read_to_string(&path).await
            && read != text
        {
            text = read;
            match config::parse(&path.display().to_string(), &text).and_then(config::with_environment) {
                Ok(changed) => file = changed,
                Err(problem) => {
                    tracing::error!("the changed configuration is refused, the old one stays: {}", problem.message);
                }
            }
        }
        let now = outside::now();
        let changed = settings.policy_of(&file, now);
        if changed != policy {
            policy = changed.clone();
            let window = file.spec.window_at(now).map_or("none", |window| window.name.as_str());
            tracing::info!(path = %path.display(), window, "the policy changed");
            shared.send(Event::PolicyChanged { policy: Box::new(changed) }).await;
        }
    }
}
