//! What people edit in the config during a year.

use super::first::{agent, hook};
use super::plan::{Matcher, Plan};
use super::year::Year;

/// Which parts of the config an edit is about, and by how much it changes them.
struct Draw {
    one: usize,
    two: usize,
    factor: f64,
    /// A number that no edit has had before.
    fresh: u32,
}

type Edit = fn(&mut Plan, &Draw);

const EDITS: [(&str, Edit); 9] = [
    ("a budget's credits", credits),
    ("a budget's agents", matcher),
    ("an agent's team", team),
    ("a hook is renamed", rename_hook),
    ("a rule's hooks", hooks),
    ("a rule is removed, or all are back", remove_rule),
    ("thresholds", thresholds),
    ("an agent comes or goes", come_or_go),
    ("a hook is added, or goes", add_hook),
];

impl Year {
    /// Somebody edits the config.
    pub(crate) fn edit(&mut self) {
        let random = &mut self.random;
        let (what, edit) = EDITS[random.usize(..EDITS.len())];
        self.next_name += 1;
        let draw = Draw {
            one: random.usize(..100),
            two: random.usize(..100),
            factor: 0.6 + random.f64(),
            fresh: self.next_name,
        };
        self.scene.edit(what, |plan| edit(plan, &draw));
    }
}

fn credits(plan: &mut Plan, draw: &Draw) {
    let count = plan.budgets.len();
    let budget = &mut plan.budgets[draw.one % count];
    budget.credits = (budget.credits * draw.factor).round();
}

fn matcher(plan: &mut Plan, draw: &Draw) {
    let count = plan.budgets.len();
    let teams = [None, Some("front".to_owned()), Some("back".to_owned())];
    plan.budgets[draw.one % count].matcher = Matcher {
        team: teams[draw.two % 3].clone(),
        account: None,
    };
}

fn team(plan: &mut Plan, draw: &Draw) {
    let agents = &mut plan.accounts[0].agents;
    let count = agents.len();
    let agent = &mut agents[draw.one % count];
    let other = if agent.team == "front" {
        "back"
    } else {
        "front"
    };
    agent.team = other.to_owned();
}

fn rename_hook(plan: &mut Plan, draw: &Draw) {
    let count = plan.hooks.len();
    let hook = &mut plan.hooks[draw.one % count];
    let old = std::mem::replace(&mut hook.name, format!("hook-{}", draw.fresh));
    let new = hook.name.clone();
    for name in hook_lists(plan).flatten().filter(|name| **name == old) {
        name.clone_from(&new);
    }
}

fn hooks(plan: &mut Plan, draw: &Draw) {
    let hook = plan.hooks[draw.two % plan.hooks.len()].name.clone();
    let count = hook_lists(plan).count();
    let hooks = hook_lists(plan).nth(draw.one % count).unwrap();
    if hooks.contains(&hook) {
        hooks.retain(|name| *name != hook);
    } else {
        hooks.push(hook);
    }
}

fn remove_rule(plan: &mut Plan, draw: &Draw) {
    if plan.rules.len() > 4 {
        plan.rules.remove(draw.one % plan.rules.len());
        return;
    }
    for mut rule in plan.usual_rules.clone() {
        if plan.rules.iter().all(|known| known.name != rule.name) {
            rule.hooks.retain(|name| plan.hook(name).is_some());
            plan.rules.push(rule);
        }
    }
}

fn thresholds(plan: &mut Plan, draw: &Draw) {
    let count = plan.budgets.len();
    let sets = [
        vec![0.5, 0.8, 1.0],
        vec![0.8, 1.0],
        vec![0.3, 0.6, 0.9, 1.0, 1.2],
    ];
    plan.budgets[draw.one % count].used = sets[draw.two % 3].clone();
}

fn come_or_go(plan: &mut Plan, draw: &Draw) {
    let agents = &mut plan.accounts[2].agents;
    if agents.len() > 2 {
        agents.remove(draw.one % agents.len());
        return;
    }
    let known = |id: u32| agents.iter().any(|agent| agent.id.0 == id);
    let id = (8..11).find(|id| !known(*id)).unwrap();
    agents.push(agent(id, "back"));
}

fn add_hook(plan: &mut Plan, draw: &Draw) {
    if plan.hooks.len() > 4 {
        let hook = plan.hooks.pop().unwrap();
        hook_lists(plan).for_each(|hooks| hooks.retain(|name| *name != hook.name));
        return;
    }
    let name = format!("hook-{}", draw.fresh);
    plan.hooks
        .push(hook(&name, &format!("target-{}", draw.fresh)));
    plan.budgets[0].hooks.push(name.clone());
    plan.rules[0].hooks.push(name);
}

/// The hooks of each rule, then of each budget, each balance and each probe.
fn hook_lists(plan: &mut Plan) -> impl Iterator<Item = &mut Vec<String>> {
    let rules = plan.rules.iter_mut().map(|rule| &mut rule.hooks);
    let budgets = plan.budgets.iter_mut().map(|budget| &mut budget.hooks);
    let balances = plan.balances.iter_mut();
    let balances = balances.map(|balance| &mut balance.hooks);
    let probes = plan.probes.iter_mut().map(|probe| &mut probe.hooks);
    rules.chain(budgets).chain(balances).chain(probes)
}
