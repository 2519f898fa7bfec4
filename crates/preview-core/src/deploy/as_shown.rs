//! The images that somebody was shown before the approval: exactly these are deployed after it, whatever their tags name by
//! then.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Accepted;
use crate::config::Component;
use crate::names::{ComponentName, NotA, PinnedImage};

/// The images that somebody was shown, by component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownImages(pub BTreeMap<ComponentName, PinnedImage>);

impl FromStr for ShownImages {
    type Err = NotA;

    /// Reads the output `images` of a program.
    fn from_str(text: &str) -> Result<Self, NotA> {
        let images = serde_json::from_str(text).map_err(|_| {
            NotA::new(
                text,
                "JSON of images by component, as the output `images` of `preview-deploy ask` is",
            )
        })?;
        Ok(Self(images))
    }
}

/// An image that is another than the one that was shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "component {component} would run {}, and {} beforehand; look at what is new, and have it deployed anew",
    found.as_ref().map_or_else(|| "nothing".to_owned(), |image| format!("{image}")),
    shown.as_ref().map_or_else(|| "nothing was shown of it".to_owned(), |image| format!("{image} was shown"))
)]
pub struct NotShown {
    component: ComponentName,
    found: Option<PinnedImage>,
    shown: Option<PinnedImage>,
}

impl ShownImages {
    /// The image that is looked for of a component whose tag names `named`. Where it has no tag, and may be as it was
    /// before, that is looked at, and what comes of it has to be what was shown.
    #[must_use]
    pub fn of(&self, component: &Component, named: Option<&PinnedImage>) -> Option<PinnedImage> {
        let is_built = named.is_some() || component.unchanged.is_empty();
        let shown = self.0.get(&component.name).filter(|_| is_built);
        let shown = shown.map(|shown| component.image.at(shown.digest.clone()));
        shown.or_else(|| named.cloned())
    }

    /// Checks that what is `accepted` is what was shown.
    ///
    /// # Errors
    /// Each component that would run something else.
    pub fn check(&self, accepted: &Accepted) -> Result<(), Vec<NotShown>> {
        let found = accepted.pinned();
        let mut components: Vec<&ComponentName> = found.keys().chain(self.0.keys()).collect();
        components.sort();
        components.dedup();
        let other = components.into_iter().filter_map(|component| {
            let (found, shown) = (found.get(component), self.0.get(component));
            (found != shown).then(|| NotShown {
                component: component.clone(),
                found: found.cloned(),
                shown: shown.cloned(),
            })
        });
        let other: Vec<NotShown> = other.collect();
        match other.is_empty() {
            true => Ok(()),
            false => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::AcceptedImage;
    use crate::record::BuiltBy;

    fn image(digit: char) -> PinnedImage {
        let hex = digit.to_string().repeat(64);
        format!("ghcr.io/acme/web@sha256:{hex}").parse().unwrap()
    }

    fn shown(all: &[(&str, char)]) -> ShownImages {
        let all = all
            .iter()
            .map(|(name, digit)| (name.parse().unwrap(), image(*digit)));
        ShownImages(all.collect())
    }

    fn accepted(all: &[(&str, char)]) -> Accepted {
        let images = shown(all).0.into_iter().map(|(component, image)| {
            let accepted = AcceptedImage {
                image,
                built_from: "b".repeat(40).parse().unwrap(),
                built_by: BuiltBy::Branch,
                unchanged: None,
            };
            (component, accepted)
        });
        Accepted {
            images: images.collect(),
            tree: "7".repeat(40).parse().unwrap(),
            base: None,
        }
    }

    #[test]
    fn exactly_what_was_shown_is_deployed() {
        let approved = shown(&[("api", '1'), ("web", '2')]);
        assert_eq!(
            approved.check(&accepted(&[("api", '1'), ("web", '2')])),
            Ok(())
        );
        let other = approved.check(&accepted(&[("web", '3'), ("worker", '4')]));
        let other: Vec<String> = other.unwrap_err().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(other.join("\n"), @r"
        component api would run nothing, and ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111 was shown beforehand; look at what is new, and have it deployed anew
        component web would run ghcr.io/acme/web@sha256:3333333333333333333333333333333333333333333333333333333333333333, and ghcr.io/acme/web@sha256:2222222222222222222222222222222222222222222222222222222222222222 was shown beforehand; look at what is new, and have it deployed anew
        component worker would run ghcr.io/acme/web@sha256:4444444444444444444444444444444444444444444444444444444444444444, and nothing was shown of it beforehand; look at what is new, and have it deployed anew
        ");
    }

    #[test]
    fn they_are_given_as_the_output_has_them() {
        let given = format!(r#"{{"web":"{}"}}"#, image('2'));
        assert_eq!(given.parse(), Ok(shown(&[("web", '2')])));
        insta::assert_snapshot!("web=latest".parse::<ShownImages>().unwrap_err(), @r#""web=latest" is not JSON of images by component, as the output `images` of `preview-deploy ask` is"#);
    }
}
