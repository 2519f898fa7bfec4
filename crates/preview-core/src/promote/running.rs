//! Whether pods run the image they were told to, by what their nodes report.

use std::collections::BTreeSet;
use std::fmt;

use super::digest_in;
use crate::names::Digest;

/// What the pods' `imageID`s say.
///
/// An `imageID` is unsure by nature: containerd keys images by config and reports the alphabetically first reference
/// where two indexes share a manifest, and other runtimes have reported image ids. So only a digest that is known to
/// be another image's is a difference; what cannot be told is told as such, and never rolls anything back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// Every pod runs the image.
    Verified,
    /// It cannot be told.
    NotVerified {
        /// Why.
        why: String,
        /// Digests that nobody knows; the registry may tell whether they share a manifest with the image.
        unknown: BTreeSet<Digest>,
    },
    /// A pod runs another image.
    Differs {
        /// What it reports.
        image_id: String,
    },
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::NotVerified { why, .. } => write!(f, "not verified: {why}"),
            Self::Differs { image_id } => write!(f, "a pod runs another image: {image_id}"),
        }
    }
}

/// The digests that pods report.
#[must_use]
pub fn reported(image_ids: &[String]) -> BTreeSet<Digest> {
    image_ids.iter().filter_map(|id| digest_in(id)).collect()
}

/// Compares the `image_ids` that pods report with the image `wanted`.
///
/// `belongs` are the digests of what the image consists of: the manifests of its platforms and their configs. `others`
/// are digests that are known to be of another image, such as those of what ran before; a digest that is in both is
/// shared and belongs.
#[must_use]
pub fn compare_running(
    image_ids: &[String],
    wanted: &Digest,
    belongs: &BTreeSet<Digest>,
    others: &BTreeSet<Digest>,
) -> Running {
    let ours = |digest: &Digest| digest == wanted || belongs.contains(digest);
    let mut unknown = BTreeSet::new();
    let mut unreadable = None;
    for image_id in image_ids {
        match digest_in(image_id) {
            Some(digest) if ours(&digest) => {}
            Some(digest) if others.contains(&digest) => {
                return Running::Differs {
                    image_id: image_id.clone(),
                };
            }
            Some(digest) => {
                unknown.insert(digest);
            }
            None => unreadable = Some(image_id),
        }
    }
    let why = if image_ids.is_empty() {
        "no pod reports an image".to_owned()
    } else if let Some(digest) = unknown.first() {
        format!(
            "a pod reports {digest}, which is no known part of {wanted}; it may share a manifest with it"
        )
    } else if let Some(unreadable) = unreadable {
        format!("a pod reports {unreadable:?}, which names no digest")
    } else {
        return Running::Verified;
    };
    Running::NotVerified { why, unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        format!("sha256:{}", digit.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    fn compared(image_ids: &[String]) -> Running {
        // 1 is the index, 2 a platform's manifest, 3 its config; 8 ran before and shares the config.
        compare_running(
            image_ids,
            &digest('1'),
            &BTreeSet::from([digest('2'), digest('3')]),
            &BTreeSet::from([digest('8'), digest('3')]),
        )
    }

    fn word(image_ids: &[String]) -> &'static str {
        match compared(image_ids) {
            Running::Verified => "verified",
            Running::NotVerified { .. } => "not verified",
            Running::Differs { .. } => "differs",
        }
    }

    #[test]
    fn every_form_that_runtimes_report_is_understood() {
        let one = digest('1');
        let table = [
            (format!("ghcr.io/acme/web@{one}"), "verified"),
            (
                format!("docker-pullable://ghcr.io/acme/web@{one}"),
                "verified",
            ),
            (one.to_string(), "verified"),
            (format!("docker://{}", digest('3')), "verified"),
            (format!("other.example/copy@{}", digest('2')), "verified"),
            (digest('3').to_string(), "verified"),
            (format!("ghcr.io/acme/web@{}", digest('8')), "differs"),
            // Perhaps another index over the same manifest.
            (format!("ghcr.io/acme/web@{}", digest('9')), "not verified"),
            (String::new(), "not verified"),
            ("ghcr.io/acme/web:latest".to_owned(), "not verified"),
            ("sha256:12".to_owned(), "not verified"),
            (format!("{one}0"), "not verified"),
        ];
        for (image_id, expected) in table {
            assert_eq!(
                word(std::slice::from_ref(&image_id)),
                expected,
                "{image_id:?}"
            );
        }
    }

    #[test]
    fn one_pod_that_differs_or_cannot_be_told_decides_for_all() {
        let id = |digit| format!("ghcr.io/acme/web@{}", digest(digit));
        assert_eq!(word(&[]), "not verified");
        assert_eq!(word(&[id('1'), id('2')]), "verified");
        assert_eq!(word(&[id('1'), String::new()]), "not verified");
        assert_eq!(word(&[id('1'), id('9'), id('8')]), "differs");
        let Running::NotVerified { unknown, .. } = compared(&[id('9'), String::new()]) else {
            panic!("9 is unknown")
        };
        assert_eq!(unknown, BTreeSet::from([digest('9')]));
    }

    #[test]
    fn what_cannot_be_told_is_told() {
        let id = format!("ghcr.io/acme/web@{}", digest('9'));
        let told = [
            compared(&[id]).to_string(),
            compared(&[]).to_string(),
            compared(&[String::new()]).to_string(),
            compared(&[digest('8').to_string()]).to_string(),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        not verified: a pod reports sha256:9999999999999999999999999999999999999999999999999999999999999999, which is no known part of sha256:1111111111111111111111111111111111111111111111111111111111111111; it may share a manifest with it
        not verified: no pod reports an image
        not verified: a pod reports "", which names no digest
        a pod runs another image: sha256:8888888888888888888888888888888888888888888888888888888888888888
        "#);
    }
}
