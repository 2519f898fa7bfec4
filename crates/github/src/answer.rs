//! What GitHub's answers mean.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use preview_core::doctor::TokenFormat;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::error::{Error, Problem};
use crate::text::clipped;

/// GitHub's own advice where a rate limit names no time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const WAIT_WITHOUT_ADVICE: Duration = Duration::from_secs(60);

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the token is that asked.
    pub(crate) token: TokenFormat,
}

/// The body of an error, as GitHub's API has it.
#[derive(Deserialize)]
struct Body {
    message: String,
    #[serde(default)]
    errors: serde_json::Value,
}

impl Answer {
    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.header(name)
            .and_then(|value| value.trim().parse().ok())
    }

    /// The answer itself where it is a success, else what it means for `call`.
    pub(crate) fn checked(self, call: &Call) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(call.fails(self.problem(call)))
    }

    fn problem(&self, call: &Call) -> Problem {
        let message = self.message();
        if let Some(until) = self.rate_limited_until(&message) {
            return Problem::RateLimited { message, until };
        }
        match self.status {
            StatusCode::UNAUTHORIZED => Problem::BadToken { message },
            StatusCode::FORBIDDEN => Problem::NotPermitted {
                message,
                needs: self
                    .header("x-accepted-github-permissions")
                    .filter(|needs| !needs.is_empty())
                    .unwrap_or(call.needs)
                    .to_owned(),
                token: self.token,
            },
            // Only GitHub's API itself knows what does not exist: a web site or a proxy knows no such page.
            StatusCode::NOT_FOUND if self.says().is_none() => Problem::Unreadable {
                message: format!("a 404 that is none of GitHub's API: {message}"),
                passing: false,
            },
            StatusCode::NOT_FOUND => Problem::NotFound { message },
            // Not implemented is no passing trouble.
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Problem::Unavailable {
                    message: format!("GitHub answered {}: {message}", status.as_u16()),
                }
            }
            status if status.is_redirection() => Problem::Refused {
                status: status.as_u16(),
                message: format!(
                    "what was asked for is now at {}, as after a rename of the repository",
                    self.header(header::LOCATION).unwrap_or("an unnamed place")
                ),
            },
            status => Problem::Refused {
                status: status.as_u16(),
                message,
            },
        }
    }

    /// Until when GitHub wants no requests, where the answer is a rate limit's.
    fn rate_limited_until(&self, message: &str) -> Option<Timestamp> {
        let used_up = self.number("x-ratelimit-remaining") == Some(0);
        let retry_after = self.number("retry-after");
        let limited = match self.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::FORBIDDEN => {
                used_up
                    || retry_after.is_some()
                    || message.to_ascii_lowercase().contains("rate limit")
            }
            _ => false,
        };
        if !limited {
            return None;
        }
        let now = Timestamp::now();
        let reset = || {
            let seconds = self.number("x-ratelimit-reset").filter(|_| used_up)?;
            // The reset has whole seconds: be there a second later rather than a moment too early.
            Timestamp::from_second(seconds.checked_add(1)?).ok()
        };
        let wait = |seconds: i64| {
            now.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
                .ok()
        };
        retry_after
            .and_then(wait)
            .or_else(reset)
            .or_else(|| now.checked_add(WAIT_WITHOUT_ADVICE).ok())
    }

    /// GitHub's message with the fields it complains of, or what stands in its place.
    fn message(&self) -> String {
        match self.says() {
            Some(Body { message, errors }) if errors.is_null() => clipped(&message, 500),
            Some(Body { message, errors }) => clipped(&format!("{message}: {errors}"), 500),
            None if self.body.is_empty() => "no text".to_owned(),
            None => self.beginning(),
        }
    }

    /// What GitHub's API says with an error; none where this is not its answer.
    fn says(&self) -> Option<Body> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The beginning of the body on one line.
    fn beginning(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> = text.split_whitespace().take(40).collect();
        clipped(&words.join(" "), 160)
    }

    /// The body as `T`.
    pub(crate) fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let unreadable =
            |message: String, passing| call.fails(Problem::Unreadable { message, passing });
        let is_html = self
            .header(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("text/html"))
            || self.body.trim_ascii_start().starts_with(b"<");
        if is_html {
            return Err(unreadable(
                format!("an HTML page: {}", self.beginning()),
                true,
            ));
        }
        serde_json::from_slice(&self.body).map_err(|why| match why.classify() {
            serde_json::error::Category::Eof => unreadable(
                format!("JSON that ends after {} bytes", self.body.len()),
                true,
            ),
            serde_json::error::Category::Data => unreadable(format!("another shape: {why}"), false),
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                unreadable(format!("no JSON: {}", self.beginning()), true)
            }
        })
    }

    /// The address of the next page.
    /// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>
    pub(crate) fn next_page(&self) -> Option<&str> {
        self.header(header::LINK)?.split(',').find_map(|link| {
            let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            let is_next = parameters
                .split(';')
                .any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
            is_next.then_some(address)
        })
    }
}
