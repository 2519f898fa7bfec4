//! The one comment on a pull request that always tells how its preview is.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;

use crate::approvals::Cancelled;
use crate::health::{Actor, Failure, FailureClass, Rollout};
use crate::markdown::{code, fence, inline, is_plain_url, link};
use crate::names::{CommitSha, ComponentName, NamespaceName, PinnedImage};
use crate::outcome::ReceiptItem;
use crate::quota::Table;
use crate::slots::Waiting;

mod answer;
mod approval;
mod note;

pub use answer::with_answer;
pub use approval::{Asks, with_asks, with_cancelled};
pub use note::Note;

/// The hidden text by which the comment is found again (together with its author: others can copy it).
pub const MARKER: &str = "<!-- preview-environments:comment -->";

const HEADING: &str = "## 🚀 Preview Environment";

/// The line that says, under another status, that the preview is gone.
const PREVIEW_GONE: &str = "**Preview**: 🗑️ Destroyed";

/// Lines of a log that a comment shows; the run has them all.
const LOG_LINES: usize = 20;

/// Characters of each.
const LOG_WIDTH: usize = 300;

/// Items of a list of reasons or of a receipt.
const LIST_ITEMS: usize = 50;

/// Whether a comment of ours tells that the preview is gone.
#[must_use]
pub fn tells_of_destruction(body: &str) -> bool {
    let status = format!("**Status**: {}", State::DESTROYED);
    body.lines()
        .any(|line| line == PREVIEW_GONE || line == status)
}

/// Whether a comment of ours tells of `state`: of a promotion, the target's.
#[must_use]
pub fn tells_of(body: &str, state: &State) -> bool {
    let status = format!("**Status**: {}", state.status_line());
    body.lines().any(|line| line == status)
}

/// A comment that tells how a promotion went, telling in addition that the preview is gone; none where `body` tells of
/// no promotion.
///
/// Cleanup and promotion of the same merge run side by side: the later must not take back what the earlier said.
#[must_use]
pub fn with_destruction(body: &str) -> Option<String> {
    let of_promotion = |line: &&str| {
        let status = line.strip_prefix("**Status**: ");
        status.is_some_and(|status| {
            [State::PROMOTED, State::NOT_PROMOTED, State::ROLLED_BACK]
                .iter()
                .any(|told| status.starts_with(told))
        })
    };
    let status = body.lines().find(of_promotion)?;
    Some(if tells_of_destruction(body) {
        body.to_owned()
    } else {
        body.replacen(status, &format!("{status}\n{PREVIEW_GONE}"), 1)
    })
}

/// Component names, or parts of them, that are written in capitals.
const INITIALISMS: [&str; 12] = [
    "api", "bff", "cdn", "cms", "db", "http", "id", "io", "sso", "ui", "url", "ws",
];

/// The comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// How the preview is.
    pub state: State,
    /// Where it answers; none where nothing answers.
    pub url: Option<String>,
    /// When this was true.
    pub updated: Timestamp,
    /// The commit H.
    pub commit: CommitSha,
    /// The preview's namespace; none where there is none to be.
    pub namespace: Option<NamespaceName>,
    /// How its database is, where it has one.
    pub database: Option<Condition>,
    /// How its components are, in the order in which they are shown.
    pub components: Vec<(ComponentName, Replicas)>,
    /// What else there is to know, in the order in which it was found out.
    pub notes: Vec<Note>,
    /// The page of the run that wrote it.
    pub run_url: Option<String>,
    /// Whether the preview is gone, where the state tells of something else.
    pub preview_gone: bool,
}

