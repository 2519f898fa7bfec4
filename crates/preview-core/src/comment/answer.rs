//! What the comment tells of a command that somebody gave.

use super::{HEADING, MARKER};
use crate::commands::Answer;

/// What the line begins with that tells, under another status, what came of a command.
const COMMAND: &str = "**Command**: ";

/// A comment that tells what came of a command beside what `body` tells; `body` is none where there is no comment yet.
///
/// It takes the place of what was told of a command before, and a later run writes the whole comment.
#[must_use]
pub fn with_answer(body: Option<&str>, answer: &Answer) -> String {
    let told = format!("{COMMAND}{answer}");
    let Some(body) = body else {
        return format!("{MARKER}\n{HEADING}\n\n{told}\n");
    };
    let lines = body.lines().filter(|line| !line.starts_with(COMMAND));
    let mut lines: Vec<&str> = lines.collect();
    let status = lines
        .iter()
        .position(|line| line.starts_with("**Status**: "));
    let below = status.map_or(lines.len(), |at| at + 1);
    lines.insert(below, &told);
    lines.join("\n") + "\n"
}
