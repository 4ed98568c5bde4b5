//! Years of an exporter in which everything goes wrong, and each case that was seen to go wrong by itself.

mod cases;
mod life;

use std::thread;

use life::scene::http;
use life::year::{Trouble, live};

/// The seeds of the years, and what can go wrong in them.
const YEARS: [(u64, &str); 1] = [(21, "all")];
/// How long a year is, in days.
const DAYS: i32 = 365;

/// Lives through years, two at a time, and fails if anything is wrong in one of them.
fn must_hold(years: &[(u64, &str)]) {
    let http = http();
    thread::scope(|scope| {
        for half in years.chunks(years.len().div_ceil(2).max(1)) {
            let http = &http;
            scope.spawn(move || {
                for (seed, troubles) in half {
                    let outcome = live(*seed, DAYS, Trouble::named(troubles), 0, 1, http);
                    println!(
                        "seed {seed}: {:.1} agent-years, {} messages, {} restarts",
                        outcome.agent_years, outcome.messages, outcome.restarts
                    );
                    if let Some(failure) = outcome.failure {
                        panic!("troubles {troubles}, {failure}");
                    }
                }
            });
        }
    });
}

#[test]
fn whatever_happens_in_a_year_the_last_word_stays_true() {
    must_hold(&YEARS);
}
