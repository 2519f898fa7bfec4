//! All previews of a repository, as a table for people.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::markdown::{code_cell, inline, is_plain_url};
use crate::names::{CommitSha, NamespaceName, Subject};
use crate::quota::{Filled, Resource};
use crate::table::Columns;

/// A preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// What it is a preview of.
    pub subject: Option<Subject>,
    /// Its namespace.
    pub namespace: NamespaceName,
    /// The pull request's title, while it is open.
    pub title: Option<String>,
    /// Who opened it.
    pub author: Option<String>,
    /// The phase that the last run left it in; `destroying` once its deletion was asked for.
    pub phase: Option<String>,
    /// Its claim on a slot.
    pub claim: Option<String>,
    /// The commit H that it is of.
    pub head: Option<CommitSha>,
    /// Where it answers, once it does.
    pub url: Option<String>,
    /// When its namespace was made.
    pub created: Timestamp,
    /// How much of its quota it uses; none where it has none, or that could not be asked.
    pub quota: Option<Filled>,
}

/// How long something has been there, in its largest unit: `3d`, `5h`, `12m`, `40s`.
struct Age(i64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0);
        let (count, unit) = match seconds {
            86_400.. => (seconds / 86_400, 'd'),
            3_600.. => (seconds / 3_600, 'h'),
            60.. => (seconds / 60, 'm'),
            _ => (seconds, 's'),
        };
        f.pad(&format!("{count}{unit}"))
    }
}

/// What a cell shows where there is nothing.
const NOTHING: &str = "–";

/// The columns of the table.
const COLUMNS: usize = 10;

const HEADINGS: [&str; COLUMNS] = [
    "PREVIEW", "PHASE", "SLOT", "AGE", "COMMIT", "AUTHOR", "CPU", "MEMORY", "URL", "TITLE",
];
/// The columns that only a wide terminal has room for: what of the quota is used, and the address.
const WIDE_ONLY: [usize; 3] = [6, 7, 8];

impl Listed {
    fn cells(&self, now: Timestamp) -> [String; COLUMNS] {
        let text = |text: Option<&str>| text.unwrap_or(NOTHING).to_owned();
        let subject = match &self.subject {
            Some(Subject::Commit(commit)) => format!("c{}", commit.short()),
            Some(subject) => subject.to_string(),
            None => self.namespace.to_string(),
        };
        // What it may use at most, as its limits say: that is what a quota runs out of first.
        let share = |resource| {
            let share = self.quota.as_ref().and_then(|quota| quota.share(resource));
            share.unwrap_or_else(|| NOTHING.to_owned())
        };
        let age = Age(now.as_second() - self.created.as_second());
        [
            subject,
            text(self.phase.as_deref()),
            text(self.claim.as_deref()),
            age.to_string(),
            text(self.head.as_ref().map(CommitSha::short)),
            text(self.author.as_deref()),
            share(Resource::LimitsCpu),
            share(Resource::LimitsMemory),
            text(self.url.as_deref()),
            text(self.title.as_deref()),
        ]
    }
}

/// The previews, which are to be in order, as lines of at most `width` columns where their titles can be cut to that.
#[must_use]
pub fn lines(all: &[Listed], now: Timestamp, width: usize) -> Vec<String> {
    let columns = Columns {
        headings: HEADINGS,
        wide_only: &WIDE_ONLY,
        cut: COLUMNS - 1,
    };
    columns.lines(all.iter().map(|listed| listed.cells(now)), width)
}

/// The previews as a table in Markdown.
#[must_use]
pub fn markdown(all: &[Listed], now: Timestamp) -> String {
    let mut out =
        "| Preview | Phase | Slot | Age | Commit | Author | CPU | Memory | URL | Title |\n\
                   |---|---|---|---:|---|---|---:|---:|---|---|\n"
            .to_owned();
    for listed in all {
        let [
            subject,
            phase,
            claim,
            age,
            commit,
            author,
            cpu,
            memory,
            url,
            title,
        ] = listed.cells(now);
        let _ = writeln!(
            out,
            "| {} | {} | {claim} | {age} | {commit} | {} | {cpu} | {memory} | {} | {} |",
            code_cell(&subject),
            inline(&phase),
            inline(&author),
            link(&url),
            inline(&title)
        );
    }
    out
}

