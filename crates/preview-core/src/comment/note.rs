//! Remarks on a preview that hold whatever its state is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::display_name;
use crate::database::{Divergence, Rebuild};
use crate::deploy::{Approved, TestedAs};
use crate::markdown::{code, inline, is_plain_url};
use crate::names::{CommitSha, ComponentName, PinnedImage};
use crate::objects::ObjectName;
use crate::pulls::ChangedFiles;

/// Something that whoever looks at the preview should know; one item of the comment's list of remarks.
///
/// Its `Display` is Markdown, one line of it: what is not ours in it goes through [`crate::markdown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A component answers at a host of its own.
    AnswersAt {
        /// The component.
        component: ComponentName,
        /// Where.
        url: String,
    },
    /// The database was made afresh: what people had typed into it is gone.
    DatabaseRebuilt(Rebuild),
    /// A run that failed half-way may have applied migrations that are others now: the database was kept all the same.
    MigrationsInDoubt(Divergence),
    /// The deploy failed, and what was there before serves.
    PreviousServes {
        /// The commit H that serves, where that is known.
        commit: Option<CommitSha>,
    },
    /// The deploy failed half-way: parts of the preview are of the previous version, and others of this one.
    Mixed {
        /// Components of which the previous version serves.
        previous: Vec<ComponentName>,
        /// Components of which this version serves.
        new: Vec<ComponentName>,
        /// Components of which nothing serves.
        none: Vec<ComponentName>,
    },
    /// Somebody has approved the head.
    Approved {
        /// The commit H.
        head: CommitSha,
        /// Who, when and how.
        approved: Approved,
    },
    /// A tag names another image than the one that was shown before the deploy.
    TagMoved {
        /// The component.
        component: ComponentName,
        /// What it names now.
        now: PinnedImage,
    },
    /// CI built no image of a component that the pull request leaves as it was.
    Unchanged {
        /// The component.
        component: ComponentName,
        /// As what its image was tested.
        tested: TestedAs,
    },
    /// The quota has no room for a pod more: an update takes one away before its successor comes.
    UpdatesInPlace,
    /// The quota has no room for two versions: the previous one was stopped before the new one came.
    StoppedFirst,
    /// The pull request changes what previews are made of, and its own is made of the base branch's.
    ManifestsNotInPreview {
        /// The paths of the files that it changes, as far as GitHub lists them.
        files: Vec<String>,
        /// Whether GitHub lists all that it changes.
        are_all: bool,
    },
    /// Images that were not built from this pull request, each with what runs it.
    OtherImages(BTreeMap<String, BTreeSet<ObjectName>>),
    /// Variables in the manifests that stand for nothing, each with where.
    VariablesLeft(BTreeMap<String, BTreeSet<ObjectName>>),
    /// Somebody asked to destroy the preview although its pull request is open.
    DestroyedBy {
        /// Their login, where it is known.
        login: Option<String>,
    },
    /// Somebody had deleted the preview's Namespace although its pull request is open.
    Deleted,
    /// The preview was destroyed because nobody had deployed it for too long.
    Expired {
        /// When it was deployed last.
        active: Timestamp,
    },
    /// Images that nothing needs any more and that are still there, each with why.
    ImagesLeft(Vec<String>),
}

/// Files and images that are named one by one.
const NAMED: usize = 20;

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnswersAt { component, url } => {
                let shown = if is_plain_url(url) { url.clone() } else { code(url) };
                write!(f, "{} answers at {shown}", display_name(component))
            }
            Self::DatabaseRebuilt(why) => write!(
                f,
                "The database was made afresh, and what was in it is gone: {why}."
            ),
            Self::MigrationsInDoubt(since) => write!(
                f,
                "{since}, and a run that failed may have applied it as it was before. The database was kept; where it does \
                 not fit, `--reset-database` makes it afresh."
            ),
            Self::PreviousServes { commit: Some(commit) } => {
                let commit = commit.short();
                write!(f, "The previous version, {commit}, still serves.")
            }
            Self::PreviousServes { commit: None } => {
                f.write_str("The previous version still serves.")
            }
            Self::Mixed {
                previous,
                new,
                none,
            } => mixed([("the previous version", previous), ("this version", new), ("nothing", none)], f),
            Self::Approved { head, approved } => {
                write!(f, "{} was approved by {approved}.", head.short())
            }
            Self::TagMoved { component, now } => write!(
                f,
                "{} runs the image that was shown beforehand; its tag names another by now, {}.",
                display_name(component),
                code(&now.to_string())
            ),
            Self::Unchanged { component, tested } => write!(
                f,
                "{} is as it was and was not built again: its image is the one that was tested with {tested}.",
                display_name(component)
            ),
            Self::UpdatesInPlace => f.write_str(
                "The quota has no room for one more pod, so an update stops each pod before its successor starts; \
                 meanwhile fewer of them answer, or none.",
            ),
            Self::StoppedFirst => f.write_str(
                "The quota has no room for two versions side by side, so the previous one was stopped first.",
            ),
            Self::ManifestsNotInPreview { files, are_all } => manifests_left(files, *are_all, f),
            Self::OtherImages(images) => {
                let images = listed(images.iter().map(placed));
                write!(f, "Not built from this pull request: {images}.")
            }
            Self::DestroyedBy { login } => {
                let who = login.as_deref().map_or_else(|| "Somebody".to_owned(), code);
                write!(
                    f,
                    "{who} asked for its end, although this pull request is open. A push makes it afresh."
                )
            }
            Self::Deleted => f.write_str(
                "Somebody deleted its Namespace, although this pull request is open. A push makes it afresh.",
            ),
            Self::Expired { active } => write!(
                f,
                "It was deployed last at {}, and nobody asked to keep it. A push makes it afresh.",
                active.strftime("%Y-%m-%d %H:%M UTC")
            ),
            Self::ImagesLeft(images) => {
                let images = listed(images.iter().map(|image| inline(image)));
                write!(
                    f,
                    "Not all images that nothing needs any more are deleted: {images}"
                )
            }
            Self::VariablesLeft(variables) => {
                let variables = variables.iter();
                let variables = variables.map(|(name, by)| placed((&format!("${{{name}}}"), by)));
                let variables = listed(variables);
                write!(
                    f,
                    "Left as they are, for they stand for nothing here: {variables}."
                )
            }
        }
    }
}

/// Which version serves of which components.
fn mixed(versions: [(&str, &Vec<ComponentName>); 3], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let some = versions.into_iter().filter(|(_, of)| !of.is_empty());
    let parts = some.map(|(version, of)| {
        let of = listed(of.iter().map(display_name));
        format!("of {of} {version} serves")
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    write!(f, "The update stopped half-way: {parts}.")
}

/// Which manifests of a pull request are not in its preview, as far as that can be known.
fn manifests_left(files: &[String], are_all: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("This preview is made of the base branch's manifests")?;
    if !files.is_empty() {
        let files = listed(files.iter().map(|file| code(file)));
        write!(
            f,
            ": what this pull request changes in {files} is not in it"
        )?;
    }
    if !are_all {
        write!(
            f,
            ". GitHub lists {} files of this pull request and no more: what it changes in manifests beyond them is not in it \
             either",
            ChangedFiles::MOST
        )?;
    }
    f.write_str(".")
}

/// What is used, and by which objects.
fn placed((what, objects): (&String, &BTreeSet<ObjectName>)) -> String {
    let objects = listed(objects.iter().map(ToString::to_string));
    format!("{} in {objects}", code(what))
}

/// The first of `items`, and how many more there are.
fn listed(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let mut named = items.take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named += &format!(" and {more} more");
    }
    named
}
