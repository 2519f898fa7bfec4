//! What somebody has to be told who is not looking: that a preview cannot be taken down, that a sweep has stopped, that a promotion
//! failed.
//!
//! An [`Alert`] is the same for every channel; [`Alert::slack`] and [`Alert::mail`] write it down. What others wrote in
//! it — a finalizer's name, a server's message — is shown as it is and does nothing: it notifies nobody, links nowhere,
//! and ends neither its line nor its block.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::markdown::{is_plain_url, printable};
use crate::names::{Fence, NamespaceName, RepositorySlug, Subject};
use crate::outcome::{ReceiptItem, ReceiptState};
use crate::redaction::Redaction;
use crate::sweep::{Measure, Swept};

mod promotion;

pub use promotion::At;

/// Characters of one line of an alert.
const LONGEST_LINE: usize = 500;

/// Lines that tell what happened; how many more there are is said.
const MOST_LINES: usize = 15;

/// Where an alert comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The repository.
    pub repository: RepositorySlug,
    /// The run that tells; none outside Actions.
    pub run: Option<Fence>,
    /// The page of that run.
    pub run_url: Option<String>,
}

impl Origin {
    /// The command that runs the same again: the run itself where there is one, which needs none of its secrets.
    fn again(&self, otherwise: String) -> String {
        let Self {
            repository, run, ..
        } = self;
        match run {
            Some(Fence { run, .. }) => format!("gh run rerun {run} --repo {repository}"),
            None => otherwise,
        }
    }
}

/// Something that somebody has to look at.
///
/// Made by the constructors, one for each occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is about, in our own words.
    pub title: String,
    /// What happened, line by line; others may have written parts of it.
    pub happened: Vec<String>,
    /// The commands to type, in their order; none of them holds what is not checked to be plain.
    pub next: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Why a preview is still there after its cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGone<'a> {
    /// Something keeps it, as its receipt tells.
    Blocked(&'a [ReceiptItem]),
    /// The teardown itself failed.
    Failed(&'a str),
}

/// Why a sweep has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SweepTrouble {
    /// Something failed, with GitHub, the cluster or one of the previews.
    Failed,
    /// There was more to destroy than one sweep may.
    Limit,
    /// GitHub's list of open pull requests leaves out such as are open.
    NotBelieved,
}

impl Alert {
    /// The preview of `subject` should be gone, and is not.
    #[must_use]
    pub fn not_gone(
        origin: Origin,
        subject: &Subject,
        namespace: &NamespaceName,
        why: NotGone<'_>,
    ) -> Self {
        let (whose, by_hand) = match subject {
            Subject::Pr(number) => (format!("pull request #{number}"), format!("--pr {number}")),
            Subject::Commit(commit) => (
                format!("commit {}", commit.short()),
                format!("--commit {commit}"),
            ),
        };
        let is_blocked = |item: &&ReceiptItem| item.state == ReceiptState::Blocked;
        let (happened, first) = match why {
            NotGone::Blocked(receipt) => {
                let blocked = receipt.iter().filter(is_blocked);
                (
                    blocked.clone().map(line_of).collect(),
                    // What is in a Namespace keeps it, and tells more than the Namespace does.
                    blocked.clone().find_map(|item| look_at(item, namespace)),
                )
            }
            NotGone::Failed(error) => (vec![error.to_owned()], None),
        };
        let look = first.unwrap_or_else(|| format!("kubectl get namespace {namespace} -o yaml"));
        let again = origin.again(format!("preview-cleanup {by_hand}"));
        Self {
            title: format!("The preview of {whose} is not gone"),
            happened,
            next: vec![look, again],
            origin,
        }
    }

    /// A sweep is in trouble: `reason` is what it ended with, `swept` what it did.
    #[must_use]
    pub fn sweep(origin: Origin, trouble: SweepTrouble, reason: &str, swept: &[Swept]) -> Self {
        let repository = &origin.repository;
        let (title, look) = match trouble {
            SweepTrouble::Failed => ("A sweep failed", None),
            SweepTrouble::Limit => (
                "A sweep stopped at its limit",
                Some("preview-cleanup sweep --dry-run".to_owned()),
            ),
            SweepTrouble::NotBelieved => (
                "A sweep does not believe GitHub's list of open pull requests",
                Some(format!(
                    "gh pr list --repo {repository} --state open --limit 1000"
                )),
            ),
        };
        let again = origin.again("preview-cleanup sweep".to_owned());
        let is_open = |one: &&Swept| {
            matches!(
                one.measure,
                Measure::Failed | Measure::Left | Measure::Refused
            )
        };
        let each = swept.iter().filter(is_open).map(|one| {
            let Swept {
                namespace,
                measure,
                reason,
                ..
            } = one;
            format!("{namespace}: {measure}: {reason}")
        });
        Self {
            title: title.to_owned(),
            happened: std::iter::once(reason.to_owned()).chain(each).collect(),
            next: look.into_iter().chain([again]).collect(),
            origin,
        }
    }

