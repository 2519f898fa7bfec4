//! The example's workflows, run on the stage.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use sandbox::github::Environment;
use serde_json::json;

use super::{super::kube::Place, Stage, runs::RECORD_KEY};
use crate::runner::{Secrets, Service, Setting, Workflow, workflows_of};

/// Where people approve.
pub(crate) const GATE: &str = "preview-approval";
/// Who does.
pub(crate) const REVIEWER: &str = "carol";

impl Stage {
    /// The example's workflows, with the registry of this play.
    ///
    /// # Errors
    /// When one has what is not known.
    pub(crate) fn workflows(&self) -> anyhow::Result<BTreeMap<String, Workflow>> {
        self.workflows_with(|_, text| text)
    }

    /// As [`Self::workflows`], each file's text changed before it is read.
    ///
    /// # Errors
    /// When one has what is not known.
    pub(crate) fn workflows_with(
        &self,
        change: impl Fn(&str, String) -> String,
    ) -> anyhow::Result<BTreeMap<String, Workflow>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workflows");
        workflows_of(&folder, |file, text| {
            change(file, text).replace("ghcr.io", &self.ground.registry)
        })
    }

    /// Sets the repository up as docs/adopting.md says, and GitHub Actions on it. It is private: of a public one everybody may
    /// read most, and a permission to read would not be missed.
    ///
    /// # Errors
    /// When the workflows name what is not there.
    pub(crate) async fn adopt_previews(
        &self,
        workflows: BTreeMap<String, Workflow>,
    ) -> anyhow::Result<Service> {
        self.adopt_previews_at(Duration::from_secs(60), workflows)
            .await
    }

    /// As [`Self::adopt_previews`], where a `minute` of a timeout is as long as this.
    ///
    /// # Errors
    /// As [`Self::adopt_previews`].
    pub(crate) async fn adopt_previews_at(
        &self,
        minute: Duration,
        workflows: BTreeMap<String, Workflow>,
    ) -> anyhow::Result<Service> {
        let repository = &self.repository;
        repository.set_private();
        for name in ["preview", "production"] {
            repository.set_environment(Environment::new(name).branches(&["main"]));
        }
        repository.set_environment(Environment::new(GATE).reviewers(&[REVIEWER]));
        let folder = self.folder.path().join("machines");
        let setting = Setting {
            github: self.github.clone(),
            repository: repository.clone(),
            ground: Arc::clone(&self.ground),
            programs: self.programs.clone(),
            secrets: self.secrets()?,
            minute,
            folder,
            workflows,
        };
        Service::set_up(setting).await
    }

    /// As docs/adopting.md lists them. All programs are the cluster's administrator here: what their accounts may do is another
    /// play's.
    fn secrets(&self) -> anyhow::Result<Secrets> {
        let path = &self.ground.kubeconfig;
        let kubeconfig = std::fs::read_to_string(path);
        let kubeconfig = kubeconfig.with_context(|| format!("read {}", path.display()))?;
        let (user, password) = self.ground.login();
        let mut secrets = Secrets::from([
            (("preview", "CLEANUP_KUBECONFIG"), kubeconfig.clone()),
            (("preview", "PREVIEW_PULL_USER"), user),
            (("preview", "PREVIEW_PULL_PASSWORD"), password),
        ]);
        for environment in ["preview", "production"] {
            secrets.insert((environment, "KUBECONFIG"), kubeconfig.clone());
            secrets.insert((environment, "PREVIEW_RECORD_KEY"), RECORD_KEY.to_owned());
            for alert in ["PREVIEW_SLACK_WEBHOOK", "PREVIEW_SMTP_URL"] {
                secrets.insert((environment, alert), String::new());
            }
        }
        Ok(secrets)
    }

    /// Somebody commits the configuration to the default branch.
    ///
    /// # Errors
    /// When the example's has changed in the places that a play needs.
    pub(crate) fn commit_the_configuration(&self) -> anyhow::Result<()> {
        let text = self.configuration()?;
        self.repository.push_to_base(&[("preview.toml", &text)]);
        Ok(())
    }

    /// Makes the images private where that can be done, and lets production pull them all the same.
    ///
    /// # Errors
    /// When the cluster refuses the credential.
    pub(crate) async fn hide_the_images(&self) -> anyhow::Result<()> {
        if self.ground.world().is_none() {
            return Ok(());
        }
        let (user, password) = self.ground.login();
        let auths = json!({ "auths": { &self.ground.registry: { "username": user, "password": password } } });
        let namespace = self.production();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": { "name": "pull", "namespace": namespace },
            "stringData": { ".dockerconfigjson": auths.to_string() },
        });
        self.ground.kube.create(&secret).await?;
        let accounts = Place {
            api: "v1",
            kind: "ServiceAccount",
            namespace: Some(&namespace),
        };
        let change = json!({ "imagePullSecrets": [{ "name": "pull" }] });
        self.ground
            .kube
            .change(accounts, "default", &change)
            .await?;
        for component in ["web", "api"] {
            self.ground.hide(component);
        }
        Ok(())
    }
}
