//! Prometheus exporter and usage monitor for AI agents on FlowGent.
//!
//! FlowGent reports the credits that each agent used on each UTC day, up to yesterday, at most 31 days a
//! request. Its figures come late and are revised. This crate keeps every day in a local ledger, serves it to
//! Prometheus, and alerts people before their credits are gone. The modules stand in the order in which data
//! flows, and each uses only those before it.
//!
//! # From FlowGent to the ledger
//!
//! - [`window`]: the days that one request may ask for; [`window::plan`] finds the fewest requests that fill
//!   every gap. [`tabulate`] cuts a range into days, weeks or months.
//! - [`roster`]: accounts, agents, and the keys to ask with.
//! - [`egress`]: requests to the outside: trust, proxies, and the addresses that may be reached. [`flowgent`]: the
//!   client, with its pace, retries and limits.
//! - [`validate`]: an answer is accepted only if it agrees with itself and with the question.
//! - [`ledger`]: every accepted day with its revisions, alerts and deliveries, in SQLite.
//! - [`sync`]: one pass over all agents along this way, and the schedule that says when.
//!
//! # From the ledger to people
//!
//! - [`series`]: an agent's figures, each present only if every day in it is known. [`former`]: the days of
//!   agents that have left. [`forecast`]: the days to come. [`budget`]: both against a limit. [`balance`]:
//!   what is left of credits bought ahead. [`sheet`]: rows of a range, for reports and summaries.
//! - [`exposition`]: the figures for Prometheus, rendered and compressed once a change.
//! - [`status`] and [`publish`]: what is served, kept in step with the ledger.
//! - [`probe`]: a message to an agent at set times, to see that it still replies.
//! - [`summary`]: a week or month for those who look once in a while.
//! - [`alert`]: what people should know, written to the ledger before it is sent. [`hook`]: sends it until it
//!   is accepted.
//! - [`history`]: exports and pushes days that no scrape has seen.
//! - [`http`]: a request, its reply, and the state that replies are made from. [`protection`]: TLS, users, limits
//!   and foreign pages. [`api`] and [`pages`] make replies; [`server`] listens and routes requests to them.
//!
//! # Around both
//!
//! - [`day`], [`clock`]: time as values. [`text`]: which characters may be shown. [`words`]: numbers and days as
//!   people write them. [`backoff`], [`nearest`], [`named`], [`csv`]: small tools. [`blocking`], [`files`],
//!   [`secret`]: work that blocks, files read within bounds, and values that cannot print.
//! - [`telemetry`], [`pulse`]: the exporter's own metrics and liveness.
//! - [`simulator`]: a FlowGent to try all this on.
//! - [`config`]: the config file, checked whole. [`app`]: start, reload and stop. [`logging`] and [`cli`]:
//!   what a person meets first.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod day;
pub mod clock;
pub mod blocking;
pub mod files;
pub mod secret;
pub mod text;
pub mod words;
pub mod backoff;
pub mod nearest;
pub mod named;
pub mod csv;
pub mod telemetry;
pub mod pulse;

pub mod window;
pub mod tabulate;
pub mod roster;
pub mod egress;
pub mod flowgent;
pub mod validate;

pub mod forecast;
pub mod series;
pub mod ledger;
pub mod former;
pub mod budget;
pub mod balance;
pub mod sheet;
pub mod exposition;

pub mod sync;
pub mod status;
pub mod publish;
pub mod probe;
pub mod summary;
pub mod alert;
pub mod hook;
pub mod history;
pub mod http;
pub mod protection;
pub mod api;
pub mod pages;
pub mod server;

pub mod simulator;
pub mod config;
pub mod app;
pub mod logging;
pub mod cli;
