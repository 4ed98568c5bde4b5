//! Messages of each preset, whole.

use serde_json::{Value, json};

use super::*;
use crate::alert::Notification;
use crate::hook::{Message, Preset, Template};
use crate::summary::Summary;

fn rendered(preset: Preset, alerts: Vec<Notice>) -> Value {
    let text = Template::preset(preset).render(&message(alerts)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Many alerts, longer than anybody takes.
fn flood(letter: &str) -> Vec<Notice> {
    let long = Notice {
        title: letter.repeat(9_000),
        text: format!("{}\n", letter.repeat(40)).repeat(2_000),
        rule: letter.repeat(9_000),
        subject: letter.repeat(9_000),
        key: letter.repeat(9_000),
        url: Some(format!("https://a.example/{}", "x".repeat(9_000))),
        ..firing()
    };
    vec![long; 30]
}

#[test]
fn slack_gets_attachments_in_which_nothing_is_markup() {
    let fires = json!({
        "color": "#ef6c00",
        "blocks": [
            {"type": "section", "text": {
                "type": "mrkdwn", "verbatim": true,
                "text": "4,020 of 5,000 credits used.\nExhausted on 27 Nov.",
            }},
            {"type": "context", "elements": [{
                "type": "mrkdwn", "verbatim": true,
                "text": "firing · warning · cx-month · all · \
                         <https://grafana.example/d/1?a=1&amp;b=2|open>",
            }]},
        ],
    });
    let is_over = json!({
        "color": "#2e7d32",
        "blocks": [
            {"type": "section", "text": {
                "type": "mrkdwn", "verbatim": true,
                "text": "Agent \"&lt;@everyone&gt;\" &lt;!channel&gt; &amp; \
                         [x](http://e.example) `#_~|\\` @here\n\n [31mred",
            }},
            {"type": "context", "elements": [{
                "type": "mrkdwn", "verbatim": true,
                "text": "resolved · critical · spike · acme/&lt;@everyone&gt;",
            }]},
        ],
    });
    assert_eq!(
        rendered(Preset::Slack, vec![firing()]),
        json!({"text": "Budget cx-month has used 80% of its credits", "attachments": [fires]})
    );
    assert_eq!(
        rendered(Preset::Slack, vec![resolved()]),
        json!({
            "text": "Agent \"&lt;@everyone&gt;\" &amp; *co* used more",
            "attachments": [is_over],
        })
    );
    let titled = |mut attachment: Value, title: &str| {
        let text = &mut attachment["blocks"][0]["text"]["text"];
        *text = format!("*{title}*\n{}", text.as_str().unwrap()).into();
        attachment
    };
    assert_eq!(
        rendered(Preset::Slack, vec![firing(), resolved()]),
        json!({
            "text": "2 alerts: 1 firing, 1 resolved",
            "attachments": [
                titled(fires, "Budget cx-month has used 80% of its credits"),
                titled(is_over, "Agent \"&lt;@everyone&gt;\" &amp; *co* used more"),
            ],
        })
    );
}

#[test]
fn discord_gets_embeds_that_ping_nobody() {
    let fires = json!({
        "title": "Budget cx-month has used 80% of its credits",
        "description": "4,020 of 5,000 credits used.\nExhausted on 27 Nov.",
        "color": 0xef_6c00,
        "url": "https://grafana.example/d/1?a=1&b=2",
        "footer": {"text": "firing · warning · cx-month · all"},
    });
    let is_over = json!({
        "title": "Agent \"\\<\\@everyone\\>\" & \\*co\\* used more",
        "description": "Agent \"\\<\\@everyone\\>\" \\<!channel\\> & \\[x\\](http://e.example) \
                        \\`\\#\\_\\~\\|\\\\\\` \\@here\n\n \\[31mred",
        "color": 0x2e_7d32,
        "footer": {"text": "resolved · critical · spike · acme/<@everyone>"},
    });
    let nobody = json!({"parse": []});
    assert_eq!(
        rendered(Preset::Discord, vec![firing()]),
        json!({"embeds": [fires], "allowed_mentions": nobody})
    );
    assert_eq!(
        rendered(Preset::Discord, vec![resolved()]),
        json!({"embeds": [is_over], "allowed_mentions": nobody})
    );
    assert_eq!(
        rendered(Preset::Discord, vec![firing(), resolved()]),
        json!({
            "content": "2 alerts: 1 firing, 1 resolved",
            "embeds": [fires, is_over],
            "allowed_mentions": nobody,
        })
    );
}

#[test]
fn discord_gets_no_link_that_it_refuses_the_message_for() {
    let of = |url: &str, text: String| {
        let alert = Notice {
            url: Some(url.to_owned()),
            text,
            ..firing()
        };
        rendered(Preset::Discord, vec![alert])["embeds"][0].clone()
    };
    for url in [
        "http://localhost:13569/",
        "http://grafana:3000/d/1?a=b",
        "http://localhost./",
    ] {
        let embed = of(url, "Used: 80 %.".to_owned());
        assert_eq!(embed.get("url"), None, "{url}");
        assert_eq!(embed["description"], format!("Used: 80 %.\n<{url}>"));
        let long = of(url, "x".repeat(9_000));
        assert!(long["description"].as_str().unwrap().ends_with("x…"));
    }
    for url in ["http://127.0.0.1:13569/", "http://[::1]/", "http://a.lan/"] {
        let embed = of(url, "Used: 80 %.".to_owned());
        assert_eq!(embed["url"], url);
        assert_eq!(embed["description"], "Used: 80 %.");
    }
}

#[test]
fn teams_gets_a_card_of_plain_lines() {
    let text = |text: &str| {
        json!({"type": "RichTextBlock", "spacing": "Small", "inlines": [
            {"type": "TextRun", "text": text},
        ]})
    };
    let styled = |line: &str, key: &str, value: Value, size: Option<&str>| {
        let mut block = text(line);
        block["inlines"][0][key] = value;
        if let Some(size) = size {
            block["inlines"][0]["size"] = size.into();
        }
        block
    };
    let heading = |line: &str| styled(line, "weight", "Bolder".into(), Some("Medium"));
    let title = |line: &str| styled(line, "weight", "Bolder".into(), None);
    let facts = |line: &str| styled(line, "isSubtle", true.into(), Some("Small"));
    let card = |body: Vec<Value>, actions: Option<Value>| {
        let mut content = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": body,
        });
        if let Some(actions) = actions {
            content["actions"] = actions;
        }
        json!({"type": "message", "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "content": content},
        ]})
    };
    let open = json!([{
        "type": "Action.OpenUrl", "title": "Open", "url": "https://grafana.example/d/1?a=1&b=2",
    }]);
    let fires = vec![
        text("4,020 of 5,000 credits used."),
        text("Exhausted on 27 Nov."),
        facts("firing · warning · cx-month · all"),
    ];
    let is_over = vec![
        text("Agent \"<@everyone>\" <!channel> & [x](http://e.example) `#_~|\\` @here"),
        text("[31mred"),
        facts("resolved · critical · spike · acme/<@everyone>"),
    ];
    let container =
        |style: &str, items: &[Value]| json!({"type": "Container", "style": style, "items": items});
    let [firing_title, resolved_title] = [
        "Budget cx-month has used 80% of its credits",
        "Agent \"<@everyone>\" & *co* used more",
    ];
    assert_eq!(
        rendered(Preset::Teams, vec![firing()]),
        card(
            vec![heading(firing_title), container("warning", &fires)],
            Some(open.clone())
        )
    );
    assert_eq!(
        rendered(Preset::Teams, vec![resolved()]),
        card(
            vec![heading(resolved_title), container("good", &is_over)],
            None
        )
    );
    let both = vec![
        heading("2 alerts: 1 firing, 1 resolved"),
        container("warning", &[&[title(firing_title)], &*fires].concat()),
        container("good", &[&[title(resolved_title)], &*is_over].concat()),
    ];
    assert_eq!(
        rendered(Preset::Teams, vec![firing(), resolved()]),
        card(both, Some(open))
    );
}

