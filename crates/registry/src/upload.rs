//! Uploads of blobs, in as many bytes at a time as a buffer has.

use std::io::SeekFrom;
use std::time::Duration;

use bytes::BytesMut;
use futures::stream::try_unfold;
use preview_core::names::Digest;
use reqwest::{Body, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::{Error, Operation};
use crate::layout::Stretch;
use crate::transport::{Ask, Failure, Transport};

/// Bytes in a second that an upload may count on.
const SLOWEST: u64 = 1 << 20;

impl Transport {
    /// Uploads a blob, unless it is there. Whether it was sent.
    pub(crate) async fn upload(
        &self,
        operation: &Operation,
        digest: &Digest,
        blob: &Stretch,
    ) -> Result<bool, Error> {
        let attempt = || self.upload_once(operation, digest, blob);
        self.repeated(operation, true, attempt).await
    }

    /// An upload that broke off is not gone on with: another one starts, unless the first came to its end all the same.
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#post-then-put>
    async fn upload_once(
        &self,
        operation: &Operation,
        digest: &Digest,
        blob: &Stretch,
    ) -> Result<bool, Failure> {
        let there = Ask::head_blob(digest.as_str()).of_who_pushes();
        if self.attempt(operation, &there).await?.status.is_success() {
            return Ok(false);
        }
        let start = Ask::start_upload();
        let started = self.attempt(operation, &start).await?;
        let location = started.header("location");
        let (StatusCode::ACCEPTED, Some(location)) = (started.status, location) else {
            return Err(Failure::Lasting(started.summary()));
        };
        let base = self.url(&operation.name, &start)?;
        let at = base.join(location).ok();
        // The credential goes along, so it must not go anywhere else.
        let Some(mut at) = at.filter(|at| at.origin() == base.origin()) else {
            let reason = "202 and an address elsewhere for the upload".to_owned();
            return Err(Failure::Lasting(reason));
        };
        at.query_pairs_mut().append_pair("digest", digest.as_str());
        let finish = Ask::finish_upload(at, blob.clone());
        let finished = self.attempt(operation, &finish).await?;
        match finished.status.is_success() {
            true => Ok(true),
            false => Err(Failure::Lasting(finished.summary())),
        }
    }
}

/// The time that an upload of so many bytes may take.
pub(crate) fn time_for(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

/// A blob as a body, read while it is sent.
pub(crate) async fn streamed(blob: &Stretch) -> Result<Body, Failure> {
    let opened = async {
        let mut file = File::open(&blob.file).await?;
        file.seek(SeekFrom::Start(blob.offset)).await?;
        Ok::<_, std::io::Error>(file.take(blob.size))
    };
    let opened = opened.await.map_err(|error| {
        Failure::Lasting(format!(
            "nothing, for {} cannot be read: {error}",
            blob.file.display()
        ))
    })?;
    let chunks = try_unfold(opened, |mut rest| async move {
        let mut chunk = BytesMut::with_capacity(1 << 16);
        let read = rest.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (chunk.freeze(), rest)))
    });
    Ok(Body::wrap_stream(chunks))
}
