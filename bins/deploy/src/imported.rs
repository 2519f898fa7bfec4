//! Who built the images of a pull request whose own runs may push none: as it was recorded when they were imported.

use preview_actions::{Failed, Outside as _};
use preview_core::config::Component;
use preview_core::deploy::{Imported, Previewed};
use preview_core::import::{Import, built_by};
use preview_core::names::PinnedImage;

use crate::world::World;

impl World<'_> {
    /// The genuine records of what was imported for its head; none where no record is needed, or there is no key to tell
    /// a genuine one by.
    pub(crate) async fn imports_of(
        &self,
        previewed: &Previewed,
    ) -> Result<Option<Vec<Import>>, Failed> {
        let Some(key) = self.key.as_ref().filter(|_| !previewed.origin().may_push()) else {
            return Ok(None);
        };
        let imports = self
            .github
            .imports(&previewed.head, key, previewed.repository.id);
        imports.await.outside().map(Some)
    }
}

/// What `imports` say of the component's image.
pub(crate) fn imported(
    imports: Option<&[Import]>,
    previewed: &Previewed,
    component: &Component,
    image: Option<&PinnedImage>,
) -> Imported {
    let Some(imports) = imports else {
        return Imported::NoKey;
    };
    let built_by = previewed.number().zip(image).and_then(|(number, image)| {
        built_by(imports, (number, &previewed.head), &component.name, image)
    });
    built_by.map_or(Imported::Unknown, Imported::By)
}
