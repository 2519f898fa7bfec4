//! What has to be told of a promotion: that what was merged does not run, or that nobody knows what does.

use super::{Alert, Origin};
use crate::names::{CommitSha, NamespaceName};

/// A target of a promotion, for whoever has to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// Its name.
    pub target: &'a str,
    /// Its namespace.
    pub namespace: &'a NamespaceName,
    /// The commit M.
    pub commit: &'a CommitSha,
}

impl At<'_> {
    fn look(&self) -> String {
        format!("kubectl -n {} get pods -o wide", self.namespace)
    }
}

impl Alert {
    /// A promotion failed after something had been done; `happened` says what failed, and how the way back went.
    #[must_use]
    pub fn promotion_failed(origin: Origin, at: At<'_>, happened: Vec<String>) -> Self {
        let again = origin.again(format!("preview-promote --commit {}", at.commit));
        Self {
            title: format!(
                "The promotion of {} to {} failed",
                at.commit.short(),
                at.target
            ),
            happened,
            next: vec![at.look(), again],
            origin,
        }
    }

    /// Somebody has brought the target back to an older commit and frozen it; `happened` says from what, and why.
    #[must_use]
    pub fn rolled_back(origin: Origin, at: At<'_>, happened: Vec<String>) -> Self {
        Self {
            title: format!("{} was rolled back to {}", at.target, at.commit.short()),
            happened,
            next: vec![
                at.look(),
                format!("preview-promote resume --target {}", at.target),
            ],
            origin,
        }
    }

    /// The target was set to the images, and what its nodes report does not tell whether these run.
    #[must_use]
    pub fn not_verified(origin: Origin, at: At<'_>, happened: Vec<String>) -> Self {
        Self {
            title: format!(
                "Nobody can tell whether {} runs {}",
                at.target,
                at.commit.short()
            ),
            happened,
            next: vec![format!(
                "kubectl -n {} get pods -o jsonpath='{{.items[*].status.containerStatuses[*].imageID}}'",
                at.namespace
            )],
            origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_is_told_with_what_happened_and_what_to_type() {
        let origin = || Origin {
            repository: "acme/shop".parse().unwrap(),
            run: Some("12.1".parse().unwrap()),
            run_url: None,
        };
        let (namespace, commit) = ("shop".parse().unwrap(), "d".repeat(40).parse().unwrap());
        let at = At {
            target: "production",
            namespace: &namespace,
            commit: &commit,
        };
        let told = [
            Alert::promotion_failed(
                origin(),
                at,
                vec![
                    "Deployment/api: container crashes".into(),
                    "what ran before is set back".into(),
                ],
            ),
            Alert::rolled_back(origin(), at, vec!["from eeeeeee: prices are wrong".into()]),
            Alert::not_verified(origin(), at, vec!["Deployment/api: not verified".into()]),
        ];
        let told = told.map(|alert| alert.mail().body);
        insta::assert_snapshot!(told.join("\n---\n"), @r"
        The promotion of ddddddd to production failed

          Deployment/api: container crashes
          what ran before is set back

        Next:

            kubectl -n shop get pods -o wide

        Then:

            gh run rerun 12 --repo acme/shop

        Repository: acme/shop

        ---
        production was rolled back to ddddddd

          from eeeeeee: prices are wrong

        Next:

            kubectl -n shop get pods -o wide

        Then:

            preview-promote resume --target production

        Repository: acme/shop

        ---
        Nobody can tell whether production runs ddddddd

          Deployment/api: not verified

        Next:

            kubectl -n shop get pods -o jsonpath='{.items[*].status.containerStatuses[*].imageID}'

        Repository: acme/shop
        ");
    }
}
