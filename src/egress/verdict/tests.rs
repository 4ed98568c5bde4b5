use super::*;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=UTF-8";

/// A message as hooks send it, which speaks of errors itself.
const SENT: &str = r#"{"id":"msg_1","test":false,"alerts":[{"status":"firing","title":"Probe support has failed: access denied"}]}"#;

fn judged(
    receiver: Receiver,
    status: u16,
    content_type: &str,
    body: &[u8],
) -> Option<&'static str> {
    let reply = Reply {
        status,
        content_type,
        body,
        is_whole: true,
    };
    refusal(receiver, reply, SENT.as_bytes())
}

#[track_caller]
fn assert_all(receiver: Receiver, is_yes: bool, answers: &[(u16, &str, &str)]) {
    for (status, content_type, body) in answers {
        let why = judged(receiver, *status, content_type, body.as_bytes());
        assert_eq!(
            why.is_none(),
            is_yes,
            "{status} {content_type} {body}: {why:?}"
        );
    }
}

#[test]
fn receivers_say_yes_as_they_like() {
    assert_all(
        Receiver::Any,
        true,
        &[
            (200, "", ""),
            (201, "", ""),
            (202, "", ""),
            (204, "", ""),
            (200, TEXT, "ok"),
            // Teams' older connectors, and its workflows.
            (200, TEXT, "1"),
            (202, JSON, ""),
            // Slack says so itself, and so do many frameworks.
            (200, HTML, "ok"),
            (200, HTML, ""),
            (200, HTML, "1 < 2, thanks"),
            (200, JSON, "{}"),
            (200, JSON, "null"),
            (200, JSON, "true"),
            (200, JSON, "{"),
            (200, JSON, "not JSON"),
            (200, "text/csv", "ok"),
            (200, TEXT, r#"{"ok":true}"#),
            (
                200,
                JSON,
                r#"{"ok":true,"error":null,"errors":[],"error_code":0}"#,
            ),
            (200, JSON, r#"{"errcode":0,"errmsg":"ok"}"#),
            (200, JSON, r#"{"code":0,"msg":"success","data":{}}"#),
            (200, JSON, r#"{"code":200,"message":"OK"}"#),
            (
                200,
                JSON,
                r#"{"status":"success","message":"0 failed, 1 taken"}"#,
            ),
            (
                200,
                JSON,
                r#"{"success":true,"message":"earlier errors are cleared"}"#,
            ),
            (200, JSON, r#"{"status":1,"request":"647d2300"}"#),
            (200, JSON, r#"{"status":200,"message":"ok"}"#),
            (200, JSON, r#"{"message":"Workflow was started"}"#),
            (
                202,
                JSON,
                r#"{"result":"Request will be processed","took":0.3}"#,
            ),
            // Receivers that keep messages show them.
            (
                200,
                JSON,
                r#"{"id":"k","event":"message","message":"Probe support has failed"}"#,
            ),
            (
                200,
                JSON,
                r#"[{"name":"a","error":""},{"name":"b","error":false}]"#,
            ),
            (200, JSON, SENT),
            (200, TEXT, SENT),
            (
                200,
                TEXT,
                "received: Probe support has failed: access denied",
            ),
            (
                200,
                TEXT,
                &format!("taken, failed or not: {SENT}").replace("failed or not", "thanks"),
            ),
            (200, TEXT, "accepted, no errors"),
            (200, TEXT, "errors: 0, accepted: 1"),
            (200, TEXT, "thanks\nhow to avoid an error: read the manual"),
            (
                200,
                "application/xml",
                "<?xml version=\"1.0\"?><Response><Message>ok</Message></Response>",
            ),
            (200, "application/xml", "<ok/>"),
        ],
    );
}

#[test]
fn web_pages_are_nobodys_yes() {
    assert_all(
        Receiver::Any,
        false,
        &[
            (
                200,
                HTML,
                "<!DOCTYPE html><html><body>Sign in</body></html>",
            ),
            (200, HTML, "Please <a href=\"/login\">sign in</a>"),
            (200, "TEXT/HTML", "\n<p>Welcome to the hotel"),
            (200, "application/xhtml+xml", "<html/>"),
            (200, "", "<html><head><title>Sign in</title>"),
            (200, JSON, "\u{feff} \r\n<!-- proxy --><!doctype HTML>"),
            (200, TEXT, "<?xml version=\"1.0\"?>\n<!DOCTYPE html>"),
            (200, TEXT, "<script>location='/login'</script>"),
            (204, "", "<body>"),
            (202, HTML, "<h1>It works!</h1>"),
        ],
    );
    // The beginning will do.
    let reply = Reply {
        status: 200,
        content_type: "",
        body: b"<html><body>",
        is_whole: false,
    };
    assert!(refusal(Receiver::Any, reply, b"").is_some());
}

#[test]
fn errors_under_a_status_of_success_are_no_yes() {
    assert_all(
        Receiver::Any,
        false,
        &[
            (200, JSON, r#"{"ok":false,"error":"channel_not_found"}"#),
            (200, JSON, r#"{"ok":false}"#),
            (200, TEXT, r#"{"error":"no such agent"}"#),
            (200, "", r#"{"error":{"message":"x","code":132001}}"#),
            (200, JSON, r#"{"Success":false}"#),
            (200, JSON, r#"{"success":"false"}"#),
            (200, JSON, r#"{"success":0,"failure":1}"#),
            (200, JSON, r#"{"errors":[{"message":"x"}],"data":null}"#),
            (
                200,
                JSON,
                r#"{"status":"error","errorType":"bad_data","error":"x"}"#,
            ),
            (200, JSON, r#"{"status":"failed"}"#),
            (200, JSON, r#"{"status":false,"message":"no"}"#),
            (202, JSON, r#"{"status":"invalid event"}"#),
            (200, JSON, r#"{"statusCode":500,"body":{}}"#),
            (200, JSON, r#"{"code":"404"}"#),
            (
                200,
                JSON,
                r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            ),
            (200, JSON, r#"{"code":19024,"msg":"Key Words Not Found"}"#),
            (200, JSON, r#"{"code":9499,"msg":"Bad Request","data":{}}"#),
            (
                200,
                JSON,
                r#"{"errorMessage":"timed out","errorType":"Runtime"}"#,
            ),
            (200, JSON, r#"{"message":"Invalid token"}"#),
            (200, JSON, r#"{"type":"error","text":"x"}"#),
            (200, JSON, r#"[{"ok":true},{"ok":false}]"#),
            (200, JSON, "false"),
            (200, JSON, r#""error""#),
            (200, "application/problem+json", r#"{"title":"x"}"#),
            (
                200,
                TEXT,
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP \
                 error 429 with ContextId tcid=0",
            ),
            (200, TEXT, "invalid_payload"),
            (200, TEXT, "no_service: Unauthorized"),
            (200, TEXT, "error"),
            (200, HTML, "Error: the script has thrown an exception"),
            (200, TEXT, "Page not found"),
            (200, TEXT, "Too many requests, come again"),
            (
                200,
                "application/xml",
                "<Error><Code>NoSuchBucket</Code></Error>",
            ),
            (
                200,
                "text/xml",
                "<s:Envelope><s:Body><s:Fault>x</s:Fault></s:Body></s:Envelope>",
            ),
        ],
    );
}

#[test]
fn slack_and_pager_duty_have_a_yes_of_their_own() {
    assert_all(
        Receiver::Slack,
        true,
        &[
            (200, HTML, "ok"),
            (200, TEXT, "OK\n"),
            (200, JSON, r#"{"ok":true}"#),
        ],
    );
    assert_all(
        Receiver::Slack,
        false,
        &[
            (200, TEXT, ""),
            (200, TEXT, "thanks"),
            (204, "", ""),
            (200, JSON, r#"{"ok":false}"#),
        ],
    );
    let processed = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    assert_all(
        Receiver::PagerDuty,
        true,
        &[(202, JSON, processed), (202, "", "")],
    );
    assert_all(
        Receiver::PagerDuty,
        false,
        &[
            (200, JSON, processed),
            (204, "", ""),
            (202, HTML, "<html>"),
            (202, JSON, r#"{"status":"invalid event"}"#),
        ],
    );
    for (host, receiver) in [
        ("hooks.slack.com", Receiver::Slack),
        ("HOOKS.slack.com.", Receiver::Slack),
        ("hooks.slack.com.evil.example", Receiver::Any),
        ("mattermost.example", Receiver::Any),
        ("events.eu.pagerduty.com", Receiver::PagerDuty),
    ] {
        assert_eq!(Receiver::at(host), receiver, "{host}");
    }
}

#[test]
fn a_body_that_cannot_be_read_counts_by_its_status() {
    for body in [
        &b"\xff\xfe{\"ok\":false}"[..],
        b"\x1f\x8b\x08\x00error",
        b"\0\0error\xff",
    ] {
        assert_eq!(judged(Receiver::Any, 200, JSON, body), None, "{body:?}");
        assert_eq!(judged(Receiver::Slack, 200, JSON, body), None, "{body:?}");
    }
    let reply = Reply {
        status: 200,
        content_type: JSON,
        body: b"{\"ok\":false}",
        is_whole: false,
    };
    assert_eq!(refusal(Receiver::Any, reply, b""), None);
    assert_eq!(refusal(Receiver::Slack, reply, b""), None);
    assert!(refusal(Receiver::PagerDuty, reply, b"").is_some());
}
