//! What is due of a preview that nobody has deployed for a while: a sweep asks.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::LifetimeSettings;
use crate::markdown::code;
use crate::names::Subject;
use crate::objects::NamespaceFacts;
use crate::ownership::{Claim, keys};

/// How long before its end a pull request is warned.
const WARNING: Duration = Duration::from_secs(24 * 3600);

/// The hidden text by which the warning is found again.
pub const WARNING_MARKER: &str = "<!-- preview-environments:lifetime -->";

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Its pull request has to be warned: it ends then.
    Warning {
        /// When.
        ends: Timestamp,
    },
    /// It was warned of its end, and somebody wants to keep it.
    Reprieve,
    /// It is to be put to sleep.
    Sleep,
    /// It is to be destroyed: it was warned in time.
    End,
}

impl Due {
    /// What is due of `preview` at the time `now`; `is_kept` where its pull request has the label that keeps it.
    #[must_use]
    pub fn of(
        preview: &NamespaceFacts,
        is_kept: bool,
        settings: &LifetimeSettings,
        now: Timestamp,
    ) -> Self {
        if preview.terminating {
            return Self::Nothing;
        }
        let warned = preview.expires();
        if preview.kept_until().is_some_and(|until| now < until) {
            return Self::Nothing;
        }
        if is_kept {
            return match warned {
                Some(_) => Self::Reprieve,
                None => Self::Nothing,
            };
        }
        let active = preview.active_since();
        if let Some(most) = settings.most {
            let ends = after(active, most);
            let due = match (warned, preview.subject()) {
                // Nobody can be warned of the end of a commit's.
                (_, Some(Subject::Commit(_)) | None) => (now >= ends).then_some(Self::End),
                (Some(told), _) => (now >= told).then_some(Self::End),
                (None, _) => {
                    // A sweep that comes late warns in time all the same.
                    let ends = ends.max(after(now, WARNING));
                    let is_near = now >= before(after(active, most), WARNING);
                    is_near.then_some(Self::Warning { ends })
                }
            };
            if let Some(due) = due {
                return due;
            }
        }
        match settings.asleep_after {
            Some(idle) if preview.claim() == Some(Claim::Held) && now >= after(active, idle) => {
                Self::Sleep
            }
            _ => Self::Nothing,
        }
    }
}

impl NamespaceFacts {
    /// When it was deployed last, or made.
    #[must_use]
    pub fn active_since(&self) -> Timestamp {
        let deployed = self.annotations.get(keys::ACTIVE);
        let deployed = deployed.and_then(|text| text.parse::<Timestamp>().ok());
        deployed.unwrap_or(self.created)
    }

    /// When it will be destroyed, where its pull request was told so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.annotations.get(keys::EXPIRES)?.parse().ok()
    }

    /// Until when it is neither put to sleep nor destroyed, where somebody asked for that.
    #[must_use]
    pub fn kept_until(&self) -> Option<Timestamp> {
        self.annotations.get(keys::KEPT)?.parse().ok()
    }

    /// Since when it sleeps, or is being put to sleep.
    #[must_use]
    pub fn asleep_since(&self) -> Option<Timestamp> {
        self.annotations.get(keys::ASLEEP_SINCE)?.parse().ok()
    }
}

fn after(time: Timestamp, long: Duration) -> Timestamp {
    let long = SignedDuration::try_from(long).unwrap_or(SignedDuration::MAX);
    time.checked_add(long).unwrap_or(Timestamp::MAX)
}

fn before(time: Timestamp, long: Duration) -> Timestamp {
    let long = SignedDuration::try_from(long).unwrap_or(SignedDuration::MAX);
    time.checked_sub(long).unwrap_or(Timestamp::MIN)
}

/// What the comment beside the preview's own says: a new one, so that somebody is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning<'a> {
    /// The preview will be destroyed.
    Ends {
        /// When.
        at: Timestamp,
        /// When it was deployed last.
        active: Timestamp,
        /// The label that keeps it.
        keep_label: &'a str,
    },
    /// It will not.
    Kept {
        /// The label that keeps it.
        keep_label: &'a str,
    },
    /// It will not for a while: somebody asked for that.
    KeptUntil(Timestamp),
}

