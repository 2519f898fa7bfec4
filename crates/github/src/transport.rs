//! Sending requests: how long, how often, and over how many pages.
//!
//! octocrab adds the token and speaks HTTP. It joins its base address and a path by a guess (a path that happens to
//! start like the base is not joined), so it gets only the host as base, and whole paths from us.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use http::Uri;
use http::uri::Authority;
use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use preview_core::causes::with_causes;
use preview_core::doctor::TokenFormat;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::call::Call;
use crate::client::Settings;
use crate::error::{Error, Problem};

/// Repeats after the first try; with the default first pause they spread over about 15 seconds.
const REPEATS: usize = 5;

/// The most pauses of our own grow to; GitHub may ask for longer ones.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

pub(crate) struct Transport {
    octocrab: Octocrab,
    scheme: &'static str,
    /// Host and port of the API: the only place the token may go.
    authority: Authority,
    /// What all paths start with: nothing at github.com, `/api/v3` on an Enterprise server.
    prefix: String,
    token: SecretString,
    deadline: Instant,
    request_timeout: Duration,
    first_pause: Duration,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("authority", &self.authority)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Must be called within a tokio runtime: octocrab starts a task.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let invalid = |why: String| Error::new("connect to GitHub", Problem::Invalid(why));
        let url = &settings.api_url;
        let bad_url = || {
            invalid(format!(
                "{url:?} is not the address of GitHub's API; set GITHUB_API_URL to one such as https://api.github.com"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(bad_url()),
        };
        let authority = uri.authority().ok_or_else(bad_url)?;
        let token = settings.token.expose_secret();
        // octocrab panics on a token that is no header value.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(
                "the token is empty or holds a blank or control character; check how GITHUB_TOKEN is set".to_owned(),
            ));
        }
        let octocrab = Octocrab::builder()
            .base_uri(format!("{scheme}://{authority}/"))
            .and_then(|builder| {
                builder
                    .personal_token(settings.token.clone())
                    .add_header(
                        http::header::ACCEPT,
                        "application/vnd.github+json".to_owned(),
                    )
                    .set_connect_timeout(Some(settings.request_timeout))
                    .build()
            })
            .map_err(|why| {
                invalid(format!(
                    "no HTTP client: {}; is the package ca-certificates installed?",
                    chain(&why)
                ))
            })?;
        Ok(Self {
            octocrab,
            scheme,
            authority: authority.clone(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            token: settings.token.clone(),
            deadline: settings.deadline,
            request_timeout: settings.request_timeout,
            first_pause: settings.first_pause,
        })
    }

    /// The path of GraphQL below the host: beside the REST API, not under it.
    /// <https://docs.github.com/en/enterprise-server/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint>
    fn graphql_path(&self) -> String {
        format!("{}/graphql", self.prefix.trim_end_matches("/v3"))
    }

    /// Asks `query`, which must be a query: it is repeated like any read. An answer with an error in it is none, even where
    /// it has a part of what was asked for.
    pub(crate) async fn graphql<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: serde_json::Value,
        needs: &'static str,
        operation: &str,
    ) -> Result<T, Error> {
        #[derive(serde::Deserialize)]
        struct Reply {
            #[serde(default)]
            data: serde_json::Value,
            #[serde(default)]
            errors: serde_json::Value,
        }
        let call = Call::post("", operation, needs)
            .with(&serde_json::json!({ "query": query, "variables": variables }))?;
        let path = self.graphql_path();
        let reply: Reply = self
            .repeated(|| async { self.once(&call, &path).await?.json(&call) })
            .await?;
        if !reply.errors.is_null() {
            return Err(call.fails(Problem::Refused {
                status: 200,
                message: format!("GraphQL says {}", self.redacted(&reply.errors.to_string())),
            }));
        }
        serde_json::from_value(reply.data).map_err(|why| {
            call.fails(Problem::Unreadable {
                message: format!("another shape: {why}"),
                passing: false,
            })
        })
    }

    /// Sends a read or an idempotent write, repeating it while that may help, and reads its answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        self.repeated(|| async { self.send(call).await?.json(call) })
            .await
    }

    /// As [`Self::json`]; none where the object does not exist.
    pub(crate) async fn json_if_found<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, Error> {
        found(self.json(call).await)
    }

    /// Sends an idempotent write whose answer says nothing; `false` where there is no such object (any more).
    pub(crate) async fn done(&self, call: &Call) -> Result<bool, Error> {
        let answer = self.repeated(|| self.send(call)).await;
        Ok(found(answer)?.is_some())
    }

    /// Sends what must not be carried out twice and cannot be looked for afterwards: it is repeated only where it was
    /// surely not carried out.
    pub(crate) async fn sent(&self, call: &Call) -> Result<(), Error> {
        let sent = self.repeated(|| async {
            match self.send(call).await {
                Err(error) if error.may_have_landed() => Ok(Err(error)),
                answer => answer.map(Ok),
            }
        });
        sent.await?.map(drop)
    }

    /// All items of a list, over all pages.
    pub(crate) async fn pages<T: DeserializeOwned>(&self, call: &Call) -> Result<Vec<T>, Error> {
        self.pages_of::<Vec<T>>(call).await
    }

    /// As [`Self::pages`], of a list whose end does not matter after the first page that ends with one that `is_enough`.
    pub(crate) async fn pages_until<T: DeserializeOwned>(
        &self,
        call: &Call,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, Error> {
        let first = self.first_page(call);
        self.pages_from::<Vec<T>>(call, first, is_enough).await
    }

    /// As [`Self::pages`]; none where there is no such list.
    pub(crate) async fn pages_if_found<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<Vec<T>>, Error> {
        self.pages_of_if_found::<Vec<T>>(call).await
    }

    /// As [`Self::pages_of`]; none where there is no such list.
    pub(crate) async fn pages_of_if_found<P>(
        &self,
        call: &Call,
    ) -> Result<Option<Vec<P::Item>>, Error>
    where
        P: DeserializeOwned + IntoIterator,
    {
        found(self.pages_of::<P>(call).await)
    }

    /// All items of a list whose pages are `P`, over all of them.
    pub(crate) async fn pages_of<P>(&self, call: &Call) -> Result<Vec<P::Item>, Error>
    where
        P: DeserializeOwned + IntoIterator,
    {
        let first = self.first_page(call);
        self.pages_from::<P>(call, first, |_| false).await
    }

    /// The first page, as long as GitHub makes them.
    fn first_page(&self, call: &Call) -> String {
        let separator = if call.path.contains('?') { '&' } else { '?' };
        format!("{}{}{separator}per_page=100", self.prefix, call.path)
    }

    /// As [`Self::pages`], of a list that cannot be asked for longer pages.
    pub(crate) async fn linked<T: DeserializeOwned>(&self, call: &Call) -> Result<Vec<T>, Error> {
        let first = format!("{}{}", self.prefix, call.path);
        self.pages_from::<Vec<T>>(call, first, |_| false).await
    }

    async fn pages_from<P>(
        &self,
        call: &Call,
        first: String,
        is_enough: impl Fn(&P::Item) -> bool,
    ) -> Result<Vec<P::Item>, Error>
    where
        P: DeserializeOwned + IntoIterator,
    {
        let mut items = Vec::new();
        let mut path = first;
        let mut seen = vec![path.clone()];
        loop {
            let (page, next): (P, Option<String>) = self
                .repeated(|| async {
                    let answer = self.once(call, &path).await?;
                    let next = answer
                        .next_page()
                        .map(|address| self.own_path(call, address))
                        .transpose()?;
                    Ok((answer.json(call)?, next))
                })
                .await?;
            items.extend(page);
            let Some(next) = next.filter(|_| !items.last().is_some_and(&is_enough)) else {
                return Ok(items);
            };
            if seen.contains(&next) {
                return Err(call.fails(Problem::Unreadable {
                    message: format!("its pages go in a circle at {next}"),
                    passing: false,
                }));
            }
            seen.push(next.clone());
            path = next;
        }
    }

    /// Sends a POST that makes something new. It is not repeated before `read_back` has looked whether the earlier
    /// one was carried out although its answer was lost.
    pub(crate) async fn create<W: DeserializeOwned, T: From<W>, R>(
        &self,
        call: &Call,
        read_back: impl Fn() -> R,
    ) -> Result<T, Error>
    where
        R: Future<Output = Result<Option<T>, Error>>,
    {
        let unsure = AtomicBool::new(false);
        self.repeated(|| async {
            if unsure.load(Ordering::Relaxed) {
                match read_back().await {
                    Ok(Some(landed)) => return Ok(Ok(landed)),
                    Ok(None) => {}
                    // It was repeated often enough itself.
                    Err(error) => return Ok(Err(call.fails(error.problem))),
                }
            }
            let created = match self.send(call).await {
                Ok(answer) => answer.json::<W>(call),
                Err(error) => Err(error),
            };
            if created.as_ref().is_err_and(Error::may_have_landed) {
                unsure.store(true, Ordering::Relaxed);
            }
            created.map(|wire| Ok(T::from(wire)))
        })
        .await?
    }

    /// The path and query of another page; refused where it leads to another host, or out of the API.
    fn own_path(&self, call: &Call, address: &str) -> Result<String, Error> {
        let uri: Option<Uri> = address.parse().ok();
        uri.filter(|uri| self.is_own(uri))
            .and_then(|uri| Some(uri.path_and_query()?.to_string()))
            .ok_or_else(|| {
                call.fails(Problem::Unreadable {
                    message: format!("its next page is said to be at {address:?}"),
                    passing: false,
                })
            })
    }

    /// Whether an address is of this API. A server names itself as it likes: in lower case, and without the port that its
    /// scheme has anyway.
    fn is_own(&self, uri: &Uri) -> bool {
        let is_same_host = uri.authority().is_none_or(|authority| {
            authority.host().eq_ignore_ascii_case(self.authority.host())
                && port(uri.scheme_str(), authority) == port(Some(self.scheme), &self.authority)
        });
        let below = uri.path().strip_prefix(&self.prefix);
        is_same_host && below.is_some_and(|below| below.starts_with('/'))
    }

    async fn repeated<T, F>(&self, operation: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.first_pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(REPEATS);
        operation
            .retry(pauses)
            .when(Error::is_passing)
            .adjust(|error, pause| self.pause(error, pause?))
            .notify(|error, pause| {
                tracing::warn!(pause_ms = pause.as_millis(), "{error}; trying again");
            })
            .await
    }

    /// How long to wait before the next try; none where that would pass the deadline.
    fn pause(&self, error: &Error, planned: Duration) -> Option<Duration> {
        let pause = error.asked_to_wait().unwrap_or(planned);
        (Instant::now() + pause < self.deadline).then_some(pause)
    }

    async fn send(&self, call: &Call) -> Result<Answer, Error> {
        self.once(call, &format!("{}{}", self.prefix, call.path))
            .await
    }

    async fn once(&self, call: &Call, path: &str) -> Result<Answer, Error> {
        let started = Instant::now();
        let time = self
            .request_timeout
            .min(self.deadline.saturating_duration_since(started));
        if time.is_zero() {
            let message = "the time for this program was up before it could be asked".to_owned();
            return Err(call.fails(Problem::Unavailable { message }));
        }
        let answer = tokio::time::timeout(time, self.exchange(call, path)).await;
        let ms = started.elapsed().as_millis();
        let unavailable = |message: String| {
            tracing::debug!(target: "request", "{} {}{path}: {message} ({ms} ms)", call.method, self.authority);
            call.fails(Problem::Unavailable { message })
        };
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                return Err(unavailable(
                    self.redacted(&format!("no answer from GitHub: {}", chain(&why))),
                ));
            }
            Err(_) => {
                return Err(unavailable(format!(
                    "no answer from GitHub within {} s",
                    time.as_secs_f32()
                )));
            }
        };
        let (method, host, status) = (&call.method, &self.authority, answer.status.as_u16());
        tracing::debug!(target: "request", "{method} {host}{path} {status} in {ms} ms");
        answer.checked(call)
    }

    async fn exchange(&self, call: &Call, path: &str) -> octocrab::Result<Answer> {
        let builder = http::Request::builder()
            .method(call.method.clone())
            .uri(path);
        let request = self.octocrab.build_request(builder, call.body.as_ref())?;
        let (parts, body) = self.octocrab.execute(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let echoes_token = text.contains(self.token.expose_secret());
        Ok(Answer {
            status: parts.status,
            token: TokenFormat::of(self.token.expose_secret()),
            headers: parts.headers,
            body: if echoes_token {
                self.redacted(&text).into()
            } else {
                body
            },
        })
    }

    /// `text` without the token, should a proxy or a debugging server send it back.
    fn redacted(&self, text: &str) -> String {
        text.replace(self.token.expose_secret(), "***")
    }
}

/// The port that an authority means.
fn port(scheme: Option<&str>, authority: &Authority) -> Option<u16> {
    let usual = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    authority.port_u16().or(usual)
}

/// None for 404, which only a caller that asks for something uncertain may read so.
fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error {
            problem: Problem::NotFound { .. },
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error with its causes on one line.
fn chain(error: &octocrab::Error) -> String {
    let text = with_causes(error);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
