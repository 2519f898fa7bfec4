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
    /// Definitions made, or given their description again.
    pub defined: Vec<String>,
    /// Put on the pull request.
    pub added: Vec<String>,
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
        let on_pr: Vec<String> = self.label_names(pr, prefix).await?;
        let mut changes = LabelChanges::default();
        if !wanted.is_empty() {
            changes.defined = self.define_labels(wanted).await?;
        }
        let missing: Vec<&str> = wanted
            .iter()
            .map(|label| label.name.as_str())
            .filter(|name| !on_pr.iter().any(|on| on == name))
            .collect();
        if !missing.is_empty() {
            self.add_labels(pr, &missing).await?;
            changes.added = missing.into_iter().map(str::to_owned).collect();
        }
        for name in on_pr {
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

    async fn label_names(&self, pr: PrNumber, prefix: &str) -> Result<Vec<String>, Error> {
        let operation = format!("read the labels of pull request #{pr} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/issues/{pr}/labels")),
            operation,
            READ,
        );
        let labels: Vec<Wire> = self.transport.pages(&call).await?;
        Ok(labels
            .into_iter()
            .map(|label| label.name)
            .filter(|name| name.starts_with(prefix))
            .collect())
    }

    /// Makes the definitions that are missing and mends the others' descriptions.
    async fn define_labels(&self, wanted: &[ImageLabel]) -> Result<Vec<String>, Error> {
        let mut changed = Vec::new();
        for label in wanted {
            let call = Call::get(
                self.label_path(&label.name),
                format!("read label {:?}", label.name),
                READ,
            );
            let defined: Option<Wire> = self.transport.json_if_found(&call).await?;
            match defined {
                Some(old) if old.description.as_deref() == Some(&label.description) => continue,
                Some(_) => self.describe_label(label).await?,
                None => self.create_label(label).await?,
            }
            changed.push(label.name.clone());
        }
        Ok(changed)
    }

    async fn create_label(&self, label: &ImageLabel) -> Result<(), Error> {
        let ImageLabel { name, description } = label;
        let call = Call::post(
            self.path("/labels"),
            format!("create label {name:?} in {}", self.slug),
            WRITE,
        )
        .with(&json!({ "name": name, "description": description, "color": COLOUR }))?;
        // A name can be taken only once, so this POST may be repeated.
        match self.transport.json::<Wire>(&call).await {
            Ok(_) => Ok(()),
            Err(Error {
                problem:
                    Problem::Refused {
                        status: 422,
                        message,
                    },
                ..
            }) if message.contains("already_exists") => self.describe_label(label).await,
            Err(error) => Err(error),
        }
    }

    async fn describe_label(&self, label: &ImageLabel) -> Result<(), Error> {
        let operation = format!("describe label {:?} of {}", label.name, self.slug);
        let call = Call::patch(self.label_path(&label.name), operation, WRITE)
            .with(&json!({ "description": label.description }))?;
        self.transport.json::<Wire>(&call).await?;
        Ok(())
    }

    async fn add_labels(&self, pr: PrNumber, names: &[&str]) -> Result<(), Error> {
        let operation = format!("add {names:?} to pull request #{pr} of {}", self.slug);
        let call = Call::post(
            self.path(format_args!("/issues/{pr}/labels")),
            operation,
            WRITE,
        )
        .with(&json!({ "labels": names }))?;
        // Adding a label that is there already changes nothing, so this POST may be repeated.
        self.transport.json::<Vec<Wire>>(&call).await?;
        Ok(())
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