    /// The same without these secrets.
    #[must_use]
    pub fn redacted(self, redaction: &Redaction) -> Self {
        let clean = |line: &String| redaction.clean(line);
        Self {
            title: redaction.clean(&self.title),
            happened: self.happened.iter().map(clean).collect(),
            ..self
        }
    }

    /// What a Slack incoming webhook is sent: text in mrkdwn, of which no link is unfolded.
    /// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
    #[must_use]
    pub fn slack(&self) -> Value {
        let repository = mrkdwn(&self.origin.repository.to_string());
        let mut text = format!("*{}* ({repository})\n", mrkdwn(&self.title));
        let happened = self.lines();
        if !happened.is_empty() {
            let lines: Vec<String> = happened.iter().map(|line| mrkdwn(line)).collect();
            let _ = writeln!(text, "```\n{}\n```", lines.join("\n"));
        }
        for (word, command) in self.commands() {
            let _ = writeln!(text, "{word}: `{}`", mrkdwn(command));
        }
        if let Some(url) = self.run_url() {
            let _ = writeln!(text, "<{}|The run and its log>", escaped(url));
        }
        json!({ "text": text.trim_end(), "unfurl_links": false, "unfurl_media": false })
    }

    /// The alert as a mail of plain text.
    #[must_use]
    pub fn mail(&self) -> Mail {
        let title = one_line(&self.title);
        let mut body = format!("{title}\n\n");
        for line in self.lines() {
            let _ = writeln!(body, "  {line}");
        }
        body.push('\n');
        for (word, command) in self.commands() {
            let _ = writeln!(body, "{word}:\n\n    {}\n", one_line(command));
        }
        let _ = writeln!(body, "Repository: {}", self.origin.repository);
        if let Some(url) = self.run_url() {
            let _ = writeln!(body, "The run and its log: {url}");
        }
        Mail {
            subject: format!("[{}] {title}", self.origin.repository),
            body,
        }
    }

    /// What happened, in as many lines as somebody reads.
    fn lines(&self) -> Vec<String> {
        let shown = self.happened.iter().take(MOST_LINES);
        let mut lines: Vec<String> = shown.map(|line| one_line(line)).collect();
        let more = self.happened.len() - lines.len();
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
        lines
    }

    fn commands(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let words = std::iter::once("Next").chain(std::iter::repeat("Then"));
        words.zip(self.next.iter().map(String::as_str))
    }

    fn run_url(&self) -> Option<&str> {
        let url = self.origin.run_url.as_deref();
        url.filter(|url| is_plain_url(url))
    }
}

/// An alert as a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// A thing of a receipt and what keeps it.
fn line_of(item: &ReceiptItem) -> String {
    let ReceiptItem {
        object,
        state,
        note,
    } = item;
    match note {
        Some(note) => format!("{object}: {state} ({note})"),
        None => format!("{object}: {state}"),
    }
}

/// The command that shows an object within the Namespace, or beside it; none where the item names no single one.
fn look_at(item: &ReceiptItem, namespace: &NamespaceName) -> Option<String> {
    let (kind, name) = item.object.split_once('/')?;
    let is_plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    // Names that the API server accepts are plain; what is not is no command of ours.
    let is_one = kind != "Namespace" && is_plain(kind, b"") && is_plain(name, b"-.");
    is_one.then(|| {
        let kind = kind.to_ascii_lowercase();
        format!("kubectl --namespace {namespace} get {kind} {name} -o yaml")
    })
}

/// `text` for Slack: nothing in it is a mention, a link, or the end of the code that it stands in.
fn mrkdwn(text: &str) -> String {
    // Slack has no way to escape a backtick: one that looks alike takes its place.
    escaped(&one_line(text).replace('`', "ˋ"))
}

