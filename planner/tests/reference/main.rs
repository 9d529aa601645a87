//! Tests of the parts that check the planner: the model of the scheduler and the linter.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails; figures are printed")]

mod conformance;
mod facts;
mod filter;
mod forecast;
mod led;
mod lint;
mod plans;
mod properties;
mod scale;
mod score;
#[path = "../common/synthetic.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the planner's own tests")]
mod synthetic;