/// How the preview is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being made or updated.
    Deploying {
        /// What is being done, such as `rolling out`.
        step: String,
    },
    /// It answers.
    Ready,
    /// What was deployed does not come up.
    Failed {
        /// What, where and why.
        failure: Failure,
        /// How far the run had come.
        ended: Ended,
    },
    /// GitHub, the registry, the cluster or the runner failed, or the configuration is wrong.
    OutsideFailed {
        /// Which of them.
        class: FailureClass,
        /// The error, which names operation, object and next step.
        error: String,
        /// How far the run had come.
        ended: Ended,
    },
    /// It waits for a slot.
    Queued(Waiting),
    /// Somebody has to approve its head first.
    AwaitingApproval(Asks),
    /// Nothing was deployed, and the run that waited for approval was cancelled.
    NotApproved(Cancelled),
    /// A rule says no.
    Refused {
        /// Each reason with its next step.
        reasons: Vec<String>,
        /// Who needs how much of the quota, where that is a reason.
        table: Option<Table>,
    },
    /// It is gone.
    Destroyed {
        /// What was verified to be gone.
        receipt: Vec<ReceiptItem>,
    },
    /// Nobody has deployed it for a while: nothing of it runs, and its database is kept.
    Asleep {
        /// When it was deployed last.
        active: Timestamp,
        /// What wakes it, for a terminal.
        commands: Vec<String>,
    },
    /// It should be gone and something keeps it.
    NotDestroyed {
        /// What is gone and what is not.
        receipt: Vec<ReceiptItem>,
    },
    /// What was looked at runs on a target.
    Promoted {
        /// The target.
        target: String,
        /// The commit M.
        commit: CommitSha,
        /// What runs there.
        images: BTreeMap<ComponentName, PinnedImage>,
    },
    /// It ran on a target, and somebody took it off again.
    RolledBack {
        /// The target.
        target: String,
        /// The commit M that is off.
        commit: CommitSha,
        /// The commit that runs instead.
        to: CommitSha,
        /// In the words of who did it.
        reason: String,
        /// What lets promotions go on, for a terminal.
        resume: String,
    },
    /// It was merged, and a rule keeps it from a target.
    NotPromoted {
        /// The target.
        target: String,
        /// Each reason with its next step.
        reasons: Vec<String>,
    },
}

/// How far a run had come when it failed, and who helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What was being done, such as `rolling out`.
    pub step: String,
    /// How long the run had taken until then.
    pub after: Duration,
    /// How to get access to the cluster, as `[access]` in preview.toml says it to people.
    pub access: Option<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.after.as_secs();
        write!(f, "{} after ", self.step)?;
        match seconds / 60 {
            0 => write!(f, "{seconds} s"),
            minutes => write!(f, "{minutes} min {} s", seconds % 60),
        }
    }
}

/// How a part of the preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Not there yet.
    Starting,
    /// There.
    Ready,
    /// It will not come up.
    Failed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "Starting",
            Self::Ready => "Ready",
            Self::Failed => "Failed",
        })
    }
}

/// How a component is, and how many of its replicas are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// How it is.
    pub condition: Condition,
    /// Replicas that are ready.
    pub ready: u32,
    /// Replicas wanted.
    pub desired: u32,
}

impl Replicas {
    /// What `rollout` says, of a component that wants `desired` replicas.
    #[must_use]
    pub fn of(rollout: &Rollout, desired: u32) -> Self {
        let (condition, ready, desired) = match rollout {
            Rollout::Waiting { ready, desired } => (Condition::Starting, *ready, *desired),
            Rollout::Complete { ready, desired } => (Condition::Ready, *ready, *desired),
            Rollout::Failed(_) => (Condition::Failed, 0, desired),
        };
        Self {
            condition,
            ready,
            desired,
        }
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            condition,
            ready,
            desired,
        } = self;
        write!(f, "{condition} ({ready}/{desired} replicas)")
    }
}

/// A component's name for people: `web` is Web, `api` is API, `admin-ui` is Admin UI.
#[must_use]
pub fn display_name(component: &ComponentName) -> String {
    let words = component
        .as_str()
        .split('-')
        .filter(|word| !word.is_empty());
    let words: Vec<String> = words
        .map(|word| {
            if INITIALISMS.contains(&word) {
                word.to_ascii_uppercase()
            } else {
                word[..1].to_ascii_uppercase() + &word[1..]
            }
        })
        .collect();
    words.join(" ")
}

impl Comment {
    /// A comment that tells `state` of the head `commit` and nothing beside it.
    #[must_use]
    pub fn of(
        state: State,
        commit: CommitSha,
        updated: Timestamp,
        run_url: Option<String>,
    ) -> Self {
        Self {
            state,
            url: None,
            updated,
            commit,
            namespace: None,
            database: None,
            components: Vec::new(),
            notes: Vec::new(),
            run_url,
            preview_gone: false,
        }
    }

    /// The comment's Markdown, its marker included.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("{MARKER}\n{HEADING}\n\n");
        self.head(&mut out);
        out.push_str("\n---\n\n");
        let story = self.story();
        if !story.is_empty() {
            out += &story;
            out.push('\n');
        }
        if !self.notes.is_empty() {
            list(&mut out, self.notes.iter().map(ToString::to_string));
            out.push('\n');
        }
        self.details(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        let _ = writeln!(out, "**Status**: {}", self.state.status_line());
        if self.preview_gone {
            let _ = writeln!(out, "{PREVIEW_GONE}");
        }
        if let Some(url) = &self.url {
            let shown = if is_plain_url(url) {
                url.clone()
            } else {
                inline(url)
            };
            let _ = writeln!(out, "**URL**: {shown}");
        }
        let updated = self.updated.strftime("%Y-%m-%d %H:%M UTC");
        let _ = writeln!(out, "**Last Updated**: {updated}");
        let _ = writeln!(out, "**Commit**: {}", self.commit.short());
    }

