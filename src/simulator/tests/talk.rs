//! Chats and WhatsApp templates.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::*;
use crate::clock::Clock;

#[tokio::test]
async fn a_chat_takes_all_three_forms_and_answers_as_documented() {
    let (simulator, clock) = start(&settings());
    clock.set(at("2024-03-21T14:30:00Z"));
    let mut ids = HashSet::new();
    for name in ["text", "message", "messages"] {
        let mut request = fixture(&format!("chat-request-{name}"));
        // The document's own callback is not on this machine.
        request.as_object_mut().unwrap().remove("callback_url");
        let answer = post(&simulator, "chat", &request).await;
        let mut said = answer.json();
        let id = said["body"]["metadata"]["id"].take();
        ids.insert(id.as_str().unwrap().to_owned());
        said["body"]["metadata"]["id"] = json!("meta_xyz789");
        assert_eq!((answer.status, said), (200, fixture("chat")));
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_chat_costs_a_credit_of_its_day() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let today = clock.today();
    let before = world.final_truth(agent, today);
    post(&simulator, "chat", &json!({"messages": "Hello"})).await;
    clock.advance(TimeDelta::days(1));
    let query = format!("?start_date={today}&end_date={today}");
    let answer = usage(&simulator, agent, &query).await.json();
    assert_eq!(
        answer["usage"]["total_credits_used"].as_f64(),
        Some(before + 1.0)
    );
}

#[tokio::test]
async fn chat_errors_come_under_http_200_as_documented_and_cost_nothing() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let before = world.final_truth(agent, clock.today());
    for (fault, name) in [
        (Fault::NoCredits, "402-no-credits"),
        (Fault::ChatUnavailable, "503-unavailable"),
        (Fault::ChatFailed, "500"),
    ] {
        simulator.faults().add_for(agent, fault, Times::Count(1));
        let answer = post(&simulator, "chat", &json!({"messages": "Hello"})).await;
        let expected = fixture(&format!("chat-error-{name}"));
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    assert_eq!(world.final_truth(agent, clock.today()), before);
}

#[tokio::test]
async fn a_chat_with_callback_is_accepted_at_once_and_answered_there() {
    let (simulator, _) = start(&settings());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let callback = format!("http://{}/hook?id=7", listener.local_addr().unwrap());
    let mut request = fixture("chat-request-text");
    request["callback_url"] = json!(callback);
    let answer = post(&simulator, "chat", &request).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, fixture("chat-accepted"))
    );

    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(line, "POST /hook?id=7 HTTP/1.1\r\n");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let said: Value = serde_json::from_slice(&body).unwrap();
    let history = &said["body"]["conversation_history"];
    assert_eq!(*history, fixture("chat")["body"]["conversation_history"]);
}

#[tokio::test]
async fn nobody_but_this_machine_is_called_back() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let before = world.final_truth(agent, clock.today());
    for callback in [
        "https://your-domain.com/webhook",
        "http://your-domain.com/webhook",
        "http://192.0.2.1/",
        "http://localhost.your-domain.com/",
        "https://127.0.0.1/",
        "file:///etc/hosts",
        "nonsense",
    ] {
        let request = json!({"messages": "Hello", "callback_url": callback});
        let answer = post(&simulator, "chat", &request).await;
        assert_eq!(answer.status, 400, "{callback}");
        assert_eq!(answer.json()["error"], "Invalid callback_url");
    }
    assert_eq!(world.final_truth(agent, clock.today()), before);
}

#[tokio::test]
async fn a_template_is_sent_as_documented_and_remembered() {
    let (simulator, _) = start(&settings());
    let request = fixture("waba-request");
    let answer = post(&simulator, "waba", &request).await;
    let mut sent = answer.json();
    let id = sent["messages"][0]["id"].take();
    assert!(id.as_str().unwrap().starts_with("wamid."));
    let number = &request["recipient_phone_number"];
    let mut expected = fixture("waba");
    expected["contacts"][0] = json!({"input": number, "wa_id": number});
    expected["messages"][0]["id"].take();
    assert_eq!((answer.status, sent), (200, expected));

    let templates = simulator.journal().templates();
    assert_eq!(templates.len(), 1);
    assert_eq!(&*templates[0].agent, CHAT_AGENT);
    assert_eq!(json!(templates[0].template), request);
}

#[tokio::test]
async fn every_documented_template_error_is_answered_word_for_word() {
    let (simulator, _) = start(&settings());
    let agent = simulator.world().agent(CHAT_AGENT).unwrap();
    let path = format!("/api/public/agent/{CHAT_AGENT}/waba");
    let good = fixture("waba-request");
    let answer = exchange(
        &simulator,
        "POST",
        &path,
        Some("test-key-wrong"),
        &good.to_string(),
    )
    .await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, fixture("waba-error-invalid-key"))
    );

    for field in ["recipient_phone_number", "template_name"] {
        let (mut without, mut empty) = (good.clone(), good.clone());
        without.as_object_mut().unwrap().remove(field);
        empty[field] = json!("");
        for request in [without, empty] {
            let answer = post(&simulator, "waba", &request).await;
            assert_eq!(
                (answer.status, answer.json()),
                (400, fixture("waba-error-missing-fields"))
            );
        }
    }
    for (fault, status, name) in [
        (Fault::NoWhatsapp, 404, "no-connection"),
        (Fault::Status(500, None), 500, "internal"),
    ] {
        simulator.faults().add_for(agent, fault, Times::Count(1));
        let answer = post(&simulator, "waba", &good).await;
        let expected = fixture(&format!("waba-error-{name}"));
        assert_eq!((answer.status, answer.json()), (status, expected));
    }
    assert_eq!(simulator.journal().templates(), []);
}

#[tokio::test]
async fn a_body_that_is_not_the_documented_json_is_refused() {
    let (simulator, _) = start(&settings());
    for action in ["chat", "waba"] {
        for body in ["", "{", "[]", "\"Hello\"", "{\"messages\":7}"] {
            let path = format!("/api/public/agent/{CHAT_AGENT}/{action}");
            let answer = exchange(&simulator, "POST", &path, Some(KEY), body).await;
            assert_eq!(answer.status, 400, "{action} {body}");
        }
    }
}
