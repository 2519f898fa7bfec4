//! ghcr's Bearer flow: a challenge names the token endpoint, which gives a token for what the account may do.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::api::Asked;
use super::refusal::Refusal;
use super::state::{Grant, State, secret};

/// What a request wants to do to a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
}

/// Where a client is sent that has no token, or not the right one.
fn challenge(host: &str, scope: Option<(&str, Access)>) -> String {
    let mut text = format!(r#"Bearer realm="http://{host}/token",service="{host}""#);
    if let Some((name, access)) = scope {
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        text.push_str(&format!(r#",scope="repository:{name}:{actions}""#));
    }
    text
}

/// `GET /v2/`: any token of ours will do.
pub(super) fn known(state: &State, host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    grant(state, headers)
        .map(|_| ())
        .ok_or_else(|| Refusal::unauthorized(challenge(host, None)))
}

/// Whether the request's token allows `access` to the repository `name`.
pub(super) fn authorize(
    state: &State,
    host: &str,
    headers: &HeaderMap,
    name: &str,
    access: Access,
) -> Result<(), Refusal> {
    let unauthorized = || Refusal::unauthorized(challenge(host, Some((name, access))));
    let grant = grant(state, headers).ok_or_else(unauthorized)?;
    let allowed = match access {
        Access::Pull => &grant.pull,
        Access::Push => &grant.push,
    };
    if access == Access::Push && grant.reads_only {
        // As ghcr words it.
        Err(Refusal::denied(
            "permission_denied: The token provided does not match expected scopes.",
        ))
    } else if allowed.contains(name) {
        Ok(())
    } else {
        Err(unauthorized())
    }
}

fn grant<'a>(state: &'a State, headers: &HeaderMap) -> Option<&'a Grant> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    state.tokens.get(header.strip_prefix("Bearer ")?)
}

/// `GET /token?service=…&scope=…`
pub(super) fn token(state: &mut State, host: &str, asked: &Asked) -> Result<Response, Refusal> {
    if asked.parameter("service").is_some_and(|s| s != host) {
        return Err(Refusal::not_modelled("tokens for another service"));
    }
    let user = user(state, &asked.headers)?;
    let reads_only = user.as_ref().is_some_and(|user| !user.pushes);
    let mut grant = Grant {
        user: user.map(|user| user.name),
        reads_only,
        ..Grant::default()
    };
    for scope in asked.parameters("scope").flat_map(str::split_whitespace) {
        allow(state, &mut grant, scope)?;
    }
    let token = secret();
    state.tokens.insert(token.clone(), grant);
    // As ghcr: no `expires_in`.
    Ok(Json(json!({ "token": token })).into_response())
}

/// Somebody who proved who they are.
struct User {
    name: String,
    pushes: bool,
}

/// Whoever the Basic header proves; none for the anonymous.
fn user(state: &State, headers: &HeaderMap) -> Result<Option<User>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let denied = || Refusal::denied("requested access to the resource is denied");
    let encoded = header.to_str().ok().and_then(|h| h.strip_prefix("Basic "));
    let decoded = encoded.and_then(|text| STANDARD.decode(text).ok());
    let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let (user, password) = pair
        .as_deref()
        .and_then(|pair| pair.split_once(':'))
        .ok_or_else(denied)?;
    let pushes = if user == state.account.user && password == state.account.password {
        true
    } else {
        *state.jobs.get(password).ok_or_else(denied)?
    };
    let name = user.to_owned();
    Ok(Some(User { name, pushes }))
}

fn allow(state: &State, grant: &mut Grant, scope: &str) -> Result<(), Refusal> {
    let mut parts = scope.split(':');
    let (Some("repository"), Some(name), Some(actions), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::not_modelled(&format!("the scope {scope:?}")));
    };
    if grant.user.is_none() && state.private.contains(name) {
        return Err(Refusal::denied(
            "requested access to the resource is denied",
        ));
    }
    for action in actions.split(',') {
        match action {
            "pull" => grant.pull.insert(name.to_owned()),
            // The anonymous get less than they ask for, without an error; so do `push` and deletion go together.
            "push" | "delete" if grant.user.is_some() && !grant.reads_only => {
                grant.push.insert(name.to_owned())
            }
            "push" | "delete" => false,
            _ => return Err(Refusal::not_modelled(&format!("the scope {scope:?}"))),
        };
    }
    Ok(())
}
