//! The whole program against a simulated FlowGent: the real binary, on a clock that the test moves.

#![allow(unreachable_pub, reason = "nobody imports a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod abuse;
mod accounts;
mod alerts;
mod api;
mod cli;
mod clock;
mod crash;
mod deploy;
mod docs;
mod exposition;
mod fairness;
mod faults;
mod files;
mod fuzz;
mod http;
mod layout;
mod lifecycle;
mod observability;
mod package;
mod pages;
mod push;
mod reload;
mod revisions;
mod secrets;
mod service;
mod web;
mod years;
