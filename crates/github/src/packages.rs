//! Versions of container packages, which are the images in GitHub's own registry.

use preview_core::cleanup::images::ImageVersion;
use preview_core::names::{Digest, ImageName};
use serde::Deserialize;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;
use crate::text::encoded;

const READ: &str = "packages: read, which only `GITHUB_TOKEN` and a classic token can have";
const WRITE: &str = "packages: write, and admin on the package";

/// A package: an image, as GitHub's list of packages has it.
///
/// GitHub has two lists, one of organisations' packages and one of users'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Below the address of the API.
    path: String,
    image: ImageName,
}

/// A version of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageVersion {
    id: u64,
    /// The manifest, and its tags.
    pub version: ImageVersion,
}

#[derive(Deserialize)]
struct Wire {
    id: u64,
    /// The digest of the manifest.
    name: String,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    container: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    tags: Vec<String>,
}

impl Wire {
    /// None where it is no version of an image: then it is none of ours to delete.
    fn version(self) -> Option<PackageVersion> {
        Some(PackageVersion {
            id: self.id,
            version: ImageVersion {
                digest: self.name.parse::<Digest>().ok()?,
                tags: self.metadata?.container?.tags,
            },
        })
    }
}

impl GitHub {
    /// The package of `image` with all its versions, newest first; none where GitHub has no such package, or the token
    /// may not know of it.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn package(
        &self,
        image: &ImageName,
    ) -> Result<Option<(Package, Vec<PackageVersion>)>, Error> {
        let Some((owner, name)) = image.repository().split_once('/') else {
            return Ok(None);
        };
        let (owner, name) = (encoded(owner), encoded(name));
        for kind in ["orgs", "users"] {
            let package = Package {
                path: format!("/{kind}/{owner}/packages/container/{name}/versions"),
                image: image.clone(),
            };
            let operation = format!("list the versions of the package {image}");
            let call = Call::get(package.path.clone(), operation, READ);
            let versions: Option<Vec<Wire>> = self.transport.pages_if_found(&call).await?;
            if let Some(versions) = versions {
                let versions = versions.into_iter().filter_map(Wire::version).collect();
                return Ok(Some((package, versions)));
            }
        }
        Ok(None)
    }

    /// The version as it is now; none where it is gone.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn package_version(
        &self,
        package: &Package,
        read: &PackageVersion,
    ) -> Result<Option<ImageVersion>, Error> {
        let operation = format!(
            "read the version {} of {}",
            read.version.digest, package.image
        );
        let call = Call::get(format!("{}/{}", package.path, read.id), operation, READ);
        let wire: Option<Wire> = self.transport.json_if_found(&call).await?;
        Ok(wire.and_then(Wire::version).map(|now| now.version))
    }

    /// Deletes a version: the manifest with all its tags. False where it is gone already.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. 403 without admin on the package; refused where it is public and was downloaded
    /// more than 5,000 times.
    /// <https://docs.github.com/en/rest/packages/packages#delete-package-version-for-an-organization>
    pub async fn delete_package_version(
        &self,
        package: &Package,
        version: &PackageVersion,
    ) -> Result<bool, Error> {
        let digest = &version.version.digest;
        let operation = format!("delete the version {digest} of {}", package.image);
        let path = format!("{}/{}", package.path, version.id);
        self.transport
            .done(&Call::delete(path, operation, WRITE))
            .await
    }
}
