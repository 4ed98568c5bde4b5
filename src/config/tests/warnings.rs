//! Warnings of what a config says to no effect.

use super::*;

/// Warnings of a config with an account, two hooks and what is added to them; `ops` has its use.
fn warnings(added: &str) -> Vec<String> {
    let text = format!(
        "[[account]]\nname = \"acme\"\napi_key_file = \"../files/acme.key\"\n\
         [[account.agent]]\nid = \"a1\"\nname = \"support\"\nlabels = {{ team = \"cx\" }}\n\
         [[account.agent]]\nid = \"a2\"\nname = \"sales\"\n\
         [[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\n\
         [[rule]]\nname = \"keys\"\nkind = \"key_refused\"\nhooks = [\"ops\"]\n{added}"
    );
    let path = format!("{FIXTURES}/good/text.toml");
    let config = Config::parse(&text, Path::new(&path), today());
    config.unwrap_or_else(|error| panic!("{error}")).warnings
}

const MONTH: &str =
    "[[budget]]\nname = \"month\"\nperiod = \"month\"\ncredits = 5\nrepeat = \"24h\"\n";
const NEVER: &str = "none of its alerts is ever critical, so nothing is repeated";

#[test]
fn a_repeat_of_what_is_never_critical_is_a_warning() {
    let balance = "[[balance]]\nname = \"left\"\nmatch = { agent = \"sales\" }\nrepeat = \"24h\"\n\
                   entries = [{ on = \"2026-01-01\", set = 5 }]\n";
    let rule = "[[rule]]\nname = \"spike\"\nkind = \"spike\"\nrepeat = \"24h\"\n";
    let section = |written: &str, section: &str| format!("{section} has `repeat`, and {written}");
    for (written, expected) in [
        (MONTH.to_owned(), None),
        (
            format!("{MONTH}thresholds = [0.5, 0.8]\n"),
            Some("budget `month`"),
        ),
        (
            format!(
                "{MONTH}thresholds = [0.5]\nforecast_thresholds = [{{ at = 1.0, severity = \"critical\" }}]\n"
            ),
            None,
        ),
        (
            format!("{balance}days_left = [14, 7]\n"),
            Some("balance `left`"),
        ),
        (format!("{balance}days_left = [14, 2]\n"), None),
        (rule.to_owned(), Some("rule `spike`")),
        (format!("{rule}severity = \"critical\"\n"), None),
        (
            rule.replace(
                "spike\"\nrepeat",
                "no_credits\"\nmatch = { team = \"none\" }\nrepeat",
            ),
            None,
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|what| section(NEVER, what)).collect();
        let found = warnings(&written);
        let found: Vec<String> = found
            .into_iter()
            .filter(|text| text.contains("`repeat`"))
            .collect();
        assert_eq!(found, expected, "{written}");
    }
}

#[test]
fn a_repeat_of_a_hook_that_gets_nothing_critical_is_a_warning() {
    let hook =
        "[[hook]]\nname = \"mild\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\nrepeat = \"24h\"\n";
    let spike = "[[rule]]\nname = \"spike\"\nkind = \"spike\"\nhooks = [\"mild\"]\n";
    assert_eq!(
        warnings(&format!("{hook}{spike}")),
        ["hook `mild` has `repeat`, and gets no critical alerts, so nothing is repeated"]
    );
    let probe = "[[probe]]\nname = \"ping\"\naccount = \"acme\"\nagent = \"support\"\nmessage = \"OK?\"\n\
                 cron = \"0 0 6 * * *\"\nhooks = [\"mild\"]\n";
    assert_eq!(warnings(&format!("{hook}{spike}{probe}")), [""; 0]);
    // One warning is enough for a hook that nothing names.
    assert_eq!(
        warnings(hook),
        ["hook `mild` is named by no budget, balance, rule, probe or summary"]
    );
}

#[test]
fn a_rule_about_probes_that_no_probe_concerns_is_a_warning() {
    let never = |name: &str| {
        format!("rule `{name}` never fires: no `[[probe]]` asks an agent that it matches")
    };
    let rules = "[[rule]]\nname = \"all\"\nkind = \"probe\"\n\
                 [[rule]]\nname = \"cx\"\nkind = \"no_credits\"\nmatch = { team = \"cx\" }\n";
    assert_eq!(warnings(rules), [never("all"), never("cx")]);
    let probe = |agent: &str| {
        format!(
            "{rules}[[probe]]\nname = \"ping\"\naccount = \"acme\"\nagent = \"{agent}\"\nmessage = \"OK?\"\n\
             cron = \"0 0 6 * * *\"\n"
        )
    };
    assert_eq!(warnings(&probe("sales")), [never("cx")]);
    assert_eq!(warnings(&probe("support")), [""; 0]);
    // A rule that matches nobody gets that warning alone, and an agent of a list may match.
    let nobody = "[[rule]]\nname = \"none\"\nkind = \"probe\"\nmatch = { agent = \"nobody\" }\n";
    assert_eq!(
        warnings(nobody),
        ["rule `none` matches no agent: agent=\"nobody\""]
    );
    let listed = "[[account]]\nname = \"globex\"\napi_key_file = \"../files/acme.key\"\ndiscover = true\n\
                  [[rule]]\nname = \"returns\"\nkind = \"probe\"\nmatch = { account = \"globex\" }\n\
                  [[probe]]\nname = \"ping\"\naccount = \"globex\"\nagent = \"returns\"\nmessage = \"OK?\"\n\
                  cron = \"0 0 6 * * *\"\n";
    assert_eq!(
        warnings(listed),
        [
            "probe `ping` asks agent `returns`, which this file does not name: it must come by a list of account `globex`"
        ]
    );
}
