//! What becomes of previews that nobody touches any more.

use std::time::Duration;

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::pulls::label;
use super::read::{check, duration};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What becomes of previews that nobody touches any more; of those whose pull request is open, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifetimeSettings {
    /// How long after it was deployed last a preview is destroyed; none to keep it.
    pub most: Option<Duration>,
    /// How long after it was deployed last a preview is put to sleep; none to let it run.
    pub asleep_after: Option<Duration>,
    /// The label of a pull request whose preview is neither destroyed nor put to sleep.
    pub keep_label: String,
}

/// What becomes of previews that nobody touches any more. A sweep sees to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct LifetimeFile {
    /// How long after it was deployed last a preview is destroyed, such as `14d`, at least `2d`: its pull request is
    /// warned a day before. It is kept unless told.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))
    )]
    most: Option<String>,
    /// How long after it was deployed last a preview is put to sleep, such as `12h`, at least `1h`: nothing of it runs, its
    /// slot is free, and its database is kept. It runs unless told.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))
    )]
    asleep_after: Option<String>,
    /// The label of a pull request whose preview is neither destroyed nor put to sleep.
    #[serde(default = "keep")]
    keep_label: String,
}

impl Default for LifetimeFile {
    fn default() -> Self {
        Self {
            most: None,
            asleep_after: None,
            keep_label: keep(),
        }
    }
}

fn keep() -> String {
    "keep-preview".to_owned()
}

pub(super) fn lifetime(
    source: &Source<'_>,
    written: LifetimeFile,
) -> Result<LifetimeSettings, ConfigError> {
    const TABLE: &str = "lifetime";
    let long = |key, text: Option<String>, least: Duration, example| {
        let Some(text) = text else {
            return Ok(None);
        };
        let long = days(&text).filter(|long| *long >= least);
        let problem = format!(
            "{text:?} is no duration of at least {example}; write it like 14d, 36h or 1d12h"
        );
        check(source, long.is_some(), &[TABLE, key], problem)?;
        Ok(long)
    };
    label(source, &[TABLE, "keep_label"], &written.keep_label)?;
    let most = long("most", written.most, 2 * DAY, "2d")?;
    let asleep_after = long("asleep_after", written.asleep_after, DAY / 24, "1h")?;
    let sleeps_first = most.is_none_or(|most| asleep_after.is_none_or(|asleep| asleep < most));
    let problem = "a preview that is destroyed first never sleeps; write less than lifetime.most";
    check(source, sleeps_first, &[TABLE, "asleep_after"], problem)?;
    Ok(LifetimeSettings {
        most,
        asleep_after,
        keep_label: written.keep_label,
    })
}

/// Days, and what [`duration`] reads.
pub(crate) fn days(text: &str) -> Option<Duration> {
    let (days, rest) = match text.split_once('d') {
        None => (0, text),
        Some((digits, rest)) => {
            let plain = digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
            (digits.parse::<u32>().ok().filter(|_| plain)?, rest)
        }
    };
    Some(DAY * days + duration(rest)?)
}
