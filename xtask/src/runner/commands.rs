//! What steps tell the runner: by files, and by lines of what they say.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

/// The names and values of a file such as `GITHUB_OUTPUT`.
///
/// # Errors
/// When a line is neither `name=value` nor begins `name<<DELIMITER`, or a delimiter never comes.
pub(super) fn pairs(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let plain = line
            .split_once('=')
            .filter(|(name, _)| !name.contains("<<"));
        if let Some((name, value)) = plain {
            pairs.insert(name.to_owned(), value.to_owned());
        } else if let Some((name, delimiter)) = line.split_once("<<") {
            let mut value = Vec::new();
            loop {
                let next = lines.next();
                match next.with_context(|| format!("{name}: {delimiter} never comes"))? {
                    line if line == delimiter => break,
                    line => value.push(line),
                }
            }
            pairs.insert(name.to_owned(), value.join("\n"));
        } else {
            bail!("{line:?} is no output");
        }
    }
    Ok(pairs)
}

/// The errors and warnings among lines, but for what stands between stop markers; secrets are not among the lines.
pub(super) fn remarks(lines: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut stopped: Option<String> = None;
    for line in lines {
        if let Some(token) = &stopped {
            if *line == format!("::{token}::") {
                stopped = None;
            }
        } else if let Some(token) = line.strip_prefix("::stop-commands::") {
            stopped = Some(token.to_owned());
        } else if let Some(told) = line.strip_prefix("::").and_then(remark) {
            remarks.push(told);
        }
    }
    remarks
}

/// `error file=…::text` and the like.
fn remark(command: &str) -> Option<String> {
    let (head, text) = command.split_once("::")?;
    let kind = head.split(' ').next()?;
    ["error", "warning"]
        .contains(&kind)
        .then(|| format!("{kind}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_lines_or_texts_up_to_a_delimiter() {
        let text = "verdict=planned\nurl=https://a/?b=c\nimages<<EOF\n{\n}\nEOF\n";
        let found = pairs(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            found,
            ["images: {\n}", "url: https://a/?b=c", "verdict: planned"]
        );
        assert!(pairs("nothing").is_err());
        assert!(pairs("a<<EOF\nb").is_err());
    }

    #[test]
    fn what_others_wrote_is_no_command() {
        let lines = [
            "::group::a",
            "::warning title=x::one",
            "::stop-commands::t0k3n",
            "::error::two",
            "::t0k3n::",
            "::error::three",
        ];
        let lines = lines.map(str::to_owned);
        assert_eq!(remarks(&lines), ["warning: one", "error: three"]);
    }
}
