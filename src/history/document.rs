//! Days → OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics` and for VictoriaMetrics'
//! import. An agent at a time, so that a history of any size takes no more memory than one agent's.

use std::io::{self, Write};

use chrono::{DateTime, Utc};

use super::placement::samples;
use super::{SERIES, Target};
use crate::day::Usage;
use crate::exposition::{FAMILIES, Format, write_header, write_label, write_value};
use crate::ledger::Revision;
use crate::roster::Agent;

/// A history that is being written. Nothing of it is of use before it is [ended](Self::end).
#[derive(Debug)]
pub struct Document<W> {
    out: W,
    target: Target,
    now: DateTime<Utc>,
    samples: u64,
}

impl<W: Write> Document<W> {
    /// Begins one that tells nothing of what lies after `now`.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn begin(mut out: W, target: Target, now: DateTime<Utc>) -> io::Result<Self> {
        let mut text = Vec::new();
        for family in FAMILIES.iter().filter(|family| family.name == SERIES) {
            write_header(&mut text, Format::OpenMetrics, family);
        }
        out.write_all(&text)?;
        Ok(Self {
            out,
            target,
            now,
            samples: 0,
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
        let series = series(agent, &self.target);
        let mut line = Vec::new();
        for sample in samples(days, revisions, self.now) {
            line.clear();
            line.extend_from_slice(&series);
            write_value(&mut line, sample.credits);
            let (seconds, millis) = (sample.at_ms.div_euclid(1000), sample.at_ms.rem_euclid(1000));
            writeln!(line, " {seconds}.{millis:03}")?;
            self.out.write_all(&line)?;
            self.samples += 1;
        }
        Ok(())
    }

    /// Writes the end. Returns what was written to, and how many samples there are in it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(mut self) -> io::Result<(W, u64)> {
        self.out.write_all(b"# EOF\n")?;
        self.out.flush()?;
        Ok((self.out, self.samples))
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

    fn written(target: Target) -> String {
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
        let mut document = Document::begin(Vec::new(), target, now).unwrap();
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
        let text = written(target);
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
}