/// Markdown, its marker included.
impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: &str = "%Y-%m-%d %H:%M UTC";
        writeln!(f, "{WARNING_MARKER}")?;
        match self {
            Self::Ends {
                at,
                active,
                keep_label,
            } => writeln!(
                f,
                "⏳ The preview of this pull request was deployed last at {}, and will be destroyed after {}. A push makes it \
                 afresh, at any time; the label {} keeps it.",
                active.strftime(MINUTE),
                at.strftime(MINUTE),
                code(keep_label)
            ),
            Self::Kept { keep_label } => writeln!(
                f,
                "⏳ The preview of this pull request is kept: it has the label {}.",
                code(keep_label)
            ),
            Self::KeptUntil(until) => writeln!(
                f,
                "⏳ The preview of this pull request is kept until {}: somebody asked for it.",
                until.strftime(MINUTE)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::names::RepositoryId;
    use crate::ownership::Owner;

    const HOUR: i64 = 3600;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * HOUR).unwrap()
    }

    fn settings() -> LifetimeSettings {
        LifetimeSettings {
            most: Some(Duration::from_secs(10 * 24 * 3600)),
            asleep_after: Some(Duration::from_secs(12 * 3600)),
            keep_label: "keep-preview".to_owned(),
        }
    }

    /// Made at 0, deployed last at 48 h.
    fn preview(subject: &str, annotations: &[(&str, String)]) -> NamespaceFacts {
        let owner = Owner {
            repository: RepositoryId(42),
            subject: subject.parse().unwrap(),
        };
        let deployed = [
            (keys::ACTIVE, at(48).to_string()),
            (keys::CLAIM, "held".to_owned()),
        ];
        let all = deployed.into_iter().chain(annotations.iter().cloned());
        NamespaceFacts {
            labels: owner.labels(),
            annotations: all.map(|(key, value)| (key.to_owned(), value)).collect(),
            name: "preview-x".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            resource_version: "1".to_owned(),
            created: at(0),
            finalizers: Vec::new(),
            terminating: false,
            blockers: Vec::new(),
        }
    }

    #[test]
    fn a_preview_sleeps_is_warned_and_ends_by_the_time_of_its_last_deploy() {
        let end = 48 + 240;
        let asleep = (keys::CLAIM, "asleep".to_owned());
        let warned = |hours| (keys::EXPIRES, at(hours).to_string());
        let kept = |hours| (keys::KEPT, at(hours).to_string());
        for (annotations, hours, due) in [
            (vec![], 59, Due::Nothing),
            (vec![], 60, Due::Sleep),
            (vec![asleep.clone()], 61, Due::Nothing),
            (vec![asleep.clone()], end - 25, Due::Nothing),
            (
                vec![asleep.clone()],
                end - 24,
                Due::Warning { ends: at(end) },
            ),
            (vec![], end - 24, Due::Warning { ends: at(end) }),
            // A sweep that comes late.
            (vec![], end + 5, Due::Warning { ends: at(end + 29) }),
            (vec![asleep.clone(), warned(end)], end - 1, Due::Nothing),
            (vec![asleep, warned(end)], end, Due::End),
            (vec![warned(end + 29)], end + 28, Due::Sleep),
            (vec![warned(end + 29)], end + 29, Due::End),
            // Kept for a while, and warned afresh after it.
            (vec![kept(80)], 79, Due::Nothing),
            (vec![kept(80)], 80, Due::Sleep),
            (vec![kept(end + 9)], end + 8, Due::Nothing),
            (
                vec![kept(end + 9)],
                end + 9,
                Due::Warning { ends: at(end + 33) },
            ),
        ] {
            let preview = preview("pr-7", &annotations);
            let found = Due::of(&preview, false, &settings(), at(hours));
            assert_eq!(found, due, "{annotations:?} at {hours} h");
            let kept = Due::of(&preview, true, &settings(), at(hours));
            let was_warned = preview.expires().is_some();
            let reprieve = if was_warned {
                Due::Reprieve
            } else {
                Due::Nothing
            };
            assert_eq!(kept, reprieve, "{annotations:?} at {hours} h");
        }
    }

    #[test]
    fn a_commits_preview_ends_without_a_warning_and_nothing_ends_where_nothing_is_configured() {
        let commit = preview(&format!("commit-{}", "d".repeat(40)), &[]);
        let end = 48 + 240;
        assert_eq!(Due::of(&commit, false, &settings(), at(end)), Due::End);
        assert_eq!(
            Due::of(&commit, false, &settings(), at(end - 1)),
            Due::Sleep
        );
        let forever = LifetimeSettings {
            most: None,
            asleep_after: None,
            ..settings()
        };
        for preview in [commit, preview("pr-7", &[])] {
            let due = Due::of(&preview, false, &forever, at(100_000));
            assert_eq!(due, Due::Nothing);
        }
    }

    #[test]
    fn what_is_on_its_way_out_and_what_has_no_slot_is_left_alone() {
        let gone = NamespaceFacts {
            terminating: true,
            ..preview("pr-7", &[])
        };
        assert_eq!(Due::of(&gone, false, &settings(), at(1000)), Due::Nothing);
        let queued = preview("pr-7", &[(keys::CLAIM, "queued".to_owned())]);
        assert_eq!(Due::of(&queued, false, &settings(), at(100)), Due::Nothing);
        let never_deployed = NamespaceFacts {
            annotations: BTreeMap::new(),
            ..preview("pr-7", &[])
        };
        assert_eq!(never_deployed.active_since(), at(0));
    }

    #[test]
    fn people_are_warned_in_a_comment_of_its_own() {
        let keep_label = "keep-preview";
        let (at, active) = (at(300), at(48));
        let ends = Warning::Ends {
            at,
            active,
            keep_label,
        };
        let (kept, until) = (Warning::Kept { keep_label }, Warning::KeptUntil(at));
        let told = format!("{ends}{kept}{until}");
        insta::assert_snapshot!(told, @r"
        <!-- preview-environments:lifetime -->
        ⏳ The preview of this pull request was deployed last at 1970-01-03 00:00 UTC, and will be destroyed after 1970-01-13 12:00 UTC. A push makes it afresh, at any time; the label `keep-preview` keeps it.
        <!-- preview-environments:lifetime -->
        ⏳ The preview of this pull request is kept: it has the label `keep-preview`.
        <!-- preview-environments:lifetime -->
        ⏳ The preview of this pull request is kept until 1970-01-13 12:00 UTC: somebody asked for it.
        ");
    }
}
