//! From a request to an answer: judged, authenticated, limited, handed to the resource that serves it, judged again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request, State as Extract};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Answer, Body, Call};
use super::judge::{Found, Judge, query_pairs};
use super::state::{RateLimit, State, Token, TokenKind};
use super::{
    accounts, comments, commits, deployments, environments, issues, labels, pulls, runs, statuses,
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
        Err(error) => respond(
            Answer::error(400, &format!("reading the body: {error}")),
            &[],
        ),
    }
}

/// Headers of an answer, as name and value.
type Headers = Vec<(&'static str, String)>;

fn reply(shared: &Shared, parts: &Parts, bytes: &Bytes) -> Response {
    let mut state = shared.lock();
    let asked = format!("{} {}", parts.method, parts.uri);
    let body = match parse(bytes) {
        Ok(body) => body,
        Err(_) => return respond(Answer::error(400, "Problems parsing JSON"), &[]),
    };
    if !parts.headers.contains_key("user-agent") {
        state.violations.push(format!("{asked}: no User-Agent"));
        return respond(
            Answer::error(403, "Request forbidden by administrative rules."),
            &[],
        );
    }
    let mut headers = Headers::new();
    let answer = match authenticate(&mut state, &parts.headers, &mut headers) {
        Err(refusal) => refused(shared, &mut state, parts, refusal),
        Ok(token) if parts.uri.path() == "/graphql" => graphql(&token, body.as_ref())
            .unwrap_or_else(|| not_modelled(&mut state, &asked, body.as_ref())),
        Ok(token) => rest(shared, &mut state, parts, &asked, body.as_ref(), &token),
    };
    respond(answer, &headers)
}

/// A refusal is judged as any other answer is, where it answers a described operation.
fn refused(shared: &Shared, state: &mut State, parts: &Parts, refusal: Answer) -> Answer {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    match shared.judge.find(method, path) {
        Some(found) => judged(shared, state, (method, path, &found.template), refusal),
        None => refusal,
    }
}

fn parse(bytes: &Bytes) -> serde_json::Result<Option<Value>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some)
}

fn not_modelled(state: &mut State, asked: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let message = format!("the sandbox's GitHub does not model this request: {asked} {body}");
    state.violations.push(message.clone());
    Answer::json(501, json!({ "message": message }))
}

fn judged_wrong(state: &mut State, violations: Vec<String>) -> Answer {
    let message = format!("the sandbox's judge refuses: {}", violations.join("; "));
    state.violations.extend(violations);
    Answer::json(JUDGED_WRONG, json!({ "message": message }))
}

/// The token of a request, with its quota counted; or why there is none.
fn authenticate(
    state: &mut State,
    headers: &HeaderMap,
    told: &mut Headers,
) -> Result<Token, Answer> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let Some(given) = given else {
        return Err(Answer::error(401, "Requires authentication"));
    };
    let secret = given
        .split_once(' ')
        .filter(|(scheme, _)| ["bearer", "token"].contains(&scheme.to_lowercase().as_str()))
        .map_or("", |(_, secret)| secret);
    let now = state.now().as_second();
    let limit = state.limited.take();
    let Some(token) = state.tokens.get_mut(secret) else {
        state.limited = limit;
        return Err(Answer::error(401, "Bad credentials"));
    };
    if let Some((times, kind)) = limit {
        state.limited = (times > 1).then_some((times - 1, kind));
        return Err(limited(kind, token, now, told));
    }
    if token.remaining == 0 {
        return Err(limited(
            RateLimit::Primary { reset_in: 3_600 },
            token,
            now,
            told,
        ));
    }
    token.remaining -= 1;
    quota(token, token.remaining, now + 3_600, told);
    Ok(token.clone())
}

fn quota(token: &Token, remaining: u64, reset: i64, told: &mut Headers) {
    told.push(("x-ratelimit-limit", token.quota().to_string()));
    told.push(("x-ratelimit-remaining", remaining.to_string()));
    told.push(("x-ratelimit-used", (token.quota() - remaining).to_string()));
    told.push(("x-ratelimit-reset", reset.to_string()));
    told.push(("x-ratelimit-resource", "core".to_owned()));
}

