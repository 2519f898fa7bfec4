//! Text that others wrote, made harmless for GitHub's Markdown.
//!
//! A title, a branch name, a container's log or a server's message may hold HTML, links, mentions that notify people,
//! references that write into other issues' histories, or Markdown that continues past its place. What goes through
//! here is shown as it is and does nothing.

use std::fmt::Write as _;

/// Bytes of foreign text in one place. More would push what matters out of a comment.
const INLINE_LIMIT: usize = 2_000;

/// A zero-width space: GitHub looks for mentions and references in the rendered text, so an entity or a backslash
/// would not hide them; a character in between does.
const BREAK: &str = "&#8203;";

/// `text` within a paragraph, list item or heading: one line, and nothing in it is markup.
#[must_use]
pub fn inline(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len() + 16);
    let mut at_start = true;
    for (at, c) in text.char_indices() {
        let (before, rest) = (&text[..at], &text[at + c.len_utf8()..]);
        push_inline(&mut out, c, at_start, before, rest);
        // `1.` and `1)` begin a list like `-` does, so digits leave us at the start.
        at_start = at_start && (c.is_ascii_digit() || c == ' ');
    }
    out
}

fn push_inline(out: &mut String, c: char, at_start: bool, before: &str, rest: &str) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => {
            out.push('\\');
            out.push(c);
        }
        '-' | '+' | '=' | '.' | ')' | '#' if at_start => {
            out.push('\\');
            out.push(c);
        }
        _ => out.push(c),
    }
    if acts_by_itself(c, before, rest) {
        out.push_str(BREAK);
    }
}

/// Whether `c` begins, or is within, something that GitHub turns into a link without any markup.
///
/// As narrow as can be: people copy names and digests from here, and a break is copied with them.
fn acts_by_itself(c: char, before: &str, rest: &str) -> bool {
    let follows_word = |word: &str| {
        let from = before.len().checked_sub(word.len());
        let split = from.and_then(|from| before.split_at_checked(from));
        split.is_some_and(|(earlier, last)| {
            last.eq_ignore_ascii_case(word)
                && !earlier.ends_with(|c: char| c.is_ascii_alphanumeric())
        })
    };
    let number_follows = rest.starts_with(|c: char| c.is_ascii_digit());
    match c {
        // The @ of a digest mentions nobody.
        '@' => {
            !(before.ends_with(|c: char| c.is_ascii_alphanumeric()) && rest.starts_with("sha256:"))
        }
        '#' => number_follows,
        // `GH-12` is a reference like `#12`.
        '-' => number_follows && follows_word("gh"),
        ':' => rest.starts_with("//"),
        '.' => follows_word("www"),
        _ => false,
    }
}

/// `text` as a code span: shown letter by letter, whatever it holds.
#[must_use]
pub fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return "` `".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// [`code`] within a cell of a table, where a bar would end the cell even inside a code span.
#[must_use]
pub fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// `lines` as a block of code that its content cannot end: its fence is longer than any in the content.
#[must_use]
pub fn fence<L: AsRef<str>>(lines: &[L]) -> String {
    let content: Vec<String> = lines
        .iter()
        .flat_map(|line| line.as_ref().split(['\n', '\r']))
        .map(printable)
        .collect();
    let longest = content.iter().map(|line| longest_run(line, '`')).max();
    let ticks = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    let mut out = format!("{ticks}text\n");
    for line in &content {
        let _ = writeln!(out, "{line}");
    }
    out + &ticks
}

/// A link to `url` that shows `text`; only the text where `url` is no plain http address.
#[must_use]
pub fn link(text: &str, url: &str) -> String {
    if is_plain_url(url) {
        format!("[{}]({url})", inline(text))
    } else {
        inline(text)
    }
}

/// Whether `url` can stand in a comment as it is: http, and no character with a meaning in Markdown or HTML.
#[must_use]
pub fn is_plain_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(
                        b,
                        b'-' | b'.'
                            | b'/'
                            | b':'
                            | b'?'
                            | b'='
                            | b'%'
                            | b'+'
                            | b','
                            | b'~'
                            | b'_'
                            | b'#'
                            | b'&'
                    )
            })
    })
}

/// `text` on one line without control characters, of a length that leaves room for others.
fn one_line(text: &str) -> String {
    let text = printable(&text.replace(['\n', '\r', '\t'], " "));
    let text = text.trim();
    if text.len() <= INLINE_LIMIT {
        return text.to_owned();
    }
    let mut end = INLINE_LIMIT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// `text` without terminal escapes, control characters and characters that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            // A control sequence ends with its first character from `@` to `~`.
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' || !(c.is_control() || turns_direction(c)) {
            out.push(c);
        }
    }
    out
}

/// <https://trojansource.codes/>; and the line separators that some renderers take for newlines.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

