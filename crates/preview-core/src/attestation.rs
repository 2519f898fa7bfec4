//! Build provenance: which workflow says that it built an image, and whether it is the one that has to.
//!
//! What is said is taken from the certificate that GitHub's workload identity got for the run, and from nothing that the
//! build itself could write. Whether the certificate and its signature hold is found out by an adapter; what they have to
//! say is decided here.
//! <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>

use std::fmt;

use crate::names::{CommitSha, RepositoryId, RepositorySlug};
use crate::record::{BuiltBy, Recorded};

/// The predicate of GitHub's `actions/attest-build-provenance`. <https://slsa.dev/spec/v1.0/provenance>
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Who tells the certificate authority which workflow a run is of: GitHub's runners, and nobody else.
/// <https://docs.github.com/en/actions/concepts/security/openid-connect>
pub const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// What a runner of GitHub's own is called; a self-hosted one is whatever its owner made of it.
const GITHUB_HOSTED: &str = "github-hosted";

/// What a certificate may leave out, in messages.
const NOTHING: &str = "nothing";

/// Who must have built the images of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The workflow and its ref, as the certificate names them:
    /// `https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main`.
    pub signer: String,
    /// Whether a runner counts that is not GitHub's own.
    pub self_hosted: bool,
    /// The repository that was built.
    pub repository: RepositoryId,
    /// The ref of its default branch, such as `refs/heads/main`.
    pub default_ref: String,
}

impl Demand {
    /// That `path` of the repository `of`, at the ref `at`, built what is to run.
    #[must_use]
    pub fn signer(of: &RepositorySlug, path: &str, at: &str) -> String {
        format!("https://github.com/{of}/{path}@{at}")
    }
}

/// What a certificate that holds says of the run, as it says it; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The type of the statement that was signed.
    pub predicate: String,
    /// Who told the authority of the run (OID 1.3.6.1.4.1.57264.1.8).
    pub issuer: String,
    /// The workflow that signed, with its ref: the subject's alternative name. Of a reusable workflow its own, not the
    /// caller's.
    pub signer: String,
    /// The id of the repository that the run was of (….1.15), the caller's of a reusable workflow.
    pub repository: String,
    /// The commit that the run was of (….1.13).
    pub commit: String,
    /// The ref that the run was of (….1.14).
    pub reference: String,
    /// The kind of the runner (….1.11).
    pub runner: String,
}

/// An attestation that GitHub keeps for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// Its signature, its certificate and its time hold, and its subject is the image's digest.
    Verified(Provenance),
    /// One of these does not, for this reason.
    Invalid(String),
}

/// What has to be said of one image.
#[derive(Clone, Copy, Debug)]
pub struct Built<'a> {
    /// The commit B.
    pub from: &'a CommitSha,
    /// Who built it, as the record has it.
    pub by: BuiltBy,
}

impl<'a> From<&'a Recorded> for Built<'a> {
    fn from(recorded: &'a Recorded) -> Self {
        Self {
            from: &recorded.built_from,
            by: recorded.built_by,
        }
    }
}

/// Why an image does not count as attested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unattested {
    /// There is no attestation of it.
    Missing,
    /// There are, and none of them holds, for these reasons.
    Invalid(Vec<String>),
    /// One holds, and says something else than it has to.
    Differs {
        /// Of what.
        what: &'static str,
        /// What it has to say.
        wanted: String,
        /// What it says.
        found: String,
    },
}

impl fmt::Display for Unattested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no attestation"),
            Self::Invalid(reasons) => {
                write!(f, "none that can be believed: {}", reasons.join("; "))
            }
            Self::Differs { what, found, .. } => write!(f, "{what} {found}"),
        }
    }
}

/// Whether one of the attestations of an image says all that it has to.
///
/// Anybody who may attest can add one, so that a bad one beside a good one means nothing. Where none is good, the one that
/// comes closest says what is wrong.
///
/// # Errors
/// Why it does not count as attested.
pub fn attested(
    demand: &Demand,
    built: Built<'_>,
    attestations: &[Attestation],
) -> Result<(), Unattested> {
    let mut invalid = Vec::new();
    let mut closest: Option<(usize, Unattested)> = None;
    for attestation in attestations {
        match attestation {
            Attestation::Invalid(why) if invalid.contains(why) => {}
            Attestation::Invalid(why) => invalid.push(why.clone()),
            Attestation::Verified(provenance) => {
                let Some((agree, differs)) = first_difference(demand, built, provenance) else {
                    return Ok(());
                };
                if closest.as_ref().is_none_or(|(most, _)| agree > *most) {
                    closest = Some((agree, differs));
                }
            }
        }
    }
    Err(match closest {
        Some((_, differs)) => differs,
        None if invalid.is_empty() => Unattested::Missing,
        None => Unattested::Invalid(invalid),
    })
}

