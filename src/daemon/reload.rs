//! The configuration file is looked at again: a changed policy is journaled, a bad one is refused. So is the clock: the
//! policy of a window of the schedule is journaled when the window begins, and that of the file when it ends. The core
//! knows the policy of the moment only, and no time zones.
//!
//! A daemon that was started in mode Recommend does not begin to act: that needs a start.
//!
//! By reading it every few seconds rather than by notifications: a mounted ConfigMap is replaced by
//! renaming links, which notifications tell in too many ways.

use std::sync::Arc;
use std::time::Duration;

use journal_schema::event::Event;
use journal_schema::policy::Mode;

use super::outside;
use super::settings::Settings;
use super::shared::Shared;
use super::status::{ReasonView, mode_name};
use crate::config::{self, File};
use crate::exit::{Exit, Problem};

/// How a refusal begins, and its code in the status.
const REFUSED: &str = "the changed configuration is refused, the old one stays";
const CODE: &str = "ConfigurationRefused";
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
            let refused = match changed(&settings, &path.display().to_string(), &text) {
                Ok(changed) => {
                    file = changed;
                    None
                }
                Err(problem) => {
                    let fix = problem.fix.as_deref().map_or(String::new(), |fix| format!("; {fix}"));
                    tracing::error!("{REFUSED}: {}{fix}", problem.message);
                    Some(problem)
                }
            };
            shared.update(|status| tell(&mut status.missing, refused));
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

/// The file as it is now, where this daemon can take it over.
fn changed(settings: &Settings, path: &str, text: &str) -> Result<File, Problem> {
    let file = config::parse(path, text).and_then(config::with_environment)?;
    // Mode Recommend asks for no right to change anything, nor where pods may be moved, and what carries out
    // its effects refuses every change.
    let wanted = settings.policy_of(&file, outside::now()).mode;
    if settings.policy.mode == Mode::Recommend && wanted != Mode::Recommend {
        let what = format!("spec.mode became {}, and the daemon was started in mode Recommend", mode_name(wanted));
        return Err(Problem::new(Exit::Config, what).fix("start it again: only then are the rights for it looked at"));
    }
    Ok(file)
}

/// Keeps the status up with what was refused last.
fn tell(missing: &mut Vec<ReasonView>, refused: Option<Problem>) {
    missing.retain(|reason| reason.code != CODE);
    missing.extend(refused.map(|problem| ReasonView {
        code: CODE.to_owned(),
        message: format!("{REFUSED}: {}", problem.message),
        fix: problem.fix,
    }));
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn started(text: &str, mode: Option<&str>) -> Settings {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("policy.yaml");
        std::fs::write(&path, text).expect("written");
        let path = path.display().to_string();
        let mut words = vec!["kinema", "run", "--config", &path];
        words.extend(mode.into_iter().flat_map(|mode| ["--mode", mode]));
        let Command::Run(args) = Cli::parse_from(words).command else { panic!("run") };
        Settings::new(&args).expect("valid")
    }

    fn policy(mode: &str) -> String {
        format!("apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  mode: {mode}\n")
    }

    #[test]
    fn a_daemon_that_was_started_to_recommend_does_not_begin_to_act() {
        let looks = started(&policy("Recommend"), None);
        for mode in ["Auto", "Approve"] {
            let problem = changed(&looks, "policy.yaml", &policy(mode)).expect_err("refused");
            let said = format!("spec.mode became {mode}, and the daemon was started in mode Recommend");
            assert_eq!(problem.message, said);
            let mut missing = Vec::new();
            tell(&mut missing, Some(problem));
            assert!(missing[0].message.starts_with(REFUSED) && missing[0].message.ends_with(&said), "{missing:?}");
            assert!(missing[0].fix.as_deref().is_some_and(|fix| fix.starts_with("start it again")));
            tell(&mut missing, None);
            assert_eq!(missing, []);
        }
        assert!(changed(&looks, "policy.yaml", &policy("Recommend")).is_ok());
        assert!(changed(&started(&policy("Auto"), Some("Recommend")), "policy.yaml", &policy("Auto")).is_ok());
        assert!(changed(&started(&policy("Auto"), None), "policy.yaml", &policy("Recommend")).is_ok());
        assert!(changed(&started(&policy("Approve"), None), "policy.yaml", &policy("Auto")).is_ok());
    }
}
