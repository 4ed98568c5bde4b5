//! Prometheus exporter and usage monitor for AI agents on FlowGent.
//!
//! FlowGent tells, per agent, the credits used on each UTC day, up to yesterday, at most 31 days per
//! request. The figures come late and are revised. This crate keeps every day in a local ledger, shows it
//! to Prometheus, and tells people before their credits are gone. The modules stand in the order of that
//! way, and each uses only those before it:
//!
//! A UTC day is a value ([`day`]), and so is the time ([`clock`]), which FlowGent's dates correct. A config names [`files`], which are read
//! within bounds. What nobody may see is a [`secret`];
//! which letters may be shown is the rule of [`text`]; how
//! long to wait before trying again is a [`backoff`]; what somebody probably meant is the [`nearest`] word; a
//! table for other programs is written as [`csv`]; what the exporter tells of itself is its [`telemetry`], and
//! whether its parts are alive shows by their [`pulse`].
//!
//! A [`window`] is what one request may ask for, and [`window::plan`] finds the fewest of them that
//! cover what is missing or may still change. What people ask for is a range of any length, and
//! [`tabulate`] cuts it into days, weeks or months. The [`roster`] says whom to ask for, with which key;
//! [`flowgent`] asks, at a bearable pace, and survives what comes back; [`validate`] believes an answer
//! only if it is consistent with itself and with the question.
//!
//! What is believed is committed to the [`ledger`], window by window, with its revisions. From a
//! ledger's sums and recent days, [`series`] computes figures, each there only if every day it covers
//! is known; days of agents that have left count once, as [`former`] has it; [`forecast`] says what the days to come may bring, and [`budget`] how that stands against
//! what may be used. All of it [`exposition`] renders for Prometheus, compressed once per change.
//!
//! A [`sync`] is one pass over all agents along this way; its schedule says when. What is known at any
//! moment stands in the [`status`]; [`publish`] keeps what is served in step with the ledger, for [`http`]
//! to serve. An [`alert`] is what people are to
//! be told then: it stands in the ledger before anybody hears of it, and a [`hook`] sends it until it is
//! taken. Days that no scrape has seen reach databases as [`history`].
//!
//! The [`simulator`] is a FlowGent to try all this on. The [`config`] says what to do, checked whole;
//! [`app`] puts the parts together and drains them in the end; [`logging`] and [`cli`] are what a
//! person meets first.

pub mod day;
pub mod clock;
pub mod files;
pub mod secret;
pub mod text;
pub mod backoff;
pub mod nearest;
pub mod csv;
pub mod telemetry;
pub mod pulse;

pub mod window;
pub mod tabulate;
pub mod roster;
pub mod flowgent;
pub mod validate;

pub mod forecast;
pub mod series;
pub mod ledger;
pub mod former;
pub mod budget;
pub mod exposition;

pub mod sync;
pub mod status;
pub mod publish;
pub mod alert;
pub mod hook;
pub mod history;
pub mod http;

pub mod simulator;
pub mod config;
pub mod app;
pub mod logging;
pub mod cli;
