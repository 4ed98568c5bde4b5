//! Which agents a budget or a rule is about.

use std::fmt;

use regex::Regex;

use super::Agent;

/// Conditions on an agent's account, name, id and labels. A matcher without conditions matches every agent.
#[derive(Debug, Clone, Default)]
pub struct Matcher(Vec<(String, Pattern)>);

/// Condition on a value.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// This text.
    Equals(String),
    /// One of these texts.
    OneOf(Vec<String>),
    /// A text that the expression matches from its beginning to its end.
    Regex(Regex),
}

impl Pattern {
    /// A regular expression that is to match a whole value, as in Prometheus' selectors.
    ///
    /// # Errors
    /// It is no regular expression, or a huge one.
    pub fn regex(expression: &str) -> Result<Self, regex::Error> {
        // Read by itself first: a parenthesis too many must not close the group around it.
        Regex::new(expression)?;
        Ok(Self::Regex(Regex::new(&format!("^(?s:{expression})$"))?))
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Equals(text) => text == value,
            Self::OneOf(texts) => texts.iter().any(|text| text == value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl Matcher {
    /// A matcher of agents of which all `conditions` hold. A condition's name is `account`, `agent`,
    /// `agent_id` or that of a custom label; a label that an agent does not have is an empty text.
    #[must_use]
    pub fn new(conditions: Vec<(String, Pattern)>) -> Self {
        Self(conditions)
    }

    /// Returns true if it matches `agent`.
    #[must_use]
    pub fn matches(&self, agent: &Agent) -> bool {
        self.0.iter().all(|(name, pattern)| {
            let value = match name.as_str() {
                "account" => &*agent.account,
                "agent" => &*agent.name,
                "agent_id" => &*agent.id,
                label => agent.labels.get(label).map_or("", String::as_str),
            };
            pattern.matches(value)
        })
    }

    /// The same for agents whose `name` is also this `value`.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        let pattern = Pattern::Equals(value.to_owned());
        self.0.push((name.to_owned(), pattern));
        self
    }

    /// Writes the conditions as words of the pages' search, such as `account=acme team=cx`, if it can express them.
    #[must_use]
    pub fn search(&self) -> Option<String> {
        let word = |(name, pattern): &(String, Pattern)| match (name.as_str(), pattern) {
            (_, Pattern::Equals(text)) if text.is_empty() || text.contains(char::is_whitespace) => {
                None
            }
            ("agent_id", Pattern::Equals(text)) => Some(format!("id={text}")),
            (name, Pattern::Equals(text)) => Some(format!("{name}={text}")),
            (_, Pattern::OneOf(_) | Pattern::Regex(_)) => None,
        };
        let words: Option<Vec<String>> = self.0.iter().map(word).collect();
        words.map(|words| words.join(" "))
    }

    /// Returns true if it may match agents of `account`, as far as can be said without knowing them.
    #[must_use]
    pub fn concerns(&self, account: &str) -> bool {
        let mut names = self.0.iter().filter(|(name, _)| name == "account");
        names.all(|(_, pattern)| pattern.matches(account))
    }
}

impl fmt::Display for Matcher {
    /// As a selector of Prometheus, without braces: `team="cx",agent=~"a|b"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, pattern)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match pattern {
                Pattern::Equals(text) => write!(f, "{comma}{name}={text:?}")?,
                Pattern::OneOf(texts) => write!(f, "{comma}{name} in {texts:?}")?,
                Pattern::Regex(regex) => {
                    let shown = regex.as_str().trim_start_matches("^(?s:");
                    let shown = shown.strip_suffix(")$").unwrap_or(shown);
                    write!(f, "{comma}{name}=~{shown:?}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn agent() -> Agent {
        Agent {
            account: "acme".into(),
            id: "a1".into(),
            name: "support".into(),
            labels: Arc::new([("team".to_owned(), "cx".to_owned())].into()),
        }
    }

    fn regex(name: &str, expression: &str) -> (String, Pattern) {
        (name.to_owned(), Pattern::regex(expression).unwrap())
    }

    fn equals(name: &str, text: &str) -> (String, Pattern) {
        (name.to_owned(), Pattern::Equals(text.to_owned()))
    }

    #[test]
    fn every_condition_must_hold() {
        let one_of = |texts: [&str; 2]| Pattern::OneOf(texts.map(str::to_owned).to_vec());
        let table = [
            (vec![], true),
            (vec![equals("account", "acme")], true),
            (vec![equals("agent_id", "a1")], true),
            (vec![equals("agent", "a1")], false),
            (vec![equals("team", "cx"), equals("agent", "support")], true),
            (vec![equals("team", "cx"), equals("agent", "sales")], false),
            (vec![equals("region", "")], true),
            (vec![equals("region", "eu")], false),
            (
                vec![("agent".to_owned(), one_of(["sales", "support"]))],
                true,
            ),
            (
                vec![("agent".to_owned(), one_of(["sales", "legal"]))],
                false,
            ),
            (vec![regex("agent", "sup.*")], true),
            (vec![regex("agent", "sup")], false),
            (vec![regex("agent", "sales|supp")], false),
            (vec![regex("agent", "sales|support")], true),
        ];
        for (conditions, expected) in table {
            let matcher = Matcher::new(conditions);
            assert_eq!(matcher.matches(&agent()), expected, "{matcher}");
        }
    }

    #[test]
    fn it_is_shown_as_a_selector() {
        let matcher = Matcher::new(vec![
            equals("team", "c\"x"),
            ("agent".to_owned(), Pattern::OneOf(vec!["a".to_owned()])),
            regex("agent", "a|b"),
        ]);
        assert_eq!(
            matcher.to_string(),
            r#"team="c\"x",agent in ["a"],agent=~"a|b""#
        );
        assert!(Pattern::regex("a)(b").is_err());
    }

    #[test]
    fn an_account_is_ruled_out_only_by_a_condition_on_it() {
        assert!(Matcher::new(vec![equals("team", "cx")]).concerns("globex"));
        assert!(!Matcher::new(vec![equals("account", "acme")]).concerns("globex"));
    }
}
