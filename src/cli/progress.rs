//! Shows how far a sync is: a bar on a terminal, a line every tenth of the way elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::sync::{Event, Observer};

/// The form of a bar of agents.
pub(super) const AGENTS: &str = "{wide_bar} {pos} of {len} agents, {eta} left";

/// An observer that shows on stderr what it is told.
pub(super) fn observer() -> Observer {
    if stderr().is_terminal() {
        of_requests()
    } else {
        lines()
    }
}

/// A bar of that form on stderr, hidden by itself where that is no terminal.
pub(super) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn of_requests() -> Observer {
    let bar = bar("{wide_bar} {percent:>3} % {pos}/{len} requests, {eta} left");
    bar.set_length(0);
    Arc::new(move |event| match event {
        Event::Planned(requests) => {
            bar.reset();
            bar.set_length(requests as u64);
        }
        Event::Committed(_) => bar.inc(1),
        Event::Left(requests) => bar.inc(requests as u64),
        Event::Ended(_) => bar.finish_and_clear(),
        Event::Started(_) | Event::Members(..) | Event::Failed(_) | Event::Scheduled(_) => {}
    })
}

fn lines() -> Observer {
    let steps = Mutex::new(Tenths::default());
    Arc::new(move |event| {
        // Held while a line is written, so that the lines of several threads come in order.
        let mut steps = steps.lock();
        match event {
            Event::Planned(requests) => *steps = Tenths::of(requests),
            Event::Committed(_) => steps.advance(1),
            Event::Left(requests) => steps.advance(requests),
            Event::Started(_)
            | Event::Members(..)
            | Event::Failed(_)
            | Event::Ended(_)
            | Event::Scheduled(_) => {}
        }
    })
}

/// Share of all requests that is done with, printed a tenth at a time.
#[derive(Default)]
struct Tenths {
    done: usize,
    all: usize,
}

impl Tenths {
    const fn of(all: usize) -> Self {
        Self { done: 0, all }
    }

    fn advance(&mut self, requests: usize) {
        let tenths = |done: usize| done * 10 / self.all.max(1);
        let before = tenths(self.done);
        self.done += requests;
        if tenths(self.done) > before {
            let (percent, all) = (tenths(self.done) * 10, self.all);
            eprintln!("{percent:3} % of {all} requests");
        }
    }
}
