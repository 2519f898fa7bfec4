//! Texts for paths, messages and fields with a limit.

use std::fmt::Write as _;

/// `text` as one path segment or query value: all but RFC 3986's unreserved characters percent-encoded, once.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

/// At most `limit` characters of `text`, with an ellipsis in place of the rest.
pub(crate) fn clipped(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept + "…"
}

/// The longest beginning of `text` of at most `budget` bytes.
pub(crate) fn head_of(text: &str, budget: usize) -> &str {
    let mut end = budget.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_encoded_once_and_wholly() {
        assert_eq!(
            encoded("image-digest/web:sha256:a b%"),
            "image-digest%2Fweb%3Asha256%3Aa%20b%25"
        );
        assert_eq!(encoded("ünï"), "%C3%BCn%C3%AF");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöüß", 3), "äö…");
        assert_eq!(head_of("aä", 2), "a");
        assert_eq!(head_of("aä", 9), "aä");
    }
}
