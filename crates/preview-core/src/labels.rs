//! The labels that show a pull request's image digests: for eyes, repaired and never believed.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{ComponentName, PinnedImage};

/// What every label of ours starts with.
pub const PREFIX: &str = "image-digest/";

/// Characters that GitHub allows in a label's name.
const NAME_LIMIT: usize = 50;

/// Hex digits that a label shows at the least: enough that two images of one repository never look alike.
const LEAST_HEX: usize = 12;

/// A label that a pull request shall carry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageLabel {
    /// `image-digest/<component>:sha256:<as many hex digits as fit>`, 50 characters at most.
    pub name: String,
    /// The whole digest, which does not fit into the name: 71 characters of GitHub's 100.
    pub description: String,
}

impl ImageLabel {
    fn of(component: &ComponentName, image: &PinnedImage) -> Self {
        let between = ":sha256:";
        let room = NAME_LIMIT - PREFIX.len() - between.len();
        let component = &component.as_str()[..component.as_str().len().min(room - LEAST_HEX)];
        let hex = &image.digest.hex()[..room - component.len()];
        Self {
            name: format!("{PREFIX}{component}{between}{hex}"),
            description: image.digest.to_string(),
        }
    }
}

/// The labels for `images`, one for each component.
#[must_use]
pub fn image_labels(images: &BTreeMap<ComponentName, PinnedImage>) -> Vec<ImageLabel> {
    let labels: BTreeSet<ImageLabel> = images
        .iter()
        .map(|(component, image)| ImageLabel::of(component, image))
        .collect();
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(components: &[&str]) -> Vec<ImageLabel> {
        let image: PinnedImage = format!("ghcr.io/acme/x@sha256:{}", "0123456789abcdef".repeat(4))
            .parse()
            .unwrap();
        let images = components
            .iter()
            .map(|name| (name.parse().unwrap(), image.clone()));
        image_labels(&images.collect())
    }

    #[test]
    fn the_name_uses_its_fifty_characters_and_the_description_has_the_whole_digest() {
        let label = &labels(&["web"])[0];
        assert_eq!(
            label.name,
            "image-digest/web:sha256:0123456789abcdef0123456789"
        );
        assert_eq!(label.name.len(), 50);
        assert_eq!(
            label.description,
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        );
    }

    #[test]
    fn the_longest_component_leaves_room_for_twelve_digits() {
        for length in 1..=63 {
            let name = labels(&["c".repeat(length).as_str()])[0].name.clone();
            assert_eq!(name.len(), 50, "{name}");
            let hex = name.rsplit(':').next().unwrap();
            assert!(hex.len() >= 12, "{name}");
        }
    }

    #[test]
    fn components_that_look_alike_share_a_label() {
        let long = "c".repeat(40);
        assert_eq!(
            labels(&[&format!("{long}-a"), &format!("{long}-b")]).len(),
            1
        );
        assert_eq!(labels(&["api", "web"]).len(), 2);
    }
}
