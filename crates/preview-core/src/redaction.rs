//! Secrets taken out of what others wrote: a container's log, an event, a page.
//!
//! An application may print the very password that its preview was given, and the comment on its pull request is read by
//! everybody who reads the repository.

use std::cmp::Reverse;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// Shorter texts are no secrets that anybody could keep, and taking them out would leave nothing to read. GitHub's runner
/// is told of no shorter ones either.
const SHORTEST: usize = 4;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Texts that nobody may be shown.
#[derive(Clone, Debug, Default)]
pub struct Redaction(Vec<SecretString>);

impl Redaction {
    /// Of these values: of each every line, and where it is JSON, such as the credentials of a registry, every text in
    /// it.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts: Vec<String> = values.into_iter().flat_map(texts).collect();
        texts.sort_by(|a, b| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
        texts.dedup();
        Self(texts.into_iter().map(SecretString::from).collect())
    }

    /// `text` with `***` in place of every secret in it; the longest are taken out first.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let secrets = self.0.iter().map(|secret| secret.expose_secret());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }
}

fn texts(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(json) = serde_json::from_str::<Value>(value) {
        leaves(&json, &mut found);
    }
    found.extend(value.lines().map(|line| line.trim().to_owned()));
    found.retain(|text| text.len() >= SHORTEST);
    found
}

fn leaves(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| leaves(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown_wherever_it_stands() {
        let pull = r#"{"auths":{"ghcr.io":{"password":"pull-me","auth":"OnB1bGwtbWU="}}}"#;
        let redaction = Redaction::of([
            "hunter2",
            "hunter2-and-more",
            "no",
            "first\n  second line\n",
            pull,
        ]);
        let table = [
            (
                "postgres://shop:hunter2@database/shop",
                "postgres://shop:***@database/shop",
            ),
            ("hunter2-and-more", "***"),
            ("no", "no"),
            ("at first, the second line", "at ***, the ***"),
            (
                "401: password pull-me, Basic OnB1bGwtbWU=",
                "401: password ***, Basic ***",
            ),
        ];
        for (said, shown) in table {
            assert_eq!(redaction.clean(said), shown);
        }
        assert!(!format!("{redaction:?}").contains("hunter2"));
    }
}
