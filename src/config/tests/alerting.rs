use crate::alert::{Check, Per, Rule, Severity, Span, Threshold};
use crate::budget::Cycle;

use super::*;
use crate::sheet::Grouping;
use crate::summary;
use crate::tabulate::Step;

/// An account with one agent, and what is added to it.
fn with_agent(added: &str) -> Config {
    let text = format!(
        "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\n\
         labels = {{ region = \"eu\" }}\n\
         [[account.agent]]\nid = \"a1\"\nname = \"support\"\nlabels = {{ team = \"cx\" }}\n{added}"
    );
    let path = format!("{FIXTURES}/good/text.toml");
    Config::parse(&text, Path::new(&path), today()).unwrap_or_else(|error| panic!("{error}"))
}

fn the_rule(added: &str) -> Rule {
    let [rule] = &with_agent(added).alerts.rules[..] else {
        panic!("{added}");
    };
    rule.clone()
}

fn budget(added: &str) -> Rule {
    the_rule(&format!(
        "[[budget]]\nname = \"b\"\ncredits = 5000\n{added}"
    ))
}

/// The thresholds as text: measure, ratio, severity.
fn shown(thresholds: &[Threshold]) -> Vec<String> {
    thresholds
        .iter()
        .map(|threshold| format!("{threshold} {}", threshold.severity.as_str()))
        .collect()
}

#[test]
fn the_severity_of_a_budget_is_that_of_thresholds_without_their_own() {
    for (written, expected) in [
        (
            "",
            &[
                "used 0.5 info",
                "used 0.8 info",
                "used 1 info",
                "forecast 1 info",
            ][..],
        ),
        (
            "thresholds = [0.8, { at = 0.9 }, { at = 1.0, severity = \"critical\" }]\n\
             forecast_thresholds = []\n",
            &["used 0.8 info", "used 0.9 info", "used 1 critical"],
        ),
    ] {
        let rule = budget(&format!(
            "period = \"month\"\nseverity = \"info\"\n{written}"
        ));
        let Check::Budget { thresholds, .. } = rule.check else {
            panic!("{rule:?}");
        };
        assert_eq!(shown(&thresholds), expected);
    }
}

#[test]
fn a_budget_has_the_documented_defaults() {
    let usual = [
        "used 0.5 warning",
        "used 0.8 warning",
        "used 1 critical",
        "forecast 1 warning",
    ];
    let history_start: Day = "2025-05-28".parse().unwrap();
    for (period, expected, thresholds) in [
        ("day", Cycle::Day, &usual[..3]),
        ("week", Cycle::Week, &usual),
        ("month", Cycle::Month { anchor_day: 1 }, &usual),
        (
            "total",
            Cycle::Total {
                start: history_start,
            },
            &usual[..3],
        ),
    ] {
        let rule = budget(&format!("period = \"{period}\"\n"));
        assert!(rule.hooks.is_empty() && rule.matcher.to_string().is_empty());
        let Check::Budget {
            limits,
            per: None,
            cycle,
            thresholds: found,
        } = rule.check
        else {
            panic!("{period} is no budget");
        };
        assert_eq!((limits, cycle), (5000.0.into(), expected));
        assert_eq!(shown(&found), thresholds, "{period}");
    }
}

#[test]
fn rules_have_the_documented_defaults() {
    let rule = |kind: &str| the_rule(&format!("[[rule]]\nname = \"r\"\nkind = {kind}\n")).check;
    let Check::Usage {
        span: Span::PreviousDay,
        per: Per::Agent,
        over_credits,
        hysteresis,
        severity: Severity::Warning,
    } = rule("\"usage\"\nover = 100")
    else {
        panic!("usage");
    };
    assert_eq!((over_credits, hysteresis), (100.0, 0.1));
    let Check::Spike {
        factor,
        floor_credits,
        severity: Severity::Warning,
    } = rule("\"spike\"")
    else {
        panic!("spike");
    };
    assert_eq!((factor, floor_credits), (3.0, 10.0));
    assert!(matches!(
        rule("\"drop\""),
        Check::Drop {
            factor: 0.2,
            floor_credits: 10.0,
            severity: Severity::Warning
        }
    ));
    assert!(matches!(
        rule("\"silent\""),
        Check::Silent {
            days: 3,
            severity: Severity::Warning
        }
    ));
    let Check::MissingData {
        longer_than,
        severity: Severity::Warning,
    } = rule("\"missing_data\"")
    else {
        panic!("missing_data");
    };
    assert_eq!(longer_than, Duration::from_secs(36 * 3600));
    assert!(matches!(
        rule("\"key_refused\""),
        Check::KeyRefused {
            severity: Severity::Critical
        }
    ));
    assert!(matches!(
        rule("\"agent_refused\""),
        Check::AgentRefused {
            severity: Severity::Warning
        }
    ));
}

