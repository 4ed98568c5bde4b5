//! Contexts of templates, and their errors.

use super::*;
use crate::hook::{Template, TemplateError};

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
            "`titel` is none of id, test, status, title, text, alerts, summary",
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
    let double = "{% macro twice(x) %}{{ twice(x ~ x) }}{% endmacro %}{{ twice('0123456789') }}";
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
        (recursive, "invalid operation: recursion limit exceeded", 1),
        ("{{ 'x' * 9999999999 }}", "engine ran out of fuel", 1),
        (
            "\n{% for i in range(3000) %}{{ '0123456789' * 10 }}{% endfor %}",
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
    let line = "0123456789".repeat(10);
    let source = format!(
        "{{% for i in range(2621) %}}{line}{{% endfor %}}{}",
        &line[..44]
    );
    assert_eq!(rendered(&source, vec![firing()]).unwrap().len(), 262_144);
    let error = rendered(&format!("{source}!"), vec![firing()]).unwrap_err();
    assert_eq!(error.to_string(), "it gives more than 262144 bytes");
}

/// `piece` as often as it fits into a source, between `before` and `after`.
fn as_long_as_may_be(before: &str, piece: &str, after: &str) -> String {
    let room = Template::MAX_BYTES - before.len() - after.len();
    format!("{before}{}{after}", piece.repeat(room / piece.len()))
}

/// Result of a source on a thread with no more stack than others have.
fn on_a_usual_thread(source: String) -> Result<usize, String> {
    let work = move || {
        let template = Template::new(&source).map_err(|error| error.message)?;
        let rendered = template.render(&message(vec![firing()]));
        rendered
            .map(|text| text.len())
            .map_err(|error| error.message)
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().unwrap()
}

#[test]
fn no_chain_of_operators_is_too_long_for_the_stack() {
    for (before, piece, after) in [
        ("{{ title", "~title", " }}"),
        ("{{ 1", "+1", " }}"),
        ("{{ test", "+test", " }}"),
        ("{{ test", " and test", " }}"),
        ("{{ test", " or test", " }}"),
        ("{{ title", "**id", " }}"),
        ("{{ title", "<id", " }}"),
        ("{{ title", " in id", " }}"),
        ("{{ title", ".a", " }}"),
        ("{{ title", "[0]", " }}"),
        ("{{ title", "[:]", " }}"),
        ("{{ title", "()", " }}"),
        ("{{ title", "|e", " }}"),
        ("{{ title", " is odd", " }}"),
        ("{{ title", " is not odd", " }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", " -", "test }}"),
        ("{{ ", "not ", "test }}"),
        ("{{ 1", " if 1", " }}"),
        ("{{ 1", " if 1 else 1", " }}"),
        ("{% if test %}", "{%elif test%}", "{% endif %}"),
        (
            "{% set a=1 %}",
            "{%set a=[a]%}",
            "{{ a }}{{ a|tojson }}{{ a == [a] }}",
        ),
        ("{% set a=1 %}", "{%set a={1:a}%}", "{{ a }}"),
        ("{% set a=alerts %}", "{%set a=a|reverse%}", "{{ a }}"),
        (
            "{% set a=alerts %}",
            "{%set a=a[0:]%}",
            "{% for b in a %}{{ b }}{% endfor %}",
        ),
    ] {
        // Whether it gives something does not matter: that this comes to an end does.
        let source = as_long_as_may_be(before, piece, after);
        let outcome = on_a_usual_thread(source);
        assert!(
            outcome
                .as_ref()
                .map_or_else(|error| !error.is_empty(), |_| true),
            "{piece}"
        );
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let half = Template::MAX_BYTES / 2;
    for (open, inside, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("title|default(", "1", ")"),
        ("title[", "1", "]"),
        ("not (", "1", ")"),
    ] {
        let count = half / open.len().max(close.len()) - 10;
        let source = format!(
            "{{{{ {}{inside}{} }}}}",
            open.repeat(count),
            close.repeat(count)
        );
        let expected = "syntax error: template exceeds maximum recursion limits";
        assert_eq!(
            on_a_usual_thread(source),
            Err(expected.to_owned()),
            "{open}"
        );
    }
    for (open, close) in [
        ("{%if test%}", "{%endif%}"),
        ("{%for a in alerts%}", "{%endfor%}"),
        ("{%macro a()%}", "{%endmacro%}"),
        ("{%filter e%}", "{%endfilter%}"),
        ("{%with%}", "{%endwith%}"),
        ("{%set a%}", "{%endset%}"),
    ] {
        let count = half / open.len().max(close.len());
        let source = format!("{}{}", open.repeat(count), close.repeat(count));
        let error = on_a_usual_thread(source).unwrap_err();
        assert!(error.starts_with("syntax error: "), "{open}: {error}");
    }
}

#[test]
fn no_value_grows_deeper_than_the_stack() {
    // Each call adds so many levels, and calls another until the fuel is used up.
    for (open, close) in [("[", "]"), ("{1:", "}"), ("[", "]|list"), ("{1:", "}|list")] {
        let wrap = |name: &str| format!("{}{name}{}", open.repeat(60), close.repeat(60));
        let sets = format!("{{% set a={} %}}", wrap("a")).repeat(50);
        for (calls, last) in [
            (4, "{{ a }}"),
            (4, "{{ a|tojson }}"),
            (4, "{{ a == b }}"),
            (4, "{{ a < b }}"),
            (4, "{{ [a,b]|unique|length }}"),
            (4, "{{ [a,b]|sort|length }}"),
            (30, ""),
        ] {
            let source = format!(
                "{{% macro m(a, b, n) %}}{sets}{{% if n %}}{{{{ m(a, a, n - 1) }}}}\
                 {{% else %}}{last}{{% endif %}}{{% endmacro %}}{{{{ m(1, 1, {calls}) }}}}"
            );
            let outcome = on_a_usual_thread(source);
            let out_of_fuel = Err("engine ran out of fuel".to_owned());
            assert!(
                outcome.is_ok() || outcome == out_of_fuel,
                "{last}: {outcome:?}"
            );
        }
    }
}

#[test]
fn no_value_can_hold_itself() {
    let error = Template::new("{% set a = namespace() %}{% set a.b = a %}{{ a }}").unwrap_err();
    assert!(
        error.message.starts_with("`namespace` is none of "),
        "{error}"
    );
    let debug = "{% macro m() %}{{ m }}{{ debug() }}{{ m|pprint }}{% endmacro %}{{ m() }}";
    assert!(on_a_usual_thread(debug.to_owned()).is_ok());
}
