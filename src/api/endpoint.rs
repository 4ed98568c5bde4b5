//! Paths of the API. A row of [`FACTS`] is the route, the check of the parameters and the description in one.

use hyper::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::accounts::Accounts;
use super::agents::{Agent, Agents};
use super::alerts::Alerts;
use super::balances::Balances;
use super::budgets::Budgets;
use super::page::{DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET};
use super::sheet::Usage;
use super::status::Status;
use crate::day::Day;
use crate::http::gate::Weight;
use crate::tabulate::Step;

/// A path of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The accounts, page by page.
    Accounts,
    /// The agents, page by page.
    Agents,
    /// One agent.
    Agent,
    /// Usage, page by page.
    Usage,
    /// The same as CSV.
    UsageCsv,
    /// The budgets, page by page.
    Budgets,
    /// The balances, page by page.
    Balances,
    /// The alerts, page by page, and the newest deliveries.
    Alerts,
    /// The exporter itself.
    Status,
    /// The description of the API.
    Description,
}

/// The facts of a path.
pub(crate) struct Facts {
    pub(crate) endpoint: Endpoint,
    /// The path, with parameters in braces.
    pub(crate) path: &'static str,
    /// Value of the label `handler`.
    pub(crate) name: &'static str,
    /// Amount of work.
    pub(crate) weight: Weight,
    /// Name of the operation for programs.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Description of the answer.
    pub(super) answer: &'static str,
    /// Schema of its JSON; none if it has none.
    pub(super) json: Option<MakeSchema>,
    /// Parameters of the path, and all that its query may have.
    pub(super) parameters: &'static [Parameter],
    /// Statuses of problems that only some paths have.
    pub(super) problems: &'static [u16],
}

/// A parameter of a path or a query.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: MakeSchema,
}

type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

