//! The program as its users meet it: commands in; output, exit code and files out.

mod agreement;
mod api_server;
mod bad_input;
mod config;
mod hostile;
mod journal;
mod live;
mod plan;
mod readme;
mod run;
mod simulate;
mod small_clusters;
mod support;
