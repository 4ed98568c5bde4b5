//! Days → text, an agent at a time, so that a history of any size takes no more memory than one agent's.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::placement::samples;
use super::{SERIES, Target};
use crate::csv;
use crate::day::Usage;
use crate::exposition;
use crate::exposition::{FAMILIES, write_header, write_label, write_value};
use crate::ledger::Revision;
use crate::roster::Agent;

/// How a history is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics` and for
    /// VictoriaMetrics' import.
    OpenMetrics(Target),
    /// Comma-separated values with a header.
    Csv,
    /// One JSON array.
    Json,
    /// A JSON object a line.
    Ndjson,
}

/// A history that is being written. Nothing of it is of use before it is [ended](Self::end).
#[derive(Debug)]
pub struct Document<W> {
    out: W,
    format: Format,
    now: DateTime<Utc>,
    rows: u64,
}

impl<W: Write> Document<W> {
    /// Begins one that tells nothing of what lies after `now`.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn begin(mut out: W, format: Format, now: DateTime<Utc>) -> io::Result<Self> {
        match &format {
            Format::OpenMetrics(_) => {
                let mut text = Vec::new();
                for family in FAMILIES.iter().filter(|family| family.name == SERIES) {
                    write_header(&mut text, exposition::Format::OpenMetrics, family);
                }
                out.write_all(&text)?;
            }
            Format::Csv => out.write_all(b"account,agent,agent_id,day,credits,revisions\n")?,
            Format::Json => out.write_all(b"[")?,
            Format::Ndjson => {}
        }
        Ok(Self {
            out,
            format,
            now,
            rows: 0,
        })
    }

    /// Writes what is known of an agent; `days` ascend, and `revisions` by day and number.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn agent(
        &mut self,
        agent: &Agent,
        days: &[Usage],
        revisions: &[Revision],
    ) -> io::Result<()> {
        match &self.format {
            Format::OpenMetrics(target) => {
                let series = series(agent, target);
                let mut line = Vec::new();
                for sample in samples(days, revisions, self.now) {
                    line.clear();
                    line.extend_from_slice(&series);
                    write_value(&mut line, sample.credits);
                    let (seconds, millis) =
                        (sample.at_ms.div_euclid(1000), sample.at_ms.rem_euclid(1000));
                    writeln!(line, " {seconds}.{millis:03}")?;
                    self.out.write_all(&line)?;
                    self.rows += 1;
                }
                Ok(())
            }
            Format::Csv | Format::Json | Format::Ndjson => self.rows(agent, days, revisions),
        }
    }

    /// Writes a row for each day.
    fn rows(&mut self, agent: &Agent, days: &[Usage], revisions: &[Revision]) -> io::Result<()> {
        for usage in days {
            let of_day = revisions
                .iter()
                .filter(|revision| revision.day == usage.day);
            let of_day = of_day.count();
            let (account, name, id) = (&*agent.account, &*agent.name, &*agent.id);
            let day = usage.day.to_string();
            let text = if self.format == Format::Csv {
                let mut line = String::new();
                let (credits, revisions) = (csv::number(Some(usage.credits)), of_day.to_string());
                csv::push_line(&mut line, [account, name, id, &day, &credits, &revisions]);
                line
            } else {
                let row = json!({
                    "account": account,
                    "agent": name,
                    "agent_id": id,
                    "day": day,
                    "credits": usage.credits,
                    "revisions": of_day,
                });
                match (&self.format, self.rows) {
                    (Format::Json, 0) => format!("\n{row}"),
                    (Format::Json, _) => format!(",\n{row}"),
                    _ => format!("{row}\n"),
                }
            };
            self.out.write_all(text.as_bytes())?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Writes the end. Returns what was written to, and how many samples or rows there are in it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(mut self) -> io::Result<(W, u64)> {
        match self.format {
            Format::OpenMetrics(_) => self.out.write_all(b"# EOF\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Csv | Format::Ndjson => {}
        }
        self.out.flush()?;
        Ok((self.out, self.rows))
    }
}

/// The name and the labels of an agent's series, with the space before its values.
fn series(agent: &Agent, target: &Target) -> Vec<u8> {
    let mut text = format!("{SERIES}{{").into_bytes();
    let labels = [
        ("account", &*agent.account),
        ("agent", &*agent.name),
        ("instance", &target.instance),
        ("job", &target.job),
    ];
    for (place, (name, value)) in labels.into_iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        write_label(&mut text, name, value);
    }
    text.extend_from_slice(b"} ");
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::day::Day;

    fn written(format: Format) -> String {
        let agent = |name: &str| Agent {
            account: "acme".into(),
            id: format!("id-{name}").into(),
            name: name.into(),
            labels: Arc::default(),
        };
        let day = |text: &str| text.parse::<Day>().unwrap();
        let usage = |text: &str, credits| Usage {
            day: day(text),
            credits,
        };
        let now: DateTime<Utc> = "2026-03-04T13:00:00Z".parse().unwrap();
        let revision = Revision {
            day: day("2026-03-01"),
            number: 1,
            old: 5.0,
            new: 6.25,
            at: now,
        };
        let mut document = Document::begin(Vec::new(), format, now).unwrap();
        let days = [usage("2026-03-01", 6.25), usage("2026-03-03", 0.0)];
        document
            .agent(&agent("say \"hi\", you"), &days, &[revision])
            .unwrap();
        document.agent(&agent("idle"), &[], &[]).unwrap();
        document
            .agent(&agent("new"), &[usage("2026-03-04", 1e15)], &[])
            .unwrap();
        String::from_utf8(document.end().unwrap().0).unwrap()
    }

    #[test]
    fn openmetrics_holds_every_value_at_its_place_with_the_labels_of_the_scrape() {
        let target = Target {
            job: "flowgent".to_owned(),
            instance: "host:13569".to_owned(),
        };
        let text = written(Format::OpenMetrics(target));
        let (head, samples) = text.split_at(text.find("\nflowgent").unwrap() + 1);
        assert!(head.contains(&format!("# TYPE {SERIES} gauge\n")), "{head}");
        assert!(
            head.ends_with(&format!("# UNIT {SERIES} credits\n")),
            "{head}"
        );
        let series = format!(
            "{SERIES}{{account=\"acme\",agent=\"say \\\"hi\\\", you\",instance=\"host:13569\",job=\"flowgent\"}}"
        );
        assert_eq!(
            samples,
            format!(
                "{series} 5 1772452800.000\n{series} 6.25 1772495999.901\n\
                 {series} 0 1772625600.000\n# EOF\n"
            )
        );
    }

    #[test]
    fn rows_hold_every_day_once() {
        assert_eq!(
            written(Format::Csv),
            "account,agent,agent_id,day,credits,revisions\n\
             acme,\"say \"\"hi\"\", you\",\"id-say \"\"hi\"\", you\",2026-03-01,6.25,1\n\
             acme,\"say \"\"hi\"\", you\",\"id-say \"\"hi\"\", you\",2026-03-03,0,0\n\
             acme,new,id-new,2026-03-04,1000000000000000,0\n"
        );
        let lines = written(Format::Ndjson);
        let rows: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            rows[0],
            json!({"account": "acme", "agent": "say \"hi\", you", "agent_id": "id-say \"hi\", you",
                "day": "2026-03-01", "credits": 6.25, "revisions": 1})
        );
        let array: Vec<serde_json::Value> = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(array, rows);
    }

    #[test]
    fn a_history_of_nothing_is_whole_too() {
        let nothing = |format| {
            let document = Document::begin(Vec::new(), format, DateTime::default()).unwrap();
            String::from_utf8(document.end().unwrap().0).unwrap()
        };
        assert_eq!(nothing(Format::Json), "[\n]\n");
        assert_eq!(nothing(Format::Ndjson), "");
    }
}
