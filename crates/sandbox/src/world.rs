//! The three servers together.

use crate::cluster::Cluster;
use crate::github::GitHub;
use crate::registry::Registry;

/// A GitHub, a registry and a cluster that live in this process, each on a loopback port of its own.
///
/// The handles are cheap to clone; the servers end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct World {
    /// The state model of GitHub.
    pub github: GitHub,
    /// The OCI registry.
    pub registry: Registry,
    /// The Kubernetes API server and its controllers.
    pub cluster: Cluster,
}

impl World {
    /// Starts the three servers on free loopback ports. The cluster pulls from the registry, and the registry is GitHub's,
    /// as ghcr.io is: what is pushed is a version of a package, and what is deleted there is gone here.
    ///
    /// # Errors
    /// When a loopback port cannot be bound.
    pub async fn start() -> std::io::Result<Self> {
        Self::around(GitHub::start().await?).await
    }

    /// As [`Self::start`], with a GitHub Enterprise Server.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_enterprise() -> std::io::Result<Self> {
        Self::around(GitHub::start_enterprise().await?).await
    }

    async fn around(github: GitHub) -> std::io::Result<Self> {
        let world = Self {
            github,
            registry: Registry::start().await?,
            cluster: Cluster::start().await?,
        };
        world.cluster.pull_from(&world.registry);
        let list = world.github.lister();
        world.registry.on_pushed(move |pushed| {
            if let Some((owner, package)) = pushed.name.split_once('/') {
                let tags: Vec<&str> = pushed.tag.iter().map(String::as_str).collect();
                list(owner, package, &pushed.digest, &tags);
            }
        });
        let remove = world.registry.remover();
        world.github.on_package_deleted(move |version| {
            let name = format!("{}/{}", version.owner, version.package);
            remove(&name, &version.digest);
        });
        Ok(world)
    }
}