fn longest_run(text: &str, wanted: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_is_shown_and_does_nothing() {
        let table = [
            ("plain words, 1.5 s", "plain words, 1.5 s"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("<!-- hides the rest", "&lt;\\!-- hides the rest"),
            ("&lt;", "&amp;lt;"),
            (
                "ghcr.io/acme/web@sha256:12 @sha256:",
                "ghcr.io/acme/web@sha256:12 @&#8203;sha256:",
            ),
            ("thanks @octocat", "thanks @&#8203;octocat"),
            (
                "fixes #12 and acme/web#3",
                "fixes #&#8203;12 and acme/web#&#8203;3",
            ),
            ("GH-12, high-12, GH-x", "GH-&#8203;12, high-12, GH-x"),
            ("gh-1", "gh-&#8203;1"),
            ("#1", "\\#&#8203;1"),
            ("show.web", "show.web"),
            ("# title", "\\# title"),
            ("- item", "\\- item"),
            ("  + item", "\\+ item"),
            ("12. item", "12\\. item"),
            ("===", "\\==="),
            (
                "[x](http://evil.example)",
                "\\[x\\](http:&#8203;//evil.example)",
            ),
            ("www.evil.example", "www.&#8203;evil.example"),
            ("![x](y)", "\\!\\[x\\](y)"),
            (
                "a `b` *c* _d_ ~e~ | f",
                "a \\`b\\` \\*c\\* \\_d\\_ \\~e\\~ \\| f",
            ),
            ("a\\*b", "a\\\\\\*b"),
            ("one\r\ntwo\u{2028}three", "one  twothree"),
            ("\u{1b}[31mred\u{1b}[0m \u{202e}txet", "red txet"),
        ];
        for (hostile, harmless) in table {
            assert_eq!(inline(hostile), harmless, "{hostile:?}");
        }
    }

    #[test]
    fn a_code_span_outlasts_the_backticks_in_it() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("\n"), "` `");
        assert_eq!(code_cell("a|b"), "`a\\|b`");
    }

    #[test]
    fn a_fence_outlasts_the_fences_in_it() {
        assert_eq!(
            fence(&["one", "````", "</details> @all"]),
            "`````text\none\n````\n</details> @all\n`````"
        );
        assert_eq!(fence::<&str>(&[]), "```text\n```");
        assert_eq!(fence(&["a\n```\r\nb"]), "````text\na\n```\n\nb\n````");
    }

    #[test]
    fn only_a_plain_address_becomes_a_link() {
        assert_eq!(
            link("the run", "https://github.com/acme/shop/actions/runs/1"),
            "[the run](https://github.com/acme/shop/actions/runs/1)"
        );
        for bad in [
            "javascript:alert(1)",
            "https://x)y",
            "https://a b",
            "https://",
            "https://x\n#",
        ] {
            assert_eq!(link("the run", bad), "the run", "{bad}");
        }
    }

    #[test]
    fn a_flood_is_cut() {
        assert!(inline(&"ä".repeat(5_000)).len() < 2_010);
    }

    /// Characters that Markdown, HTML or GitHub give a meaning to, and some that have none.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "<",
                ">",
                "@",
                "#",
                "`",
                "```",
                "~~~",
                "\n",
                "\r",
                "\n\n",
                "- ",
                "+ ",
                "1. ",
                "2) ",
                "> ",
                "| ",
                "|-|",
                "===",
                "---",
                "[",
                "](",
                ")",
                "!",
                "\\",
                "*",
                "_",
                "&",
                "$",
                "://",
                "www.",
                "octocat",
                "sha256:",
                "12",
                "GH-",
                " ",
                "\t",
                "</details>",
                "<!--",
                "-->",
                "\u{1b}[3",
                "\u{2028}",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,4}",
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Whether the special `c` at `at` of `text` is deprived of its meaning by an odd number of backslashes.
    fn is_escaped(text: &str, at: usize) -> bool {
        let backslashes = text[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        backslashes % 2 == 1
    }

    proptest! {
        #[test]
        fn hostile_text_is_one_line_without_html_mention_reference_or_structure(text in hostile()) {
            let out = inline(&text);
            prop_assert!(!out.contains(['<', '>', '\n', '\r', '\u{1b}']), "{out:?}");
            for (at, c) in out.char_indices() {
                let rest = &out[at + c.len_utf8()..];
                match c {
                    '@' => {
                        let in_digest = rest.starts_with("sha256:")
                            && out[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
                        prop_assert!(rest.starts_with(BREAK) || in_digest, "{out:?}");
                    }
                    '#' => {
                        let of_entity = out[..at].ends_with('&');
                        let number_follows = rest.starts_with(|c: char| c.is_ascii_digit());
                        prop_assert!(of_entity || !number_follows, "{out:?}");
                    }
                    '`' | '*' | '_' | '[' | ']' | '|' | '~' => prop_assert!(is_escaped(&out, at), "{out:?}"),
                    _ => {}
                }
            }
            prop_assert!(!out.contains("://"), "{out:?}");
            prop_assert!(!out.starts_with(['#', '-', '+', '=', ' ']), "{out:?}");
            let after_digits = out.trim_start_matches(|c: char| c.is_ascii_digit());
            if after_digits.len() < out.len() {
                prop_assert!(!after_digits.starts_with(['.', ')']), "{out:?}");
            }
        }

        #[test]
        fn hostile_text_ends_neither_its_fence_nor_its_code_span(text in hostile()) {
            let block = fence(&[&text]);
            let lines: Vec<&str> = block.lines().collect();
            let closing = lines[lines.len() - 1];
            for line in &lines[1..lines.len() - 1] {
                prop_assert!(longest_run(line, '`') < closing.len(), "{block:?}");
            }
            let span = code(&text);
            let ticks = span.chars().take_while(|c| *c == '`').count();
            let inner = &span[ticks..span.len() - ticks];
            prop_assert!(longest_run(inner, '`') < ticks && !span.contains('\n'), "{span:?}");
        }
    }
}
