//! What was promoted to a target, as its deployments tell it. For eyes: anybody who can create deployments can have
//! written one, so nothing is believed for standing here.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::comment::display_name;
use crate::markdown::{code_cell, inline};
use crate::names::{CommitSha, ComponentName, Fence, PinnedImage, Subject};
use crate::table::Columns;

/// What marks a payload as that of a promotion; other payloads are other tools' business.
const KIND: &str = "preview-environments/promotion";

/// Stands in place of what is not known.
const NOTHING: &str = "–";

/// Hexadecimal digits of a digest that are shown.
const SHORT_DIGEST: usize = 12;

/// How a promotion ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target runs it since.
    #[default]
    Promoted,
    /// The target was brought back to it.
    RolledBack,
    /// It does not run: what ran before was set back, or was to be.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        })
    }
}

/// A promotion of a commit to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Promotion {
    /// The commit M.
    pub commit: CommitSha,
    /// What was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The images by component.
    pub images: BTreeMap<ComponentName, PinnedImage>,
    /// What the containers ran before, such as `Deployment/web, container web`, by their images.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Fence>,
    /// Who started the run, in GitHub's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Outcome,
}

/// A promotion, and when it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Told {
    /// The target.
    pub target: String,
    /// When it ended.
    pub at: Timestamp,
    /// What was promoted.
    #[serde(flatten)]
    pub promotion: Promotion,
}

impl Promotion {
    /// The payload of the deployment that tells of it.
    #[must_use]
    pub fn payload(&self) -> Value {
        let mut payload = json!(self);
        payload["kind"] = json!(KIND);
        payload
    }

    /// The promotion that a deployment with this payload tells of; none where it tells of none, or cannot be read.
    #[must_use]
    pub fn read(payload: &Value) -> Option<Self> {
        if payload["kind"] != KIND {
            return None;
        }
        Self::deserialize(payload).ok()
    }

    /// The images, whether or not the rest of the payload can be read: what may be needed must not get lost with it.
    #[must_use]
    pub fn images_in(payload: &Value) -> Vec<PinnedImage> {
        if payload["kind"] != KIND {
            return Vec::new();
        }
        let images = payload["images"].as_object().into_iter().flatten();
        images
            .filter_map(|(_, image)| image.as_str()?.parse().ok())
            .collect()
    }
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] = [
    "WHEN", "TARGET", "OUTCOME", "COMMIT", "TESTED", "BY", "IMAGES",
];

impl Told {
    fn cells(&self) -> [String; COLUMNS] {
        let Promotion {
            commit,
            subject,
            images,
            by,
            outcome,
            ..
        } = &self.promotion;
        let images = images.iter().map(|(component, image)| {
            let digest = image.digest.as_str().trim_start_matches("sha256:");
            let digest: String = digest.chars().take(SHORT_DIGEST).collect();
            format!("{} {digest}", display_name(component))
        });
        [
            self.at.strftime("%Y-%m-%d %H:%M").to_string(),
            self.target.clone(),
            outcome.to_string(),
            commit.short().to_owned(),
            subject.as_ref().map_or_else(
                || NOTHING.to_owned(),
                |subject| match subject {
                    Subject::Pr(number) => format!("#{number}"),
                    Subject::Commit(_) => "itself".to_owned(),
                },
            ),
            by.clone().unwrap_or_else(|| NOTHING.to_owned()),
            images.collect::<Vec<_>>().join(", "),
        ]
    }
}

/// The promotions, newest first, as lines of at most `width` columns.
#[must_use]
pub fn table(all: &[Told], width: usize) -> Vec<String> {
    let columns = Columns {
        headings: HEADINGS,
        wide_only: &[],
        cut: COLUMNS - 1,
    };
    columns.lines(all.iter().map(Told::cells), width)
}

