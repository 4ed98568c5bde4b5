//! Journal of requests to the simulator, for tests that say what must or must not have been asked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::world::Agent;
use crate::day::Day;
use crate::flowgent::wire::TemplateRequest;

/// Number of requests and of templates that are remembered; older ones are forgotten.
const KEPT: usize = 100_000;

/// Endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET agent`
    Listing,
    /// `GET agent/:agent_id/usage`
    Usage,
    /// `POST agent/:agent_id/chat`
    Chat,
    /// `POST agent/:agent_id/waba`
    Template,
}

/// One request that reached an endpoint, whatever the answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its endpoint.
    pub endpoint: Endpoint,
    /// Id of the agent that it named, if there is such an agent.
    pub agent: Option<Arc<str>>,
    /// First and last day that it asked for, if that is allowed.
    pub window: Option<(Day, Day)>,
}

/// A WhatsApp template that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SentTemplate {
    /// Id of the agent that sent it.
    pub agent: Arc<str>,
    /// Templates sent, with their recipients.
    pub template: TemplateRequest,
}

/// Requests since the simulator started or the journal was cleared.
#[derive(Debug)]
pub struct Journal {
    /// True if single requests are remembered, not only their number.
    detailed: bool,
    total: AtomicU64,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    requests: VecDeque<Request>,
    counts: HashMap<(Arc<str>, Endpoint), u64>,
    templates: VecDeque<SentTemplate>,
}

impl Journal {
    pub(super) fn new(detailed: bool) -> Self {
        Self {
            detailed,
            total: AtomicU64::new(0),
            pages: Mutex::default(),
        }
    }

    /// Number of requests that reached an endpoint.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Number of requests about `agent` at `endpoint`.
    #[must_use]
    pub fn count(&self, agent: &Agent, endpoint: Endpoint) -> u64 {
        let key = (Arc::clone(&agent.id), endpoint);
        self.pages.lock().counts.get(&key).copied().unwrap_or(0)
    }

    /// The last 100,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.pages.lock().requests.iter().cloned().collect()
    }

    /// The windows of days that the usage of `agent` was asked for, oldest request first.
    #[must_use]
    pub fn windows(&self, agent: &Agent) -> Vec<(Day, Day)> {
        let pages = self.pages.lock();
        let asked = pages.requests.iter().filter(|request| {
            request.endpoint == Endpoint::Usage && request.agent.as_ref() == Some(&agent.id)
        });
        asked.filter_map(|request| request.window).collect()
    }

    /// The last 100,000 WhatsApp templates, oldest first.
    #[must_use]
    pub fn templates(&self) -> Vec<SentTemplate> {
        self.pages.lock().templates.iter().cloned().collect()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.total.store(0, Ordering::Relaxed);
        *self.pages.lock() = Pages::default();
    }

    pub(super) fn note(
        &self,
        endpoint: Endpoint,
        agent: Option<&Agent>,
        window: Option<(Day, Day)>,
    ) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if !self.detailed {
            return;
        }
        let agent = agent.map(|agent| Arc::clone(&agent.id));
        let mut pages = self.pages.lock();
        if let Some(id) = &agent {
            *pages.counts.entry((Arc::clone(id), endpoint)).or_default() += 1;
        }
        let request = Request {
            endpoint,
            agent,
            window,
        };
        keep(&mut pages.requests, request);
    }

    pub(super) fn note_template(&self, agent: &Agent, template: TemplateRequest) {
        let agent = Arc::clone(&agent.id);
        keep(
            &mut self.pages.lock().templates,
            SentTemplate { agent, template },
        );
    }
}

/// Adds to the end; what no longer fits falls off the front.
fn keep<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_are_forgotten_but_still_counted() {
        let journal = Journal::new(true);
        for _ in 0..KEPT {
            journal.note(Endpoint::Listing, None, None);
        }
        journal.note(Endpoint::Usage, None, None);
        let requests = journal.requests();
        assert_eq!((requests.len(), journal.total()), (KEPT, KEPT as u64 + 1));
        assert_eq!(requests.last().map(|r| r.endpoint), Some(Endpoint::Usage));
    }

    #[test]
    fn without_details_requests_are_only_counted() {
        let journal = Journal::new(false);
        journal.note(Endpoint::Listing, None, None);
        assert_eq!((journal.requests().len(), journal.total()), (0, 1));
    }
}
