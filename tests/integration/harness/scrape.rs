//! What a scrape showed.

use std::collections::BTreeMap;
use std::fmt;

use flowgent_exporter::simulator::Agent;

/// The samples of one scrape, by series as it is written: name and labels.
#[derive(Clone, PartialEq)]
pub struct Scrape {
    /// The whole text.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads the text format.
    ///
    /// # Panics
    /// If a line is not a sample, or a series is there twice.
    pub fn parse(text: String) -> Self {
        let mut samples = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "twice: {series}"
            );
        }
        Self { text, samples }
    }

    /// The value of a series as it is written, such as `flowgent_exporter_windows_left`.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The value of `flowgent_agent_{family}` of an agent that has no custom labels.
    pub fn of(&self, agent: &Agent, family: &str) -> Option<f64> {
        self.get(&format!(
            "flowgent_agent_{family}{{account=\"{}\",agent=\"{}\"}}",
            agent.account, agent.name
        ))
    }

    /// The sum of all series of that name.
    pub fn sum(&self, name: &str) -> f64 {
        let prefix = format!("{name}{{");
        self.samples
            .iter()
            .filter(|(series, _)| series.starts_with(&prefix) || *series == name)
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    /// All samples whose series begin with `prefix`.
    pub fn starting_with(&self, prefix: &str) -> BTreeMap<String, f64> {
        let mut samples = self.samples.clone();
        samples.retain(|series, _| series.starts_with(prefix));
        samples
    }

    /// How many syncs have ended.
    pub fn syncs(&self) -> f64 {
        self.sum("flowgent_exporter_syncs_total")
    }
}

impl fmt::Display for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The histograms tell nothing that a failed test is about.
        let lines: Vec<&str> = self
            .text
            .lines()
            .filter(|line| !line.contains("_bucket{") && !line.starts_with('#'))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}
