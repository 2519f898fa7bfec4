//! The values that everything else speaks of, each parsed once and then trusted.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct NotA {
    text: String,
    expected: &'static str,
}

impl NotA {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // A hostile value must not flood a log or a comment.
        Self {
            text: text.chars().take(120).collect(),
            expected,
        }
    }
}

/// A newtype over a text with a rule, comparable, printable and (de)serialisable as that text.
macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The value as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotA;

            fn from_str(text: &str) -> Result<Self, NotA> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) { Ok(Self(text.to_owned())) } else { Err(NotA::new(text, $expected)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotA;

            fn try_from(text: String) -> Result<Self, NotA> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// RFC 1123 label, as Kubernetes wants it: at most 63 of `a-z0-9-`, no dash at either end.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
pub(crate) fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A host name of dot-separated DNS labels, at most 253 characters.
pub(crate) fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// What may stand before the `:tag` or `@digest` of an image: host with optional port, then at least one path part.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_image_name(text: &str) -> bool {
    let Some((registry, path)) = text.split_once('/') else {
        return false;
    };
    let (host, port) = registry
        .split_once(':')
        .map_or((registry, None), |(host, port)| (host, Some(port)));
    let names_a_registry = registry.contains(['.', ':']) || registry == "localhost";
    names_a_registry
        && is_host(host)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && text.len() <= 255
        && path.split('/').all(is_path_part)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_part(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().next_back())
        && part
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        && !part.contains("..")
        && !part.contains("___")
        && !part.contains("._")
        && !part.contains("_.")
}

text_value!(
    /// The SHA-1 of a git commit, 40 lower-case hex digits.
    CommitSha,
    "a commit SHA of 40 lower-case hex digits",
    |text| is_lower_hex(text, 40)
);

text_value!(
    /// The SHA-1 of a git tree, 40 lower-case hex digits. Two commits with the same tree have the same files.
    TreeSha,
    "a tree SHA of 40 lower-case hex digits",
    |text| is_lower_hex(text, 40)
);

text_value!(
    /// The SHA-1 of a file's content in git, 40 lower-case hex digits. The same content has the same, wherever it lies.
    BlobSha,
    "a blob SHA of 40 lower-case hex digits",
    |text| is_lower_hex(text, 40)
);

text_value!(
    /// A content digest, `sha256:` and 64 lower-case hex digits.
    /// <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>
    Digest,
    "a digest of the form sha256:<64 lower-case hex digits>",
    |text| text.strip_prefix("sha256:").is_some_and(|hex| is_lower_hex(hex, 64))
);

text_value!(
    /// An image's name with its registry and without tag or digest, such as `ghcr.io/acme/web`.
    ImageName,
    "an image name with a registry and without tag or digest, such as ghcr.io/acme/web",
    is_image_name
);

text_value!(
    /// A component of the previewed system, such as `web`; also the name of its Deployment and Service.
    ComponentName,
    "a component name (a DNS label: at most 63 of a-z, 0-9 and -)",
    is_dns_label
);

text_value!(
    /// The name of a Kubernetes Namespace, a DNS label.
    NamespaceName,
    "a namespace name (a DNS label: at most 63 of a-z, 0-9 and -)",
    is_dns_label
);

text_value!(
    /// A place that runs what was merged, such as `production`.
    TargetName,
    "a target's name (a DNS label: at most 63 of a-z, 0-9 and -)",
    is_dns_label
);

text_value!(
    /// A host name that people type, such as `123.pr.example.com`.
    Host,
    "a host name (DNS labels of a-z, 0-9 and - with dots between them)",
    is_host
);

text_value!(
    /// The uid that Kubernetes gave an object; a name may be used again, a uid never.
    Uid,
    "a uid of 1 to 128 letters, digits and dashes",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

impl CommitSha {
    /// The first seven digits, as people write it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(format!("sha256:{}", hex(&sha2::Sha256::digest(bytes))))
    }

    /// The 64 hex digits without their algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

/// Lower-case hex of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

impl ImageName {
    /// The registry's host with its port, as it stands in the name.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The repository's path within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.0[self.registry().len() + 1..]
    }

    /// This image at exactly `digest`.
    #[must_use]
    pub fn at(&self, digest: Digest) -> PinnedImage {
        PinnedImage {
            name: self.clone(),
            digest,
        }
    }
}

/// An image by digest, printed `name@sha256:…`: the only form in which a preview or production runs one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedImage {
    /// Where the image lives.
    pub name: ImageName,
    /// Which bytes it is; for a multi-platform image the digest of its index.
    pub digest: Digest,
}

