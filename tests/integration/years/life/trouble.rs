//! What goes wrong in a year: with FlowGent, agents, receivers, clocks and the program.

use chrono::TimeDelta;

use super::database::Write;
use super::flowgent::{Fault, Glitch};
use super::plan::AgentId;
use super::receivers::Reply;
use super::year::{AGENTS, HISTORY_DAYS, Year};

/// What may happen in a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Days come late, wrong, or much later.
    pub days: bool,
    /// FlowGent is down, refuses keys and agents, and answers nonsense.
    pub flowgent: bool,
    /// Agents come, leave and are renamed; listings are short.
    pub members: bool,
    /// Receivers are down.
    pub receivers: bool,
    /// The program is killed, or is off for days.
    pub crashes: bool,
    /// The config is edited.
    pub edits: bool,
    /// Our clock is set.
    pub clock: bool,
    /// There are balances, and people keep their entries.
    pub balances: bool,
    /// There are budgets with a limit for each team or account.
    pub limits: bool,
    /// There are rules about drops and silence, and agents that are used less or not at all.
    pub directions: bool,
    /// People silence rules and subjects.
    pub silences: bool,
    /// Hooks and rules repeat what is critical.
    pub repeats: bool,
    /// There are probes, and agents and accounts that do not reply.
    pub probes: bool,
}

impl Trouble {
    /// All of it.
    pub const ALL: Self = Self {
        days: true,
        flowgent: true,
        members: true,
        receivers: true,
        crashes: true,
        edits: true,
        clock: true,
        balances: true,
        limits: true,
        directions: true,
        silences: true,
        repeats: true,
        probes: true,
    };
    /// None of it.
    pub const NONE: Self = Self {
        days: false,
        flowgent: false,
        members: false,
        receivers: false,
        crashes: false,
        edits: false,
        clock: false,
        balances: false,
        limits: false,
        directions: false,
        silences: false,
        repeats: false,
        probes: false,
    };

    /// Those of these names, with commas between.
    ///
    /// # Panics
    /// If there is no such trouble.
    #[must_use]
    pub fn named(names: &str) -> Self {
        let mut trouble = Self::NONE;
        for name in names.split(',') {
            match name {
                "all" => return Self::ALL,
                "none" => {}
                "days" => trouble.days = true,
                "flowgent" => trouble.flowgent = true,
                "members" => trouble.members = true,
                "receivers" => trouble.receivers = true,
                "crashes" => trouble.crashes = true,
                "edits" => trouble.edits = true,
                "clock" => trouble.clock = true,
                "balances" => trouble.balances = true,
                "limits" => trouble.limits = true,
                "directions" => trouble.directions = true,
                "silences" => trouble.silences = true,
                "repeats" => trouble.repeats = true,
                "probes" => trouble.probes = true,
                other => panic!("there is no trouble named {other}"),
            }
        }
        trouble
    }
}

/// What ends by itself.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    Up(String),
    Reachable,
    Key(String),
    Agent(AgentId),
    Listing(String),
    Clock,
    Credits(String),
    Talk(AgentId),
    /// Somebody has a receiver asked again.
    Gone(String),
}

impl Year {
    pub(crate) fn draw_faults(&mut self) {
        let mut faults = Vec::new();
        if self.trouble.flowgent && self.chance(12.0) {
            let share = self.random.f64() * 0.7;
            for _ in 0..40 {
                let kinds = [
                    Fault::Unavailable,
                    Fault::TooMany,
                    Fault::Hang,
                    Fault::Html,
                    Fault::WrongTotal,
                    Fault::AbsentDay,
                ];
                let fault = kinds[self.random.usize(..kinds.len())];
                faults.push((self.random.f64() < share).then_some(fault));
            }
        }
        self.scene.flowgent.state().faults = faults;
    }

