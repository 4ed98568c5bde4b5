//! The series of all agents, rendered and compressed once per change of the data or the day.
//!
//! At 100,000 agents this is 1.6 million lines, which are never all there as text: each family is
//! written agent by agent into a small buffer and compressed from there.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::day::Day;
use crate::roster::Agent;
use crate::series::Figures;

use super::deflate::{Deflater, Piece};
use super::names::{FAMILIES, Family, Samples};
use super::text::{Format, write_header, write_label, write_value};

/// Number of agents that share a piece: few enough to keep several threads evenly busy and to make frames
/// of a good size to send, enough for compression to find its feet.
const AGENTS_PER_PIECE: usize = 8192;

/// An agent and what is published of it.
#[derive(Debug, Clone)]
pub struct AgentSeries {
    /// The agent. Its account and name together are unlike any other's.
    pub agent: Agent,
    /// Its figures.
    pub figures: Figures,
}

/// Series, those of agents or those of budgets and alerts, compressed, as of one UTC day.
#[derive(Debug, Default)]
pub struct Body {
    /// The day that the figures are as of.
    today: Option<Day>,
    families: Vec<RenderedFamily>,
}

#[derive(Debug)]
struct RenderedFamily {
    is_of_today: bool,
    /// One per [`Format::ALL`].
    headers: Vec<Piece>,
    samples: Vec<Piece>,
}

impl Body {
    /// No usage series, for as long as the ledger is loading.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The series of `agents` as of the day `today`, rendered and compressed on as many threads.
    #[must_use]
    pub fn render(today: Day, agents: &[AgentSeries], parallelism: NonZeroUsize) -> Self {
        let chunks: Vec<Chunk<'_>> = agents.chunks(AGENTS_PER_PIECE).map(Chunk::new).collect();
        Self::of(today, render_samples(&chunks, parallelism))
    }

    /// The families with these samples, in the order of [`FAMILIES`]. A family without any is not
    /// mentioned.
    pub(super) fn of(today: Day, samples: Vec<Vec<Piece>>) -> Self {
        let mut deflater = Deflater::new();
        let mut header = |format, family| {
            write_header(deflater.buffer(), format, family);
            deflater.finish()
        };
        let families = FAMILIES.iter().zip(samples);
        let families = families.filter(|(_, samples)| !samples.is_empty());
        let families = families.map(|(family, samples)| RenderedFamily {
            is_of_today: family.is_of_today,
            headers: Format::ALL
                .into_iter()
                .filter_map(|format| header(format, family))
                .collect(),
            samples,
        });
        Self {
            today: Some(today),
            families: families.collect(),
        }
    }

    /// Pieces to serve on the day `today`: figures of another day than the one that the body
    /// was rendered for are left out with their headers.
    pub(super) fn pieces(
        &self,
        format: Format,
        today: Option<Day>,
    ) -> impl Iterator<Item = &Piece> {
        let is_current = today.is_some() && self.today == today;
        self.families
            .iter()
            .filter(move |family| is_current || !family.is_of_today)
            .flat_map(move |family| {
                let header = &family.headers[format as usize];
                std::iter::once(header).chain(&family.samples)
            })
    }
}

/// Agents whose samples go into the same pieces.
struct Chunk<'a> {
    agents: &'a [AgentSeries],
    /// For each of them `{account="…",agent="…"`, one after the other.
    labels: Vec<u8>,
    /// End of each.
    ends: Vec<usize>,
}

impl<'a> Chunk<'a> {
    fn new(agents: &'a [AgentSeries]) -> Self {
        let mut labels = Vec::new();
        let mut ends = Vec::with_capacity(agents.len());
        for AgentSeries { agent, .. } in agents {
            labels.push(b'{');
            write_label(&mut labels, "account", &agent.account);
            labels.push(b',');
            write_label(&mut labels, "agent", &agent.name);
            ends.push(labels.len());
        }
        labels.shrink_to_fit();
        Self {
            agents,
            labels,
            ends,
        }
    }

    /// The agents, each with its labels, the brace not yet closed.
    fn labelled(&self) -> impl Iterator<Item = (&'a AgentSeries, &[u8])> {
        let mut start = 0;
        self.agents.iter().zip(&self.ends).map(move |(agent, end)| {
            let labels = &self.labels[start..*end];
            start = *end;
            (agent, labels)
        })
    }
}

/// The samples of every family, in pieces that follow the chunks' order.
fn render_samples(chunks: &[Chunk<'_>], parallelism: NonZeroUsize) -> Vec<Vec<Piece>> {
    let tasks = FAMILIES.len() * chunks.len();
    let next = AtomicUsize::new(0);
    // Takes tasks until none is left; the threads need no more agreement than that.
    let work = || {
        let mut deflater = Deflater::new();
        let mut done = Vec::new();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return done;
            }
            let family = &FAMILIES[task / chunks.len()];
            write_samples(&mut deflater, family, &chunks[task % chunks.len()]);
            done.push((task, deflater.finish()));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallelism.get().min(tasks))
            .map(|_| scope.spawn(work))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(task, _)| *task);
    let mut samples = vec![Vec::new(); FAMILIES.len()];
    for (task, piece) in done {
        samples[task / chunks.len()].extend(piece);
    }
    samples
}

/// Writes what the agents of `chunk` contribute to `family`.
fn write_samples(deflater: &mut Deflater, family: &Family, chunk: &Chunk<'_>) {
    match family.samples {
        Samples::Info => {
            for (AgentSeries { agent, .. }, labels) in chunk.labelled() {
                let out = deflater.buffer();
                out.extend_from_slice(family.name.as_bytes());
                out.extend_from_slice(labels);
                out.push(b',');
                write_label(out, "agent_id", &agent.id);
                for (name, value) in agent.labels.iter() {
                    out.push(b',');
                    write_label(out, name, value);
                }
                out.extend_from_slice(b"} 1\n");
            }
        }
        Samples::Figures(samples) => {
            // What closes the labels, with the sample's own label in it if it has one.
            let closings = samples.iter().map(|sample| {
                let mut closing = Vec::new();
                if let Some((name, value)) = sample.label {
                    closing.push(b',');
                    write_label(&mut closing, name, value);
                }
                closing.extend_from_slice(b"} ");
                closing
            });
            let samples: Vec<_> = samples.iter().zip(closings).collect();
            for (AgentSeries { figures, .. }, labels) in chunk.labelled() {
                for (sample, closing) in &samples {
                    if let Some(value) = (sample.value)(figures) {
                        let out = deflater.buffer();
                        out.extend_from_slice(family.name.as_bytes());
                        out.extend_from_slice(labels);
                        out.extend_from_slice(closing);
                        write_value(out, value);
                        out.push(b'\n');
                    }
                }
            }
        }
        // No agent's.
        Samples::Standing(_) | Samples::Left(_) | Samples::Firing | Samples::Silenced => {}
    }
}

#[cfg(test)]
pub(super) mod tests;
