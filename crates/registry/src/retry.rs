//! When to repeat a request, and after which pause.
//!
//! Everything that this adapter sends may be repeated: reads, the PUT of the same bytes under the same name, and the start
//! of an upload, which comes to nothing where it is not finished.

use std::time::Duration;

use backon::ExponentialBuilder;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// Pauses of 0.2 s, 0.4 s, … up to 10 s, each with a random part; the operation's deadline ends them.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .without_max_times()
}

/// The pause before the next attempt: ours, or the longer one that the registry asked for. None, to give up, when it
/// ends beyond the deadline.
pub(crate) fn pause(
    asked: Option<Duration>,
    ours: Option<Duration>,
    deadline: Instant,
) -> Option<Duration> {
    // Never shorter than ours: `Retry-After: 0` from a server that keeps failing must not become a flood.
    let pause = asked.unwrap_or_default().max(ours?);
    let end = Instant::now().checked_add(pause)?;
    (end < deadline).then_some(pause)
}

/// Whether the same request may be answered differently later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long the registry asks us to wait: by header, else as a Go duration in its message, as ghcr has it.
pub(crate) fn asked_pause(headers: &HeaderMap, message: &str) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER).and_then(|h| h.to_str().ok());
    header.and_then(retry_after).or_else(|| in_message(message))
}

/// Seconds, or a date. <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(text.trim()).ok()?.timestamp();
    let pause = until.duration_since(Timestamp::now());
    Some(Duration::try_from(pause).unwrap_or_default())
}

fn in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("retry-after:")?;
    let end = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"');
    go_duration(rest.trim_start().split(end).next()?)
}

/// A duration as Go prints it, such as `1m2.5s` or `149.783µs`. <https://pkg.go.dev/time#ParseDuration>
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        seconds += number * unit(&rest[..end])?;
        rest = &rest[end..];
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(seconds).ok()
    }
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        // Both spellings of the micro sign are in use.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_as_go_prints_them() {
        for (text, seconds) in [
            ("1m2.5s", Some(62.5)),
            ("2h0m1s", Some(7201.0)),
            ("300ms", Some(0.3)),
            ("149.783µs", Some(0.000_149_783)),
            ("149.783us", Some(0.000_149_783)),
            ("0s", Some(0.0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-3s", None),
            ("1.2.3s", None),
            ("1e9h", None),
            ("99999999999999999999h", None),
        ] {
            let expected = seconds.map(Duration::from_secs_f64);
            assert_eq!(go_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn the_header_goes_before_the_message() {
        let message = "toomanyrequests: retry-after: 1m2.5s, allowed: 44000/minute";
        let mut headers = HeaderMap::new();
        assert_eq!(
            asked_pause(&headers, message),
            Some(Duration::from_millis(62_500))
        );
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(asked_pause(&headers, message), Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(asked_pause(&headers, "slow down"), None);
    }

    #[test]
    fn a_date_in_the_header_is_a_pause_until_then() {
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        let far = retry_after("Thu, 21 Oct 2179 07:28:00 GMT").unwrap();
        assert!(far > Duration::from_secs(3600), "{far:?}");
    }

    #[test]
    fn a_pause_beyond_the_deadline_is_none() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let second = Some(Duration::from_secs(1));
        let ten = Some(Duration::from_secs(10));
        assert_eq!(pause(None, second, deadline), second);
        assert_eq!(pause(second, ten, deadline), ten);
        assert_eq!(pause(ten, second, deadline), ten);
        assert_eq!(pause(Some(Duration::ZERO), second, deadline), second);
        for beyond in [Duration::from_secs(3600), Duration::MAX] {
            assert_eq!(pause(Some(beyond), second, deadline), None);
        }
        assert_eq!(pause(second, None, deadline), None);
    }
}
