//! What templates see, and how they fail.

use super::*;
use crate::hook::template::{Template, TemplateError};

fn rendered(source: &str, alerts: Vec<Notice>) -> Result<String, TemplateError> {
    Template::new(source).unwrap().render(&message(alerts))
}

#[test]
fn a_template_sees_what_it_is_promised() {
    for (source, expected) in [
        (
            "{{ id }} {{ test }} {{ status }}",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk False firing",
        ),
        (
            "{{ title }}|{{ text }}",
            "Budget cx-month has used 80% of its credits|4,020 of 5,000 credits used.\nExhausted on 27 Nov.",
        ),
        ("{{ alerts[0].figures.used_credits | credits }}", "4,020"),
        ("{{ alerts[0].figures.used_ratio | percent }}", "80.4%"),
        ("{{ alerts[0].figures.exhausted_at | day }}", "27 Nov 2026"),
        ("{{ alerts[0].started_at }}", "2026-11-23T00:10:00Z"),
        ("{{ alerts[0].labels.threshold }}", "used 0.8"),
        (
            "{% for who in alerts[0].figures.top %}{{ who.agent }} {{ who.credits | credits }}{% endfor %}",
            "support 3,000.5",
        ),
        (
            "{% if alerts[0].figures.usual_credits %}yes{% else %}no{% endif %}",
            "no",
        ),
        (
            "{{ {'a': title} | tojson }}",
            r#"{"a": "Budget cx-month has used 80% of its credits"}"#,
        ),
        ("<{{ '<&>' }}>", "<<&>>"),
        (
            "{% macro m(a) %}{{ a.rule }}{{ caller() }}{% endmacro %}{% for a in alerts %}\
             {{ loop.index }}{% set b = dict(c=a.kind) %}{% call m(a) %} {{ b.c }}{% endcall %}\
             {% endfor %}",
            "1cx-month budget",
        ),
    ] {
        assert_eq!(
            rendered(source, vec![firing()]).as_deref(),
            Ok(expected),
            "{source}"
        );
    }
}

#[test]
fn several_alerts_have_one_title_one_status_and_one_text() {
    let source = "{{ status }}|{{ title }}|{{ text }}";
    let mixed = rendered(source, vec![firing(), resolved()]).unwrap();
    let expected = "mixed|2 alerts: 1 firing, 1 resolved|Budget cx-month has used 80% of its \
                    credits\n4,020 of 5,000 credits used.\nExhausted on 27 Nov.\n\n\
                    Agent \"<@everyone>\" & *co* used more\nAgent \"<@everyone>\"";
    assert!(mixed.starts_with(expected), "{mixed}");
    for (alerts, expected) in [
        (vec![firing(), firing()], "firing|2 alerts firing|"),
        (vec![resolved(), resolved()], "resolved|2 alerts resolved|"),
        (
            vec![resolved()],
            "resolved|Agent \"<@everyone>\" & *co* used more|",
        ),
    ] {
        let text = rendered(source, alerts).unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn the_filters_write_figures_as_people_do() {
    for (source, expected) in [
        ("{{ 0 | credits }}", "0"),
        ("{{ 999 | credits }}", "999"),
        ("{{ 1000 | credits }}", "1,000"),
        ("{{ 12345.5 | credits }}", "12,345.5"),
        ("{{ 1234567.891 | credits }}", "1,234,567.89"),
        ("{{ 999999.999 | credits }}", "1,000,000"),
        ("{{ -1234.5 | credits }}", "-1,234.5"),
        ("{{ 0.8 | percent }}", "80%"),
        ("{{ 1.236 | percent }}", "123.6%"),
        ("{{ 0 | percent }}", "0%"),
        ("{{ 10 | percent }}", "1000%"),
        ("{{ '2026-11-02' | day }}", "2 Nov 2026"),
        ("{{ '2026-11-27T23:30:00-02:00' | day }}", "28 Nov 2026"),
    ] {
        assert_eq!(
            rendered(source, vec![firing()]).as_deref(),
            Ok(expected),
            "{source}"
        );
    }
}

#[test]
fn a_text_that_is_no_template_is_refused_with_its_line() {
    for (source, message, line) in [
        (
            "a\n{{ title",
            "syntax error: unexpected end of input, expected end of variable block",
            2,
        ),
        (
            "{% if test %}\n\n",
            "syntax error: unexpected end of input, expected end of block",
            1,
        ),
        (
            "{{ title }}\n{% if titel %}{% endif %}",
            "`titel` is none of id, test, status, title, text, alerts",
            2,
        ),
    ] {
        let error = Template::new(source).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.line),
            (message, line),
            "{source}"
        );
    }
}

#[test]
fn a_template_that_goes_wrong_says_where_and_never_runs_away() {
    let nested = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
    let double = "{% set ns = namespace(x='0123456789') %}{% for i in range(60) %}\
                  {% set ns.x = ns.x ~ ns.x %}{% endfor %}";
    let recursive = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
    for (source, message, line) in [
        ("\n\n{{ alerts[0].titel }}", "undefined value", 3),
        (
            "{{ alerts[0].figures.usual_credits | credits }}",
            "invalid operation: cannot convert undefined to f64",
            1,
        ),
        (
            "{{ title | nothing }}",
            "unknown filter: filter nothing is unknown",
            1,
        ),
        ("{{ alerts[7].title }}", "undefined value", 1),
        (
            "{{ 'soon' | day }}",
            "invalid operation: `day` takes a date, such as 2026-11-27, or an instant",
            1,
        ),
        (nested, "engine ran out of fuel", 1),
        (double, "engine ran out of fuel", 1),
        (recursive, "", 1),
        ("{{ 'x' * 9999999999 }}", "", 1),
        (
            "\n{% for i in range(30000) %}0123456789{% endfor %}",
            "it gives more than 262144 bytes",
            1,
        ),
        (
            "{% include 'other' %}",
            "template not found: tried to include non-existing template 'other'",
            1,
        ),
    ] {
        let error = rendered(source, vec![firing()]).unwrap_err();
        assert!(
            error.message.starts_with(message),
            "{source}: {}",
            error.message
        );
        assert_eq!(error.line, line, "{source}: {error}");
        assert!(error.message.len() <= 200, "{error}");
    }
}

#[test]
fn a_template_may_give_all_that_fits() {
    let source = "{% for i in range(26214) %}0123456789{% endfor %}0123";
    assert_eq!(rendered(source, vec![firing()]).unwrap().len(), 262_144);
    let error = rendered(&format!("{source}!"), vec![firing()]).unwrap_err();
    assert_eq!(error.to_string(), "it gives more than 262144 bytes");
}
