//! GitHub's limits, which its OpenAPI description does not know.
//!
//! Each row says where GitHub states it. A request beyond a limit is answered as GitHub answers it (mostly with a
//! 422), and is a violation all the same: our programs must know the limits and not run into them.

use serde_json::Value;

/// What a limit is measured on.
enum Of {
    /// Characters of the strings at this pointer of the body; `*` stands for every element.
    Body(&'static str, Rule),
    /// The value of this query parameter.
    Query(&'static str, Rule),
    /// The value of this path parameter.
    Path(&'static str, Rule),
}

enum Rule {
    /// At most so many characters.
    Characters(usize),
    /// At most so many bytes of compact JSON.
    Bytes(usize),
    /// At most so many elements or keys.
    Elements(usize),
    /// A number of at most this.
    AtMost(u64),
    /// None of these characters.
    Without(char),
    /// Exactly six hexadecimal digits.
    Colour,
}

struct Limit {
    /// Ends of `METHOD template` that this holds for; empty for every operation.
    operations: &'static [&'static str],
    of: Of,
    source: &'static str,
}

const LABELS: &str = "https://docs.github.com/en/rest/issues/labels#create-a-label";
/// The reference does not say it; the issue records both of GitHub's answers.
const LABEL_NAME: &str = "https://github.com/github/docs/issues/32156";
const LABEL_COMMA: &str = "https://docs.github.com/en/rest/issues/issues#list-repository-issues";
const LABELS_OF_ISSUE: &str =
    "https://docs.github.com/en/rest/issues/labels#add-labels-to-an-issue";
const COMMENT: &str = "https://github.com/telia-oss/github-pr-resource/issues/259";
const DEPLOYMENT_STATUS: &str =
    "https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status";
const COMMIT_STATUS: &str = "https://github.com/vince-riv/argo-diff/issues/49";
const ENVIRONMENT: &str = "https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/manage-environments";
const DISPATCH: &str = "https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflow_dispatch";
const PAGES: &str =
    "https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api";

const LIMITS: &[Limit] = &[
    Limit {
        operations: &["POST /repos/{owner}/{repo}/labels"],
        of: Of::Body("/name", Rule::Characters(50)),
        source: LABEL_NAME,
    },
    Limit {
        operations: &["/labels/{name}"],
        of: Of::Body("/new_name", Rule::Characters(50)),
        source: LABEL_NAME,
    },
    Limit {
        operations: &["/labels/{name}"],
        of: Of::Path("name", Rule::Characters(50)),
        source: LABEL_NAME,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/labels"],
        of: Of::Body("/name", Rule::Without(',')),
        source: LABEL_COMMA,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/issues/{issue_number}/labels"],
        of: Of::Body("/labels/*", Rule::Characters(50)),
        source: LABEL_NAME,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/issues/{issue_number}/labels"],
        of: Of::Body("/labels/*", Rule::Without(',')),
        source: LABEL_COMMA,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/issues/{issue_number}/labels"],
        of: Of::Body("/labels", Rule::Elements(100)),
        source: LABELS_OF_ISSUE,
    },
    Limit {
        operations: &[
            "POST /repos/{owner}/{repo}/labels",
            "PATCH /repos/{owner}/{repo}/labels/{name}",
        ],
        of: Of::Body("/description", Rule::Characters(100)),
        source: LABELS,
    },
    Limit {
        operations: &[
            "POST /repos/{owner}/{repo}/labels",
            "PATCH /repos/{owner}/{repo}/labels/{name}",
        ],
        of: Of::Body("/color", Rule::Colour),
        source: LABELS,
    },
    Limit {
        operations: &["/comments", "/issues/comments/{comment_id}"],
        of: Of::Body("/body", Rule::Characters(65_536)),
        source: COMMENT,
    },
    Limit {
        operations: &[
            "POST /repos/{owner}/{repo}/deployments",
            "/deployments/{deployment_id}/statuses",
        ],
        of: Of::Body("/description", Rule::Characters(140)),
        source: DEPLOYMENT_STATUS,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/statuses/{sha}"],
        of: Of::Body("/description", Rule::Characters(140)),
        source: COMMIT_STATUS,
    },
    Limit {
        operations: &["POST /repos/{owner}/{repo}/deployments"],
        of: Of::Body("/environment", Rule::Characters(255)),
        source: ENVIRONMENT,
    },
    Limit {
        operations: &["/dispatches"],
        of: Of::Body("/inputs", Rule::Bytes(65_535)),
        source: DISPATCH,
    },
    Limit {
        operations: &[],
        of: Of::Query("per_page", Rule::AtMost(100)),
        source: PAGES,
    },
];

/// What of a request goes beyond GitHub's limits.
pub(super) fn exceeded(
    operation: &str,
    parameters: &[(String, String)],
    query: &[(String, String)],
    body: Option<&Value>,
) -> Vec<String> {
    LIMITS
        .iter()
        .filter(|limit| {
            limit.operations.is_empty() || limit.operations.iter().any(|o| operation.ends_with(o))
        })
        .flat_map(|limit| {
            let of = &limit.of;
            measured(of, parameters, query, body)
                .into_iter()
                .filter_map(move |(at, value)| Some((at, rule(of).broken_by(&value)?)))
                .map(|(at, broken)| format!("{at}: {broken} ({})", limit.source))
        })
        .collect()
}

fn rule(of: &Of) -> &Rule {
    match of {
        Of::Body(_, rule) | Of::Query(_, rule) | Of::Path(_, rule) => rule,
    }
}

fn measured(
    of: &Of,
    parameters: &[(String, String)],
    query: &[(String, String)],
    body: Option<&Value>,
) -> Vec<(String, Value)> {
    let named = |pairs: &[(String, String)], name: &str, kind: &str| {
        pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(key, value)| {
                (
                    format!("{kind} parameter {key}"),
                    Value::from(value.as_str()),
                )
            })
            .collect()
    };
    match of {
        Of::Query(name, _) => named(query, name, "query"),
        Of::Path(name, _) => named(parameters, name, "path"),
        Of::Body(pointer, _) => match (body, pointer.strip_suffix("/*")) {
            (None, _) => vec![],
            (Some(body), Some(list)) => each(body.pointer(list), list),
            (Some(body), None) => body
                .pointer(pointer)
                .map(|value| ((*pointer).to_owned(), value.clone()))
                .into_iter()
                .collect(),
        },
    }
}

fn each(list: Option<&Value>, at: &str) -> Vec<(String, Value)> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .enumerate()
        .map(|(i, item)| {
            (
                format!("{at}/{i}"),
                item.get("name").unwrap_or(item).clone(),
            )
        })
        .collect()
}

impl Rule {
    fn broken_by(&self, value: &Value) -> Option<String> {
        let text = value.as_str().unwrap_or_default();
        match self {
            Self::Characters(most) => {
                let given = text.chars().count();
                (given > *most).then(|| format!("{given} characters, GitHub takes at most {most}"))
            }
            Self::Bytes(most) => {
                let given = value.to_string().len();
                (given > *most).then(|| format!("{given} bytes, GitHub takes at most {most}"))
            }
            Self::Elements(most) => {
                let list = value.as_array().map(Vec::len);
                let given = list.or(value.as_object().map(serde_json::Map::len))?;
                (given > *most).then(|| format!("{given} elements, GitHub takes at most {most}"))
            }
            Self::AtMost(most) => {
                let given: u64 = text.parse().ok()?;
                (given > *most).then(|| format!("{given}, GitHub takes at most {most}"))
            }
            Self::Without(character) => text
                .contains(*character)
                .then(|| format!("GitHub takes no `{character}` here")),
            Self::Colour => {
                let colour = text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
                (!colour).then(|| format!("`{text}` is not six hexadecimal digits"))
            }
        }
    }
}