    /// What there is to say beyond the head; empty where nothing is.
    fn story(&self) -> String {
        let mut out = String::new();
        match &self.state {
            State::Deploying { .. } => {}
            State::Ready => return String::new(),
            State::Failed { failure, ended } => self.failure(&mut out, failure, ended),
            State::OutsideFailed { class, error, .. } => {
                let _ = writeln!(out, "**What failed**: {class} — {}", inline(error));
                acts(&mut out, class.actor());
            }
            State::Queued(waiting) => queue(&mut out, waiting),
            State::AwaitingApproval(asks) => out += &asks.markdown(),
            State::NotApproved(cancelled) => {
                let _ = writeln!(out, "{cancelled}");
            }
            State::Refused { reasons, table } => {
                list(&mut out, reasons.iter().map(|reason| inline(reason)));
                if let Some(table) = table {
                    let _ = write!(out, "\n{}", table.markdown());
                }
            }
            State::NotPromoted { reasons, .. } => {
                list(&mut out, reasons.iter().map(|reason| inline(reason)));
            }
            State::Asleep { active, commands } => {
                let _ = writeln!(
                    out,
                    "It was deployed last at {}. Its database is kept, its slot is free, and nothing of it runs. A push wakes it, \
                     and so does one of these:\n",
                    active.strftime("%Y-%m-%d %H:%M UTC")
                );
                list(&mut out, commands.iter().map(|command| code(command)));
            }
            State::Destroyed { receipt } | State::NotDestroyed { receipt } => {
                list(&mut out, receipt.iter().map(receipt_line));
                self.teardown_command(&mut out);
            }
            State::RolledBack {
                commit,
                to,
                reason,
                resume,
                ..
            } => {
                let _ = writeln!(
                    out,
                    "**Merged as**: {}\n**Runs instead**: {}\n**Why**: {}\n**Next**: nothing is promoted there until {}",
                    commit.short(),
                    to.short(),
                    inline(reason),
                    code(resume)
                );
            }
            State::Promoted { commit, images, .. } => {
                let _ = writeln!(out, "**Merged as**: {}\n", commit.short());
                let lines = images.iter().map(|(component, image)| {
                    format!("{}: {}", display_name(component), code(&image.to_string()))
                });
                list(&mut out, lines);
            }
        }
        if let Some(url) = &self.run_url {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}{}", link("The run and its log", url));
        }
        out
    }

    fn failure(&self, out: &mut String, failure: &Failure, ended: &Ended) {
        let _ = write!(
            out,
            "**What failed**: {} — {}",
            failure.class,
            code(&failure.workload.to_string())
        );
        if let Some(pod) = &failure.pod {
            let _ = write!(out, ", pod {}", code(pod));
        }
        if let Some(container) = &failure.container {
            let _ = write!(out, ", container {}", code(container));
        }
        out.push('\n');
        if !failure.message.is_empty() {
            let _ = writeln!(out, "**Message**: {}", inline(&failure.message));
        }
        acts(out, failure.class.actor());
        if let Some(namespace) = &self.namespace {
            let _ = writeln!(out, "**Next**: {}", code(&failure.next_command(namespace)));
        }
        if let Some(hint) = &ended.access {
            let _ = writeln!(out, "**Access**: {}", with_links(hint));
        }
        let events = "What Kubernetes noted last:";
        for (heading, lines) in [
            (failure.class.log_heading(), &failure.log),
            (events, &failure.events),
        ] {
            if !lines.is_empty() {
                let _ = writeln!(out, "\n{heading}\n\n{}", fence(&last_lines(lines)));
            }
        }
    }

    fn teardown_command(&self, out: &mut String) {
        if let (State::NotDestroyed { .. }, Some(namespace)) = (&self.state, &self.namespace) {
            // Without it, what follows would be the last item's.
            out.push('\n');
            acts(out, Actor::Operator);
            let command = format!("kubectl get namespace {namespace} -o yaml");
            let _ = writeln!(out, "**Next**: {}", code(&command));
        }
    }

    fn details(&self, out: &mut String) {
        out.push_str("<details>\n<summary>Deployment Details</summary>\n\n");
        if let Some(namespace) = &self.namespace {
            let _ = writeln!(out, "- Namespace: `{namespace}`");
        }
        if let Some(database) = self.database {
            let _ = writeln!(out, "- Database: {database}");
        }
        for (component, replicas) in &self.components {
            let _ = writeln!(out, "- {}: {replicas}", display_name(component));
        }
        if self.namespace.is_none() && self.database.is_none() && self.components.is_empty() {
            out.push_str("- Nothing is deployed\n");
        }
        out.push_str("\n</details>\n");
    }
}

