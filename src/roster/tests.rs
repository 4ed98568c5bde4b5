use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn listed(id: &str, name: Option<&str>) -> ListedAgent {
    ListedAgent {
        id: id.into(),
        name: name.map(Into::into),
        ..ListedAgent::default()
    }
}

/// An account labelled region=eu with the static agent `s1`, called support and labelled team=cx.
fn account() -> AccountSettings {
    let account_labels = labels(&[("region", "eu")]);
    AccountSettings {
        name: "acme".into(),
        api_key: SecretSource::Environment("ACME_KEY".to_owned()),
        agents: vec![Agent {
            account: "acme".into(),
            id: "s1".into(),
            name: "support".into(),
            labels: Arc::new(merge_labels(&account_labels, &labels(&[("team", "cx")]))),
        }],
        labels: account_labels,
        discover: true,
        max_discovered: 10_000,
        agents_file: None,
    }
}

fn names_and_ids(roster: &Roster) -> Vec<(&str, &str)> {
    roster
        .agents
        .iter()
        .map(|agent| (&*agent.name, &*agent.id))
        .collect()
}

#[test]
fn the_config_wins_over_the_file_and_the_file_over_the_listing() {
    let roster = resolve(
        &account(),
        vec![
            listed("s1", Some("from file")),
            listed("f1", Some("from file")),
        ],
        vec![
            listed("s1", Some("x")),
            listed("f1", Some("y")),
            listed("d1", Some("sales")),
        ],
    );
    assert_eq!(
        names_and_ids(&roster),
        [("from file", "f1"), ("sales", "d1"), ("support", "s1")]
    );
    assert_eq!(roster.warnings, [""; 0]);
}

#[test]
fn a_name_that_is_taken_gives_way_to_the_identifier() {
    let roster = resolve(
        &account(),
        vec![listed("b", Some("sales")), listed("a", Some("sales"))],
        vec![listed("c", Some("support"))],
    );
    assert_eq!(
        names_and_ids(&roster),
        [("b", "b"), ("c", "c"), ("sales", "a"), ("support", "s1")]
    );
    assert_eq!(
        roster.warnings,
        [
            "account acme, agent `b`: the name `sales` is another agent's: it is called by its identifier",
            "account acme, agent `c`: the name `support` is another agent's: it is called by its identifier",
        ]
    );
}

#[test]
fn an_agent_whose_identifier_is_another_ones_name_is_left_out() {
    let roster = resolve(&account(), vec![], vec![listed("support", None)]);
    assert_eq!(names_and_ids(&roster), [("support", "s1")]);
    assert_eq!(
        roster.warnings,
        [
            "account acme, agent `support`: another agent bears its identifier as a name: it is left out"
        ]
    );
}

#[test]
fn a_blank_name_is_no_name() {
    let roster = resolve(&account(), vec![], vec![listed("d1", Some(" "))]);
    assert_eq!(names_and_ids(&roster), [("d1", "d1"), ("support", "s1")]);
    assert_eq!(roster.warnings, [""; 0]);
}

#[test]
fn agents_and_labels_that_cannot_be_are_dropped_with_a_warning() {
    let mut labelled = listed("d1", Some("two\nlines"));
    labelled.labels = labels(&[("job", "x"), ("te am", "x"), ("team", "ops")]).into();
    let roster = resolve(
        &account(),
        vec![
            labelled,
            listed("", None),
            listed("..", None),
            listed("a\u{1b}b", None),
        ],
        vec![listed(&"x".repeat(257), None)],
    );
    assert_eq!(names_and_ids(&roster), [("d1", "d1"), ("support", "s1")]);
    assert_eq!(
        *roster.agents[0].labels,
        labels(&[("region", "eu"), ("team", "ops")])
    );
    let long = "x".repeat(64);
    assert_eq!(
        roster.warnings,
        [
            "account acme, agent ``: its identifier is empty: it is left out",
            "account acme, agent `..`: its identifier cannot be part of a URL path: it is left out",
            "account acme, agent `a\\u{1b}b`: its identifier has a control character: it is left out",
            "account acme, agent `d1`: its name has a control character: it is called by its identifier",
            "account acme, agent `d1`: its label `job` is left out: the exporter or Prometheus sets this label itself",
            "account acme, agent `d1`: its label `te am` is left out: a label name is made of letters, digits and underscores and does not start with a digit",
            &format!(
                "account acme, agent `{long}…`: its identifier is 257 bytes long, more than 256: it is left out"
            ),
        ]
    );
}

#[test]
fn an_agents_label_wins_over_its_accounts() {
    let mut own = listed("d1", None);
    own.labels = labels(&[("region", "us")]).into();
    let roster = resolve(&account(), vec![own], vec![listed("d2", None)]);
    assert_eq!(*roster.agents[0].labels, labels(&[("region", "us")]));
    assert_eq!(*roster.agents[1].labels, labels(&[("region", "eu")]));
}

#[test]
fn warnings_are_bounded() {
    let broken = (0..100)
        .map(|number| listed(&format!("{number}\n"), None))
        .collect();
    let roster = resolve(&account(), broken, vec![]);
    assert_eq!(roster.warnings.len(), MAX_WARNINGS + 1);
    assert_eq!(
        roster.warnings[MAX_WARNINGS],
        "account acme: 80 more warnings of this kind"
    );
}

#[test]
fn label_names_follow_prometheus() {
    for good in ["team", "_x", "T9", "a_b"] {
        assert_eq!(check_label_name(good), Ok(()), "{good}");
    }
    for bad in ["", "9a", "a-b", "a.b", "tëam", "a:b", "a b"] {
        assert_eq!(check_label_name(bad), Err(LabelError::Form), "{bad}");
    }
    for taken in [
        "account", "agent", "agent_id", "job", "instance", "__", "__name__",
    ] {
        assert_eq!(
            check_label_name(taken),
            Err(LabelError::Reserved),
            "{taken}"
        );
    }
}

proptest! {
    #[test]
    fn a_roster_is_unique_sorted_and_independent_of_the_listings_order(
        agents in proptest::collection::vec(("[a-e.\n]{0,2}", proptest::option::of("[a-e\n]{0,1}")), 0..12),
        seed in any::<u64>(),
    ) {
        let mut one: Vec<_> = agents.iter().map(|(id, name)| listed(id, name.as_deref())).collect();
        // The same identifier twice in one list is ambiguous by itself.
        one.sort_by(|a, b| a.id.cmp(&b.id));
        one.dedup_by(|a, b| a.id == b.id);
        let mut other = one.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut other);

        let roster = resolve(&account(), vec![], one);
        prop_assert_eq!(&roster, &resolve(&account(), vec![], other));
        prop_assert!(roster.agents.windows(2).all(|pair| pair[0].name < pair[1].name));
        let ids: HashSet<_> = roster.agents.iter().map(|agent| &agent.id).collect();
        prop_assert_eq!(ids.len(), roster.agents.len());
    }
}
