//! Sync.

pub mod schedule;
