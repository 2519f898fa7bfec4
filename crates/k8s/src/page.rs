//! A page of a service, seen from outside the cluster.

use std::time::Instant;

use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use preview_core::names::NamespaceName;

use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::error::{Error, Final};

/// Bytes of a page that are read: enough to see what it says.
const LIMIT: usize = 1024 * 1024;

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP status. The API server itself answers 503 while the service has no pod that is ready, 404 where there is no
    /// such service, and 403 where we may not ask.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Cluster {
    /// Fetches `path` from the service through the API server's proxy: what a pod answers, without an ingress or DNS.
    /// Asked again only while the API server itself cannot be reached; whatever the service answers is the answer.
    ///
    /// # Errors
    /// When the API server cannot be reached, or the page is larger than 1 MiB.
    pub async fn page(
        &self,
        namespace: &NamespaceName,
        service: &str,
        port: u16,
        path: &str,
        deadline: Instant,
    ) -> Result<Page, Error> {
        let path = path.trim_start_matches('/');
        let operation = Operation {
            deadline: deadline.into(),
            ..self.operation(format!("fetch /{path} of Service/{service} in {namespace}"))
        };
        let uri = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/{path}");
        let answer = self.call(&operation, || self.fetch(&uri)).await?;
        match answer {
            Answer::Done((status, Some(body))) => Ok(Page { status, body }),
            Answer::Done((_, None)) => {
                Err(self.malformed(&operation, format!("the page is larger than {LIMIT} bytes")))
            }
            Answer::Absent(reason) => Err(self.finally(&operation, Final::Refused(404, reason))),
            Answer::Conflict(reason) => Err(self.finally(&operation, Final::Refused(409, reason))),
        }
    }

    /// Status and body; no body where it is too large.
    async fn fetch(&self, uri: &str) -> kube::Result<(u16, Option<String>)> {
        let request = http::Request::get(uri)
            .body(Body::empty())
            .map_err(kube::Error::HttpError)?;
        let (head, body) = self.client.send(request).await?.into_parts();
        let body = match Limited::new(body, LIMIT).collect().await {
            Ok(body) => Some(String::from_utf8_lossy(&body.to_bytes()).into_owned()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => None,
            Err(error) => return Err(kube::Error::Service(error)),
        };
        Ok((head.status.as_u16(), body))
    }
}
