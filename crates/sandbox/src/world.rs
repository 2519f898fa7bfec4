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
    /// Starts the three servers on free loopback ports; the cluster pulls from the registry.
    ///
    /// # Errors
    /// When a loopback port cannot be bound.
    pub async fn start() -> std::io::Result<Self> {
        let world = Self {
            github: GitHub::start().await?,
            registry: Registry::start().await?,
            cluster: Cluster::start().await?,
        };
        world.cluster.pull_from(&world.registry);
        Ok(world)
    }
}