#[test]
fn budgets_and_rules_are_as_they_are_written() {
    let config = load("full");
    assert_eq!(
        config.alerts.dashboard_url.as_deref(),
        Some("https://grafana.example/d/credits?orgId=1")
    );
    let rules = &config.alerts.rules;
    let named = |name: &str| rules.iter().find(|rule| *rule.name == *name).unwrap();
    let month = named("cx-month");
    assert_eq!(month.matcher.to_string(), "agent=~\"sup.*\",team=\"cx\"");
    let hooks: Vec<_> = month.hooks.iter().map(|hook| &**hook).collect();
    assert_eq!(hooks, ["ops", "chat", "pager"]);
    let Check::Budget {
        cycle: Cycle::Month { anchor_day: 31 },
        thresholds,
        ..
    } = &month.check
    else {
        panic!("{month:?}");
    };
    assert_eq!(
        shown(thresholds),
        [
            "used 0.5 warning",
            "used 0.9 critical",
            "used 1.5 critical",
            "forecast 1 info",
            "forecast 2 warning",
        ]
    );
    let start: Day = "2027-01-01".parse().unwrap();
    assert!(matches!(
        &named("prepaid").check,
        Check::Budget { cycle: Cycle::Total { start: found }, thresholds, .. }
            if *found == start && thresholds.len() == 3
    ));
    let silent = named("silent");
    assert_eq!(
        silent.matcher.to_string(),
        "account in [\"acme\", \"globex\"]"
    );
    assert!(matches!(&silent.check, Check::Budget { thresholds, .. } if thresholds.len() == 1));
    assert!(matches!(
        named("usage").check,
        Check::Usage {
            span: Span::MonthToDate,
            per: Per::Total,
            over_credits: 250.5,
            hysteresis: 0.0,
            severity: Severity::Critical,
        }
    ));
    assert!(matches!(
        named("missing-data").check,
        Check::MissingData { longer_than, severity: Severity::Info }
            if longer_than == Duration::from_secs(2 * 24 * 3600)
    ));
}

#[test]
fn a_budget_has_a_limit_for_each_subject() {
    let each = |written: &str| {
        let rule = the_rule(&format!(
            "[[budget]]\nname = \"b\"\nperiod = \"month\"\n{written}\n"
        ));
        let Check::Budget { limits, per, .. } = &rule.check else {
            panic!("{written}");
        };
        (
            per.as_ref().map(ToString::to_string),
            limits.clone(),
            rule.definition(),
        )
    };
    let (per, limits, _) = each("per = \"agent\"\ncredits = 500");
    assert_eq!(
        (per.as_deref(), limits.of("acme/support")),
        (Some("agent"), Some(500.0))
    );
    let (per, limits, definition) =
        each("per = \"label:team\"\ncredits = { default = 100, \"cx\" = 800 }");
    assert_eq!(per.as_deref(), Some("label:team"));
    assert_eq!(
        (limits.of("cx"), limits.of("sales")),
        (Some(800.0), Some(100.0))
    );
    assert!(
        definition.starts_with("budget {} per label:team: 100 credits, cx 800 credits a month"),
        "{definition}"
    );
    let (_, limits, _) = each("per = \"account\"\ncredits = { acme = 1.5 }");
    assert_eq!((limits.of("acme"), limits.of("globex")), (Some(1.5), None));
    // A budget as it always was keeps its definition, by which it is known in the ledger.
    let (per, _, definition) = each("credits = 5000");
    assert_eq!(per, None);
    assert!(
        definition.starts_with("budget {}: 5000 credits a month from day 1: "),
        "{definition}"
    );
    let unknown = with_agent(
        "[[budget]]\nname = \"b\"\nperiod = \"month\"\nper = \"label:taem\"\ncredits = 5\n",
    );
    assert_eq!(
        unknown.warnings,
        ["budget `b` has a limit per `taem`, which is a label of no agent; did you mean `team`?"]
    );
}

