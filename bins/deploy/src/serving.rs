//! What answers when an update has failed: the previous version, this one, or some of both.

use std::collections::BTreeMap;

use preview_actions::{Failed, Outside as _};
use preview_core::comment::Note;
use preview_core::names::{CommitSha, ComponentName, PinnedImage};

use crate::Deploy;
use crate::story::Story;

/// The version that was ready before an update.
pub(crate) struct Before {
    /// The commit H, where that is known.
    pub(crate) commit: Option<CommitSha>,
    /// Its images by component.
    pub(crate) images: BTreeMap<ComponentName, PinnedImage>,
}

/// Which versions of a component have a pod that is ready. One that this version leaves as it was is of neither.
struct Serving {
    component: ComponentName,
    previous: bool,
    new: bool,
    none: bool,
}

impl Deploy<'_> {
    /// Has the comment say which version answers after an update that failed.
    pub(crate) async fn tell_what_answers(&self, before: Before, story: &mut Story<'_>) {
        match self.serving(&before.images).await {
            Ok(serving) => {
                if let Some(note) = told(&serving, before.commit) {
                    story.answers_by(note);
                }
            }
            Err(error) => {
                let warning = format!("which version answers is not known: {error}");
                self.runner.console().warning(&warning);
            }
        }
    }

    async fn serving(
        &self,
        before: &BTreeMap<ComponentName, PinnedImage>,
    ) -> Result<Vec<Serving>, Failed> {
        let now = self.accepted.pinned();
        let namespace = self.preview.namespace_name();
        let mut all = Vec::new();
        for shown in self.preview.shown_workloads() {
            let Some(component) = shown.component else {
                continue;
            };
            let pods = self
                .world
                .cluster
                .pods_of_all_versions(namespace, &shown.object);
            let pods = pods.await.outside()?;
            let ready: Vec<bool> = pods
                .iter()
                .filter(|pod| pod.ready && !pod.terminating)
                .map(|pod| pod.current)
                .collect();
            let is_as_it_was = now.get(&component) == before.get(&component);
            all.push(Serving {
                component,
                previous: ready.contains(&false),
                new: ready.contains(&true) && !is_as_it_was,
                none: ready.is_empty(),
            });
        }
        Ok(all)
    }
}

/// The remark; none where nothing answers.
fn told(serving: &[Serving], served: Option<CommitSha>) -> Option<Note> {
    let those = |is_so: fn(&Serving) -> bool| -> Vec<ComponentName> {
        let those = serving.iter().filter(|serving| is_so(serving));
        those.map(|serving| serving.component.clone()).collect()
    };
    let previous = those(|serving| serving.previous);
    let new = those(|serving| serving.new);
    let none = those(|serving| serving.none);
    match (previous.is_empty(), new.is_empty() && none.is_empty()) {
        (true, _) if new.is_empty() => None,
        (false, true) => Some(Note::PreviousServes { commit: served }),
        _ => Some(Note::Mixed {
            previous,
            new,
            none,
        }),
    }
}
