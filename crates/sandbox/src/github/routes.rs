//! From a request to an answer: judged, authenticated, limited, handed to the resource that serves it, judged again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request, State as Extract};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::access::authenticate;
use super::addresses::Place;
use super::call::{Answer, Body, Call, Headers, encode};
use super::judge::{Found, Judge, query_pairs};
use super::state::{State, Token, TokenKind};
use super::{
    accounts, attestations, comments, commits, deployments, environments, graphql, issues, labels,
    permissions, pulls, runs, statuses,
};

const IN_REPOSITORY: &str = "/repos/{owner}/{repo}";
/// No status of GitHub's: the sandbox itself found a request or an answer wrong.
const JUDGED_WRONG: u16 = 599;
const LARGEST_BODY: usize = 32 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) judge: Judge,
}

impl Shared {
    pub(super) const fn new(state: State, judge: Judge) -> Self {
        Self {
            state: Mutex::new(state),
            judge,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(Extract(shared): Extract<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, LARGEST_BODY).await {
        Ok(bytes) => reply(&shared, &parts, &bytes),
        Err(error) => {
            let message = format!("reading the body: {error}");
            respond(Answer::error(400, &message), Headers::new())
        }
    }
}

/// A request as it came, only decoded.
struct Asked<'a> {
    method: &'a str,
    /// Below the API's base, percent-encoded as sent; `/repositories/ID`, where redirects lead, is already `/repos/OWNER/NAME`.
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    accept: &'a str,
}

impl Asked<'_> {
    fn line(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, query.join("&"))
    }
}

fn reply(shared: &Shared, parts: &Parts, bytes: &Bytes) -> Response {
    let mut state = shared.lock();
    let mut headers = Headers::new();
    let Ok(body) = parse(bytes) else {
        return respond(Answer::error(400, "Problems parsing JSON"), headers);
    };
    let (path, is_graphql) = match state.addresses.place(parts.uri.path()) {
        Place::Rest(path) => (path, false),
        Place::GraphQl => ("/graphql", true),
        Place::Page => return respond(Answer::page_not_found(), headers),
    };
    let accept = parts.headers.get("accept");
    let asked = Asked {
        method: parts.method.as_str(),
        path: by_slug(&state, path),
        query: query_pairs(parts.uri.query().unwrap_or_default()),
        body,
        accept: accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
    };
    let answer = if parts.headers.contains_key("user-agent") {
        match authenticate(&mut state, &parts.headers, &mut headers) {
            Err(refusal) => refused(shared, &mut state, &asked, refusal),
            Ok(token) if is_graphql => graphql::answer(&state, &token, asked.body.as_ref())
                .unwrap_or_else(|| not_modelled(&mut state, &asked)),
            Ok(token) => rest(shared, &mut state, &asked, &token),
        }
    } else {
        state
            .violations
            .push(format!("{}: no User-Agent", asked.line()));
        Answer::error(403, "Request forbidden by administrative rules.")
    };
    respond(answer, headers)
}

/// GitHub redirects from a repository's former name to `/repositories/ID`, which means the same as its present name.
fn by_slug(state: &State, path: &str) -> String {
    let named = path.strip_prefix("/repositories/").and_then(|rest| {
        let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let repo = state.repos.get(&id.parse().ok()?)?;
        Some(
            format!("/repos/{}/{rest}", repo.slug())
                .trim_end_matches('/')
                .to_owned(),
        )
    });
    named.unwrap_or_else(|| path.to_owned())
}

/// A refusal is judged as any other answer is, where it answers a described operation.
fn refused(shared: &Shared, state: &mut State, asked: &Asked<'_>, refusal: Answer) -> Answer {
    match shared.judge.find(asked.method, &asked.path) {
        Some(found) => judged(shared, state, asked, &found.template, refusal),
        None => refusal,
    }
}

fn parse(bytes: &Bytes) -> serde_json::Result<Option<Value>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some)
}

fn not_modelled(state: &mut State, asked: &Asked<'_>) -> Answer {
    let body = asked
        .body
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    let message = format!(
        "the sandbox's GitHub does not model this request: {} {body}",
        asked.line()
    );
    let message = message.trim_end().to_owned();
    state.violations.push(message.clone());
    Answer::json(501, json!({ "message": message }))
}

fn judged_wrong(state: &mut State, violations: Vec<String>) -> Answer {
    let message = format!("the sandbox's judge refuses: {}", violations.join("; "));
    state.violations.extend(violations);
    Answer::json(JUDGED_WRONG, json!({ "message": message }))
}