    pub(crate) fn draw_replies(&mut self) {
        let targets: Vec<String> = self
            .scene
            .plan
            .hooks
            .iter()
            .map(|hook| hook.target.clone())
            .collect();
        for target in targets {
            let mut replies = Vec::new();
            if self.trouble.receivers && self.chance(5.0) {
                for _ in 0..self.random.usize(1..4) {
                    let reply = match self.random.u8(..10) {
                        0..6 => Reply::Fail,
                        6..8 => Reply::Hang,
                        _ => Reply::FailFor(self.random.u64(1..50_000)),
                    };
                    replies.push(reply);
                }
                let until = self.scene.now + TimeDelta::hours(24);
                let troubled = self.scene.troubled.entry(target.clone()).or_insert(until);
                *troubled = (*troubled).max(until);
            }
            if self.trouble.receivers && self.chance(0.05) {
                replies.push(Reply::Gone);
                self.later(50.0, Ending::Gone(target.clone()));
            }
            if self.trouble.crashes && self.chance(1.0) {
                let reply = if self.random.bool() {
                    Reply::Kill
                } else {
                    Reply::TakeAndKill
                };
                replies.push(reply);
            }
            self.scene.office.floor().desk(&target).replies = replies;
        }
    }

    pub(crate) fn draw_writes(&mut self) {
        let mut writes = Vec::new();
        if self.trouble.receivers && self.chance(3.0) {
            writes = vec![Write::Down; self.random.usize(1..9)];
        }
        if self.trouble.crashes && self.chance(1.0) {
            let write = [Write::Kill, Write::TakeAndKill][self.random.usize(..2)];
            writes.push(write);
        }
        self.scene.ground.database.store().writes = writes;
    }

