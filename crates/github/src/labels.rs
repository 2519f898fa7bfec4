//! The labels that show a pull request's image digests. For eyes only: they are repaired, never believed.
//!
//! A label is an object of the whole repository that pull requests refer to. Two pull requests with the same image
//! share one, so it may go only when nothing refers to it any more.

use preview_core::labels::ImageLabel;
use preview_core::names::PrNumber;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};
use crate::standing::CarriedLabel;
use crate::text::encoded;

/// Characters of a label's name; not in GitHub's OpenAPI description, but 422 beyond.
const NAME_LIMIT: usize = 50;

/// Characters of a label's description.
/// <https://docs.github.com/en/rest/issues/labels#create-a-label>
const DESCRIPTION_LIMIT: usize = 100;

/// One colour for all of ours, so that they read as one kind.
const COLOUR: &str = "1d76db";

const READ: &str = "pull-requests: read";
const WRITE: &str = "pull-requests: write";

/// What was done to the labels; names in the order in which they were dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChanges {
    /// Definitions given their description: new ones, and those that somebody has changed.
    pub defined: Vec<String>,
    /// Renamed to one that is wanted, since nothing else refers to them.
    pub renamed: Vec<String>,
    /// Taken off the pull request.
    pub removed: Vec<String>,
    /// Definitions deleted since nothing refers to them any more.
    pub deleted: Vec<String>,
}

#[derive(Deserialize)]
struct Wire {
    name: String,
    description: Option<String>,
}

impl GitHub {
    /// Makes the labels of `pr` that start with `prefix` exactly the `wanted` ones, and deletes the definitions of
    /// those it takes off once no issue or pull request has them. With nothing wanted it cleans up.
    ///
    /// One request where all is as it should be, and one more for each label that is new; two for each that goes.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A name or description beyond GitHub's limits, or a name without the prefix,
    /// is refused before anything is asked.
    pub async fn set_image_labels(
        &self,
        pr: PrNumber,
        wanted: &[ImageLabel],
        prefix: &str,
    ) -> Result<LabelChanges, Error> {
        let operation = format!(
            "set the labels {prefix}… of pull request #{pr} of {}",
            self.slug
        );
        for label in wanted {
            within_limits(label, prefix)
                .map_err(|why| Error::new(&operation, Problem::Invalid(why)))?;
        }
        let on_pr = match wanted.is_empty() {
            true => self.labels_of(pr).await?,
            false => self.add_labels(pr, wanted).await?,
        };
        let mut changes = LabelChanges {
            defined: self.describe_labels(&on_pr, wanted).await?,
            ..LabelChanges::default()
        };
        let names = on_pr.into_iter().map(|label| label.name);
        for name in names.filter(|name| name.starts_with(prefix)) {
            if wanted.iter().any(|label| label.name == name) {
                continue;
            }
            if self.take_off(pr, &name).await? {
                changes.deleted.push(name.clone());
            }
            changes.removed.push(name);
        }
        Ok(changes)
    }

    /// As [`Self::set_image_labels`], where it is known which labels `pr` carries: a label of the same component that no other
    /// refers to is renamed, in one request, and no timeline tells of a label that came and one that went.
    ///
    /// # Errors
    /// As there.
    pub async fn replace_image_labels(
        &self,
        pr: PrNumber,
        carried: &[CarriedLabel],
        wanted: &[ImageLabel],
        prefix: &str,
    ) -> Result<LabelChanges, Error> {
        let is_wanted = |name: &str| wanted.iter().any(|label| label.name == name);
        let mut stale: Vec<&CarriedLabel> = carried
            .iter()
            .filter(|one| one.name.starts_with(prefix) && !is_wanted(&one.name))
            .collect();
        let (mut renamed, mut left) = (Vec::new(), false);
        for label in wanted {
            if carried.iter().any(|one| one.shows(label)) {
                continue;
            }
            let is_new = carried.iter().all(|one| one.name != label.name);
            let old = stale
                .iter()
                .position(|one| is_new && !one.is_shared && of_same_component(&one.name, label));
            let Some(old) = old.map(|at| stale.remove(at)) else {
                left = true;
                continue;
            };
            match self.rename_label(&old.name, label).await? {
                true => renamed.push(old.name.clone()),
                false => left = true,
            }
        }
        let changes = match left || !stale.is_empty() {
            true => self.set_image_labels(pr, wanted, prefix).await?,
            false => LabelChanges::default(),
        };
        Ok(LabelChanges { renamed, ..changes })
    }

    /// Whether it was renamed: not where it is gone, or another has that name.
    async fn rename_label(&self, old: &str, label: &ImageLabel) -> Result<bool, Error> {
        let ImageLabel { name, description } = label;
        let operation = format!("rename label {old:?} of {} to {name:?}", self.slug);
        let call = Call::patch(self.label_path(old), operation, WRITE)
            .with(&json!({ "new_name": name, "description": description, "color": COLOUR }))?;
        match self.transport.done(&call).await {
            Err(Error {
                problem: Problem::Refused { status: 422, .. },
                ..
            }) => Ok(false),
            renamed => renamed,
        }
    }