#[test]
fn pager_duty_gets_an_event_with_the_alerts_key() {
    assert_eq!(
        rendered(Preset::PagerDuty, vec![firing()]),
        json!({
            "event_action": "trigger",
            "dedup_key": "cx-month all 2026-11-01 used 0.8",
            "client": "flowgent-exporter",
            "client_url": "https://grafana.example/d/1?a=1&b=2",
            "links": [{"href": "https://grafana.example/d/1?a=1&b=2", "text": "Open"}],
            "payload": {
                "summary": "Budget cx-month has used 80% of its credits",
                "source": "all",
                "severity": "warning",
                "timestamp": "2026-11-23T00:10:00Z",
                "group": "cx-month",
                "class": "budget",
                "custom_details": {
                    "text": "4,020 of 5,000 credits used.\nExhausted on 27 Nov.",
                    "used_credits": 4020.0,
                    "limit_credits": 5000.0,
                    "used_ratio": 0.804,
                    "exhausted_at": "2026-11-27T05:00:00Z",
                    "top": [{"account": "acme", "agent": "support", "credits": 3000.5}],
                },
            },
        })
    );
    assert_eq!(
        rendered(Preset::PagerDuty, vec![resolved()]),
        json!({
            "event_action": "resolve",
            "dedup_key": "spike acme/<@everyone>",
            "client": "flowgent-exporter",
            "payload": {
                "summary": "Agent \"<@everyone>\" & *co* used more",
                "source": "acme/<@everyone>",
                "severity": "critical",
                "timestamp": "2026-11-22T00:10:00Z",
                "group": "spike",
                "class": "spike",
                "custom_details": {
                    "text": "Agent \"<@everyone>\" <!channel> & [x](http://e.example) \
                             `#_~|\\` @here\n\n [31mred",
                },
            },
        })
    );
    let grouped = message(vec![firing(), resolved()]);
    let error = Template::preset(Preset::PagerDuty).render(&grouped);
    assert_eq!(
        error.unwrap_err().to_string(),
        "PagerDuty takes one alert at a time, not 2"
    );
}

