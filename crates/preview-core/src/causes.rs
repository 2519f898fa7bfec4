//! An error as people read it: with what caused it.

use std::error::Error;

/// An error with its causes, where they say more than it does: the outer ones of a client say next to nothing.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Says(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn a_cause_is_told_where_it_says_more() {
        let refused = Says("connection refused", None);
        let same = Says("connection refused", Some(Box::new(refused)));
        let outer = Says("error sending request", Some(Box::new(same)));
        let told = with_causes(&outer);
        assert_eq!(told, "error sending request: connection refused");
    }
}