    async fn labels_of(&self, pr: PrNumber) -> Result<Vec<Wire>, Error> {
        let operation = format!("read the labels of pull request #{pr} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/issues/{pr}/labels")),
            operation,
            READ,
        );
        self.transport.pages(&call).await
    }

    /// Puts these labels on `pr`, and gives all that it has then. GitHub defines those that the repository does not have, in
    /// grey and without a description.
    async fn add_labels(&self, pr: PrNumber, wanted: &[ImageLabel]) -> Result<Vec<Wire>, Error> {
        let names: Vec<&str> = wanted.iter().map(|label| label.name.as_str()).collect();
        let operation = format!("add {names:?} to pull request #{pr} of {}", self.slug);
        let call = Call::post(
            self.path(format_args!("/issues/{pr}/labels")),
            operation,
            WRITE,
        )
        .with(&json!({ "labels": names }))?;
        // Adding a label that is there already changes nothing, so this POST may be repeated.
        self.transport.json(&call).await
    }

    /// Gives the wanted ones their description where they have another, or none; their names.
    async fn describe_labels(
        &self,
        on_pr: &[Wire],
        wanted: &[ImageLabel],
    ) -> Result<Vec<String>, Error> {
        let mut described = Vec::new();
        for label in wanted {
            let on_pr = on_pr.iter().find(|on_pr| on_pr.name == label.name);
            let says = on_pr.and_then(|on_pr| on_pr.description.as_deref());
            if says != Some(label.description.as_str()) {
                self.describe_label(label).await?;
                described.push(label.name.clone());
            }
        }
        Ok(described)
    }

    /// Nothing where its definition is gone again: then no pull request shows it.
    async fn describe_label(&self, label: &ImageLabel) -> Result<(), Error> {
        let operation = format!("describe label {:?} of {}", label.name, self.slug);
        let call = Call::patch(self.label_path(&label.name), operation, WRITE)
            .with(&json!({ "description": label.description, "color": COLOUR }))?;
        self.transport.done(&call).await.map(drop)
    }

    /// Takes a label off `pr`, and deletes its definition where nothing else has it; whether it did.
    ///
    /// Both by one request where they go together: a definition that a run which died has left without the label on `pr`
    /// would be found by nobody.
    async fn take_off(&self, pr: PrNumber, name: &str) -> Result<bool, Error> {
        let mut is_shared = self.is_label_used_besides(pr, name).await?;
        if is_shared {
            self.remove_label(pr, name).await?;
            // Of two that take it off at the same time, the later one sees it.
            is_shared = self.is_label_used_besides(pr, name).await?;
        }
        if !is_shared {
            self.delete_label(name).await?;
        }
        Ok(!is_shared)
    }

    async fn remove_label(&self, pr: PrNumber, name: &str) -> Result<(), Error> {
        let operation = format!(
            "take label {name:?} off pull request #{pr} of {}",
            self.slug
        );
        let path = self.path(format_args!("/issues/{pr}/labels/{}", encoded(name)));
        self.transport
            .done(&Call::delete(path, operation, WRITE))
            .await?;
        Ok(())
    }

    /// Whether any issue or pull request but `pr`, open or closed, carries the label.
    async fn is_label_used_besides(&self, pr: PrNumber, name: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Carrier {
            number: u64,
        }
        let path = self.path(format_args!(
            "/issues?state=all&labels={}&per_page=2",
            encoded(name)
        ));
        let call = Call::get(
            path,
            format!("find what carries label {name:?} in {}", self.slug),
            READ,
        );
        let carriers: Vec<Carrier> = self.transport.json(&call).await?;
        Ok(carriers.iter().any(|carrier| carrier.number != pr.get()))
    }

    async fn delete_label(&self, name: &str) -> Result<(), Error> {
        let operation = format!("delete label {name:?} of {}", self.slug);
        self.transport
            .done(&Call::delete(self.label_path(name), operation, WRITE))
            .await?;
        Ok(())
    }

    fn label_path(&self, name: &str) -> String {
        self.path(format_args!("/labels/{}", encoded(name)))
    }
}

impl CarriedLabel {
    fn shows(&self, label: &ImageLabel) -> bool {
        self.name == label.name && self.description.as_ref() == Some(&label.description)
    }
}

/// Whether a label shows another digest of the component that `label` shows one of.
fn of_same_component(name: &str, label: &ImageLabel) -> bool {
    let component = |name: &str| name.split(':').next().map(str::to_owned);
    component(name) == component(&label.name)
}

fn within_limits(label: &ImageLabel, prefix: &str) -> Result<(), String> {
    let ImageLabel { name, description } = label;
    let (name_length, description_length) = (name.chars().count(), description.chars().count());
    if !name.starts_with(prefix) {
        return Err(format!("the label {name:?} does not start with {prefix:?}"));
    }
    if name_length > NAME_LIMIT || name.contains(',') {
        return Err(format!(
            "the label {name:?} has {name_length} characters; GitHub takes {NAME_LIMIT}, none of them a comma"
        ));
    }
    if description_length > DESCRIPTION_LIMIT {
        return Err(format!(
            "the description of label {name:?} has {description_length} characters; GitHub takes {DESCRIPTION_LIMIT}"
        ));
    }
    Ok(())
}
