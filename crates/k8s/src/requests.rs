//! Every request in the log, as `kubectl -v=6` shows it.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};

/// Logs method, path, status and time of what passes, once its answer has begun: a watch goes on long after that.
#[derive(Clone, Debug)]
pub(crate) struct LoggedRequests {
    /// The API server; requests themselves name no host until they have passed here.
    pub(crate) host: String,
}

impl<S> Layer<S> for LoggedRequests {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Logged<S> {
        let host = self.host.clone();
        Logged { inner, host }
    }
}

/// A client whose requests are logged.
#[derive(Clone, Debug)]
pub(crate) struct Logged<S> {
    inner: S,
    host: String,
}

impl<S, B, R> Service<Request<B>> for Logged<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let host = self.host.clone();
        let begun = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let ms = begun.elapsed().as_millis();
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            match &answer {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    tracing::debug!(target: "request", "{method} {host}{path} {status} in {ms} ms");
                }
                // What went wrong is told by whoever asked.
                Err(_) => {
                    tracing::debug!(target: "request", "{method} {host}{path}: no answer ({ms} ms)");
                }
            }
            answer
        })
    }
}
