//! What the play stands on: a cluster and a registry, the sandbox's or real ones. GitHub is always the sandbox's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use sandbox::{Gate, Way, World, cluster::Behaviour, github::GitHub};
use tokio::sync::mpsc;

use super::{
    front_door::{FrontDoor, Nginx},
    kube::Kube,
};
use crate::{
    counterparts::{Containerd, Running},
    images::{self, Account, Edition, Example, Layout},
};

/// The account that images are pushed to and that the repository belongs to.
pub(crate) const OWNER: &str = "acme";
/// The repository, and what its images' names begin with.
pub(crate) const REPOSITORY: &str = "shop";

/// The tag of the database server's image.
const POSTGRES: &str = "1";
/// What a crashing page says.
pub(crate) const CRASH: &str = "cannot reach the database";

/// A page that is a shell script, and what the sandbox, which runs none, takes it to do.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// What it is called.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) behaviour: fn() -> Behaviour,
}

/// A page that ends at once whenever it is started, and says [`CRASH`].
pub(crate) const CRASHING: Script = Script {
    name: "crash",
    text: "echo cannot reach the database >&2; exit 3",
    behaviour: || Behaviour::Crash {
        exit_code: 3,
        log: vec![CRASH.to_owned()],
    },
};

/// A cluster and a registry.
pub(crate) struct Ground {
    /// For the programs.
    pub(crate) kubeconfig: PathBuf,
    /// For us.
    pub(crate) kube: Kube,
    /// As images name it.
    pub(crate) registry: String,
    account: Option<Account>,
    /// Where kubectl and Kustomize are.
    tools: Option<PathBuf>,
    /// Where the real registry keeps what is pushed.
    registry_files: Option<PathBuf>,
    kind: Kind,
}

enum Kind {
    /// Ends with this.
    Sandbox(World),
    Real(Option<Containerd>, GitHub),
}

impl Ground {
    /// The sandbox's cluster and registry; `folder` takes the kubeconfig.
    ///
    /// # Errors
    /// When the kubeconfig cannot be written.
    pub(crate) fn sandbox(world: World, folder: &Path) -> anyhow::Result<Self> {
        let kubeconfig = folder.join("kubeconfig");
        world
            .cluster
            .write_kubeconfig(&kubeconfig)
            .with_context(|| format!("write {}", kubeconfig.display()))?;
        let account = world.registry.account();
        Ok(Self {
            kube: Kube::at(&world.cluster.url(), Some(world.cluster.token()))?,
            kubeconfig,
            registry: world.registry.host(),
            account: Account::of(&account.user, &account.password),
            tools: None,
            registry_files: None,
            kind: Kind::Sandbox(world),
        })
    }