/// The first thing that an attestation says otherwise than it has to, and how many before it agree.
fn first_difference(
    demand: &Demand,
    built: Built<'_>,
    said: &Provenance,
) -> Option<(usize, Unattested)> {
    let repository = demand.repository.to_string();
    // A run of the default branch's workflow that builds what was approved is of the default branch's commit, whatever it
    // builds; then B is the workflow's word, in the image's label. Any other run is of what it builds.
    let of_another = said.commit != built.from.as_str();
    let source = match built.by {
        BuiltBy::Trusted if of_another => ("the ref", demand.default_ref.as_str(), &said.reference),
        _ => ("the commit", built.from.as_str(), &said.commit),
    };
    let runner = match demand.self_hosted {
        true => said.runner.as_str(),
        false => GITHUB_HOSTED,
    };
    let all = [
        ("a statement of type", PREDICATE, &said.predicate),
        ("the issuer", ISSUER, &said.issuer),
        ("the repository", repository.as_str(), &said.repository),
        ("the workflow", demand.signer.as_str(), &said.signer),
        source,
        ("the runner", runner, &said.runner),
    ];
    let differs = |(_, wanted, found): &(&str, &str, &String)| wanted != found;
    let at = all.iter().position(differs)?;
    let (what, wanted, found) = all[at];
    let found = if found.is_empty() { NOTHING } else { found };
    Some((
        at,
        Unattested::Differs {
            what,
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn demand() -> Demand {
        let shop = "acme/shop".parse().unwrap();
        Demand {
            signer: Demand::signer(&shop, ".github/workflows/build.yml", "refs/heads/main"),
            self_hosted: false,
            repository: RepositoryId(42),
            default_ref: "refs/heads/main".to_owned(),
        }
    }

    /// What a run of that workflow for pull request 7 says.
    fn good() -> Provenance {
        Provenance {
            predicate: PREDICATE.to_owned(),
            issuer: ISSUER.to_owned(),
            signer: "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main"
                .to_owned(),
            repository: "42".to_owned(),
            commit: "b".repeat(40),
            reference: "refs/pull/7/merge".to_owned(),
            runner: "github-hosted".to_owned(),
        }
    }

    fn judge(said: &[Attestation]) -> Result<(), Unattested> {
        let from = commit('b');
        let by = BuiltBy::Branch;
        attested(&demand(), Built { from: &from, by }, said)
    }

    fn with(change: impl Fn(&mut Provenance)) -> Attestation {
        let mut provenance = good();
        change(&mut provenance);
        Attestation::Verified(provenance)
    }

    #[test]
    fn everything_that_is_said_counts() {
        judge(&[with(|_| {})]).unwrap();
        let changes: [fn(&mut Provenance); 8] = [
            |said| said.predicate = "https://spdx.dev/Document/v2.3".to_owned(),
            |said| said.issuer = "https://token.actions.githubusercontent.com/acme".to_owned(),
            |said| said.repository = "43".to_owned(),
            |said| said.signer = said.signer.replace("build.yml", "test.yml"),
            |said| said.signer = said.signer.replace("refs/heads/main", "refs/pull/7/merge"),
            |said| said.commit = "c".repeat(40),
            |said| said.commit.clear(),
            |said| said.runner = "self-hosted".to_owned(),
        ];
        let told = changes.map(|change| match judge(&[with(change)]) {
            Err(Unattested::Differs {
                what,
                wanted,
                found,
            }) => {
                format!("{what}: {wanted}, not {found}")
            }
            other => panic!("{other:?}"),
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        a statement of type: https://slsa.dev/provenance/v1, not https://spdx.dev/Document/v2.3
        the issuer: https://token.actions.githubusercontent.com, not https://token.actions.githubusercontent.com/acme
        the repository: 42, not 43
        the workflow: https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main, not https://github.com/acme/shop/.github/workflows/test.yml@refs/heads/main
        the workflow: https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main, not https://github.com/acme/shop/.github/workflows/build.yml@refs/pull/7/merge
        the commit: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, not cccccccccccccccccccccccccccccccccccccccc
        the commit: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, not nothing
        the runner: github-hosted, not self-hosted
        ");
    }

    #[test]
    fn a_good_one_counts_whatever_is_beside_it_and_without_one_the_closest_is_told() {
        let forged = Attestation::Invalid("the signature is not its key's".to_owned());
        let of_another = with(|said| said.repository = "43".to_owned());
        let on_a_branch = with(|said| said.signer.push_str("-2"));
        let all = [forged.clone(), of_another.clone(), with(|_| {})];
        judge(&all).unwrap();

        assert_eq!(judge(&[]), Err(Unattested::Missing));
        let twice = judge(&[forged.clone(), forged.clone()]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "none that can be believed: the signature is not its key's"
        );
        let closest = judge(&[forged, of_another, on_a_branch]).unwrap_err();
        assert!(
            closest.to_string().starts_with("the workflow "),
            "{closest}"
        );
    }

    #[test]
    fn a_run_of_the_default_branch_is_of_that_branch_whatever_it_builds() {
        let from = commit('b');
        let by = BuiltBy::Trusted;
        let judge = |said| attested(&demand(), Built { from: &from, by }, &[said]);
        let approved = |said: &mut Provenance| {
            said.commit = "e".repeat(40);
            said.reference = "refs/heads/main".to_owned();
        };
        judge(with(approved)).unwrap();
        judge(with(|_| {})).unwrap();
        let of_another = judge(with(|said| said.commit = "c".repeat(40))).unwrap_err();
        assert_eq!(of_another.to_string(), "the ref refs/pull/7/merge");
    }

    #[test]
    fn runners_of_ones_own_count_where_that_is_allowed() {
        let demand = Demand {
            self_hosted: true,
            ..demand()
        };
        let own = with(|said| said.runner = "self-hosted".to_owned());
        let from = commit('b');
        let by = BuiltBy::Branch;
        attested(&demand, Built { from: &from, by }, &[own]).unwrap();
    }
}