#[test]
fn a_drop_is_never_judged_if_days_settle_after_a_week() {
    let config = |days| {
        with_agent(&format!(
            "[[rule]]\nname = \"d\"\nkind = \"drop\"\n[schedule]\nsettle_days = {days}\n"
        ))
    };
    assert_eq!(config(7).warnings, [""; 0]);
    assert_eq!(
        config(8).warnings,
        ["rule `d` never fires: days settle after 8 days, and it looks at the last 7"]
    );
}

#[test]
fn a_matcher_that_matches_nothing_is_a_warning_if_that_can_be_said() {
    let discovering =
        "[[account]]\nname = \"globex\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n";
    let listing = "[[account]]\nname = \"globex\"\napi_key_file = \"../files/acme.key\"\nagents_file = \"../files/agents.json\"\n";
    let nobody = |shown: &str| vec![format!("rule `r` matches no agent: {shown}")];
    let unknown = |rest: &str| {
        vec![format!(
            "rule `r` matches by `taem`, which is a label of no agent{rest}"
        )]
    };
    for (matcher, more, expected) in [
        ("{}", "", vec![]),
        ("{ team = \"cx\", region = \"eu\" }", "", vec![]),
        ("{ agent_id = \"a1\" }", "", vec![]),
        ("{ agent = \"sales\" }", "", nobody("agent=\"sales\"")),
        ("{ agent = \"sales\" }", discovering, vec![]),
        ("{ agent = \"sales\" }", listing, vec![]),
        (
            "{ agent = \"sales\", account = \"acme\" }",
            discovering,
            nobody("account=\"acme\",agent=\"sales\""),
        ),
        (
            "{ account = \"initech\" }",
            discovering,
            nobody("account=\"initech\""),
        ),
        ("{ team = \"\" }", "", nobody("team=\"\"")),
        ("{ taem = \"cx\" }", "", unknown("; did you mean `team`?")),
        (
            "{ taem = \"cx\" }",
            discovering,
            unknown("; did you mean `team`?"),
        ),
        ("{ taem = \"cx\" }", listing, vec![]),
    ] {
        let rule = format!("{more}[[rule]]\nname = \"r\"\nkind = \"spike\"\nmatch = {matcher}\n");
        assert_eq!(with_agent(&rule).warnings, expected, "{matcher} {more}");
    }
}

#[test]
fn messages_link_to_the_exporter_itself_unless_told_otherwise() {
    for (listen, page) in [
        ("\"127.0.0.1:13569\"", "http://127.0.0.1:13569/"),
        (
            "\"0.0.0.0:9000\", \"127.0.0.1:1\"",
            "http://localhost:9000/",
        ),
        ("\"[::]:9000\"", "http://localhost:9000/"),
        ("\"[::1]:9000\"", "http://[::1]:9000/"),
    ] {
        let mut config = with_agent(&format!("[server]\nlisten = [{listen}]\n"));
        assert_eq!(config.alerts.dashboard_url.as_deref(), Some(page));
        config.serve_otherwise(|server| server.listen = vec!["192.0.2.1:80".parse().unwrap()]);
        assert_eq!(
            config.alerts.dashboard_url.as_deref(),
            Some("http://192.0.2.1:80/")
        );
    }
    let mut config =
        with_agent("[alerts]\ndashboard_url = \"https://grafana.example/d/credits\"\n");
    config.serve_otherwise(|server| server.listen = vec!["192.0.2.1:80".parse().unwrap()]);
    assert_eq!(
        config.alerts.dashboard_url.as_deref(),
        Some("https://grafana.example/d/credits")
    );
}

