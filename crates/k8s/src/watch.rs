//! Watches that survive: what is watched is always either fully known or known to be unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use kube::api::{Api, Resource, ResourceExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde::de::DeserializeOwned;

use crate::error::{Final, Meaning, meaning, status_meaning};

/// The server ends a watch after this time, and we begin the next where it ended: a dead connection is noticed.
const WATCH_SECONDS: u32 = 30;
/// Nothing at all was received for this long: the connection is dead.
pub(crate) const IDLE: Duration = Duration::from_secs(40);

/// A watch that failed for now; it goes on by itself.
#[derive(Debug)]
pub(crate) struct Hiccup(pub(crate) String);

/// What a watch yields: an event, or why there is none.
pub(crate) type Outcome<E> = Result<E, Failure>;

pub(crate) enum Failure {
    /// It goes on by itself.
    Passing(Hiccup),
    /// It will not.
    Final(Final),
}

/// All objects that `config` selects from `api`, and every change of them from then on. A watch that the server can
/// not continue is begun again with a list.
pub(crate) fn watch<K>(api: Api<K>, config: Config) -> BoxStream<'static, Outcome<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let config = config.timeout(WATCH_SECONDS);
    let begin = move || {
        watcher(api.clone(), config.clone())
            .backoff(watcher::ExponentialBackoff::from(crate::call::pauses()))
            .boxed()
    };
    futures::stream::unfold((begin(), begin), |(mut stream, begin)| async move {
        let item = stream.next().await?;
        let item = match item {
            Ok(event) => Ok(event),
            Err(error) => {
                // kube begins again by itself when the expired version is told within the stream, not when it is
                // told as the answer's status.
                if is_expired(&error) {
                    stream = begin();
                }
                Err(failure(&error))
            }
        };
        Some((item, (stream, begin)))
    })
    .boxed()
}

fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

fn failure(error: &watcher::Error) -> Failure {
    let passing = |reason: String| Failure::Passing(Hiccup(reason));
    let meaning = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => meaning(error),
        watcher::Error::WatchError(status) => status_meaning(status),
        watcher::Error::NoResourceVersion => {
            return Failure::Final(Final::Malformed(error.to_string()));
        }
    };
    match meaning {
        Meaning::Final(Final::Refused(410, reason)) => passing(reason),
        Meaning::Final(end) => Failure::Final(end),
        Meaning::Absent(reason) => Failure::Final(Final::Refused(404, reason)),
        Meaning::Conflict(reason) | Meaning::Transient { reason, .. } => passing(reason),
    }
}

/// The objects of one kind as a watch tells them.
#[derive(Debug)]
pub(crate) struct Store<K> {
    objects: BTreeMap<String, K>,
    /// A list that is still coming in; it replaces what is known when it is whole.
    incoming: Option<BTreeMap<String, K>>,
    ready: bool,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            incoming: None,
            ready: false,
        }
    }
}

impl<K: Resource> Store<K> {
    pub(crate) fn of(objects: impl IntoIterator<Item = K>) -> Self {
        Self {
            objects: objects.into_iter().map(|o| (o.name_any(), o)).collect(),
            incoming: None,
            ready: true,
        }
    }

    pub(crate) fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.incoming = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let incoming = self.incoming.get_or_insert_default();
                incoming.insert(object.name_any(), object);
            }
            Event::InitDone => {
                self.objects = self.incoming.take().unwrap_or_default();
                self.ready = true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
            }
        }
    }

    /// Whether a list has come in whole.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        self.objects.get(name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }
}
