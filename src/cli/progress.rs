//! Shows how far a sync is: a bar on a terminal, a line every tenth of the way elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sync::{Event, Observer};

/// An observer that shows on stderr what it is told.
pub(super) fn observer() -> Observer {
    let on_terminal = stderr().is_terminal();
    let target = if on_terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style());
    Arc::new(move |event| match event {
        Event::Planned(windows) => {
            bar.reset();
            bar.set_length(windows as u64);
        }
        Event::Committed(_) => advance(&bar, 1, on_terminal),
        Event::Left(windows) => advance(&bar, windows as u64, on_terminal),
        Event::Ended(_) => bar.finish_and_clear(),
        Event::Members(..) | Event::Failed(_) => {}
    })
}

fn advance(bar: &ProgressBar, windows: u64, on_terminal: bool) {
    bar.inc(windows);
    let (done, all) = (bar.position(), bar.length().unwrap_or(0).max(1));
    let tenths = |done: u64| done * 10 / all;
    if !on_terminal && tenths(done) > tenths(done.saturating_sub(windows)) {
        eprintln!("{:3} % of {all} windows", tenths(done) * 10);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {percent:>3} % {pos}/{len} windows, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