fn rest(shared: &Shared, state: &mut State, asked: &Asked<'_>, token: &Token) -> Answer {
    let (method, path, query) = (asked.method, &asked.path, &asked.query);
    let Some(found) = shared.judge.find(method, path) else {
        return not_modelled(state, asked);
    };
    let body = asked.body.as_ref();
    let wrong = shared.judge.misshapen(method, path, query, body);
    if !wrong.is_empty() {
        return judged_wrong(state, wrong);
    }
    // GitHub itself answers what is beyond its limits; our programs should not have asked.
    let beyond = shared.judge.beyond_limits(method, path, query, body);
    state.violations.extend(beyond);

    let template = found.template.clone();
    let call = call(state, asked, found, token);
    let refused = permissions::refusal(state, &call, token);
    let answer = if method != "GET" && token.kind == TokenKind::ReadOnlyInstallation {
        Some(Answer::forbidden(token.kind))
    } else if !state.addresses.has(&call.operation) {
        Some(Answer::not_found())
    } else if refused.is_some() {
        refused
    } else {
        dispatch(state, &call, token, &template)
    };
    match answer {
        Some(answer) => judged(shared, state, asked, &template, answer),
        None => not_modelled(state, asked),
    }
}

fn call(state: &State, asked: &Asked<'_>, found: Found, token: &Token) -> Call {
    let inner = found.template.strip_prefix(IN_REPOSITORY);
    Call {
        operation: format!("{} {}", asked.method, inner.unwrap_or(&found.template)),
        parameters: found.parameters,
        query: asked.query.clone(),
        body: asked.body.clone().unwrap_or_default(),
        accept: asked.accept.to_owned(),
        login: token.login.clone(),
        kind: token.kind,
        url: format!("{}{}", state.addresses.api, asked.path),
    }
}

/// `None` when no resource models the operation.
fn dispatch(state: &mut State, call: &Call, token: &Token, template: &str) -> Option<Answer> {
    if !template.starts_with(IN_REPOSITORY) {
        return accounts::route(state, call, token);
    }
    let (owner, name) = (call.parameter("owner"), call.parameter("repo"));
    let Some(repo) = state.repo_by_slug(owner, name).map(|repo| repo.id) else {
        return Some(renamed(state, call).unwrap_or_else(Answer::not_found));
    };
    let routes = [
        accounts::route_in_repo,
        pulls::route,
        commits::route,
        issues::route,
        comments::route,
        labels::route,
        deployments::route,
        statuses::route,
        environments::route,
        runs::route,
        attestations::route,
    ];
    routes
        .into_iter()
        .find_map(|route| route(state, repo, call))
}

/// A redirect from a repository's former name; the method survives it only with a 307.
fn renamed(state: &State, call: &Call) -> Option<Answer> {
    let former = format!("{}/{}", call.parameter("owner"), call.parameter("repo"));
    let mut repos = state.repos.values();
    let repo = repos.find(|repo| repo.former.iter().any(|f| f.eq_ignore_ascii_case(&former)))?;
    let rest = call.url.split_once(&former).map_or("", |(_, rest)| rest);
    let query: Vec<String> = call
        .query
        .iter()
        .map(|(k, v)| format!("{k}={}", encode(v)))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let to = format!(
        "{}/repositories/{}{rest}{mark}{}",
        state.addresses.api,
        repo.id,
        query.join("&")
    );
    let status = if call.operation.starts_with("GET ") {
        301
    } else {
        307
    };
    let mut answer = Answer::error(status, "Moved Permanently");
    if let Body::Json(body) = &mut answer.body {
        *body = json!({
            "message": "Moved Permanently", "url": to,
            "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
        });
    }
    answer.headers.push(("location", to));
    Some(answer)
}

/// Fills in what the state does not model, and lets the judge see the result.
fn judged(
    shared: &Shared,
    state: &mut State,
    asked: &Asked<'_>,
    template: &str,
    mut answer: Answer,
) -> Answer {
    let judge = &shared.judge;
    let body = match &mut answer.body {
        Body::Raw(_) | Body::Page(_) => return answer,
        Body::None => None,
        Body::Json(body) => {
            judge.complete(asked.method, template, answer.status, body);
            Some(&*body)
        }
    };
    let wrong = judge.answer(asked.method, &asked.path, answer.status, body);
    if wrong.is_empty() {
        answer
    } else {
        judged_wrong(state, wrong)
    }
}

fn respond(answer: Answer, mut headers: Headers) -> Response {
    let (kind, bytes) = match answer.body {
        Body::None => (None, Vec::new()),
        Body::Json(body) => (Some("application/json"), body.to_string().into_bytes()),
        Body::Raw(bytes) => (Some("application/vnd.github.raw"), bytes),
        Body::Page(html) => (Some("text/html"), html.as_bytes().to_vec()),
    };
    headers.extend(answer.headers);
    headers.extend(kind.map(|kind| ("content-type", format!("{kind}; charset=utf-8"))));
    let mut response = Response::new(HttpBody::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
