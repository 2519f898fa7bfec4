//! Pull requests whose own runs may push no image: those of forks, and dependabot's. What is under their tags counts where it
//! is recorded who built it ([`crate::import`]).

use std::fmt;

use crate::config::Forks;
use crate::names::RepositorySlug;
use crate::pulls::PullRequest;
use crate::record::BuiltBy;

/// The author whose pull requests run with a token that may only read, although their branch is in this repository.
/// <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
const DEPENDABOT: &str = "dependabot[bot]";

/// Where a pull request comes from, as far as that decides what its own runs may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A branch of this repository, of somebody who may push there.
    Branch,
    /// A branch of this repository, of dependabot: its runs may push nothing. Somebody who may can push to it, too.
    Dependabot,
    /// Another repository; none where that was deleted.
    Fork(Option<RepositorySlug>),
}

impl Origin {
    /// Whether its own runs may push its images.
    #[must_use]
    pub fn may_push(&self) -> bool {
        *self == Self::Branch
    }
}

impl From<&PullRequest> for Origin {
    fn from(pull: &PullRequest) -> Self {
        match pull.is_from_fork() {
            true => Self::Fork(pull.head_repository.clone()),
            false if pull.author == DEPENDABOT => Self::Dependabot,
            false => Self::Branch,
        }
    }
}

/// `a branch`, `dependabot` or `the fork mallory/shop`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch => f.write_str("a branch"),
            Self::Dependabot => f.write_str("dependabot"),
            Self::Fork(Some(fork)) => write!(f, "the fork {fork}"),
            Self::Fork(None) => f.write_str("a fork that was deleted"),
        }
    }
}

/// What records say of who built an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// No genuine one names it.
    Unknown,
    /// There is no key to tell a genuine one by.
    NoKey,
    /// It was imported, and this is who built it.
    By(BuiltBy),
}

/// Why nobody can be taken for who built an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// No genuine record names it.
    Unknown,
    /// There is no key to tell a genuine one by.
    NoKey,
    /// Its author built it, and the configuration takes none of those.
    ByContributor,
}

/// Who built the image of a pull request that comes from `origin`.
///
/// # Errors
/// When it has to be recorded and is not, or the configuration does not take it from them.
pub(super) fn who_built(
    origin: &Origin,
    imported: Imported,
    forks: Forks,
) -> Result<BuiltBy, Unproven> {
    match (imported, origin) {
        (_, Origin::Branch) => Ok(BuiltBy::Branch),
        (Imported::By(BuiltBy::Contributor), _) if forks != Forks::Import => {
            Err(Unproven::ByContributor)
        }
        (Imported::By(built_by), _) => Ok(built_by),
        // Only who may push to this repository has put it there.
        (Imported::Unknown | Imported::NoKey, Origin::Dependabot) => Ok(BuiltBy::Branch),
        (Imported::Unknown, Origin::Fork(_)) => Err(Unproven::Unknown),
        (Imported::NoKey, Origin::Fork(_)) => Err(Unproven::NoKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulls::tests::pull;

    #[test]
    fn a_pull_request_comes_from_a_branch_from_dependabot_or_from_a_fork() {
        let of = |pull: PullRequest| Origin::from(&pull).to_string();
        let fork = |fork: Option<&str>| PullRequest {
            head_repository: fork.map(|slug| slug.parse().unwrap()),
            ..pull(7)
        };
        let by = |author: &str, pull: PullRequest| PullRequest {
            author: author.to_owned(),
            ..pull
        };
        assert_eq!(of(pull(7)), "a branch");
        assert_eq!(of(by("renovate[bot]", pull(7))), "a branch");
        assert_eq!(of(by("dependabot[bot]", pull(7))), "dependabot");
        assert_eq!(of(fork(Some("mallory/shop"))), "the fork mallory/shop");
        assert_eq!(of(fork(None)), "a fork that was deleted");
        let dependabots = by("dependabot[bot]", fork(Some("mallory/shop")));
        assert_eq!(of(dependabots), "the fork mallory/shop");
    }

    #[test]
    fn a_forks_image_counts_by_its_record_and_nothing_else() {
        use Imported::{By, NoKey, Unknown};
        let (trusted, contributor) = (By(BuiltBy::Trusted), By(BuiltBy::Contributor));
        let fork = Origin::Fork(None);
        for (origin, imported, forks, expected) in [
            (&fork, Unknown, Forks::Build, Err(Unproven::Unknown)),
            (&fork, NoKey, Forks::Import, Err(Unproven::NoKey)),
            (&fork, trusted, Forks::Build, Ok(BuiltBy::Trusted)),
            (
                &fork,
                contributor,
                Forks::Build,
                Err(Unproven::ByContributor),
            ),
            (&fork, contributor, Forks::Import, Ok(BuiltBy::Contributor)),
            (
                &Origin::Dependabot,
                Unknown,
                Forks::Build,
                Ok(BuiltBy::Branch),
            ),
            (
                &Origin::Dependabot,
                NoKey,
                Forks::Build,
                Ok(BuiltBy::Branch),
            ),
            (
                &Origin::Dependabot,
                trusted,
                Forks::Build,
                Ok(BuiltBy::Trusted),
            ),
            (&Origin::Branch, Unknown, Forks::Build, Ok(BuiltBy::Branch)),
            // A record never makes more of a branch than it is.
            (&Origin::Branch, trusted, Forks::Build, Ok(BuiltBy::Branch)),
        ] {
            let who = who_built(origin, imported, forks);
            assert_eq!(who, expected, "{origin} {imported:?} {forks:?}");
        }
    }
}