    /// Real ones. The registry is `github`'s, as ghcr.io is: what is deleted from its packages is gone in the registry.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub(crate) async fn real(running: &Running, github: &GitHub) -> anyhow::Result<Self> {
        let account = Account::of(&running.registry_user, &running.registry_password);
        belongs_to(github, running.registry.clone(), account.clone());
        Ok(Self {
            kube: Kube::through(&running.kubectl, &running.kubeconfig).await?,
            kubeconfig: running.kubeconfig.clone(),
            registry: running.registry.clone(),
            account,
            tools: running.kubectl.parent().map(Path::to_owned),
            registry_files: running.registry_files.clone(),
            kind: Kind::Real(running.containerd.clone(), github.clone()),
        })
    }

    /// The same ground beside this one, where it is real: its registry is `github`'s as well.
    pub(crate) fn beside(&self, github: &GitHub) -> Option<Self> {
        let Kind::Real(containerd, _) = &self.kind else {
            return None;
        };
        belongs_to(github, self.registry.clone(), self.account.clone());
        Some(Self {
            kubeconfig: self.kubeconfig.clone(),
            kube: self.kube.another(),
            registry: self.registry.clone(),
            account: self.account.clone(),
            tools: self.tools.clone(),
            registry_files: self.registry_files.clone(),
            kind: Kind::Real(containerd.clone(), github.clone()),
        })
    }

    /// A way to the cluster with a gate on it, by the kubeconfig that is written to `file`.
    ///
    /// # Errors
    /// When no port can be bound, or `file` not be written.
    pub(crate) async fn behind(&self, gate: &Gate, file: &Path) -> anyhow::Result<Option<Way>> {
        let (kubeconfig, way) = match self.world() {
            Some(world) => {
                let url = world.cluster.through(gate).await?;
                (world.cluster.kubeconfig_at(&url), None)
            }
            None => {
                let way = Way::through(gate, self.kube.address()?).await?;
                (anonymous(way.url()), Some(way))
            }
        };
        fs::write(file, kubeconfig).with_context(|| format!("write {}", file.display()))?;
        Ok(way)
    }

    /// The folder of kubectl and Kustomize, where there are real ones.
    pub(crate) fn tools(&self) -> Option<&Path> {
        self.tools.as_deref()
    }

    /// The sandbox, where it is one.
    pub(crate) fn world(&self) -> Option<&World> {
        match &self.kind {
            Kind::Sandbox(world) => Some(world),
            Kind::Real(..) => None,
        }
    }

    /// Name and password of whoever may push; both empty where anybody may.
    pub(crate) fn login(&self) -> (String, String) {
        let account = self.account.as_ref();
        account.map_or_else(Default::default, |account| {
            (account.user.clone(), account.password.clone())
        })
    }

    /// Somebody hides a component's images from the anonymous, where that can be done: the real registry hides nothing.
    pub(crate) fn hide(&self, component: &str) {
        if let Some(world) = self.world() {
            world.registry.make_private(&package(component));
        }
    }

    /// The name of a component's image, without tag or digest.
    pub(crate) fn image(&self, component: &str) -> String {
        format!("{}/{}", self.registry, package(component))
    }

    /// The database server's image, by tag.
    pub(crate) fn postgres(&self) -> String {
        format!("{}:{POSTGRES}", self.image("postgres"))
    }

    /// Builds the example as it is at `revision` and pushes it under the tag `tag`; gives the digests.
    ///
    /// # Errors
    /// When it cannot be built, or the registry refuses it.
    pub(crate) async fn publish_example(
        &self,
        revision: &str,
        edition: Edition,
        tag: &str,
        folder: &Path,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let Example { web, api } = self.example(revision, edition, folder).await?;
        let mut digests = BTreeMap::new();
        for (name, layout) in [("web", web), ("api", api)] {
            digests.insert(name.to_owned(), self.publish(&layout, name, tag).await?);
        }
        Ok(digests)
    }

    /// Builds the example's page alone and pushes it under `tag`; gives its digest.
    ///
    /// # Errors
    /// When it does not compile, or the registry refuses it.
    pub(crate) async fn publish_page(
        &self,
        revision: &str,
        edition: Edition,
        tag: &str,
        folder: &Path,
    ) -> anyhow::Result<String> {
        let web = self.build("web", revision, edition, folder).await?;
        self.publish(&web, "web", tag).await
    }

    /// Builds the example as it is at `revision`, and pushes nothing.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) async fn example(
        &self,
        revision: &str,
        edition: Edition,
        folder: &Path,
    ) -> anyhow::Result<Example> {
        let placeholders = self.world().is_some();
        let (revision, folder) = (revision.to_owned(), folder.to_owned());
        let built = made(move || match placeholders {
            true => images::placeholder_layouts(&revision, edition, &folder),
            false => images::example_layouts(&revision, edition, &folder),
        });
        built.await.context("build the example")
    }

    /// Builds one component of the example as it is at `revision`.
    ///
    /// # Errors
    /// When it does not compile, or there is no such component.
    pub(crate) async fn build(
        &self,
        component: &str,
        revision: &str,
        edition: Edition,
        folder: &Path,
    ) -> anyhow::Result<Layout> {
        let Example { web, api } = self.example(revision, edition, folder).await?;
        match component {
            "web" => Ok(web),
            "api" => Ok(api),
            _ => bail!("the example has no component {component:?}"),
        }
    }

    /// Pushes an image and gives its digest.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub(crate) async fn publish(
        &self,
        layout: &Layout,
        name: &str,
        tag: &str,
    ) -> anyhow::Result<String> {
        // Two uploads of one blob at the same time break each other in docker-registry 2.8, and plays share images.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let image = self.image(name);
        let digest = images::push(layout, &image, &[tag], self.account.as_ref()).await?;
        self.has_package(layout, name, &[tag])?;
        Ok(digest)
    }

    /// GitHub has what is pushed of this image as versions of its package: of a real registry's the sandbox hears nothing.
    ///
    /// # Errors
    /// When the layout is damaged.
    pub(crate) fn has_package(
        &self,
        layout: &Layout,
        name: &str,
        tags: &[&str],
    ) -> anyhow::Result<()> {
        if let Kind::Real(_, github) = &self.kind {
            let package = format!("{REPOSITORY}-{name}");
            for manifest in layout.manifests()? {
                github.package_pushed(OWNER, &package, &manifest.digest, &[]);
            }
            github.package_pushed(OWNER, &package, layout.digest(), tags);
        }
        Ok(())
    }

    /// Somebody's clean-up takes a manifest of a component's image out of the registry.
    ///
    /// # Errors
    /// When the registry refuses.
    pub(crate) async fn lose_manifest(&self, component: &str, digest: &str) -> anyhow::Result<()> {
        self.allow_deletes();
        images::remove(&self.image(component), digest, self.account.as_ref()).await
    }

    /// Somebody's clean-up takes a config or layer of a component's image out of the registry.
    ///
    /// # Errors
    /// When the registry refuses.
    pub(crate) async fn lose_blob(&self, component: &str, digest: &str) -> anyhow::Result<()> {
        self.allow_deletes();
        images::remove_blob(&self.image(component), digest, self.account.as_ref()).await
    }

    /// The real registry is one where deletes are allowed.
    fn allow_deletes(&self) {
        if let Some(world) = self.world() {
            world.registry.allow_deletes();
        }
    }

    /// A config or layer changes where the registry keeps it; gives the digest of what it serves now, where it keeps that
    /// within our reach.
    ///
    /// # Errors
    /// When it has no such piece.
    pub(crate) async fn damage_blob(
        &self,
        component: &str,
        digest: &str,
    ) -> anyhow::Result<Option<String>> {
        let damaged = match self.world() {
            Some(world) => world.registry.corrupt(&package(component), digest),
            None => self.flip_a_bit(digest)?,
        };
        if !damaged {
            return Ok(None);
        }
        let image = self.image(component);
        let served = images::served_blob(&image, digest, self.account.as_ref());
        Ok(Some(images::digest(&served.await?)))
    }

    /// It is what it was, once it is pushed again.
    ///
    /// # Errors
    /// When the registry has no such piece.
    pub(crate) fn mend_blob(&self, component: &str, digest: &str) -> anyhow::Result<()> {
        let mended = match self.world() {
            Some(world) => world.registry.remove_blob(&package(component), digest),
            None => self.flip_a_bit(digest)?,
        };
        ensure!(mended, "the registry has no {digest}");
        Ok(())
    }

    /// Of a blob on the real registry's disk, where that is ours: one that flips twice is what it was.
    fn flip_a_bit(&self, digest: &str) -> anyhow::Result<bool> {
        let Some(files) = &self.registry_files else {
            return Ok(false);
        };
        let hex = digest.trim_start_matches("sha256:");
        let two = hex.get(..2).unwrap_or_default();
        let blobs = files.join("docker/registry/v2/blobs/sha256");
        let path = blobs.join(two).join(hex).join("data");
        let mut bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        Ok(true)
    }

    /// Whether the registry has a component's image of this digest.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn holds(&self, component: &str, digest: &str) -> anyhow::Result<bool> {
        images::holds(&self.image(component), digest, self.account.as_ref()).await
    }

    /// Pushes an image of the page that runs a shell script; on the sandbox it behaves as told.
    ///
    /// # Errors
    /// When it cannot be made, or the registry refuses it.
    pub(crate) async fn publish_script(
        &self,
        page: &Script,
        revision: &str,
        tag: &str,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let placeholder = self.world().is_some();
        let (text, name) = (page.text, page.name);
        let (revision, folder) = (revision.to_owned(), folder.join(format!("{name}.oci")));
        let built = made(move || match placeholder {
            true => images::placeholder_layout(name, &revision, Edition::First, &folder),
            false => images::script_layout(text, &revision, &folder),
        });
        let layout = built.await.with_context(|| format!("make {name}"))?;
        let digest = self.publish(&layout, "web", tag).await?;
        if let Some(world) = self.world() {
            world.cluster.behave(&digest, (page.behaviour)());
        }
        Ok(())
    }

    /// Pushes the database server's image.
    ///
    /// # Errors
    /// When it cannot be made, or the registry refuses it.
    pub(crate) async fn publish_postgres(&self, folder: &Path) -> anyhow::Result<()> {
        let placeholder = self.world().is_some();
        let folder = folder.join("postgres.oci");
        let built = made(move || match placeholder {
            true => images::placeholder_layout("postgres", "0", Edition::First, &folder),
            false => images::postgres_layout(&folder),
        });
        let layout = built.await.context("make PostgreSQL's image")?;
        self.publish(&layout, "postgres", POSTGRES).await.map(drop)
    }

    /// Opens the front door, in the Namespace of the ingress controller, for the Namespaces whose name begins with `prefix`: the Ingresses and their Secrets count as they
    /// are now on a real cluster, and as they are whenever somebody comes on the sandbox. Its visitors believe the
    /// certificates of `authority` (PEM).
    ///
    /// # Errors
    /// When nginx's image cannot be made or pushed, or it does not come up.
    pub(crate) async fn front_door(
        &self,
        namespace: &str,
        prefix: &str,
        authority: String,
        folder: &Path,
    ) -> anyhow::Result<FrontDoor> {
        if let Some(world) = self.world() {
            let door = world.cluster.open_front_door().await;
            let door = door.context("open the sandbox's front door")?;
            return Ok(FrontDoor::of_sandbox(door, authority));
        }
        let folder = folder.join("nginx.oci");
        let built = made(move || images::nginx_layout(&folder));
        let layout = built.await.context("make nginx's image")?;
        let digest = self.publish(&layout, "nginx", "1").await?;
        let nginx = Nginx {
            kube: &self.kube,
            namespace,
            prefix,
            image: &format!("{}@{digest}", self.image("nginx")),
        };
        Ok(FrontDoor::at(nginx.listen().await?, authority))
    }

    /// Where on this machine a PersistentVolume is; none where it is not ours to look at.
    pub(crate) fn folder_of(&self, volume: &serde_json::Value) -> Option<PathBuf> {
        let Kind::Real(Some(containerd), _) = &self.kind else {
            return None;
        };
        let path = volume["spec"]["hostPath"]["path"].as_str()?;
        let below = Path::new(path).strip_prefix("/tmp").ok()?;
        Some(containerd.tmp.join(below))
    }

    /// The containers of a namespace that the node's runtime has, running or not; none where the runtime is not ours
    /// to ask.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub(crate) async fn containers(&self, namespace: &str) -> anyhow::Result<Option<Vec<String>>> {
        let Kind::Real(Some(containerd), _) = &self.kind else {
            return Ok(None);
        };
        let of_namespace = format!("labels.\"io.kubernetes.pod.namespace\"=={namespace}");
        let mut ctr = tokio::process::Command::new(&containerd.ctr);
        ctr.arg("--address")
            .arg(&containerd.socket)
            .args(["--namespace", "k8s.io", "containers", "list", "--quiet"])
            .arg(of_namespace)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = ctr
            .output()
            .await
            .with_context(|| format!("start {ctr:?}"))?;
        ensure!(
            done.status.success(),
            "{ctr:?}: {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
        let listed = String::from_utf8_lossy(&done.stdout);
        Ok(Some(listed.lines().map(str::to_owned).collect()))
    }
}

