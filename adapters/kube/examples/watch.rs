//! Watches a cluster for a while and tells what came, and what this process used:
//! `cargo run --release -p adapter-kube --example watch -- SECONDS` (kubeconfig as usual).

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use adapter_kube::client::{Target, connect};
use adapter_kube::rights::{Access, Own, needed, preflight};
use adapter_kube::watch::watch_all;
use journal_schema::event::WatchEvent;
use journal_schema::facts::Kind;

/// Resident memory in MiB and CPU in seconds, as Linux tells them.
fn used() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((kib / 1024, ticks * 10))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).ok_or("usage: watch SECONDS")?.parse()?;
    let clients = connect(&Target::default()).await?;
    println!("{} {}", clients.server, clients.version);
    let namespace = clients.namespace.as_str();
    let own = Own { lease: (namespace, "kinema"), namespace };
    for permission in preflight(&clients.requests, needed(Access::Act, own)).await.map_err(|f| f.message.to_string())? {
        println!("not permitted: {permission}");
    }
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1024);
    let tasks = watch_all(&clients.watches, &sender, &std::sync::Arc::default());
    let began = Instant::now();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut finished = 0;
    let mut cpu_synced = 0;
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some(event)) = tokio::time::timeout_at(end, receiver.recv()).await {
        let word = match &event {
            WatchEvent::Listed(object) => format!("listed {}", object.kind().as_str()),
            WatchEvent::Applied(object) => format!("applied {}", object.kind().as_str()),
            WatchEvent::Deleted { kind, .. } => format!("deleted {}", kind.as_str()),
            WatchEvent::Interrupted { kind } => format!("interrupted {}", kind.as_str()),
            WatchEvent::RelistStarted { .. } => continue,
            WatchEvent::RelistFinished { .. } => {
                finished += 1;
                if finished == Kind::ALL.len() {
                    cpu_synced = used().map_or(0, |(_, cpu)| cpu);
                    println!("all kinds listed after {:?}", began.elapsed());
                }
                continue;
            }
        };
        *counts.entry(word).or_default() += 1;
    }
    drop(tasks);
    for (word, count) in counts {
        println!("{count:8} {word}");
    }
    if let Some((mib, cpu)) = used() {
        println!("peak resident {mib} MiB; CPU {cpu_synced} ms until listed, {} ms after", cpu - cpu_synced);
    }
    Ok(())
}