impl FromStr for PinnedImage {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let (name, digest) = text
            .split_once('@')
            .ok_or_else(|| NotA::new(text, "an image by digest (name@sha256:…)"))?;
        Ok(Self {
            name: name.parse()?,
            digest: digest.parse()?,
        })
    }
}

impl TryFrom<String> for PinnedImage {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<PinnedImage> for String {
    fn from(image: PinnedImage) -> Self {
        image.to_string()
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}

impl fmt::Debug for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrNumber(NonZeroU64);

impl PrNumber {
    /// The first that a repository has.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number `number`; none for 0, which GitHub never gives.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The bare number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for PrNumber {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        text.parse()
            .map(Self)
            .map_err(|_| NotA::new(text, "a pull request number"))
    }
}

impl fmt::Display for PrNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// GitHub's numeric id of a repository: it survives a rename, the name does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub u64);

impl FromStr for RepositoryId {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        text.parse()
            .map(Self)
            .map_err(|_| NotA::new(text, "a repository id"))
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `owner/name` of a GitHub repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositorySlug {
    owner: String,
    name: String,
}

impl RepositorySlug {
    /// The user or organisation.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's name without its owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepositorySlug {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let allowed = |part: &str| {
            (1..=100).contains(&part.len())
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match text.split_once('/') {
            Some((owner, name)) if allowed(owner) && allowed(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(NotA::new(text, "a repository of the form owner/name")),
        }
    }
}

impl TryFrom<String> for RepositorySlug {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<RepositorySlug> for String {
    fn from(slug: RepositorySlug) -> Self {
        slug.to_string()
    }
}

impl fmt::Display for RepositorySlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl fmt::Debug for RepositorySlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a preview is of: a pull request, or a commit of the default branch (or of a merge-queue group).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A pull request by its number.
    Pr(PrNumber),
    /// A commit that was merged, or is about to be.
    Commit(CommitSha),
}

impl Subject {
    /// What `{pr}` stands for in names and hosts: the number, or `c` and the first 12 digits of the commit.
    #[must_use]
    pub fn slug(&self) -> String {
        match self {
            Self::Pr(number) => number.to_string(),
            Self::Commit(sha) => format!("c{}", &sha.as_str()[..12]),
        }
    }

    /// The pull request's number, where the subject is one.
    #[must_use]
    pub fn pr(&self) -> Option<PrNumber> {
        match self {
            Self::Pr(number) => Some(*number),
            Self::Commit(_) => None,
        }
    }
}

impl FromStr for Subject {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let expected = "a subject (pr-<number> or commit-<sha>)";
        if let Some(number) = text.strip_prefix("pr-") {
            number
                .parse()
                .map(Self::Pr)
                .map_err(|_| NotA::new(text, expected))
        } else if let Some(sha) = text.strip_prefix("commit-") {
            sha.parse()
                .map(Self::Commit)
                .map_err(|_| NotA::new(text, expected))
        } else {
            Err(NotA::new(text, expected))
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// `pr-12` or `commit-<sha>`: also a valid label value.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pr(number) => write!(f, "pr-{number}"),
            Self::Commit(sha) => write!(f, "commit-{sha}"),
        }
    }
}

/// Which run owns a preview: the id of a workflow run and its attempt, printed `run.attempt`.
///
/// Ordered: among runs for the same head the greater fence is the newer run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fence {
    /// `GITHUB_RUN_ID`.
    pub run: u64,
    /// `GITHUB_RUN_ATTEMPT`.
    pub attempt: u32,
}

impl FromStr for Fence {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        text.split_once('.')
            .and_then(|(run, attempt)| {
                Some(Self {
                    run: run.parse().ok()?,
                    attempt: attempt.parse().ok()?,
                })
            })
            .ok_or_else(|| NotA::new(text, "a fence of the form run.attempt"))
    }
}

impl TryFrom<String> for Fence {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<Fence> for String {
    fn from(fence: Fence) -> Self {
        fence.to_string()
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.attempt)
    }
}

#[cfg(test)]
mod tests;
