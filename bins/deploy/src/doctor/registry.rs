//! Whether the registries show the images of each component.

use futures::future::join_all;
use preview_actions::Runner;
use preview_core::config::{Component, Config};
use preview_core::doctor::Finding;
use preview_registry::Registry;

use crate::world;

/// A tag that promotion moves; whether it is there says nothing, that it can be asked for does.
const TAG: &str = "latest";

/// What sets the credential.
const SET: &str = "gh secret set PREVIEW_REGISTRY_PASSWORD --env preview";

pub(super) async fn findings(runner: &Runner, config: &Config) -> Vec<Finding> {
    let what = "registry credential";
    let settings = match world::registry(runner, config) {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::missing(what, error).fixed_by(SET)],
    };
    let registry = match Registry::new(settings) {
        Ok(registry) => registry,
        Err(error) => return vec![Finding::missing(what, error)],
    };
    let components = config.components.iter();
    join_all(components.map(|component| images(&registry, component))).await
}

async fn images(registry: &Registry, component: &Component) -> Finding {
    let image = &component.image;
    let what = format!("images of {}", component.name);
    match registry.resolve(image, TAG).await {
        Ok(Some(_)) => Finding::good(what, format!("{image} can be read")),
        Ok(None) => Finding::good(what, format!("{image} can be read, and has no {TAG} yet")),
        Err(error) => Finding::missing(what, error).fixed_by(SET),
    }
}
