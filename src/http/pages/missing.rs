//! What is shown where there is nothing: what was probably meant.

use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;

use super::{Frame, Page, State, agent_link};
use crate::ledger::Member;
use crate::nearest::nearest;

/// The most agents that are suggested.
const SUGGESTED: usize = 8;
/// Beyond so many agents none is compared letter by letter: that would take longer than to answer.
const MOST_COMPARED: usize = 2_000;
/// The most letters of a path that are repeated.
const REPEATED: usize = 200;

#[derive(Debug, Template)]
#[template(path = "missing.html")]
struct Missing {
    frame: Frame,
    /// What was asked for.
    asked: String,
    /// Whether an agent was.
    is_agent: bool,
    /// Agents that were probably meant: link, name and account.
    suggested: Vec<(String, String, String)>,
}

/// The page for a path at which there is nothing. If it is that of an agent, `names` are those of its
/// account and its own.
pub(super) fn missing(state: &State, path: &str, names: Option<(&str, &str)>) -> Page {
    let suggested = names.and_then(|(account, name)| {
        // Out of the lock, which the next figures wait for.
        let members = state.board.agents(|agents| Arc::clone(&agents.members))?;
        Some(suggested(&members, account, name))
    });
    let asked = match names {
        Some((account, name)) => format!("{account}/{name}"),
        None => path.to_owned(),
    };
    let page = Missing {
        frame: Frame::new(state, path, "", "Not found"),
        asked: asked.chars().take(REPEATED).collect(),
        is_agent: names.is_some(),
        suggested: suggested.unwrap_or_default(),
    };
    Page::of(StatusCode::NOT_FOUND, &page)
}

/// The agents that were probably meant by a name that nobody in that account bears: those of the same
/// name elsewhere, those whose name holds it, and the one that is spelt alike.
fn suggested(members: &[Member], account: &str, name: &str) -> Vec<(String, String, String)> {
    let wanted = name.to_lowercase();
    let mut found: Vec<&Member> = Vec::new();
    let mut add = |member| {
        if found.len() < SUGGESTED && !found.contains(&member) {
            found.push(member);
        }
    };
    let same = members.iter().filter(|member| *member.agent.name == *name);
    same.take(SUGGESTED).for_each(&mut add);
    if members.len() <= MOST_COMPARED {
        let names = |members: &mut dyn Iterator<Item = &Member>| -> Vec<String> {
            members
                .map(|member| member.agent.name.to_string())
                .collect()
        };
        let own = names(
            &mut members
                .iter()
                .filter(|member| *member.agent.account == *account),
        );
        let all = names(&mut members.iter());
        for names in [own, all] {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let near = nearest(name, &names);
            let near = near.and_then(|near| {
                let mut alike = members.iter().filter(|member| *member.agent.name == *near);
                let in_account = alike
                    .clone()
                    .find(|member| *member.agent.account == *account);
                in_account.or_else(|| alike.next())
            });
            near.into_iter().for_each(&mut add);
        }
    }
    if wanted.chars().count() >= 3 {
        let holds = |member: &&Member| member.agent.name.to_lowercase().contains(&wanted);
        members
            .iter()
            .filter(holds)
            .take(SUGGESTED)
            .for_each(&mut add);
    }
    let shown = |member: &&Member| {
        let agent = &member.agent;
        let link = agent_link(agent);
        (link, agent.name.to_string(), agent.account.to_string())
    };
    found.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AgentNumber;
    use crate::roster::Agent;

    #[test]
    fn agents_that_were_probably_meant_are_suggested() {
        let list = [
            ("acme", "support"),
            ("acme", "legal"),
            ("globex", "support"),
            ("globex", "shop-support-night"),
        ];
        let members: Vec<Member> = (1..)
            .zip(list)
            .map(|(number, (account, name))| Member {
                agent: Agent {
                    account: account.into(),
                    id: format!("id-{number}").into(),
                    name: name.into(),
                    labels: Default::default(),
                },
                number: AgentNumber(number),
                unlisted_since: None,
                left_on: None,
            })
            .collect();
        let links = |account: &str, name: &str| -> Vec<String> {
            let suggested = suggested(&members, account, name);
            suggested.into_iter().map(|(link, ..)| link).collect()
        };
        assert_eq!(links("acme", "suport"), ["agents/acme/support"]);
        assert_eq!(links("globex", "suport"), ["agents/globex/support"]);
        assert_eq!(links("globex", "legal"), ["agents/acme/legal"]);
        assert_eq!(
            links("gone", "support"),
            [
                "agents/acme/support",
                "agents/globex/support",
                "agents/globex/shop-support-night",
            ]
        );
        assert_eq!(links("acme", "zz"), [""; 0]);
        // Each of these letters takes four bytes, which do not make the word comparable.
        assert_eq!(links("acme", &"😀".repeat(3000)), [""; 0]);
        let endless = format!("support{}", "😀".repeat(3000));
        assert_eq!(links("acme", &endless), [""; 0]);
    }
}