fn link(url: &str) -> String {
    match is_plain_url(url) {
        true => url.to_owned(),
        false => inline(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Usage;

    fn previews() -> Vec<Listed> {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let ready = Listed {
            subject: Some("pr-7".parse().unwrap()),
            namespace: "preview-pr-7".parse().unwrap(),
            title: Some(
                "A cart that remembers what was in it\u{1b}[2J, and who put it there".into(),
            ),
            author: Some("alice".into()),
            phase: Some("ready".into()),
            claim: Some("held".into()),
            head: Some("a".repeat(40).parse().unwrap()),
            url: Some("https://7.pr.example.com".into()),
            created: at("2025-12-16T14:32:00Z"),
            quota: Some(Filled {
                used: Usage::known([("limits.cpu", "750m"), ("limits.memory", "1200Mi")]),
                hard: Usage::known([("limits.cpu", "4"), ("limits.memory", "4Gi")]),
            }),
        };
        let waiting = Listed {
            subject: Some("pr-1234".parse().unwrap()),
            namespace: "preview-pr-1234".parse().unwrap(),
            title: Some("Tea".into()),
            author: Some("dependabot[bot]".into()),
            phase: None,
            claim: Some("queued".into()),
            url: None,
            created: at("2025-12-19T14:20:00Z"),
            quota: None,
            ..ready.clone()
        };
        let commit = Listed {
            subject: Some(format!("commit-{}", "d".repeat(40)).parse().unwrap()),
            namespace: "preview-pr-cdddddddddddd".parse().unwrap(),
            title: None,
            author: None,
            created: at("2025-12-19T14:31:20Z"),
            ..ready.clone()
        };
        vec![ready, waiting, commit]
    }

    #[test]
    fn the_table_fits_a_narrow_terminal_and_shows_more_in_a_wide_one() {
        let now = "2025-12-19T14:32:00Z".parse().unwrap();
        let narrow = lines(&previews(), now, 80);
        assert!(
            narrow.iter().all(|line| line.chars().count() <= 80),
            "{narrow:#?}"
        );
        let wide = lines(&previews(), now, 200);
        let told = [narrow, wide].map(|lines| lines.join("\n")).join("\n\n");
        insta::assert_snapshot!(told, @r"
        PREVIEW   PHASE  SLOT    AGE  COMMIT   AUTHOR           TITLE
        pr-7      ready  held    3d   aaaaaaa  alice            A cart that remembers w…
        pr-1234   –      queued  12m  aaaaaaa  dependabot[bot]  Tea
        cddddddd  ready  held    40s  aaaaaaa  –                –

        PREVIEW   PHASE  SLOT    AGE  COMMIT   AUTHOR           CPU    MEMORY     URL                       TITLE
        pr-7      ready  held    3d   aaaaaaa  alice            0.8/4  1.2Gi/4Gi  https://7.pr.example.com  A cart that remembers what was in it [2J, and who put it there
        pr-1234   –      queued  12m  aaaaaaa  dependabot[bot]  –      –          –                         Tea
        cddddddd  ready  held    40s  aaaaaaa  –                0.8/4  1.2Gi/4Gi  https://7.pr.example.com  –
        ");
        insta::assert_snapshot!(markdown(&previews(), now), @r"
        | Preview | Phase | Slot | Age | Commit | Author | CPU | Memory | URL | Title |
        |---|---|---|---:|---|---|---:|---:|---|---|
        | `pr-7` | ready | held | 3d | aaaaaaa | alice | 0.8/4 | 1.2Gi/4Gi | https://7.pr.example.com | A cart that remembers what was in it, and who put it there |
        | `pr-1234` | – | queued | 12m | aaaaaaa | dependabot\[bot\] | – | – | – | Tea |
        | `cddddddd` | ready | held | 40s | aaaaaaa | – | 0.8/4 | 1.2Gi/4Gi | https://7.pr.example.com | – |
        ");
    }
}
