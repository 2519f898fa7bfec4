//! Times as Kubernetes writes them: whole seconds.

use jiff::Timestamp;

/// Now, such as `2026-11-24T15:28:01Z`.
pub(super) fn now() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
