//! A request that was understood, and the answers that a handler gives.

use serde_json::{Value, json};

use super::state::TokenKind;

/// A request, decoded.
#[derive(Debug)]
pub(super) struct Call {
    /// `METHOD template`; within a repository without `/repos/{owner}/{repo}`.
    pub(super) operation: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) accept: String,
    pub(super) login: String,
    pub(super) kind: TokenKind,
    /// Absolute URL without query, for links to pages.
    pub(super) url: String,
}

impl Call {
    pub(super) fn parameter(&self, name: &str) -> &str {
        find(&self.parameters, name).unwrap_or_default()
    }

    /// A numeric path parameter; 0, which nothing has, when it is no number.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.parameter(name).parse().unwrap_or_default()
    }

    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.body.get(key)?.as_str()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.body.get(key)?.as_bool()
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) headers: Headers,
}

/// Headers of an answer, as name and value.
pub(super) type Headers = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    Raw(Vec<u8>),
    /// A page for people.
    Page(&'static str),
}

impl Answer {
    pub(super) const fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Body::Json(body),
            headers: Headers::new(),
        }
    }

    pub(super) const fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    pub(super) const fn created(body: Value) -> Self {
        Self::json(201, body)
    }

    pub(super) const fn nothing() -> Self {
        Self {
            status: 204,
            body: Body::None,
            headers: Headers::new(),
        }
    }

    pub(super) const fn raw(bytes: Vec<u8>) -> Self {
        Self {
            status: 200,
            body: Body::Raw(bytes),
            headers: Headers::new(),
        }
    }

    /// An error with GitHub's usual body.
    pub(super) fn error(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        Self::json(
            status,
            json!({ "message": message, "documentation_url": documentation, "status": status.to_string() }),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    /// What the web site says where it has no page.
    pub(super) const fn page_not_found() -> Self {
        Self {
            status: 404,
            body: Body::Page(
                "<!DOCTYPE html>\n<title>Page not found</title>\n<p>This is not the web page you are looking for.",
            ),
            headers: Headers::new(),
        }
    }

    pub(super) fn forbidden(to: TokenKind) -> Self {
        let who = match to.is_of_person() {
            true => "personal access token",
            false => "integration",
        };
        Self::error(403, &format!("Resource not accessible by {who}"))
    }

    /// 422 with one entry in `errors`.
    pub(super) fn invalid(error: Value) -> Self {
        let mut answer = Self::error(422, "Validation Failed");
        if let Body::Json(body) = &mut answer.body {
            body["errors"] = json!([error]);
        }
        answer
    }

    /// 422 for a field that is too long.
    pub(super) fn too_long(resource: &str, field: &str, most: usize) -> Self {
        let message = format!("{field} is too long (maximum is {most} characters)");
        Self::invalid(
            json!({ "resource": resource, "code": "custom", "field": field, "message": message }),
        )
    }

    /// One page of `items`, with a `Link` header where there are more.
    pub(super) fn page(call: &Call, items: Vec<Value>) -> Self {
        let (items, link) = page(call, items);
        Self {
            headers: link,
            ..Self::ok(Value::Array(items))
        }
    }

    /// As [`Self::page`], where an item becomes JSON only once it is known to be shown.
    pub(super) fn page_of<T>(call: &Call, items: Vec<T>, json: impl Fn(T) -> Value) -> Self {
        let (items, link) = page(call, items);
        Self {
            headers: link,
            ..Self::ok(items.into_iter().map(json).collect())
        }
    }

    /// One page of `items` in an object with their total, as Actions and environments are listed.
    pub(super) fn counted_page(call: &Call, key: &str, items: Vec<Value>) -> Self {
        let total = items.len();
        let (items, link) = page(call, items);
        Self {
            headers: link,
            ..Self::ok(json!({ "total_count": total, key: items }))
        }
    }
}

/// One page of `items` as asked for, and the `Link` header where there are more.
pub(super) fn page<T>(call: &Call, items: Vec<T>) -> (Vec<T>, Headers) {
    let asked = |name| call.asked(name).and_then(|text| text.parse::<usize>().ok());
    // Beyond 100, GitHub gives 100 without a word; the judge records it.
    let size = asked("per_page").unwrap_or(30).clamp(1, 100);
    let number = asked("page").unwrap_or(1).max(1);
    let last = items.len().div_ceil(size).max(1);
    let shown = items
        .into_iter()
        .skip((number - 1) * size)
        .take(size)
        .collect();
    (shown, link(call, number, last))
}

/// The `Link` header as GitHub writes it: prev, next, last, first.
fn link(call: &Call, number: usize, last: usize) -> Headers {
    let to = |page: usize, relation: &str| {
        let rest = call.query.iter().filter(|(key, _)| key != "page");
        let mut query: Vec<String> = rest
            .map(|(key, value)| format!("{key}={}", encode(value)))
            .collect();
        query.push(format!("page={page}"));
        format!("<{}?{}>; rel=\"{relation}\"", call.url, query.join("&"))
    };
    let mut links = Vec::new();
    if number > 1 {
        links.push(to(number - 1, "prev"));
    }
    if number < last {
        links.push(to(number + 1, "next"));
        links.push(to(last, "last"));
    }
    if number > 1 {
        links.push(to(1, "first"));
    }
    if links.is_empty() {
        return Headers::new();
    }
    vec![("link", links.join(", "))]
}

/// Percent-encodes what may not stand in a query's value.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(byte);
    text.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
