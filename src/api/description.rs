//! The API's OpenAPI document, made from the [paths](FACTS) and the types that they serve: the doc comments of
//! these are its descriptions.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::endpoint::{FACTS, Facts};
use super::sheet;
use crate::http::problem::Document;

/// The document.
pub(super) static DESCRIPTION: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

const ABOUT: &str = "Read-only. Days are UTC, and yesterday is the newest known day. A figure is null unless every day \
    that it covers is known; budgets give lower bounds instead. Every path accepts HEAD as well as GET, and refuses \
    unknown parameters. This version may add fields; it neither removes a field nor changes its meaning.";

/// Problems by status, with their names.
const PROBLEMS: [(u16, &str, &str); 8] = [
    (
        400,
        "BadRequest",
        "A parameter is unknown, repeated or malformed, or the range of days is invalid.",
    ),
    (
        401,
        "Unauthorized",
        "The user name and password are missing or wrong.",
    ),
    (
        404,
        "NotFound",
        "The account or agent is unknown. The detail suggests the nearest name.",
    ),
    (405, "MethodNotAllowed", "The API is read-only."),
    (
        421,
        "Misdirected",
        "The exporter does not answer to this host name: see `hosts` under `[server]` in its config.",
    ),
    (
        429,
        "TooManyRequests",
        "The request exceeds the exporter's rate limit.",
    ),
    (
        500,
        "LedgerUnreadable",
        "The ledger cannot be read. The log has the reason.",
    ),
    (
        503,
        "Unavailable",
        "The ledger is loading, the figures of the new day are being computed, or too many other requests are running.",
    ),
];

fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    let settings = settings.with_transform(RecursiveTransform(tidy));
    let mut generator = settings.into_generator();
    let paths = FACTS.iter().map(|facts| {
        let operation = json!({"get": operation(facts, &mut generator)});
        (facts.path.to_owned(), operation)
    });
    let paths: Map<String, Value> = paths.collect();
    let problem = generator.subschema_for::<Document<'_>>();
    let responses = PROBLEMS.map(|(status, name, description)| {
        (name.to_owned(), response(status, description, &problem))
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FlowGent Exporter",
            "version": "1",
            "summary": "Usage of AI agents on FlowGent, and the state of the exporter.",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The exporter that serves this document."}],
        "tags": [
            {"name": "usage", "description": "Usage of agents."},
            {"name": "alerting", "description": "Budgets, balances and alerts."},
            {"name": "exporter", "description": "The exporter itself."},
        ],
        "security": [{}, {"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {
                "type": "http",
                "scheme": "basic",
                "description": "Required only if the exporter's web config has users.",
            }},
            "responses": Map::from_iter(responses),
            "schemas": generator.take_definitions(true),
        },
    })
}

/// Closes the schemas of objects, and joins the lines of doc comments.
fn tidy(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

fn operation(facts: &Facts, generator: &mut SchemaGenerator) -> Value {
    let parameters = facts.parameters.iter().map(|parameter| {
        let is_in_path = facts.has_in_path(parameter);
        json!({
            "name": parameter.name,
            "in": if is_in_path { "path" } else { "query" },
            "required": is_in_path,
            "description": parameter.description,
            "schema": (parameter.schema)(generator),
        })
    });
    let parameters: Vec<Value> = parameters.collect();
    let problems = PROBLEMS
        .iter()
        .filter(|(status, ..)| !matches!(status, 404 | 500) || facts.problems.contains(status));
    let mut responses: Map<String, Value> = problems
        .map(|(status, name, _)| {
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            (status.to_string(), reference)
        })
        .collect();
    responses.insert("200".to_owned(), answer(facts, generator));
    json!({
        "operationId": facts.id,
        "tags": [facts.tag],
        "summary": facts.summary,
        "description": facts.description,
        "parameters": parameters,
        "responses": responses,
    })
}

fn answer(facts: &Facts, generator: &mut SchemaGenerator) -> Value {
    let mut headers = common_headers();
    let mut content = Map::new();
    if let Some(json) = facts.json {
        content.insert(
            "application/json".to_owned(),
            json!({"schema": json(generator)}),
        );
        if facts.query().contains(&"offset") {
            headers["Link"] = json!({
                "description": "Address of the next page (RFC 8288), if there is one.",
                "schema": {"type": "string", "pattern": "^</api/v1/[^>]+>; rel=\"next\"$"},
            });
        }
    } else {
        headers["Content-Disposition"] = header(
            "A name for the file.",
            json!({"const": "attachment; filename=\"usage.csv\""}),
        );
    }
    if facts.query().contains(&"step") {
        let csv = json!({
            "type": "string",
            "description": "A header row, then a row for each agent and bucket. Null values are empty.",
            "pattern": format!("^{}\\n", sheet::header().trim_end()),
        });
        content.insert("text/csv".to_owned(), json!({"schema": csv}));
    }
    json!({"description": facts.answer, "headers": headers, "content": content})
}

/// The response of problems of that status.
fn response(status: u16, description: &str, problem: &Schema) -> Value {
    let mut headers = common_headers();
    match status {
        401 => headers["WWW-Authenticate"] = header("How to sign in.", json!({"type": "string"})),
        405 => {
            headers["Allow"] = header(
                "Methods that the path accepts.",
                json!({"const": "GET, HEAD"}),
            );
        }
        429 | 503 => {
            headers["Retry-After"] = header(
                "Seconds to wait before the next request.",
                json!({"type": "integer", "minimum": 1}),
            );
        }
        _ => {}
    }
    let text = json!({"schema": {"type": "string"}});
    let problem = json!({"schema": problem});
    let content = match status {
        401 | 429 => json!({"text/plain": text}),
        // Text if too many passwords are being checked.
        503 => json!({"application/problem+json": problem, "text/plain": text}),
        _ => json!({"application/problem+json": problem}),
    };
    json!({"description": description, "headers": headers, "content": content})
}

/// Headers of every response.
fn common_headers() -> Value {
    let caching = "Shared caches do not store the response; others revalidate it before use.";
    json!({"Cache-Control": header(caching, json!({"const": "private, no-cache"}))})
}

fn header(description: &str, schema: Value) -> Value {
    json!({"description": description, "required": true, "schema": schema})
}
