//! What somebody who watches the play sees: live lines on a terminal, plain ones in a log, nothing in a test.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks at the clock on a terminal.
const TICK: Duration = Duration::from_millis(100);

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Back to the line's beginning, and the line away.
const WIPE: &str = "\r\x1b[2K";

/// Whom the play is shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Sees what happens just now in the last line, with a clock.
    Terminal,
    /// Reads lines.
    Log,
    /// Nobody.
    Nobody,
}

/// The acts so far, and whoever watches them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    audience: Audience,
    /// The play, where several are on at a time.
    of: Option<&'static str>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    ended: Vec<(String, Duration)>,
    act: Option<(String, Instant)>,
    /// What happens just now.
    now: String,
}

impl Progress {
    /// For whoever is at the standard output.
    pub(crate) fn shown() -> Self {
        let audience = match io::stdout().is_terminal() {
            true => Audience::Terminal,
            false => Audience::Log,
        };
        Self {
            audience,
            of: None,
            book: Arc::default(),
        }
    }

    /// For whoever reads of several plays that are on at a time: every line begins with the play's name.
    pub(crate) fn beside_others(play: &'static str) -> Self {
        Self {
            audience: Audience::Log,
            of: Some(play),
            book: Arc::default(),
        }
    }

    /// For nobody.
    pub(crate) fn unseen() -> Self {
        Self {
            audience: Audience::Nobody,
            of: None,
            book: Arc::default(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the act before and begins one.
    pub(crate) fn act(&self, title: &str) {
        let mut book = self.book();
        book.end();
        let number = book.ended.len() + 1;
        book.act = Some((title.to_owned(), Instant::now()));
        title.clone_into(&mut book.now);
        drop(book);
        let heading = format!("{number}. {title}");
        match self.audience {
            Audience::Terminal => self.print(&format!("\n{BOLD}{heading}{PLAIN}")),
            _ => self.print(&format!("\n== {heading}")),
        }
    }

    /// The act that is on, for an error that ends it.
    pub(crate) fn current(&self) -> String {
        let book = self.book();
        match &book.act {
            Some((title, _)) => format!("act {}, {title:?}", book.ended.len() + 1),
            None => "before the first act".to_owned(),
        }
    }

    /// A line of the play's own.
    pub(crate) fn say(&self, line: &str) {
        self.print(&format!("  {line}"));
    }

    /// A line of somebody who plays.
    pub(crate) fn hear(&self, who: &str, line: &str) {
        who.clone_into(&mut self.book().now);
        match self.audience {
            Audience::Terminal => self.print(&format!("{DIM}  {who} | {line}{PLAIN}")),
            _ => self.print(&format!("  {who} | {line}")),
        }
    }

    /// Something of several lines, with a title.
    pub(crate) fn show(&self, title: &str, text: &str) {
        let mut shown = format!("  ┌ {title}");
        for line in text.trim_end().lines() {
            // A write to a String does not fail.
            let _ = write!(shown, "\n  │ {line}");
        }
        shown.push_str("\n  └");
        self.print(&shown);
    }

    /// Ends the last act; the acts and how long each took, as a table.
    pub(crate) fn table(&self) -> String {
        let mut book = self.book();
        book.end();
        book.table()
    }

    fn print(&self, text: &str) {
        let text = match self.of {
            Some(play) => prefixed(play, text),
            None => text.to_owned(),
        };
        let mut out = io::stdout().lock();
        // Whoever does not read us any more misses the rest; the play goes on.
        let _ = match self.audience {
            Audience::Terminal => {
                write!(out, "{WIPE}{text}\n{}", self.book().clock()).and_then(|()| out.flush())
            }
            Audience::Log => writeln!(out, "{text}"),
            Audience::Nobody => Ok(()),
        };
    }

    /// Shows the clock on a terminal for as long as what is given back lives.
    pub(crate) fn live(&self) -> Live {
        let progress = self.clone();
        Live((self.audience == Audience::Terminal).then(|| {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TICK).await;
                    let mut out = io::stdout().lock();
                    let _ = write!(out, "{WIPE}{}", progress.book().clock());
                    let _ = out.flush();
                }
            })
        }))
    }
}

/// Every line of `text` after the play's name.
fn prefixed(play: &str, text: &str) -> String {
    let lines = text.lines().map(|line| format!("{play:>9} | {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The clock on a terminal.
pub(crate) struct Live(Option<tokio::task::JoinHandle<()>>);

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            let mut out = io::stdout().lock();
            let _ = write!(out, "{WIPE}");
            let _ = out.flush();
        }
    }
}

impl Book {
    fn end(&mut self) {
        if let Some((title, since)) = self.act.take() {
            self.ended.push((title, since.elapsed()));
        }
    }

    fn clock(&self) -> String {
        let Some((_, since)) = &self.act else {
            return String::new();
        };
        format!("{DIM}  {} {}{PLAIN}", Seconds(since.elapsed()), self.now)
    }

    fn table(&self) -> String {
        let width = self.ended.iter().map(|(title, _)| title.chars().count());
        let width = width.max().unwrap_or(0).max("together".len());
        let mut table = String::new();
        let mut sum = Duration::ZERO;
        for (number, (title, took)) in self.ended.iter().enumerate() {
            let took = {
                sum += *took;
                Seconds(*took)
            };
            let _ = writeln!(table, "{:>3}. {title:width$} {took:>8}", number + 1);
        }
        let _ = write!(table, "     {:width$} {:>8}", "together", Seconds(sum));
        table
    }
}

/// Always in seconds: a column of one unit.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.pad(&format!("{:.1} s", self.0.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_follow_each_other_and_an_error_names_the_one_that_was_on() {
        let progress = Progress::unseen();
        assert_eq!(progress.current(), "before the first act");
        progress.act("open");
        progress.act("deploy");
        assert_eq!(progress.current(), "act 2, \"deploy\"");
    }

    #[test]
    fn of_plays_that_are_on_at_a_time_every_line_tells_its_play() {
        insta::assert_snapshot!(prefixed("life", "\n== 1. open\n  #1 is open"), @r"
             life | 
             life | == 1. open
             life |   #1 is open
        ");
    }

    #[test]
    fn the_table_has_every_act_and_their_sum() {
        let book = Book {
            ended: vec![
                ("open".to_owned(), Duration::from_millis(40)),
                (
                    "deploy the preview".to_owned(),
                    Duration::from_millis(12_345),
                ),
            ],
            ..Book::default()
        };
        insta::assert_snapshot!(book.table(), @r"
          1. open                  0.0 s
          2. deploy the preview   12.3 s
             together             12.4 s
        ");
    }
}
