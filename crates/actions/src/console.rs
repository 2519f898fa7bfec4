//! The log: what people see, and what the runner obeys.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::{ExposeSecret as _, SecretString};

/// Where lines go.
///
/// In a job's log a line that begins with `::`, or holds `##[`, is a command to the runner. So nothing is printed
/// there as it came: single lines are made harmless, and whole logs of others stand between stop-commands markers.
#[derive(Debug)]
pub struct Console {
    actions: bool,
    terminal: bool,
    /// One line at a time: steps run in parallel.
    out: Mutex<()>,
    /// Whether lines go into a group of the job's log.
    in_group: AtomicBool,
}

impl Console {
    pub(crate) fn new(actions: bool) -> Self {
        Self {
            actions,
            terminal: !actions && std::io::stdout().is_terminal(),
            out: Mutex::new(()),
            in_group: AtomicBool::new(false),
        }
    }

    /// Prints one line.
    pub fn line(&self, text: &str) {
        self.print(&format!("{}\n", harmless(text)));
    }

    /// Begins a group of a job's log, which ends the one before it. Elsewhere lines stand for themselves.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#grouping-log-lines>
    pub(crate) fn group(&self, title: &str) {
        if self.actions {
            self.end_group();
            self.print(&format!("::group::{}\n", data(title)));
            self.in_group.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the group, if there is one: what follows is seen without opening it.
    pub(crate) fn end_group(&self) {
        if self.in_group.swap(false, Ordering::Relaxed) {
            self.print("::endgroup::\n");
        }
    }

    /// Shows on a terminal what is being done, until the next line takes its place.
    pub(crate) fn passing(&self, text: &str) {
        if self.terminal {
            self.print(&format!("{}\r", harmless(text)));
        }
    }

    /// Prints lines that others wrote, which the runner must not obey.
    pub fn foreign(&self, title: &str, lines: &[String]) {
        let mut text = format!("{}\n", harmless(title));
        let token = token();
        if self.actions {
            text += &format!("::stop-commands::{token}\n");
        }
        for line in lines {
            text += &format!("  {}\n", harmless(line));
        }
        if self.actions {
            text += &format!("::{token}::\n");
        }
        self.print(&text);
    }

    /// Prints an error: on a job's page too, where it is a job.
    pub(crate) fn error(&self, program: &str, text: &str) {
        if self.actions {
            self.print(&format!("::error title={program}::{}\n", data(text)));
        } else {
            let _one = self.out.lock();
            let _ = writeln!(std::io::stderr(), "error: {}", harmless(text));
        }
    }

    /// Prints a warning, in the same way.
    pub fn warning(&self, text: &str) {
        if self.actions {
            self.print(&format!("::warning::{}\n", data(text)));
        } else {
            self.line(&format!("warning: {text}"));
        }
    }

    /// Tells the runner that this is a secret, from now on. Elsewhere nobody would hide it, so nothing is printed.
    pub fn mask(&self, secret: &SecretString) {
        if self.actions {
            self.print(&masks(secret.expose_secret()));
        }
    }

    fn print(&self, text: &str) {
        let _one = self.out.lock();
        let mut out = std::io::stdout();
        let clear = if self.terminal { "\x1b[2K" } else { "" };
        // A log that is closed is no reason to stop half-way.
        let _ = write!(out, "{clear}{text}");
        let _ = out.flush();
    }
}

/// `text` on one line that is no command to the runner: neither `::command::` nor, anywhere in the line, `##[command]`.
fn harmless(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c == '\n' { ' ' } else { c })
        .filter(|c| !c.is_control() || *c == '\t')
        .collect();
    line = line.replace("##[", "## [");
    if line.trim_start().starts_with("::") {
        line.insert(0, '\u{200b}');
    }
    line
}

/// `text` as the data of a command: nothing in it ends the command.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// One mask for each line: the runner hides line by line, and would print a mask of several lines itself.
fn masks(secret: &str) -> String {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() > 3);
    lines
        .map(|line| format!("::add-mask::{}\n", data(line)))
        .collect()
}

/// A text that nobody can have foreseen.
pub(crate) fn token() -> String {
    format!("preview-{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_line_is_a_command() {
        for hostile in [
            "::set-output name=a::b",
            "  ::error::x",
            "\u{1b}[0m::error::x",
            "a ##[set-env name=PATH]b",
            "a\n::error::x",
            "a\r::error::x",
        ] {
            let line = harmless(hostile);
            assert!(
                !line.trim_start().starts_with("::"),
                "{hostile:?}: {line:?}"
            );
            assert!(!line.contains("##["), "{hostile:?}: {line:?}");
            assert_eq!(line.lines().count(), 1, "{hostile:?}: {line:?}");
            assert!(!line.contains('\r'), "{hostile:?}: {line:?}");
        }
    }

    #[test]
    fn a_secret_of_several_lines_has_a_mask_for_each() {
        assert_eq!(
            masks("first%1\r\n\n  second  \nab\n"),
            "::add-mask::first%251\n::add-mask::second\n"
        );
    }
}