#[test]
fn alerts_are_coloured_by_how_bad_they_are() {
    for (severity, slack, discord, teams, pager_duty) in [
        (Severity::Info, "#1565c0", 0x15_65c0, "accent", "info"),
        (
            Severity::Warning,
            "#ef6c00",
            0xef_6c00,
            "warning",
            "warning",
        ),
        (
            Severity::Critical,
            "#c62828",
            0xc6_2828,
            "attention",
            "critical",
        ),
    ] {
        let of = |preset| {
            let alert = Notice {
                severity,
                ..firing()
            };
            rendered(preset, vec![alert])
        };
        assert_eq!(of(Preset::Slack)["attachments"][0]["color"], slack);
        assert_eq!(of(Preset::Discord)["embeds"][0]["color"], discord);
        let card = &of(Preset::Teams)["attachments"][0]["content"];
        assert_eq!(card["body"][1]["style"], teams);
        assert_eq!(of(Preset::PagerDuty)["payload"]["severity"], pager_duty);
    }
}

#[test]
fn a_trial_is_marked_in_every_chat() {
    for preset in [
        Preset::Slack,
        Preset::Discord,
        Preset::Teams,
        Preset::PagerDuty,
    ] {
        let trial = Message {
            notification: Notification::sample(None, at(NOW)),
            ..message(vec![])
        };
        let text = Template::preset(preset).render(&trial).unwrap();
        assert!(text.contains("\"Test: budget example"), "{text}");
    }
}

