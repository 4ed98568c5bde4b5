use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;
use crate::day::TRACKING_START;
use crate::exposition::deflate::Frames;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

pub(in crate::exposition) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn agent(account: &str, id: &str, name: &str, labels: &[(&str, &str)]) -> Agent {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Agent {
        account: account.into(),
        id: id.into(),
        name: name.into(),
        labels: Arc::new(labels.collect()),
    }
}

/// The series as a client sees them, taken both ways.
pub(in crate::exposition) fn document(body: &Body, format: Format, today: Day) -> String {
    let pieces = || body.pieces(format, Some(today)).cloned().collect();
    let identity = Frames::identity(pieces(), format.end());
    let identity = identity.collect::<Vec<_>>().concat();
    let gzip = Frames::gzip(pieces(), format.end())
        .collect::<Vec<_>>()
        .concat();
    let mut unzipped = Vec::new();
    GzDecoder::new(&gzip[..])
        .read_to_end(&mut unzipped)
        .unwrap();
    assert_eq!(unzipped, identity);
    String::from_utf8(identity).unwrap()
}

/// Checks what parsers leave unchecked, and returns the number of samples by family.
pub(in crate::exposition) fn check(document: &str, format: Format) -> BTreeMap<String, usize> {
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    let (mut described, mut series) = (BTreeSet::new(), BTreeSet::new());
    let mut current = String::new();
    let body = document.strip_suffix(format.end()).unwrap();
    assert!(!body.contains("# EOF") && (body.is_empty() || body.ends_with('\n')));
    for line in body.lines() {
        if let Some(descriptor) = line.strip_prefix("# ") {
            let (keyword, rest) = descriptor.split_once(' ').unwrap();
            let (name, _) = rest.split_once(' ').unwrap();
            assert!(described.insert((keyword, name)), "twice: {line}");
            if keyword == "HELP" {
                assert!(families.insert(name.to_owned(), 0).is_none());
                name.clone_into(&mut current);
            }
            assert_eq!(name, current);
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        assert!(
            sample.ends_with('}') && series.insert(sample),
            "twice: {line}"
        );
        let (name, _) = sample.split_once('{').unwrap();
        let is_counter = current.ends_with("_total") || name.ends_with("_total");
        let suffix = if is_counter && format == Format::OpenMetrics {
            "_total"
        } else {
            ""
        };
        assert_eq!(name, format!("{current}{suffix}"));
        *families.get_mut(&current).unwrap() += 1;
    }
    for name in families.keys() {
        assert!(described.contains(&("TYPE", name)), "no type: {name}");
    }
    families
}

/// One agent of whom all is known, one with gaps, one that was never fetched.
pub(in crate::exposition) fn three_agents() -> Vec<AgentSeries> {
    let complete = Figures {
        up: Some(true),
        used_credits: Some(1204.75),
        overcount_credits: Some(0.5),
        previous_day_credits: Some(12.5),
        previous_7_days_credits: Some(80.0),
        previous_30_days_credits: Some(310.0),
        month_to_date_credits: Some(250.25),
        previous_month_credits: Some(298.0),
        forecast_month_credits: Some(329.75),
        known_through: Some(day("2026-11-22")),
        complete_through: Some(day("2026-11-22")),
        missing_days: 0,
        revised_up: 3,
        revised_down: 1,
        last_success: Some("2026-11-23T00:10:00.250Z".parse().unwrap()),
        ..Figures::default()
    };
    let gaps = Figures {
        up: Some(false),
        used_credits: Some(0.0),
        overcount_credits: Some(0.0),
        previous_7_days_credits: None,
        previous_30_days_credits: None,
        month_to_date_credits: None,
        forecast_month_credits: None,
        missing_days: 2,
        ..complete
    };
    let unknown = Figures {
        missing_days: 544,
        ..Figures::default()
    };
    let support = agent(
        "acme",
        "66a72b17-cb03-4397-ab2a-1eef13847737",
        "support",
        &[("region", "eu"), ("team", "cx")],
    );
    let quoted = agent("acme", "b\\2", "the \"big\" one\nC:\\bots", &[]);
    let utf8 = agent("bücher", "3", "größe 東京", &[("team", "")]);
    [(support, complete), (quoted, gaps), (utf8, unknown)]
        .map(|(agent, figures)| AgentSeries { agent, figures })
        .into()
}

#[test]
fn the_exposition_is_what_users_depend_on() {
    let today = day("2026-11-23");
    let body = Body::render(today, &three_agents(), ONE);
    for (format, golden) in [
        (
            Format::Text,
            include_str!("../../../tests/fixtures/exposition/agents.prom"),
        ),
        (
            Format::OpenMetrics,
            include_str!("../../../tests/fixtures/exposition/agents.openmetrics"),
        ),
    ] {
        let document = document(&body, format, today);
        check(&document, format);
        assert!(document == golden, "{format:?} is now:\n{document}");
    }
}

#[test]
fn at_midnight_the_figures_of_yesterday_are_withdrawn() {
    let today = day("2026-11-23");
    let body = Body::render(today, &three_agents(), ONE);
    for (format, other) in [
        (Format::Text, today.next()),
        (Format::OpenMetrics, today.previous()),
    ] {
        let before = check(&document(&body, format, today), format);
        let after = check(&document(&body, format, other), format);
        let withdrawn: Vec<_> = before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .collect();
        assert_eq!(
            withdrawn,
            [
                "flowgent_agent_forecast_month_credits",
                "flowgent_agent_missing_days",
                "flowgent_agent_month_to_date_credits",
                "flowgent_agent_previous_30_days_credits",
                "flowgent_agent_previous_7_days_credits",
                "flowgent_agent_previous_day_credits",
                "flowgent_agent_previous_month_credits",
            ]
        );
        assert!(after.iter().all(|(name, samples)| before[name] == *samples));
    }
}

#[test]
fn a_family_without_samples_is_not_mentioned() {
    let agents = three_agents().split_off(2);
    let today = day("2026-11-23");
    let body = Body::render(today, &agents, ONE);
    let families = check(&document(&body, Format::Text, today), Format::Text);
    assert_eq!(
        families.into_iter().collect::<Vec<_>>(),
        [
            ("flowgent_agent_info".into(), 1),
            ("flowgent_agent_missing_days".into(), 1),
            ("flowgent_agent_revised_days_total".into(), 2),
        ]
    );
}

#[test]
fn no_agents_and_no_ledger_are_an_empty_body() {
    let today = day("2026-11-23");
    for body in [Body::empty(), Body::render(today, &[], ONE)] {
        assert_eq!(document(&body, Format::Text, today), "");
        assert_eq!(document(&body, Format::OpenMetrics, today), "# EOF\n");
    }
}

#[test]
fn threads_and_pieces_do_not_show_in_the_document() {
    let mut agents = Vec::new();
    for number in 0..AGENTS_PER_PIECE + 10 {
        let mut series = three_agents().swap_remove(number % 3);
        series.agent.name = format!("agent-{number}").into();
        agents.push(series);
    }
    let today = day("2026-11-23");
    let alone = Body::render(today, &agents, ONE);
    let alone = document(&alone, Format::OpenMetrics, today);
    let families = check(&alone, Format::OpenMetrics);
    assert_eq!(families["flowgent_agent_info"], agents.len());
    let together = Body::render(today, &agents, NonZeroUsize::new(4).unwrap());
    assert!(document(&together, Format::OpenMetrics, today) == alone);
}

prop_compose! {
    fn any_figures()(
        up in any::<Option<bool>>(),
        values in any::<[Option<f64>; 8]>(),
        days in any::<[Option<u16>; 3]>(),
        counts in any::<[u32; 3]>(),
    ) -> Figures {
        let [
            used_credits,
            overcount_credits,
            previous_day_credits,
            previous_7_days_credits,
            previous_30_days_credits,
            month_to_date_credits,
            previous_month_credits,
            forecast_month_credits,
        ] = values;
        let days = days.map(|day| Some(TRACKING_START.plus(day?.into())));
        let [known_through, complete_through, fetched] = days;
        let [missing_days, revised_up, revised_down] = counts.map(u64::from);
        Figures {
            up,
            used_credits,
            overcount_credits,
            previous_day_credits,
            previous_7_days_credits,
            previous_30_days_credits,
            month_to_date_credits,
            previous_month_credits,
            forecast_month_credits,
            known_through,
            complete_through,
            missing_days,
            revised_up,
            revised_down,
            last_success: fetched.map(Day::end),
            ..Figures::default()
        }
    }
}

proptest! {
    #[test]
    fn any_agents_make_a_sound_document(
        agents in prop::collection::vec((any::<[String; 4]>(), any_figures()), 0..20),
    ) {
        let agents: Vec<_> = agents
            .into_iter()
            .enumerate()
            .map(|(number, ([account, id, name, label], figures))| AgentSeries {
                agent: agent(&account, &id, &format!("{number}{name}"), &[("team", &label)]),
                figures,
            })
            .collect();
        let today = day("2026-11-23");
        let body = Body::render(today, &agents, ONE);
        for format in Format::ALL {
            let families = check(&document(&body, format, today), format);
            let previous_day =
                agents.iter().filter(|series| series.figures.previous_day_credits.is_some());
            let samples = families.get("flowgent_agent_previous_day_credits");
            prop_assert_eq!(samples.copied().unwrap_or(0), previous_day.count());
        }
    }
}
