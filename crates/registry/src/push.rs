//! Pushing an image that lies on this machine, byte for byte.

use futures::{StreamExt as _, TryStreamExt as _};
use preview_core::layout::Piece;
use preview_core::names::{Digest, ImageName};

use crate::Registry;
use crate::error::{Error, Operation};
use crate::layout::Layout;
use crate::transport::Ask;
use crate::upload::time_for;

/// How many blobs of an image are sent at a time.
const PARALLEL: usize = 4;

impl Registry {
    /// Pushes the image of a layout by its digests, under no tag. What the registry has is not sent again; gives how many blobs
    /// were.
    ///
    /// # Errors
    /// When we may not push, the registry cannot be reached in time, or a file has changed since the layout was opened.
    pub async fn push(&self, layout: &Layout, name: &ImageName) -> Result<usize, Error> {
        let image = layout.image();
        let bytes = image.blobs.iter().map(|piece| piece.size).sum();
        let timeout = self.transport.timeout() + time_for(bytes);
        let what = format!("push {name}@{}", layout.digest());
        let operation = &Operation::new(what, name, timeout);
        let uploads = image.blobs.iter().map(|piece| {
            let blob = layout.stretch(piece);
            self.transport.upload(operation, &piece.digest, blob)
        });
        let uploads = futures::stream::iter(uploads).buffer_unordered(PARALLEL);
        let sent: Vec<bool> = uploads.try_collect().await?;
        // What is referred to comes first: a registry takes no manifest otherwise.
        for manifest in &image.manifests {
            self.push_manifest(operation, layout, manifest).await?;
        }
        Ok(sent.into_iter().filter(|sent| *sent).count())
    }

    async fn push_manifest(
        &self,
        operation: &Operation,
        layout: &Layout,
        manifest: &Piece,
    ) -> Result<(), Error> {
        let digest = manifest.digest.as_str();
        let bytes = layout.bytes(manifest).map_err(|error| {
            operation.unexpected(&format!("nothing: {manifest} cannot be read: {error}"))
        })?;
        let read = Digest::of(&bytes);
        if read != manifest.digest {
            return Err(operation.corrupt(&manifest.to_string(), digest, read.as_str()));
        }
        let ask = Ask::put_manifest(digest, manifest.media_type.clone(), bytes.into());
        let reply = self.transport.send(operation, ask).await?;
        match reply.status.is_success() {
            true => Ok(()),
            false => Err(operation.unexpected(&reply.summary())),
        }
    }
}
