//! Years of an exporter: each case that was seen to go wrong once, by itself.

mod cases;
#[allow(
    dead_code,
    reason = "the years that are drawn are lived through by a bench"
)]
mod life;