#[test]
fn a_summary_is_as_it_is_written_and_by_agent_unless_it_is_written() {
    let hook = "[[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\n";
    let with = |keys: &str| {
        with_agent(&format!(
            "{hook}[[summary]]\nname = \"monday\"\nhooks = [\"ops\"]\n{keys}"
        ))
    };
    let plain = with("period = \"week\"\n");
    let expected = summary::Settings {
        name: "monday".into(),
        period: Step::Week,
        grouping: Grouping::Agent,
        top: 10,
        hooks: vec!["ops".into()],
    };
    assert_eq!(plain.alerts.summaries, std::slice::from_ref(&expected));
    assert_eq!(plain.warnings, [""; 0], "the hook has its use");
    let whole = with("period = \"month\"\nby = \"label:team\"\ntop = 3\n");
    let expected = summary::Settings {
        period: Step::Month,
        grouping: Grouping::Label("team".to_owned()),
        top: 3,
        ..expected
    };
    assert_eq!(whole.alerts.summaries, [expected]);
    assert_eq!(whole.warnings, [""; 0]);
    let misspelt = with("period = \"week\"\nby = \"label:taem\"\n");
    assert_eq!(
        misspelt.warnings,
        ["summary `monday` adds up by `taem`, which is a label of no agent; did you mean `team`?"]
    );
}

#[test]
fn a_balance_that_would_show_too_much_or_nothing_is_warned_of() {
    let with = |entries: &str| {
        with_agent(&format!(
            "[[balance]]\nname = \"credits\"\nentries = [{entries}]\n"
        ))
        .warnings
    };
    let strangers = "balance `credits` would show too much: agents of account `acme` that are not named here \
                     may use credits, too; `discover = true` finds them";
    assert_eq!(with("{ on = \"2026-01-01\", set = 1234 }"), [strangers]);
    assert_eq!(
        with("{ on = \"2026-01-01\", add = 1234 }"),
        [
            "balance `credits` has no figures: none of its entries is a `set`",
            strangers
        ]
    );
    let later = today().plus(9);
    assert_eq!(
        with(&format!("{{ on = \"{later}\", set = 1234 }}")),
        [
            format!("balance `credits` has no figures before {later}, the day of its first `set`"),
            strangers.to_owned()
        ]
    );
    let discovering = "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n\
                       [[balance]]\nname = \"credits\"\nentries = [{ on = \"2026-01-01\", set = 1 }]\n";
    let path = format!("{FIXTURES}/good/text.toml");
    let config = Config::parse(discovering, Path::new(&path), today()).unwrap();
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn a_probe_with_hooks_has_a_rule_of_its_own_and_an_agent_of_a_list_is_a_warning() {
    let written = "[[probe]]\nname = \"ping\"\naccount = \"acme\"\nagent = \"support\"\n\
                   message = \"OK?\"\ncron = \"0 0 6 * * *\"\n";
    let silent = with_agent(written);
    assert!(silent.alerts.rules.is_empty());
    assert_eq!(silent.warnings, [""; 0]);
    let [probe] = &silent.alerts.probes[..] else {
        panic!("{:?}", silent.alerts.probes);
    };
    assert_eq!((&*probe.account, &*probe.agent), ("acme", "a1"));
    assert_eq!(
        (&*probe.message, probe.timeout),
        ("OK?", Duration::from_secs(60))
    );
    assert!(probe.expect.is_none());

    let hook = "[[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\n";
    let told = with_agent(&format!(
        "{written}timeout = \"2m\"\nexpect = {{ regex = \"^OK\" }}\nhooks = [\"ops\"]\n{hook}"
    ));
    let probe = &told.alerts.probes[0];
    assert_eq!(probe.timeout, Duration::from_secs(120));
    assert!(
        probe
            .expect
            .as_ref()
            .is_some_and(|expect| expect.is_match("OK."))
    );
    let [rule] = &told.alerts.rules[..] else {
        panic!("{:?}", told.alerts.rules);
    };
    assert_eq!((&*rule.name, &*rule.hooks[0]), ("ping", "ops"));
    let Check::Probe { only, times: 3, .. } = &rule.check else {
        panic!("{rule:?}");
    };
    assert_eq!(only.as_deref(), Some("ping"));
    assert_eq!(told.warnings, [""; 0], "the hook has its use");

    let listed =
        "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n";
    let path = format!("{FIXTURES}/good/text.toml");
    let config = Config::parse(&format!("{listed}{written}"), Path::new(&path), today()).unwrap();
    assert_eq!(
        config.warnings,
        [
            "probe `ping` asks agent `support`, which this file does not name: it must come by a list of account `acme`"
        ]
    );
}