    pub(crate) fn end_what_ends(&mut self) {
        let now = self.scene.now;
        let (due, later) = std::mem::take(&mut self.endings)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.endings = later;
        let due: Vec<_> = due;
        for (_, ending) in due {
            self.end(ending);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.scene.note(format!("is over: {ending:?}"));
        if let Ending::Gone(target) = ending {
            self.scene.office.floor().desk(&target).is_gone = false;
            self.scene.ground.retry(&self.scene.plan);
            let until = self.scene.now;
            let troubled = self.scene.troubled.entry(target).or_insert(until);
            *troubled = (*troubled).max(until);
            return;
        }
        let mut state = self.scene.flowgent.state();
        match ending {
            Ending::Reachable => state.is_unreachable = false,
            Ending::Up(name) => state.organisation(&name).is_down = false,
            Ending::Key(name) => state.organisation(&name).refuses_key = false,
            Ending::Listing(name) => state.organisation(&name).glitch = None,
            Ending::Agent(id) => {
                state.denied.remove(&id);
            }
            Ending::Credits(name) => state.organisation(&name).has_no_credits = false,
            Ending::Talk(id) => {
                state.talk.mute.remove(&id);
            }
            Ending::Gone(_) => {}
            Ending::Clock => {
                drop(state);
                self.scene.set_clock(TimeDelta::zero());
            }
        }
    }

    pub(crate) fn calm_down(&mut self) {
        for (_, ending) in std::mem::take(&mut self.endings) {
            self.end(ending);
        }
        self.off_until = None;
        self.scene.flowgent.state().show_everything();
        let mut floor = self.scene.office.floor();
        for desk in floor.desks.values_mut() {
            desk.down_until = None;
        }
    }

    pub(crate) fn later(&mut self, hours: f64, ending: Ending) {
        let at = self.scene.now + TimeDelta::seconds((hours * 3600.0) as i64);
        self.endings.push((at, ending));
    }

    /// What happens at one moment, three or four times a day.
    pub(crate) fn happen(&mut self) {
        if self.trouble.flowgent {
            self.happen_to_flowgent();
        }
        if self.trouble.members {
            self.happen_to_members();
        }
        if self.trouble.receivers && self.chance(0.6) {
            let place = self.random.usize(..self.scene.plan.hooks.len());
            let target = self.scene.plan.hooks[place].target.clone();
            let hours = [3.0, 40.0, 120.0, 600.0][self.random.usize(..4)] * self.random.f64();
            let until = self.scene.now + TimeDelta::seconds((hours * 3600.0) as i64);
            self.scene.close_desk(&target, until);
        }
        if self.trouble.edits && self.chance(1.2) && self.scene.agrees() {
            self.edit();
        }
        if self.trouble.balances && self.scene.agrees() {
            self.keep_books();
        }
        if self.trouble.silences && self.scene.agrees() {
            self.hush();
        }
        if self.trouble.probes {
            self.spoil_talk();
        }
        let is_reachable = !self.scene.flowgent.state().is_unreachable;
        if self.trouble.clock && self.chance(0.6) && self.scene.offset.is_zero() && is_reachable {
            let hours = [2.0, 5.0, 20.0, 30.0, 480.0, 960.0][self.random.usize(..6)];
            let sign = if self.random.bool() { 1.0 } else { -1.0 };
            self.scene
                .set_clock(TimeDelta::minutes((hours * sign * 60.0) as i64));
            let lasts = [0.003, 2.0, 30.0][self.random.usize(..3)] * self.random.f64();
            self.later(lasts, Ending::Clock);
        }
    }

    fn happen_to_flowgent(&mut self) {
        if self.chance(0.25) && self.scene.agrees() && self.scene.offset.is_zero() {
            self.scene.note("FlowGent cannot be reached");
            self.scene.flowgent.state().is_unreachable = true;
            let hours = self.random.f64() * 60.0;
            self.later(hours, Ending::Reachable);
        }
        let name = ["acme", "globex", "umbra", "initech"][self.random.usize(..4)].to_owned();
        if self.chance(0.5) {
            self.scene.note(format!("{name} is down"));
            self.scene.flowgent.state().organisation(&name).is_down = true;
            let hours = self.random.f64() * 100.0;
            self.later(hours, Ending::Up(name));
        } else if self.chance(0.4) {
            self.scene.note(format!("{name} refuses the key"));
            self.scene.flowgent.state().organisation(&name).refuses_key = true;
            let hours = self.random.f64() * 90.0;
            self.later(hours, Ending::Key(name));
        } else if self.chance(0.4) {
            let id = AgentId(self.random.u32(..AGENTS));
            self.scene.note(format!("{id} is refused"));
            self.scene.flowgent.state().denied.insert(id);
            let hours = self.random.f64() * 90.0;
            self.later(hours, Ending::Agent(id));
        }
    }

    fn happen_to_members(&mut self) {
        // FlowGent lists those of the one, and a file those of the other.
        let place = ["globex", "initech"][self.random.usize(..2)];
        if self.chance(0.6) {
            self.join(place);
        }
        let count = self.scene.flowgent.state().organisation(place).listed.len();
        if self.chance(0.6) && count > 3 {
            let number = self.random.usize(..count);
            let mut state = self.scene.flowgent.state();
            let (id, name) = state.organisation(place).listed.remove(number);
            // Some are nobody's any more, others are only not listed.
            if self.random.bool() {
                state.denied.insert(id);
            }
            drop(state);
            self.scene.note(format!("{id} ({name}) leaves"));
        }
        let count = self.scene.flowgent.state().organisation(place).listed.len();
        if self.chance(0.6) && count > 0 {
            let number = self.random.usize(..count);
            self.next_name += 1;
            let name = format!("renamed-{}", self.next_name);
            let mut state = self.scene.flowgent.state();
            let entry = &mut state.organisation(place).listed[number];
            let text = format!("{} is renamed from {} to {name}", entry.0, entry.1);
            entry.1 = name;
            drop(state);
            self.scene.note(text);
        }
        if self.chance(1.2) {
            let count = self.random.usize(1..4);
            let glitch = [Glitch::Short(count), Glitch::NotWhole(count), Glitch::Down]
                [self.random.usize(..3)];
            self.scene
                .note(format!("the listing of {place} is {glitch:?}"));
            self.scene.flowgent.state().organisation(place).glitch = Some(glitch);
            let hours = self.random.f64() * 50.0;
            self.later(hours, Ending::Listing(place.to_owned()));
        }
    }

    fn join(&mut self, place: &str) {
        let id = AgentId(self.next_agent);
        self.next_agent += 1;
        self.scene.note(format!("{id} joins"));
        let before = self.first.plus(-HISTORY_DAYS - 40);
        for day in before.through(self.scene.today().previous()) {
            self.scene.flowgent.state().set(id, day, 0.0);
        }
        self.list(place, id, format!("joiner-{}", id.0));
    }
}