const ACCOUNT_OF_PATH: Parameter = Parameter {
    name: "account",
    description: "The account's name.",
    schema: |_| json_schema!({"type": "string", "minLength": 1, "examples": ["acme"]}),
};
const AGENT_OF_PATH: Parameter = Parameter {
    name: "agent",
    description: "The agent's name or identifier.",
    schema: |_| json_schema!({"type": "string", "minLength": 1, "examples": ["support"]}),
};
const ACCOUNT: Parameter = Parameter {
    name: "account",
    description: "Selects agents of this account. May be repeated. Default: all accounts.",
    schema: |_| json_schema!({"type": "array", "items": {"type": "string"}, "examples": [["acme"]]}),
};
const AGENT: Parameter = Parameter {
    name: "agent",
    description: "Selects this agent, by name or identifier. May be repeated. Default: all agents.",
    schema: |_| json_schema!({"type": "array", "items": {"type": "string"}, "examples": [["support"]]}),
};
const BUDGET: Parameter = Parameter {
    name: "budget",
    description: "Selects this budget. May be repeated. Default: all budgets.",
    schema: |_| json_schema!({"type": "array", "items": {"type": "string"}, "examples": [["cx-month"]]}),
};
const START: Parameter = Parameter {
    name: "start",
    description: "The first day, UTC, YYYY-MM-DD. Without `start`, the answer covers the 7 days ending yesterday.",
    schema: |generator| with::<Day>(generator, "examples", ["2026-03-01"]),
};
const END: Parameter = Parameter {
    name: "end",
    description: "The last day, UTC, YYYY-MM-DD: yesterday by default and at the latest. Requires `start`. A range has \
                  at most 3660 days.",
    schema: |generator| with::<Day>(generator, "examples", ["2026-03-09"]),
};
const STEP: Parameter = Parameter {
    name: "step",
    description: "Length of a bucket.",
    schema: |generator| with::<Step>(generator, "default", Step::Day.as_str()),
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    description: "Maximum number of items on a page.",
    schema: |_| json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
};
const OFFSET: Parameter = Parameter {
    name: "offset",
    description: "Number of items to skip. The header Link has the address of the next page.",
    schema: |_| json_schema!({"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}),
};
const LIMIT_OF_TABLE: Parameter = Parameter {
    name: "limit",
    description: "Maximum number of agents in the table. Default: all.",
    schema: |_| json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
};
const OFFSET_OF_TABLE: Parameter = Parameter {
    description: "Number of agents to skip.",
    ..OFFSET
};

/// All paths.
pub(crate) static FACTS: [Facts; 10] = [
    Facts {
        endpoint: Endpoint::Accounts,
        path: "/api/v1/accounts",
        name: "api_accounts",
        weight: Weight::Page,
        id: "listAccounts",
        tag: "usage",
        summary: "Accounts",
        description: "Accounts with known agents, each with the sums of its agents.",
        answer: "A page of accounts.",
        json: Some(schema::<Accounts>),
        parameters: &[LIMIT, OFFSET],
        problems: &[],
    },
    Facts {
        endpoint: Endpoint::Agents,
        path: "/api/v1/agents",
        name: "api_agents",
        weight: Weight::Page,
        id: "listAgents",
        tag: "usage",
        summary: "Agents",
        description: "Agents with their figures.",
        answer: "A page of agents.",
        json: Some(schema::<Agents<'_>>),
        parameters: &[ACCOUNT, AGENT, LIMIT, OFFSET],
        problems: &[404],
    },
    Facts {
        endpoint: Endpoint::Agent,
        path: "/api/v1/agents/{account}/{agent}",
        name: "api_agent",
        weight: Weight::Page,
        id: "getAgent",
        tag: "usage",
        summary: "An agent",
        description: "One agent with its figures.",
        answer: "The agent.",
        json: Some(schema::<Agent<'_>>),
        parameters: &[ACCOUNT_OF_PATH, AGENT_OF_PATH],
        problems: &[404],
    },
    Facts {
        endpoint: Endpoint::Usage,
        path: "/api/v1/usage",
        name: "api_usage",
        weight: Weight::Long,
        id: "getUsage",
        tag: "usage",
        summary: "Usage",
        description: "Usage of agents by day, week or month, from the ledger. JSON comes in pages; clients that \
                              prefer `text/csv` in the header Accept get CSV of all agents. Answers of more than 128 \
                              KiB are sent in chunks while they are computed; after an error the connection ends \
                              without the last chunk. A concurrent sync may affect only the agents sent last.",
        answer: "A page of usage, or a table.",
        json: Some(schema::<Usage>),
        parameters: &[ACCOUNT, AGENT, START, END, STEP, LIMIT, OFFSET],
        problems: &[404, 500],
    },
    Facts {
        endpoint: Endpoint::UsageCsv,
        path: "/api/v1/usage.csv",
        name: "api_usage_csv",
        weight: Weight::Long,
        id: "getUsageCsv",
        tag: "usage",
        summary: "Usage as CSV",
        description: "Usage of all agents as one table, whatever the header Accept says. Long tables are sent in \
                              chunks, as by `/api/v1/usage`.",
        answer: "A table of usage.",
        json: None,
        parameters: &[
            ACCOUNT,
            AGENT,
            START,
            END,
            STEP,
            LIMIT_OF_TABLE,
            OFFSET_OF_TABLE,
        ],
        problems: &[404, 500],
    },
    Facts {
        endpoint: Endpoint::Budgets,
        path: "/api/v1/budgets",
        name: "api_budgets",
        weight: Weight::Page,
        id: "listBudgets",
        tag: "alerting",
        summary: "Budgets",
        description: "Budgets and their use, as of the last evaluation. A budget with a limit for each subject has an \
                              item for each.",
        answer: "A page of budgets.",
        json: Some(schema::<Budgets<'_>>),
        parameters: &[BUDGET, LIMIT, OFFSET],
        problems: &[],
    },
    Facts {
        endpoint: Endpoint::Balances,
        path: "/api/v1/balances",
        name: "api_balances",
        weight: Weight::Page,
        id: "listBalances",
        tag: "alerting",
        summary: "Balances",
        description: "What is left of credits bought ahead, as of the last evaluation.",
        answer: "A page of balances.",
        json: Some(schema::<Balances<'_>>),
        parameters: &[LIMIT, OFFSET],
        problems: &[],
    },
    Facts {
        endpoint: Endpoint::Alerts,
        path: "/api/v1/alerts",
        name: "api_alerts",
        weight: Weight::Page,
        id: "listAlerts",
        tag: "alerting",
        summary: "Alerts",
        description: "Firing and pending alerts, and the latest messages.",
        answer: "A page of alerts, and the newest deliveries.",
        json: Some(schema::<Alerts<'_>>),
        parameters: &[LIMIT, OFFSET],
        problems: &[500],
    },
    Facts {
        endpoint: Endpoint::Status,
        path: "/api/v1/status",
        name: "api_status",
        weight: Weight::Light,
        id: "getStatus",
        tag: "exporter",
        summary: "The exporter",
        description: "Current readiness, syncs and contents of the ledger. Answers even while the ledger is \
                              loading.",
        answer: "Status of the exporter.",
        json: Some(schema::<Status<'_>>),
        parameters: &[],
        problems: &[500],
    },
    Facts {
        endpoint: Endpoint::Description,
        path: "/api/v1/openapi.json",
        name: "api_description",
        weight: Weight::Light,
        id: "getDescription",
        tag: "exporter",
        summary: "This description",
        description: "This document.",
        answer: "An OpenAPI 3.1 document.",
        json: Some(|_| json_schema!({"type": "object", "required": ["openapi", "info", "paths"]})),
        parameters: &[],
        problems: &[],
    },
];

impl Endpoint {
    /// The outcomes that are counted from zero.
    pub(crate) const OUTCOMES: &[StatusCode] = &[
        StatusCode::OK,
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];

    /// Its facts.
    pub(crate) fn facts(self) -> &'static Facts {
        let mut all = FACTS.iter();
        all.find(|facts| facts.endpoint == self)
            .expect("nothing else leads to an endpoint")
    }
}

impl Facts {
    /// Reports if `parameter` is part of the path.
    pub(super) fn has_in_path(&self, parameter: &Parameter) -> bool {
        self.path.contains(&format!("{{{}}}", parameter.name))
    }

    /// Names of the parameters that its query may have.
    pub(super) fn query(&self) -> Vec<&'static str> {
        let parameters = self.parameters.iter();
        let in_query = parameters.filter(|parameter| !self.has_in_path(parameter));
        in_query.map(|parameter| parameter.name).collect()
    }
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of `T`, with one more key.
fn with<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    key: &str,
    value: impl Into<serde_json::Value>,
) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    schema.insert(key.to_owned(), value.into());
    schema
}
