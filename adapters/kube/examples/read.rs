//! Reads a cluster's file and tells what is in it and how long it took:
//! `cargo run --release -p adapter-kube --example read -- FILE`.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Instant;

use adapter_kube::file::read_cluster;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: read FILE")?;
    let bytes = std::fs::read(path)?;
    let began = Instant::now();
    let file = read_cluster(&bytes)?;
    let took = began.elapsed();
    let cluster = &file.cluster;
    println!("{} bytes in {took:?}", bytes.len());
    println!("{} nodes, {} pods, {} workloads", cluster.nodes.len(), cluster.pods.len(), cluster.workloads.len());
    println!("missing: {:?}", file.missing_kinds());
    println!("skipped: {:?}", file.skipped);
    Ok(())
}
