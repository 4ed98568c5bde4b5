//! Somebody looks at a dashboard on a real database: its variables are filled from there, and its queries
//! are asked as Grafana asks them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::grafana::{Choice, Viewer, When, panels, variables};
use crate::harness::{Series, Tsdb};

/// What is left out of the labels that a variable offers begins and ends like that.
const ALL_BUT: (&str, &str) = ("/^(?!(?:", ")$).+$/");

impl<'a> Viewer<'a> {
    /// Somebody who opens a dashboard at `now`, with what each variable is at first.
    ///
    /// # Panics
    /// If a variable has nothing to choose from.
    pub async fn open(server: &Tsdb, dashboard: &'a Value, now: DateTime<Utc>) -> Self {
        let choices = BTreeMap::new();
        let mut viewer = Viewer {
            dashboard,
            choices,
            now,
            from: dashboard["time"]["from"].as_str().unwrap().to_owned(),
        };
        viewer.fill(server).await;
        viewer
    }

    /// Chooses other values of a variable, and with them what follows.
    pub async fn choose(&mut self, server: &Tsdb, name: &str, choice: Choice) {
        self.choices.insert(name.to_owned(), choice);
        self.fill(server).await;
    }

    /// Chooses what is at first of each variable of which nothing has been chosen.
    async fn fill(&mut self, server: &Tsdb) {
        for variable in variables(self.dashboard) {
            let name = variable["name"].as_str().unwrap();
            let options = match variable["type"].as_str().unwrap() {
                "query" => self.options(server, variable).await,
                // Nothing is written there.
                "textbox" => vec![String::new()],
                // There is one database.
                _ => vec![server.url()],
            };
            assert!(
                !options.is_empty(),
                "{}: ${name} has no values",
                server.name
            );
            let first = if variable["includeAll"] == true {
                Choice::All
            } else {
                let current = variable["current"]["value"].as_str();
                Choice::one(current.unwrap_or(&options[0]))
            };
            self.choices.entry(name.to_owned()).or_insert(first);
        }
    }

    /// What a variable offers, in its order.
    async fn options(&self, server: &Tsdb, variable: &Value) -> Vec<String> {
        let query = self.interpolate(variable["query"]["query"].as_str().unwrap());
        let (function, argument) = query.strip_suffix(')').unwrap().split_once('(').unwrap();
        let mut options = match function {
            "label_names" => {
                let series = format!("{{__name__=~\".*{argument}.*\"}}");
                let mut names = server.label_names(&series, self.span()).await;
                let left_out = variable["regex"].as_str().unwrap();
                let left_out = left_out.strip_prefix(ALL_BUT.0).unwrap();
                let left_out = left_out.strip_suffix(ALL_BUT.1).unwrap();
                names.retain(|option| !left_out.split('|').any(|name| name == option));
                names
            }
            "label_values" => {
                let (selector, label) = argument.rsplit_once(", ").unwrap();
                server.label_values(label, selector, self.span()).await
            }
            // Its regular expression takes the values of this label.
            "query_result" => {
                let found = server.query(argument, self.now).await.unwrap();
                found
                    .iter()
                    .map(|series| series.label("by").to_owned())
                    .collect()
            }
            other => panic!("unknown function {other}"),
        };
        options.sort_by_key(|option| option.to_lowercase());
        options
    }

    /// The query of a panel, by its title and its letter.
    pub fn panel_query(&self, title: &str, letter: &str) -> (String, When) {
        let panel = panels(self.dashboard)
            .find(|panel| panel["title"] == title)
            .unwrap_or_else(|| panic!("no panel {title}"));
        let targets = panel["targets"].as_array().unwrap();
        let target = targets
            .iter()
            .find(|target| target["refId"] == letter)
            .unwrap_or_else(|| panic!("no query {letter} in {title}"));
        self.query(panel, target)
    }
}

/// What a database finds, or why it refuses.
pub async fn ask(server: &Tsdb, (expr, when): &(String, When)) -> Result<Vec<Series>, String> {
    let answer = match when {
        When::At(time) => server.query(expr, *time).await,
        When::Every(span, step) => {
            let step = format!("{}s", step.num_seconds());
            server.query_range(expr, *span, &step).await
        }
    };
    answer.map_err(|error| format!("{error}\n{expr}"))
}