/// The promotions as a table in Markdown.
#[must_use]
pub fn markdown(all: &[Told]) -> String {
    let mut out = "| When | Target | Outcome | Commit | Tested | By | Images |\n|---|---|---|---|---|---|---|\n".to_owned();
    for told in all {
        let [when, target, outcome, commit, tested, by, images] = told.cells();
        let _ = writeln!(
            out,
            "| {when} UTC | {} | {outcome} | {} | {} | {} | {} |",
            inline(&target),
            code_cell(&commit),
            inline(&tested),
            inline(&by),
            inline(&images)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promotion() -> Promotion {
        let image = |digit: &str| format!("ghcr.io/acme/web@sha256:{}", digit.repeat(64));
        Promotion {
            commit: "d".repeat(40).parse().unwrap(),
            subject: Some("pr-7".parse().unwrap()),
            images: BTreeMap::from([("web".parse().unwrap(), image("a").parse().unwrap())]),
            before: BTreeMap::from([("Deployment/web, container web".to_owned(), image("b"))]),
            run: Some("12.1".parse().unwrap()),
            by: Some("alice".to_owned()),
            outcome: Outcome::Promoted,
        }
    }

    #[test]
    fn a_promotion_is_found_again_in_its_payload_and_nothing_else_is_one() {
        let payload = promotion().payload();
        assert_eq!(Promotion::read(&payload), Some(promotion()));
        assert_eq!(
            Promotion::images_in(&payload),
            promotion().images.into_values().collect::<Vec<_>>()
        );
        let mut other = payload.clone();
        other["kind"] = "preview-environments/progress".into();
        for other in [
            other,
            json!({}),
            json!("promotion"),
            payload["images"].clone(),
        ] {
            assert_eq!(Promotion::read(&other), None, "{other}");
            assert_eq!(Promotion::images_in(&other), [], "{other}");
        }
    }

    #[test]
    fn what_older_versions_told_is_read() {
        let mut payload = promotion().payload();
        for key in ["before", "by", "outcome"] {
            payload.as_object_mut().unwrap().remove(key);
        }
        let read = Promotion::read(&payload).unwrap();
        assert_eq!((read.outcome, read.by), (Outcome::Promoted, None));
    }

    #[test]
    fn the_images_of_a_payload_that_cannot_be_read_are_still_known() {
        let mut payload = promotion().payload();
        payload["commit"] = "HEAD".into();
        assert_eq!(Promotion::read(&payload), None);
        assert_eq!(Promotion::images_in(&payload).len(), 1);
    }

    #[test]
    fn the_history_fits_a_narrow_terminal_and_shows_more_in_a_wide_one() {
        let at = |text: &str| text.parse().unwrap();
        let told = |at: Timestamp, promotion: Promotion| Told {
            target: "production".to_owned(),
            at,
            promotion,
        };
        let all = [
            told(
                at("2025-12-19T14:40:00Z"),
                Promotion {
                    commit: "c".repeat(40).parse().unwrap(),
                    subject: Some(format!("commit-{}", "c".repeat(40)).parse().unwrap()),
                    by: None,
                    outcome: Outcome::RolledBack,
                    ..promotion()
                },
            ),
            told(
                at("2025-12-19T14:32:00Z"),
                Promotion {
                    outcome: Outcome::Failed,
                    ..promotion()
                },
            ),
        ];
        let narrow = table(&all, 80);
        assert!(
            narrow.iter().all(|line| line.chars().count() <= 80),
            "{narrow:#?}"
        );
        let shown = [narrow, table(&all, 200), vec![markdown(&all)]].map(|lines| lines.join("\n"));
        insta::assert_snapshot!(shown.join("\n\n"), @r"
        WHEN              TARGET      OUTCOME      COMMIT   TESTED  BY     IMAGES
        2025-12-19 14:40  production  rolled back  ccccccc  itself  –      Web aaaaaaaa…
        2025-12-19 14:32  production  failed       ddddddd  #7      alice  Web aaaaaaaa…

        WHEN              TARGET      OUTCOME      COMMIT   TESTED  BY     IMAGES
        2025-12-19 14:40  production  rolled back  ccccccc  itself  –      Web aaaaaaaaaaaa
        2025-12-19 14:32  production  failed       ddddddd  #7      alice  Web aaaaaaaaaaaa

        | When | Target | Outcome | Commit | Tested | By | Images |
        |---|---|---|---|---|---|---|
        | 2025-12-19 14:40 UTC | production | rolled back | `ccccccc` | itself | – | Web aaaaaaaaaaaa |
        | 2025-12-19 14:32 UTC | production | failed | `ddddddd` | \#&#8203;7 | alice | Web aaaaaaaaaaaa |
        ");
    }
}