fn limited(kind: RateLimit, token: &Token, now: i64, told: &mut Headers) -> Answer {
    let secondary =
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    match kind {
        RateLimit::Primary { reset_in } => {
            quota(
                token,
                0,
                now + i64::try_from(reset_in).unwrap_or(i64::MAX),
                told,
            );
            Answer::error(403, "API rate limit exceeded for installation.")
        }
        RateLimit::Secondary { retry_after } => {
            told.push(("retry-after", retry_after.to_string()));
            Answer::error(429, secondary)
        }
        RateLimit::SecondaryForbidden { retry_after } => {
            told.push(("retry-after", retry_after.to_string()));
            Answer::error(403, secondary)
        }
    }
}

/// GraphQL answers one question: who am I.
fn graphql(token: &Token, body: Option<&Value>) -> Option<Answer> {
    let query: String = body?["query"].as_str()?.split_whitespace().collect();
    let known = query.trim_start_matches("query") == "{viewer{login}}";
    known.then(|| Answer::ok(json!({ "data": { "viewer": { "login": token.login } } })))
}

fn rest(
    shared: &Shared,
    state: &mut State,
    parts: &Parts,
    asked: &str,
    body: Option<&Value>,
    token: &Token,
) -> Answer {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let query = query_pairs(parts.uri.query().unwrap_or_default());
    let Some(found) = shared.judge.find(method, path) else {
        return not_modelled(state, asked, body);
    };
    let wrong = shared.judge.misshapen(method, path, &query, body);
    if !wrong.is_empty() {
        return judged_wrong(state, wrong);
    }
    // GitHub itself answers what is beyond its limits; our programs should not have asked.
    let beyond = shared.judge.beyond_limits(method, path, &query, body);
    state.violations.extend(beyond);

    let template = found.template.clone();
    let call = call(state, parts, found, query, body, token);
    let writes = method != "GET";
    let answer = if writes && token.kind == TokenKind::ReadOnlyInstallation {
        Some(Answer::forbidden())
    } else {
        dispatch(state, &call, token, &template)
    };
    let Some(answer) = answer else {
        return not_modelled(state, asked, body);
    };
    judged(shared, state, (method, path, &template), answer)
}

fn call(
    state: &State,
    parts: &Parts,
    found: Found,
    query: Vec<(String, String)>,
    body: Option<&Value>,
    token: &Token,
) -> Call {
    let accept = parts
        .headers
        .get("accept")
        .and_then(|value| value.to_str().ok());
    let inner = found.template.strip_prefix(IN_REPOSITORY);
    Call {
        operation: format!("{} {}", parts.method, inner.unwrap_or(&found.template)),
        parameters: found.parameters,
        query,
        body: body.cloned().unwrap_or_default(),
        accept: accept.unwrap_or_default().to_owned(),
        login: token.login.clone(),
        kind: token.kind,
        url: format!("{}{}", state.base_url, parts.uri.path()),
    }
}

/// `None` when no resource models the operation.
fn dispatch(state: &mut State, call: &Call, token: &Token, template: &str) -> Option<Answer> {
    if !template.starts_with(IN_REPOSITORY) {
        return accounts::route(state, call, token);
    }
    let repo = state.repo_by_slug(call.parameter("owner"), call.parameter("repo"));
    let Some(repo) = repo.map(|repo| repo.id) else {
        return Some(Answer::not_found());
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
    ];
    routes
        .into_iter()
        .find_map(|route| route(state, repo, call))
}

/// Fills in what the state does not model, and lets the judge see the result.
fn judged(
    shared: &Shared,
    state: &mut State,
    (method, path, template): (&str, &str, &str),
    mut answer: Answer,
) -> Answer {
    let body = match &mut answer.body {
        Body::Raw(_) => return answer,
        Body::None => None,
        Body::Json(body) => {
            shared.judge.complete(method, template, answer.status, body);
            Some(&*body)
        }
    };
    let wrong = shared.judge.answer(method, path, answer.status, body);
    if wrong.is_empty() {
        answer
    } else {
        judged_wrong(state, wrong)
    }
}

fn respond(answer: Answer, headers: &[(&'static str, String)]) -> Response {
    let (kind, bytes) = match answer.body {
        Body::None => (None, Vec::new()),
        Body::Json(body) => (
            Some("application/json; charset=utf-8"),
            body.to_string().into_bytes(),
        ),
        Body::Raw(bytes) => (Some("application/vnd.github.raw; charset=utf-8"), bytes),
    };
    let mut response = Response::new(HttpBody::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let link = answer.link.map(|link| ("link", link));
    let kind = kind.map(|kind| ("content-type", kind.to_owned()));
    for (name, value) in headers.iter().cloned().chain(link).chain(kind) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