impl State {
    const DESTROYED: &str = "🗑️ Destroyed";
    const PROMOTED: &str = "🚀 Promoted";
    const AWAITING_APPROVAL: &str = "🔏 Waits for approval";
    const NOT_APPROVED: &str = "⌛ Not approved";
    const NOT_PROMOTED: &str = "⛔ Not promoted";
    const ROLLED_BACK: &str = "↩️ Rolled back";

    /// What stands behind **Status**.
    #[must_use]
    pub fn status_line(&self) -> String {
        match self {
            Self::Deploying { step } => format!("⏳ Deploying — {}", inline(step)),
            Self::Ready => "✅ Ready".to_owned(),
            Self::Failed { ended, .. } | Self::OutsideFailed { ended, .. } => {
                format!("❌ Failed — {}", inline(&ended.to_string()))
            }
            Self::Queued(Waiting { place, .. }) => match place {
                Some(place) => format!("🚦 Queued — {} of {}", place.number, place.of),
                None => "🚦 Queued".to_owned(),
            },
            Self::AwaitingApproval(_) => Self::AWAITING_APPROVAL.to_owned(),
            Self::NotApproved(_) => Self::NOT_APPROVED.to_owned(),
            Self::Refused { .. } => "⛔ Refused".to_owned(),
            Self::Asleep { .. } => "😴 Asleep".to_owned(),
            Self::Destroyed { .. } => Self::DESTROYED.to_owned(),
            Self::NotDestroyed { .. } => "⚠️ Not destroyed yet".to_owned(),
            Self::Promoted { target, .. } => format!("{} — {}", Self::PROMOTED, inline(target)),
            Self::NotPromoted { target, .. } => {
                format!("{} — {}", Self::NOT_PROMOTED, inline(target))
            }
            Self::RolledBack { target, .. } => {
                format!("{} — {}", Self::ROLLED_BACK, inline(target))
            }
        }
    }
}

fn acts(out: &mut String, actor: Actor) {
    let who = match actor {
        Actor::Author => "the author of this pull request",
        Actor::Operator => "whoever operates the previews",
    };
    let _ = writeln!(out, "**Who acts**: {who}");
}

fn queue(out: &mut String, waiting: &Waiting) {
    let slots = match waiting.capacity {
        1 => "The one slot for previews is taken".to_owned(),
        capacity => format!("All {capacity} slots for previews are taken"),
    };
    let place = waiting.place.map_or_else(String::new, |place| {
        format!(
            " This one is number {} of {} in the queue.",
            place.number, place.of
        )
    });
    let _ = writeln!(
        out,
        "{slots}.{place} It is deployed by itself when its turn comes: closing a pull request frees its slot.\n"
    );
    let lines = waiting.holders.iter().map(|holder| {
        // As code: a reference would write into the history of the other pull request.
        let who = holder.subject.as_ref().map_or_else(
            || "a preview of another repository".to_owned(),
            |subject| code(&subject.to_string()),
        );
        let since = holder.since.map_or_else(String::new, |since| {
            format!(" since {}", since.strftime("%Y-%m-%d %H:%M UTC"))
        });
        format!("{who}{since}")
    });
    list(out, lines);
}

fn receipt_line(item: &ReceiptItem) -> String {
    let note = item.note.as_ref();
    let note = note.map_or_else(String::new, |note| format!(": {}", inline(note)));
    let state = item.state;
    format!("{} {} {state}{note}", state.sign(), code(&item.object))
}

/// `text` on one line, in which addresses can be followed and nothing else is markup.
fn with_links(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| match is_plain_url(word) {
            true => word.to_owned(),
            false => inline(word),
        });
    words.collect::<Vec<_>>().join(" ")
}

fn list(out: &mut String, items: impl ExactSizeIterator<Item = String>) {
    let more = items.len().saturating_sub(LIST_ITEMS);
    for item in items.take(LIST_ITEMS) {
        let _ = writeln!(out, "- {item}");
    }
    if more > 0 {
        let _ = writeln!(out, "- … and {more} more");
    }
}

fn last_lines(log: &[String]) -> Vec<String> {
    log[log.len().saturating_sub(LOG_LINES)..]
        .iter()
        .map(|line| line.chars().take(LOG_WIDTH).collect())
        .collect()
}

#[cfg(test)]
mod tests;
