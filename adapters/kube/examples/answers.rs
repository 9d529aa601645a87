//! Carries out effects on a test cluster, as the daemon does: one effect a line on the standard input, what came of it
//! on the standard output, both in the journal's JSON: `cargo run -p adapter-kube --example answers` (kubeconfig as
//! usual). `tests/e2e/fakes` holds the simulated cluster's answers against these.
//!
//! It does what it is told. Not for a cluster that anyone uses.

#![allow(clippy::print_stdout, reason = "its answers are its output")]

use std::io::{BufRead, Write};

use adapter_kube::client::{Target, connect};
use adapter_kube::lease::Fence;
use adapter_kube::perform::{Performer, Reporter};
use journal_schema::effect::Effect;
use journal_schema::facts::Key;
use journal_schema::text::Name;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clients = connect(&Target::default()).await?;
    let own = Key::new(Name::new("default")?, Name::new("answers")?);
    let performer = Performer::new(clients.requests.clone(), Fence::open(), Reporter::new(own, "answers"));
    for line in std::io::stdin().lock().lines() {
        let effect: Effect = serde_json::from_str(&line?)?;
        let outcome = performer.perform(&effect).await;
        println!("{}", serde_json::to_string(&outcome)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
