//! The accounts of `deploy/` on a real API server: what they may do suffices for a preview's whole life, and reaches neither the
//! cluster's own namespaces, nor production, nor the previews of another repository.
//!
//! Not for the sandbox, which knows neither accounts nor admission.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::stage::{PATIENCE, Stage};
use crate::images::Edition;

/// The namespace of the accounts.
const HOME: &str = "preview-environments";
/// How long the accounts' tokens are good for: longer than the play.
const TOKEN: &str = "--duration=1h";
/// Between two looks whether the policy is in force.
const PAUSE: Duration = Duration::from_millis(200);
/// The id of no repository that any play has.
const FOREIGN: &str = "999999999";

/// Applies `deploy/`, has each account try what is not its own, and plays a life with nothing but these accounts.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn suffice_and_reach_no_further(stage: &mut Stage) -> anyhow::Result<()> {
    let files = tempfile::tempdir().context("make a folder for deploy/")?;
    let everybody = stage.ground.kubeconfig.clone();
    let played = acts(stage, &files).await;
    stage.acts_with(&everybody)?;
    let cluster = Kubectl::of(stage, &everybody)?;
    let gone = ["delete", "--ignore-not-found", "--wait", "-k"];
    let removed = cluster.done(&gone, Some(files.path())).await;
    stage.cleared_after(played.and(removed.map(drop))).await
}

async fn acts(stage: &mut Stage, files: &TempDir) -> anyhow::Result<()> {
    stage.act("The cluster side is put there");
    let base = stage.repository.head("main");
    stage.furnish_production().await?;
    stage.look_at_production(&base).await?;
    let everybody = stage.ground.kubeconfig.clone();
    let cluster = Kubectl::of(stage, &everybody)?;
    copy_for(stage, files.path())?;
    cluster.done(&["apply", "-k"], Some(files.path())).await?;
    let mut accounts = Vec::new();
    for name in ["preview-deploy", "preview-cleanup", "preview-promote"] {
        accounts.push(cluster.account(name, files.path()).await?);
    }
    let [deploy, cleanup, promote] = accounts.as_slice() else {
        bail!("there are three accounts");
    };

    stage.act("Each account tries what is not its own");
    stage.ground.kube.create(&foreign(stage)).await?;
    let not_theirs = [
        "kube-system".to_owned(),
        stage.production(),
        foreign_name(stage),
    ];
    for account in [deploy, cleanup, promote] {
        for namespace in &not_theirs {
            account.is_kept_out_of(namespace).await?;
        }
    }
    for account in [cleanup, promote] {
        let asked = ["get", "secrets", "--namespace", "kube-system"];
        account.is_refused(&asked).await?;
    }

    stage.act("A preview is made, promoted and destroyed with these accounts alone");
    stage.open_pull_request();
    let built = stage.ci_builds(Edition::First).await?;
    stage.acts_with(&deploy.kubeconfig)?;
    let tested = stage.deploy().await?;
    stage.look_at_preview(&built.test_merge).await?;
    let merged = stage.merge()?;
    stage.acts_with(&promote.kubeconfig)?;
    stage.promote(&merged).await?;
    stage.production_runs(&tested).await?;
    stage.acts_with(&cleanup.kubeconfig)?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    let nothing = stage.sweep().await?;
    ensure!(nothing.swept.is_empty(), "{:?}", nothing.swept);
    stage.github_is_content()
}

/// `deploy/`, with what its README says to change: the target's namespace, the names of previews, and the repository's id.
fn copy_for(stage: &Stage, folder: &Path) -> anyhow::Result<()> {
    let id = stage.repository.id();
    let previews = foreign_name(stage).replace(FOREIGN, "");
    let changes = [
        (
            "namespace: shop",
            format!("namespace: {}", stage.production()),
        ),
        ("repository-id=0", format!("repository-id={id}")),
        // The node serves both kinds.
        ("# - gateway.yaml", "- gateway.yaml".to_owned()),
        ("# - snapshots.yaml", "- snapshots.yaml".to_owned()),
        ("^preview-pr-", format!("^{previews}")),
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for entry in fs::read_dir(&source).with_context(|| format!("list {}", source.display()))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default();
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let changed = changes
            .iter()
            .fold(text, |text, (from, to)| text.replace(from, to));
        fs::write(folder.join(name), changed).context("copy deploy/")?;
    }
    Ok(())
}

