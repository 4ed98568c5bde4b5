//! Years of an exporter with fresh seeds, for as long as one likes: what must hold after every event is held,
//! and a year in which it does not is shown with its seed.
//!
//! `cargo bench --bench years -- [minutes] [seed] [troubles] [failures] [crowd]`; 1 minute and random seeds by
//! default. Of a seed other than 0 one year is lived through, until as many failures were seen, 1 by default.
//! Troubles are `days`, `flowgent`, `members`, `receivers`, `crashes`, `edits`, `clock`, `balances`, `limits`,
//! `directions`, `silences`, `repeats` and `probes`, with commas between; `all` by default. The crowd is listed agents
//! beside the others, of whom only days go wrong, a tenth as often; there is none where a seed is given, and 1,000
//! otherwise. An agent-year is a year in which one agent is polled, judged, published and pushed.

#[path = "../tests/integration/years/life/mod.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "the tests' own code"
)]
mod years;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use flowgent_exporter::clock::instant;
use years::scene::http;
use years::trouble::Trouble;
use years::year::live;

/// How long a year is.
const DAYS: i32 = 365;
/// How many agents there are beside those that come, leave and are renamed.
const CROWD: u32 = 1_000;
/// How many years live at a time.
const THREADS: usize = 2;

fn main() {
    // Cargo passes `--bench`, which says nothing here.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let minutes: f64 = arguments
        .first()
        .map_or(1.0, |text| text.parse().expect("minutes"));
    let seed: Option<u64> = arguments.get(1).map(|text| text.parse().expect("a seed"));
    let seed = seed.filter(|seed| *seed != 0);
    let trouble = Trouble::named(arguments.get(2).map_or("all", |text| text));
    let patience: usize = arguments
        .get(3)
        .map_or(1, |text| text.parse().expect("failures"));
    let crowd = arguments.get(4).map(|text| text.parse().expect("agents"));
    let crowd: u32 = crowd.unwrap_or(if seed.is_some() { 0 } else { CROWD });
    let http = http();
    if let Some(seed) = seed {
        let outcome = live(seed, DAYS, trouble, crowd, patience, &http);
        println!(
            "{:.1} agent-years, {} messages, {} restarts",
            outcome.agent_years, outcome.messages, outcome.restarts
        );
        if let Some(failure) = outcome.failure {
            println!("{failure}");
            std::process::exit(1);
        }
        return;
    }
    let started = instant();
    let limit = Duration::from_secs_f64(minutes * 60.0);
    let total = Mutex::new((0.0, 0, 0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while started.elapsed() < limit {
                    let seed = fastrand::Rng::new().u64(..1_000_000_000);
                    let outcome = live(seed, DAYS, trouble, crowd, 1, &http);
                    let mut total = total.lock().expect("nobody panics with it");
                    total.0 += outcome.agent_years;
                    total.1 += 1;
                    if let Some(failure) = outcome.failure {
                        total.2 += 1;
                        println!("{failure}\n");
                    }
                }
            });
        }
    });
    let (agent_years, years, failures) = total.into_inner().expect("nobody panics with it");
    let spent = started.elapsed().as_secs_f64() / 60.0;
    println!(
        "{years} years, {failures} of them failed; {agent_years:.0} agent-years, {:.0} a minute",
        agent_years / spent
    );
    if failures > 0 {
        std::process::exit(1);
    }
}
