//! The files that other tools and people keep for the exporter.

use std::path::Path;

use serde_json::{Value, json};

use super::flowgent::State;
use super::plan::Plan;
use super::process::Ground;

impl Ground {
    /// Keeps the files that name agents as FlowGent's world has them, and those of entries as people write them.
    pub(crate) fn write_lists(&self, plan: &Plan, flowgent: &State) {
        for account in plan.accounts.iter().filter(|account| account.has_file) {
            let agents = flowgent.file(&account.organisation);
            let agents = agents.map(|agents| {
                let agents = agents
                    .iter()
                    .map(|(id, name)| json!({ "id": id.to_string(), "name": name }));
                Value::Array(agents.collect()).to_string()
            });
            let text = agents.unwrap_or_else(|| "[{".to_owned());
            write(self.folder.path(), &format!("{}.json", account.name), &text);
        }
        for balance in &plan.balances {
            let Some(file) = &balance.file else { continue };
            let text = match file.is_broken {
                false => balance.json(),
                true => "[{".to_owned(),
            };
            let name = format!("{}-entries.json", balance.name);
            write(self.folder.path(), &name, &text);
        }
    }
}

pub(super) fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).unwrap();
    }
}