/// The name of a Namespace that looks like a preview's of this play.
fn foreign_name(stage: &Stage) -> String {
    stage
        .production()
        .replace("-production", &format!("-pr-{FOREIGN}"))
}

/// The preview of another repository.
fn foreign(stage: &Stage) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": foreign_name(stage), "labels": {
            "app.kubernetes.io/managed-by": "preview-environments",
            "preview-environments/repository-id": FOREIGN,
        } },
    })
}

/// kubectl as somebody.
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    fn of(stage: &Stage, kubeconfig: &Path) -> anyhow::Result<Self> {
        let tools = stage.ground.tools().context("the sandbox has no kubectl")?;
        Ok(Self {
            program: tools.join("kubectl"),
            kubeconfig: kubeconfig.to_owned(),
        })
    }

    async fn asked(&self, arguments: &[&str], file: Option<&Path>) -> anyhow::Result<Output> {
        let mut kubectl = Command::new(&self.program);
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig);
        kubectl.args(arguments).args(file).stdin(Stdio::null());
        kubectl
            .output()
            .await
            .with_context(|| format!("start {}", self.program.display()))
    }

    /// What kubectl prints, without an error.
    async fn done(&self, arguments: &[&str], file: Option<&Path>) -> anyhow::Result<String> {
        let done = self.asked(arguments, file).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "kubectl {arguments:?}: {said}");
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// kubectl with the token of an account, which a pod of it would have, too.
    async fn account(&self, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let ask = ["create", "token", name, "--namespace", HOME, TOKEN];
        let token = self.done(&ask, None).await?;
        let show = ["config", "view", "--raw", "--flatten", "--output=json"];
        let mut config: Value = serde_json::from_str(&self.done(&show, None).await?)?;
        config["users"][0]["user"] = json!({ "token": token.trim() });
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, config.to_string()).context("write a kubeconfig")?;
        let program = self.program.clone();
        Ok(Self {
            program,
            kubeconfig,
        })
    }

    /// Checks that it neither makes anything there nor destroys it. Nothing would come of it where it could: it asks by dry
    /// runs, which admission sees as it sees the real thing.
    async fn is_kept_out_of(&self, namespace: &str) -> anyhow::Result<()> {
        let within = ["--namespace", namespace, "--dry-run=server"];
        let make = ["create", "configmap", "from-a-play"];
        self.is_refused(&[&make[..], &within].concat()).await?;
        let furnish = ["create", "quota", "from-a-play"];
        self.is_refused(&[&furnish[..], &within].concat()).await?;
        let destroy = ["delete", "namespace", namespace, "--dry-run=server"];
        self.is_refused(&destroy).await?;
        let claim = [
            "label",
            "namespace",
            namespace,
            "from-a=play",
            "--dry-run=server",
        ];
        self.is_refused(&claim).await
    }

    /// Checks that the cluster forbids it, as soon as what was applied is in force.
    async fn is_refused(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.asked(arguments, None).await?;
            let said = String::from_utf8_lossy(&done.stderr);
            if !done.status.success() && said.to_lowercase().contains("forbidden") {
                return Ok(());
            }
            let who = self.kubeconfig.file_stem().unwrap_or_default();
            ensure!(
                Instant::now() < deadline,
                "{} may do kubectl {arguments:?}: {said}",
                who.display()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use preview_core::{cleanup::RetainedVolumes, objects::Kind, rights};

    use super::*;

    const ALL: [&str; 6] = [
        "deploy.yaml",
        "cleanup.yaml",
        "promote.yaml",
        "gateway.yaml",
        "snapshots.yaml",
        "volumes.yaml",
    ];

    /// The rights that files of `deploy/` give to an account, as `rights` writes them.
    fn granted(account: &str, files: &[&str]) -> BTreeSet<(String, String)> {
        let mut granted = BTreeSet::new();
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../deploy")
                .join(file);
            let text = fs::read_to_string(path).unwrap();
            let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            let of_account = objects.iter().filter(|object| {
                let name = object["metadata"]["name"].as_str().unwrap();
                name.starts_with(account)
            });
            let rules = of_account.filter_map(|object| object["rules"].as_array());
            for rule in rules.flatten() {
                granted.extend(of_rule(rule));
            }
        }
        granted
    }

    fn of_rule(rule: &Value) -> Vec<(String, String)> {
        let texts = |name: &str| -> Vec<String> {
            serde_json::from_value(rule[name].clone()).unwrap_or_else(|why| panic!("{rule}: {why}"))
        };
        let group = match texts("apiGroups").as_slice() {
            [group] if group.is_empty() => String::new(),
            [group] => format!(".{group}"),
            groups => panic!("one group for each rule, not {groups:?}"),
        };
        let mut rights = Vec::new();
        for resource in texts("resources") {
            for verb in texts("verbs") {
                rights.push((format!("{resource}{group}"), verb));
            }
        }
        rights
    }

    fn needed(custom: &[Kind], retained: RetainedVolumes) -> BTreeSet<(String, String)> {
        let rights = rights::of_deploy(custom, retained).into_iter();
        rights
            .map(|right| (right.resource.to_owned(), right.verb.to_owned()))
            .collect()
    }

    #[test]
    fn the_role_of_deploy_is_what_doctor_asks_for() {
        let plain = granted("preview-deploy", &["deploy.yaml"]);
        assert_eq!(plain, needed(&[], RetainedVolumes::Stay));
        let gateway = granted("preview-deploy", &["deploy.yaml", "gateway.yaml"]);
        assert_eq!(gateway, needed(&[Kind::HttpRoute], RetainedVolumes::Stay));
        let volumes = granted("preview-deploy", &["deploy.yaml", "volumes.yaml"]);
        assert_eq!(volumes, needed(&[], RetainedVolumes::Go));
        let snapshots = granted("preview-deploy", &["deploy.yaml", "snapshots.yaml"]);
        let kinds = [Kind::VolumeSnapshot, Kind::VolumeSnapshotContent];
        let mut needed = needed(&kinds, RetainedVolumes::Stay);
        // A teardown watches them until they are gone, which doctor does not ask for.
        let watch = ["volumesnapshotcontents.snapshot.storage.k8s.io", "watch"];
        needed.insert(watch.map(str::to_owned).into());
        assert_eq!(snapshots, needed);
    }

    #[test]
    fn cleanup_makes_nothing_and_reads_no_secret_but_the_certificate() {
        let role = granted("preview-cleanup", &ALL);
        assert_eq!(role.iter().find(|(_, verb)| verb == "create"), None);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cleanup.yaml");
        let text = fs::read_to_string(path).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let rules = objects[0]["rules"].as_array().unwrap();
        let of_secrets = |rule: &&Value| rule["resources"].to_string().contains("secrets");
        for rule in rules.iter().filter(of_secrets) {
            assert_eq!(rule["resourceNames"], json!(["preview-wildcard-tls"]));
        }
    }

    #[test]
    fn no_role_may_give_itself_more() {
        for (resource, verb) in granted("preview-", &ALL) {
            assert!(
                !resource.contains("rbac") && !resource.contains("admission"),
                "{resource}"
            );
            assert!(
                !resource.contains('*') && !verb.contains('*'),
                "{verb} of {resource}"
            );
            assert!(
                !["bind", "escalate", "impersonate"].contains(&verb.as_str()),
                "{verb}"
            );
        }
    }
}