#[test]
fn no_message_is_longer_than_its_receiver_takes() {
    let length = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    for letter in ["x", "&", "*", "\"", "名", "\u{1f600}", "\u{1}", "\n"] {
        for count in [1, 2, 9, 10, 30] {
            let alerts = flood(letter)[..count].to_vec();

            let slack = rendered(Preset::Slack, alerts.clone());
            let attachments = slack["attachments"].as_array().unwrap();
            assert_eq!(attachments.len(), count.min(10));
            let blocks = attachments
                .iter()
                .flat_map(|one| one["blocks"].as_array().unwrap());
            let lengths: Vec<usize> = blocks
                .map(|block| length(&block["text"]["text"]) + length(&block["elements"][0]["text"]))
                .collect();
            assert!(
                lengths.iter().all(|length| (1..=3_000).contains(length)),
                "{lengths:?}"
            );
            assert!(lengths.iter().sum::<usize>() <= 13_200, "{lengths:?}");

            let discord = rendered(Preset::Discord, alerts.clone());
            assert!(length(&discord["content"]) <= 2_000);
            let mut sum = 0;
            for embed in discord["embeds"].as_array().unwrap() {
                let parts = [
                    &embed["title"],
                    &embed["description"],
                    &embed["footer"]["text"],
                ];
                let lengths = parts.map(length);
                assert!(lengths[0] <= 256 && lengths[1] <= 4_096 && lengths[2] <= 2_048);
                sum += lengths.iter().sum::<usize>();
            }
            assert!(sum <= 6_000, "{letter} {count}: {sum}");

            let teams = Template::preset(Preset::Teams).render(&message(alerts));
            let bytes = teams.unwrap().len();
            assert!(bytes <= 28_000, "{letter} {count}: {bytes}");
        }
        let event = rendered(Preset::PagerDuty, flood(letter)[..1].to_vec());
        assert!(length(&event["payload"]["summary"]) <= 1_024);
        assert!((1..=1_024).contains(&length(&event["payload"]["source"])));
        assert_eq!(length(&event["dedup_key"]), 64);
    }
    let many = rendered(Preset::Slack, vec![firing(); 30]);
    assert_eq!(many["text"], "30 alerts firing, of which 10 are shown");
    let long = rendered(Preset::Slack, flood("x"));
    let text = long["attachments"][0]["blocks"][0]["text"]["text"].as_str();
    assert!(text.unwrap().ends_with("x…"));
}

#[test]
fn a_summary_is_one_card_without_a_status() {
    let today = "2026-11-30".parse().unwrap();
    let summary = Summary {
        text: "1,512 credits used.\n\nTop agents:\n1. acme/<@here>: 784 credits".to_owned(),
        ..Summary::sample(today)
    };
    let message = Message {
        notification: Notification::of_summary(summary),
        ..message(Vec::new())
    };
    let rendered = |preset| -> Value {
        let text = Template::preset(preset).render(&message).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let title = "Weekly summary example: 8,024 credits used";
    let slack = rendered(Preset::Slack);
    assert_eq!(slack["text"], title);
    let blocks = &slack["attachments"][0]["blocks"];
    let text = "1,512 credits used.\n\nTop agents:\n1. acme/&lt;@here&gt;: 784 credits";
    assert_eq!(blocks[0]["text"]["text"], text);
    let context = "summary · example · <https://dash.example/|open>";
    assert_eq!(blocks[1]["elements"][0]["text"], context);
    let discord = rendered(Preset::Discord);
    assert_eq!(discord["embeds"][0]["title"], title);
    assert_eq!(discord["embeds"][0]["color"], 0x15_65c0);
    assert_eq!(discord["embeds"][0]["footer"]["text"], "summary · example");
    assert_eq!(discord["content"], Value::Null);
    let card = &rendered(Preset::Teams)["attachments"][0]["content"];
    assert_eq!(card["body"][0]["inlines"][0]["text"], title);
    let lines = card["body"][1]["items"].as_array().unwrap();
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line["inlines"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "1,512 credits used.",
            "Top agents:",
            "1. acme/<@here>: 784 credits",
            "summary · example"
        ]
    );
    assert_eq!(card["actions"][0]["url"], "https://dash.example/");
}
