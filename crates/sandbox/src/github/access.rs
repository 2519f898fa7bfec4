//! Who asks, and whether they have asked too often.

use axum::http::HeaderMap;

use super::call::{Answer, Headers};
use super::state::{HOUR, RateLimit, State, Token};

/// The token of a request, with its quota counted; or why there is none.
pub(super) fn authenticate(
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
    if now >= token.reset {
        token.remaining = token.quota();
        token.reset = now + HOUR;
    }
    if token.remaining == 0 {
        let reset_in = token.reset.abs_diff(now);
        return Err(limited(RateLimit::Primary { reset_in }, token, now, told));
    }
    token.remaining -= 1;
    quota(token, token.remaining, token.reset, told);
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