/// From now on what is deleted from `github`'s packages is gone in the real registry.
fn belongs_to(github: &GitHub, registry: String, account: Option<Account>) {
    let (deleted, mut to_delete) = mpsc::unbounded_channel();
    github.on_package_deleted(move |version| {
        // Whoever would delete it has ended with the play.
        let _ = deleted.send((
            format!("{}/{}", version.owner, version.package),
            version.digest.clone(),
        ));
    });
    tokio::spawn(async move {
        while let Some((name, digest)) = to_delete.recv().await {
            let image = format!("{registry}/{name}");
            let removed = images::remove(&image, &digest, account.as_ref()).await;
            if let Err(error) = removed {
                eprintln!("the package's version stays in the registry: {error:#}");
            }
        }
    });
}

/// The name of a component's image in the registry.
fn package(component: &str) -> String {
    format!("{OWNER}/{REPOSITORY}-{component}")
}

/// A kubeconfig for a server that asks nobody who they are.
fn anonymous(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: way\n\
         clusters:\n- name: way\n  cluster:\n    server: {url}\n\
         users:\n- name: way\n  user: {{}}\n\
         contexts:\n- name: way\n  context:\n    cluster: way\n    user: way\n"
    )
}

/// Makes an image, which compiles, fetches packages, or reads files of some megabytes: one after the other, for all plays
/// make them from the same folders.
async fn made<T: Send + 'static>(
    image: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    tokio::task::spawn_blocking(image).await?
}
