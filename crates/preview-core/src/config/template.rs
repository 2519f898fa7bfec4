//! Names with places for what a preview is of: `preview-pr-{pr}`, `{pr}.pr.example.com`.

use std::fmt;
use std::str::FromStr;

use crate::names::{Digest, Host, NamespaceName, NotA, RepositorySlug, Subject};

/// Stands for the subject: a pull request's number, or `c` and 12 digits of a commit.
const PR: &str = "{pr}";
/// Stands for the repository.
const REPO: &str = "{repo}";
/// The longest text that [`PR`] can become: a number of 64 bits.
const LONGEST_SUBJECT: usize = 20;
/// Hex digits of the hash that keeps a shortened repository unique.
const HASH: usize = 10;
/// What stands before that hash, and in no repository that is written out.
const BEFORE_HASH: &str = "--";

/// The template of a preview's Namespace.
///
/// Two subjects of one repository never get the same name; where `{repo}` is used, two repositories neither.
#[derive(Clone, PartialEq, Eq)]
pub struct NamespaceTemplate(String);

impl NamespaceTemplate {
    /// The Namespace of `repository`'s preview of `subject`.
    ///
    /// # Errors
    /// None for a template that was parsed; the name is checked once more all the same.
    pub fn render(
        &self,
        repository: &RepositorySlug,
        subject: &Subject,
    ) -> Result<NamespaceName, NotA> {
        let name = self.0.replace(PR, &subject.slug());
        let room = 63usize.saturating_sub(name.len().saturating_sub(REPO.len()));
        name.replace(REPO, &repository_slug(repository, room))
            .parse()
    }
}

impl FromStr for NamespaceTemplate {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let refuse = |expected| Err(NotA::new(text, expected));
        if text.matches(PR).count() != 1 || text.matches(REPO).count() > 1 {
            return refuse("a template with {pr} once, and {repo} at most once");
        }
        let longest = text.len() - PR.len() + LONGEST_SUBJECT;
        let longest = match text.contains(REPO) {
            // One letter at least stands before the dashes.
            true => longest - REPO.len() + 1 + BEFORE_HASH.len() + HASH,
            false => longest,
        };
        if longest > 63 {
            return refuse("short enough: with the longest number it must fit into 63 characters");
        }
        // A number is found again at its dash, whatever the repository is called.
        let told_apart = match (text.find(PR), text.find(REPO)) {
            (Some(pr), Some(repo)) if repo < pr => text[..pr].ends_with('-'),
            (Some(pr), Some(_)) => text[pr + PR.len()..].starts_with('-'),
            _ => true,
        };
        if !told_apart {
            return refuse("a template with a dash between {repo} and {pr}, beside {pr}");
        }
        let sample = text.replace(PR, "1").replace(REPO, "r");
        sample.parse::<NamespaceName>().map_or_else(
            |_| {
                refuse("a template of a namespace name: a-z, 0-9 and - around {pr}, and no dash at either end")
            },
            |_| Ok(Self(text.to_owned())),
        )
    }
}

/// `owner-name` where nothing else could be meant by it and it fits into `room`, else as much of it as fits and a hash.
fn repository_slug(repository: &RepositorySlug, room: usize) -> String {
    // GitHub tells repositories apart without regard to case.
    let whole = repository.to_string().to_ascii_lowercase();
    let slug: String = whole
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let owner = repository.owner();
    let name = repository.name();
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let unmistakable = owner.bytes().all(|b| b.is_ascii_alphanumeric())
        && is_plain(name)
        && !slug.contains(BEFORE_HASH)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if unmistakable && slug.len() <= room {
        return slug;
    }
    let kept = room
        .saturating_sub(BEFORE_HASH.len() + HASH)
        .min(slug.len());
    let kept = slug[..kept].trim_matches('-');
    // A name may not begin with dashes.
    let kept = if kept.is_empty() { "r" } else { kept };
    let digest = Digest::of(whole.as_bytes());
    format!("{kept}{BEFORE_HASH}{}", &digest.hex()[..HASH])
}

impl fmt::Debug for NamespaceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The template of a preview's host.
#[derive(Clone, PartialEq, Eq)]
pub struct HostTemplate(String);

impl HostTemplate {
    /// The host of the preview of `subject`.
    ///
    /// # Errors
    /// None for a template that was parsed; the host is checked once more all the same.
    pub fn render(&self, subject: &Subject) -> Result<Host, NotA> {
        self.0.replace(PR, &subject.slug()).parse()
    }

    /// The template as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first label, and is the same for every preview: `pr.example.com` of `{pr}.pr.example.com`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, domain)| domain)
    }

    /// Whether a host of this template could be one of `other`, be it of another subject.
    ///
    /// A subject has no dash: two templates are told apart by the number of parts between dashes, or by a part that is
    /// different and no subject.
    pub(super) fn may_be_mistaken_for(&self, other: &Self) -> bool {
        let parts = |template: &Self| -> Vec<String> {
            let label = template.0.split('.').next().unwrap_or_default();
            label.split('-').map(str::to_owned).collect()
        };
        let (ours, theirs) = (parts(self), parts(other));
        self.domain() == other.domain()
            && ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(a, b)| could_be_equal(a, b))
    }
}

/// Whether two parts of a label, each with [`PR`] in it or not, could become the same.
fn could_be_equal(a: &str, b: &str) -> bool {
    match (a.split_once(PR), b.split_once(PR)) {
        (None, None) => a == b,
        // Where both have it, their subjects may make up for whatever is around it.
        (Some(_), Some(_)) => true,
        (Some(around), None) => could_be_subject(around, b),
        (None, Some(around)) => could_be_subject(around, a),
    }
}