/// The three characters that Slack reads as control characters, and no others.
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `text` on one line without control characters, cut where it is longer than anybody reads.
fn one_line(text: &str) -> String {
    let text = printable(&text.replace(['\n', '\r', '\t'], " "));
    let text = text.trim();
    match text.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            repository: "acme/shop".parse().unwrap(),
            run: Some(Fence {
                run: 100,
                attempt: 1,
            }),
            run_url: Some("https://github.com/acme/shop/actions/runs/100/attempts/1".to_owned()),
        }
    }

    fn by_hand() -> Origin {
        Origin {
            run: None,
            run_url: None,
            ..origin()
        }
    }

    fn item(object: &str, state: ReceiptState, note: &str) -> ReceiptItem {
        ReceiptItem {
            object: object.to_owned(),
            state,
            note: Some(note.to_owned()),
        }
    }

    fn stuck(origin: Origin) -> Alert {
        let receipt = [
            item(
                "Namespace/preview-pr-7",
                ReceiptState::Blocked,
                "waits for what is in it",
            ),
            item("pods", ReceiptState::Gone, "2 seen, none left"),
            item(
                "PersistentVolumeClaim/data-database-0",
                ReceiptState::Blocked,
                "finalizers example.com/<backup>",
            ),
        ];
        let (subject, namespace) = ("pr-7".parse().unwrap(), "preview-pr-7".parse().unwrap());
        Alert::not_gone(origin, &subject, &namespace, NotGone::Blocked(&receipt))
    }

    fn swept(measure: Measure, reason: &str) -> Swept {
        Swept {
            namespace: "preview-pr-8".parse().unwrap(),
            subject: None,
            measure,
            reason: reason.to_owned(),
        }
    }

    fn slack(alert: &Alert) -> String {
        alert.slack()["text"].as_str().unwrap().to_owned()
    }

    fn mail(alert: &Alert) -> String {
        let Mail { subject, body } = alert.mail();
        format!("Subject: {subject}\n\n{body}")
    }

    #[test]
    fn a_stuck_deletion_names_what_blocks_it_and_what_to_type() {
        insta::assert_snapshot!(slack(&stuck(origin())), @r"
        *The preview of pull request #7 is not gone* (acme/shop)
        ```
        Namespace/preview-pr-7: still there (waits for what is in it)
        PersistentVolumeClaim/data-database-0: still there (finalizers example.com/&lt;backup&gt;)
        ```
        Next: `kubectl --namespace preview-pr-7 get persistentvolumeclaim data-database-0 -o yaml`
        Then: `gh run rerun 100 --repo acme/shop`
        <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
        ");
        insta::assert_snapshot!(mail(&stuck(origin())), @r"
        Subject: [acme/shop] The preview of pull request #7 is not gone

        The preview of pull request #7 is not gone

          Namespace/preview-pr-7: still there (waits for what is in it)
          PersistentVolumeClaim/data-database-0: still there (finalizers example.com/<backup>)

        Next:

            kubectl --namespace preview-pr-7 get persistentvolumeclaim data-database-0 -o yaml

        Then:

            gh run rerun 100 --repo acme/shop

        Repository: acme/shop
        The run and its log: https://github.com/acme/shop/actions/runs/100/attempts/1
        ");
        assert_eq!(
            stuck(by_hand()).next[1],
            "preview-cleanup --pr 7",
            "outside Actions there is no run to repeat"
        );
    }

    #[test]
    fn a_teardown_that_failed_tells_its_error() {
        let commit = format!("commit-{}", "d".repeat(40)).parse().unwrap();
        let namespace = "preview-pr-cdddddddddddd".parse().unwrap();
        let error = "tear down: the cluster answered 503 & nothing else";
        let alert = Alert::not_gone(by_hand(), &commit, &namespace, NotGone::Failed(error));
        insta::assert_snapshot!(slack(&alert), @r"
        *The preview of commit ddddddd is not gone* (acme/shop)
        ```
        tear down: the cluster answered 503 &amp; nothing else
        ```
        Next: `kubectl get namespace preview-pr-cdddddddddddd -o yaml`
        Then: `preview-cleanup --commit dddddddddddddddddddddddddddddddddddddddd`
        ");
        insta::assert_snapshot!(mail(&alert), @r"
        Subject: [acme/shop] The preview of commit ddddddd is not gone

        The preview of commit ddddddd is not gone

          tear down: the cluster answered 503 & nothing else

        Next:

            kubectl get namespace preview-pr-cdddddddddddd -o yaml

        Then:

            preview-cleanup --commit dddddddddddddddddddddddddddddddddddddddd

        Repository: acme/shop
        ");
    }

    #[test]
    fn a_sweep_tells_why_it_stopped_and_what_it_left() {
        let all = [
            swept(Measure::Destroyed, "gone"),
            swept(Measure::Failed, "GitHub answered 502"),
            swept(Measure::Left, "one sweep destroys no more than 2"),
        ];
        let told = [
            SweepTrouble::Failed,
            SweepTrouble::Limit,
            SweepTrouble::NotBelieved,
        ]
        .map(|trouble| slack(&Alert::sweep(origin(), trouble, "3 previews", &all)));
        insta::assert_snapshot!(told.join("\n\n"), @r"
        *A sweep failed* (acme/shop)
        ```
        3 previews
        preview-pr-8: failed: GitHub answered 502
        preview-pr-8: left: one sweep destroys no more than 2
        ```
        Next: `gh run rerun 100 --repo acme/shop`
        <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>

        *A sweep stopped at its limit* (acme/shop)
        ```
        3 previews
        preview-pr-8: failed: GitHub answered 502
        preview-pr-8: left: one sweep destroys no more than 2
        ```
        Next: `preview-cleanup sweep --dry-run`
        Then: `gh run rerun 100 --repo acme/shop`
        <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>

        *A sweep does not believe GitHub's list of open pull requests* (acme/shop)
        ```
        3 previews
        preview-pr-8: failed: GitHub answered 502
        preview-pr-8: left: one sweep destroys no more than 2
        ```
        Next: `gh pr list --repo acme/shop --state open --limit 1000`
        Then: `gh run rerun 100 --repo acme/shop`
        <https://github.com/acme/shop/actions/runs/100/attempts/1|The run and its log>
        ");
        let alert = Alert::sweep(by_hand(), SweepTrouble::Limit, "3 previews", &all);
        insta::assert_snapshot!(mail(&alert), @r"
        Subject: [acme/shop] A sweep stopped at its limit

        A sweep stopped at its limit

          3 previews
          preview-pr-8: failed: GitHub answered 502
          preview-pr-8: left: one sweep destroys no more than 2

        Next:

            preview-cleanup sweep --dry-run

        Then:

            preview-cleanup sweep

        Repository: acme/shop
        ");
    }

    #[test]
    fn what_others_wrote_is_shown_and_does_nothing() {
        let hostile = [
            "<!channel> <@U024BE7LH> <https://evil.example|look>",
            "```\n*bold* `code` & <b>",
            "one\r\nBcc: everybody@example.com\r\n\r\n.\r\nDATA",
            "\u{1b}[31mred\u{1b}[0m \u{202e}txet",
        ];
        let alert = Alert {
            title: "Two\nlines ``` <!here>".to_owned(),
            happened: hostile.map(str::to_owned).to_vec(),
            next: vec!["kubectl get pods".to_owned()],
            origin: Origin {
                run_url: Some("https://evil.example|x>\n<!channel>".to_owned()),
                ..origin()
            },
        };
        insta::assert_snapshot!(slack(&alert), @r"
        *Two lines ˋˋˋ &lt;!here&gt;* (acme/shop)
        ```
        &lt;!channel&gt; &lt;@U024BE7LH&gt; &lt;https://evil.example|look&gt;
        ˋˋˋ *bold* ˋcodeˋ &amp; &lt;b&gt;
        one  Bcc: everybody@example.com    .  DATA
        red txet
        ```
        Next: `kubectl get pods`
        ");
        insta::assert_snapshot!(mail(&alert), @r"
        Subject: [acme/shop] Two lines ``` <!here>

        Two lines ``` <!here>

          <!channel> <@U024BE7LH> <https://evil.example|look>
          ``` *bold* `code` & <b>
          one  Bcc: everybody@example.com    .  DATA
          red txet

        Next:

            kubectl get pods

        Repository: acme/shop
        ");
        assert_eq!(alert.mail().subject.lines().count(), 1);
    }

    #[test]
    fn an_object_whose_name_is_not_plain_is_no_part_of_a_command() {
        let namespace = "preview-pr-7".parse().unwrap();
        let looks = [
            "PersistentVolume/pvc-1.x",
            "Namespace/preview-pr-7",
            "pods",
            "Pod/web; rm -rf /",
            "Pod/$(id)",
            "Pod/",
        ]
        .map(|object| look_at(&item(object, ReceiptState::Blocked, ""), &namespace));
        let yaml = "kubectl --namespace preview-pr-7 get persistentvolume pvc-1.x -o yaml";
        assert_eq!(looks, [Some(yaml.to_owned()), None, None, None, None, None]);
    }

    #[test]
    fn a_flood_is_cut() {
        let alert = Alert {
            happened: vec!["<".repeat(5_000); 1_000],
            ..stuck(origin())
        };
        // Slack cuts at 40 000 characters. <https://docs.slack.dev/changelog/2018-truncating-really-long-messages>
        let (slack, mail) = (slack(&alert), alert.mail().body);
        assert!(slack.len() < 32_000 && mail.len() < 9_000);
        assert!(slack.contains("… and 985 more") && mail.contains("… and 985 more"));
    }

    #[test]
    fn secrets_are_taken_out() {
        let alert = Alert {
            happened: vec!["the server said hunter2".to_owned()],
            ..stuck(origin())
        };
        let told = slack(&alert.redacted(&Redaction::of(["hunter2"])));
        assert!(told.contains("the server said ***"), "{told}");
    }
}