/// Whether `text` could be a subject's digits between `before` and `after`.
fn could_be_subject((before, after): (&str, &str), text: &str) -> bool {
    let within = text
        .strip_prefix(before)
        .and_then(|t| t.strip_suffix(after));
    within.is_some_and(|within| !within.is_empty() && within.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl FromStr for HostTemplate {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let refuse = |expected| Err(NotA::new(text, expected));
        let Some((first, rest)) = text.split_once('.') else {
            return refuse("a host template of several labels, such as {pr}.pr.example.com");
        };
        if first.matches(PR).count() != 1 || rest.contains(PR) {
            return refuse(
                "a host template with {pr} in its first label and nowhere else, such as {pr}.pr.example.com: \
                 a wildcard certificate covers one label",
            );
        }
        let longest = text.replace(PR, &"9".repeat(LONGEST_SUBJECT));
        match longest.parse::<Host>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => refuse("a template of a host name: DNS labels of a-z, 0-9 and - around {pr}"),
        }
    }
}

impl fmt::Debug for HostTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(template: &str, repository: &str, subject: &str) -> String {
        let template: NamespaceTemplate = template.parse().unwrap();
        let name = template.render(&repository.parse().unwrap(), &subject.parse().unwrap());
        name.unwrap().to_string()
    }

    #[test]
    fn a_namespace_is_named_by_repository_and_subject() {
        let commit = format!("commit-{}", "ab".repeat(20));
        assert_eq!(
            namespace("preview-pr-{pr}", "acme/shop", "pr-7"),
            "preview-pr-7"
        );
        assert_eq!(
            namespace("preview-pr-{pr}", "acme/shop", &commit),
            "preview-pr-cabababababab"
        );
        assert_eq!(namespace("{repo}-{pr}", "Acme/Shop", "pr-7"), "acme-shop-7");
    }

    #[test]
    fn a_repository_that_could_be_mistaken_or_is_too_long_is_told_by_a_hash() {
        insta::assert_snapshot!(namespace("{repo}-{pr}", "acme-shop/web", "pr-7"), @"acme-shop-web--a0137ec894-7");
        insta::assert_snapshot!(namespace("{repo}-{pr}", "acme/shop-web", "pr-7"), @"acme-shop-web-7");
        insta::assert_snapshot!(namespace("preview-{repo}-{pr}", &format!("acme/{}", "long".repeat(20)), "pr-7"), @"preview-acme-longlonglonglonglonglonglonglonglong--caa9fedbda-7");
        let shortest = format!("{}{{repo}}-{{pr}}", "p".repeat(29));
        insta::assert_snapshot!(namespace(&shortest, "acme-/_web", &format!("pr-{}", u64::MAX)), @"pppppppppppppppppppppppppppppa--4c0f647aba-18446744073709551615");
    }

    #[test]
    fn a_namespace_template_says_what_is_wrong_with_it() {
        for bad in [
            "preview",
            "{pr}-{pr}",
            "{repo}{pr}",
            "{pr}x-{repo}",
            "{repo}-x{pr}",
            "Preview-{pr}",
            "-{pr}",
            "preview-{number}-{pr}",
            &format!("{}{{pr}}", "p".repeat(44)),
            &format!("{}{{repo}}-{{pr}}", "p".repeat(31)),
        ] {
            assert!(bad.parse::<NamespaceTemplate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_has_the_subject_in_its_first_label_and_one_label_below_the_wildcard() {
        let host: HostTemplate = "shop-{pr}.pr.example.com".parse().unwrap();
        assert_eq!(
            host.render(&"pr-123".parse().unwrap()).unwrap().as_str(),
            "shop-123.pr.example.com"
        );
        for bad in [
            "{pr}",
            "pr.example.com",
            "web.{pr}.example.com",
            "{pr}.{pr}.example.com",
            "{pr}_.example.com",
            "-{pr}.example.com",
            "{pr}.example.com.",
            "https://{pr}.example.com",
        ] {
            assert!(bad.parse::<HostTemplate>().is_err(), "{bad}");
        }
    }
    #[test]
    fn hosts_of_two_templates_are_told_apart_by_parts_that_are_no_subject() {
        let template = |label: &str| -> HostTemplate { format!("{label}.x.org").parse().unwrap() };
        for (a, b, mistaken) in [
            ("{pr}", "{pr}-api", false),
            ("{pr}-web", "{pr}-api", false),
            ("{pr}-web", "api-{pr}", false),
            ("shop-{pr}", "shop-{pr}-api", false),
            ("{pr}", "{pr}", true),
            // 17 and 7: `17.x.org`.
            ("{pr}", "1{pr}", true),
            ("{pr}", "{pr}api", true),
            // 7-7, of both.
            ("{pr}-7", "7-{pr}", true),
            ("{pr}-cab", "17-{pr}", true),
            ("v{pr}-x", "v7-{pr}", false),
        ] {
            let (a, b) = (template(a), template(b));
            assert_eq!(a.may_be_mistaken_for(&b), mistaken, "{a} {b}");
            assert_eq!(b.may_be_mistaken_for(&a), mistaken, "{b} {a}");
        }
        let elsewhere: HostTemplate = "{pr}.y.org".parse().unwrap();
        assert!(!template("{pr}").may_be_mistaken_for(&elsewhere));
    }
}
